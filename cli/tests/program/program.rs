//! The program as a whole: version, completion, wrong arguments, a reader that goes away.

use std::{
    io::Read as _,
    process::{Command, Stdio},
};

use crate::fixture::{Folder, POD};

#[test]
fn version_prints_the_version() {
    let ended = Folder::new("version").run(&["version"], "");
    assert_eq!(ended.printed(), concat!("kubectl-sidecar ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn completion_is_a_script_for_the_shell() {
    let folder = Folder::new("completion");
    for (shell, registration) in [
        ("bash", "complete -F _kubectl__sidecar"),
        ("zsh", "#compdef kubectl-sidecar"),
        ("fish", "complete -c kubectl-sidecar"),
    ] {
        let script = folder.run(&["completion", shell], "").printed();
        assert!(script.contains(registration), "{script}");
        assert!(script.contains("namespace"), "{script}");
    }
}

#[test]
fn wrong_arguments_end_with_2() {
    let folder = Folder::new("wrong_arguments");
    for arguments in [&["inject"][..], &["inject", "-f", "-"], &["infect"], &[]] {
        let ended = folder.run(arguments, "");
        assert_eq!((ended.code, ended.output.as_str()), (2, ""), "{arguments:?}");
        assert!(ended.messages.contains("Usage: kubectl sidecar"), "{}", ended.messages);
    }
    let message = folder.run(&["inject", "-f", "-", "-p", "-"], POD).complaint();
    assert_eq!(
        message,
        "error: standard input (-) can be read once only; name a file in all places but one\n"
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let comments = "# a line that fills the pipe\n".repeat(10_000);
    Folder::new("closed_pipe").with("large.yaml", format!("{comments}{POD}"));
    let mut program = Command::new(env!("CARGO_BIN_EXE_kubectl-sidecar"))
        .args(["inject", "-p", "policy.yaml", "-f", "large.yaml"])
        .current_dir(concat!(env!("CARGO_TARGET_TMPDIR"), "/closed_pipe"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut output = program.stdout.take().expect("its output is a pipe");
    output.read_exact(&mut [0; 10]).expect("the program prints");
    drop(output);
    let ended = program.wait_with_output().expect("the program ends");
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(ended.status.code(), Some(0));
}

#[test]
fn colours_are_for_those_who_see_them() {
    let folder = Folder::new("colours").with("app.yaml", POD);
    let forced = ("CLICOLOR_FORCE", "1");
    for command in ["explain", "diff", "inject"] {
        let arguments = [command, "-f", "app.yaml", "-p", "policy.yaml"];
        let is_coloured = |variables: &[(&str, &str)]| {
            folder.run_with(variables, &arguments, "").output.contains('\u{1b}')
        };
        assert!(!is_coloured(&[]), "{command}: a pipe is no terminal");
        assert_eq!(is_coloured(&[forced]), command != "inject", "{command}: manifests never are");
        assert!(!is_coloured(&[forced, ("NO_COLOR", "1")]), "{command}: NO_COLOR");
    }
}
