//! The manifest for Krew: what `krew/manifest` makes of archives, by the rules that Krew checks manifests by.

#![allow(clippy::expect_used, reason = "a test that fails here says where")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

const PLATFORMS: [(&str, &str); 4] =
    [("linux", "amd64"), ("linux", "arm64"), ("darwin", "amd64"), ("darwin", "arm64")];
const URL: &str = "https://example.com/releases/v0";

fn script(name: &str, arguments: &[&str]) -> Output {
    let path = format!("{}/../krew/{name}", env!("CARGO_MANIFEST_DIR"));
    Command::new(path).args(arguments).output().expect("the script starts")
}

fn printed(output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).expect("it writes UTF-8")
}

/// An empty folder, and a program in it.
fn folder(test: &str) -> (PathBuf, String) {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(test);
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("the folder of the last run can be removed");
    }
    fs::create_dir_all(&folder).expect("a folder can be made");
    let program = folder.join("program");
    fs::write(&program, "a program").expect("a file can be written");
    (folder, program.to_string_lossy().into_owned())
}

fn pack(os: &str, arch: &str, program: &str, folder: &Path) -> PathBuf {
    let made = printed(script("archive", &[os, arch, program, &folder.to_string_lossy()]));
    PathBuf::from(made.trim_end())
}

#[test]
fn the_manifest_names_the_archives_of_every_platform() {
    let (folder, program) = folder("krew");
    for (os, arch) in PLATFORMS {
        pack(os, arch, &program, &folder);
    }
    let homepage = "https://example.com/";
    let text = printed(script("manifest", &[homepage, URL, &folder.to_string_lossy()]));
    let manifest: Value = serde_saphyr::from_str(&text).expect(&text);
    assert_eq!(manifest["apiVersion"], "krew.googlecontainertools.github.com/v1alpha2");
    assert_eq!(manifest["kind"], "Plugin");
    assert_eq!(manifest["metadata"]["name"], "sidecar");
    let spec = &manifest["spec"];
    assert_eq!(spec["version"], concat!("v", env!("CARGO_PKG_VERSION")));
    assert_eq!(spec["homepage"], homepage);
    let short = spec["shortDescription"].as_str().unwrap_or_default();
    assert!(!short.is_empty() && short.len() <= 50 && !short.ends_with('.'), "{short}");

    let mut platforms = BTreeSet::new();
    for platform in spec["platforms"].as_array().expect("platforms") {
        let labels = &platform["selector"]["matchLabels"];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (os, arch) = (text(&labels["os"]), text(&labels["arch"]));
        let file = format!("kubectl-sidecar-{os}-{arch}.tar.gz");
        assert_eq!(platform["uri"], format!("{URL}/{file}"));
        assert_eq!(platform["sha256"], sha256_of(&folder.join(file)));
        assert_eq!(platform["bin"], "kubectl-sidecar");
        assert_eq!(platform["files"].as_array().map(Vec::len), Some(2));
        platforms.insert((os, arch));
    }
    let all = PLATFORMS.map(|(os, arch)| (os.to_owned(), arch.to_owned()));
    assert_eq!(platforms, BTreeSet::from(all));
    assert!(!["SHA256", "ARCHIVES", "HOMEPAGE", "VERSION"].iter().any(|left| text.contains(left)));
}

#[test]
fn an_archive_holds_the_program_and_the_licence_and_is_always_the_same() {
    let (folder, program) = folder("krew_archive");
    let archive = pack("linux", "amd64", &program, &folder);
    let first = sha256_of(&archive);
    let list = Command::new("tar").arg("-tvzf").arg(&archive).output().expect("tar starts");
    let list = printed(list);
    let names: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(names, ["LICENSE", "kubectl-sidecar"]);
    assert!(list.contains("-rwxr-xr-x"), "{list}");
    fs::write(&program, "a program").expect("a file can be written");
    assert_eq!(sha256_of(&pack("linux", "amd64", &program, &folder)), first);
}

#[test]
fn what_is_missing_is_named() {
    let (folder, program) = folder("krew_missing");
    pack("linux", "amd64", &program, &folder);
    let folder = folder.to_string_lossy().into_owned();
    for (name, arguments, told) in [
        ("manifest", vec!["https://example.com", URL, &folder], "kubectl-sidecar-linux-arm64"),
        ("archive", vec!["plan9", "amd64", &program], "no platform plan9/amd64"),
        ("archive", vec!["linux", "amd64", "nothing"], "no program nothing"),
        ("manifest", vec![], "usage"),
    ] {
        let answer = script(name, &arguments);
        let errors = String::from_utf8_lossy(&answer.stderr).into_owned();
        assert!(!answer.status.success() && errors.contains(told), "{name}: {errors}");
    }
}

fn sha256_of(file: &Path) -> String {
    let digest = Sha256::digest(fs::read(file).expect("the archive can be read"));
    digest.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
