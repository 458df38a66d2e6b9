//! The heart stays pure: `crds` and `inject` pull in no runtime, no server and no client.

#![allow(
    clippy::expect_used,
    reason = "clippy takes what stands beside the tests of this file for product code"
)]

use std::process::Command;

/// Crates whose presence would mean I/O.
const FORBIDDEN: [&str; 8] =
    ["tokio", "hyper", "hyper-util", "reqwest", "tower", "kube", "kube-client", "kube-runtime"];

#[test]
fn crds_and_inject_pull_in_no_runtime_server_or_client() {
    for package in ["crds", "inject"] {
        let tree = dependency_tree(package);
        assert!(
            tree.contains(&"k8s-openapi".to_owned()),
            "the tree of `{package}` was not read: {tree:?}"
        );
        let found = forbidden(&tree);
        assert!(
            found.is_empty(),
            "`{package}` must not depend on {found:?}; \
             `cargo tree -p {package} -e normal -i {}` shows through which crate it does",
            found[0]
        );
    }
}

#[test]
fn a_forbidden_crate_is_found() {
    assert_eq!(
        forbidden(&names(
            "inject v0.1.0 (/somewhere)\nkube-core v5.0.0\ntokio v1.54.1\nkube v5.0.0 (*)\n"
        )),
        ["kube", "tokio"]
    );
}

/// Names of every crate that `package` links in a normal build.
fn dependency_tree(package: &str) -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "-e", "normal", "--prefix", "none"])
        .args(["-p", package])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo tree -p {package} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    names(&String::from_utf8_lossy(&output.stdout))
}

fn names(tree: &str) -> Vec<String> {
    let mut names: Vec<String> =
        tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}

fn forbidden(names: &[String]) -> Vec<&String> {
    names.iter().filter(|name| FORBIDDEN.contains(&name.as_str())).collect()
}
