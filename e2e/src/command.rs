//! Runs programs and hands back what they said.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a program answered.
#[derive(Debug)]
pub struct Answer {
    /// Whether it ended with exit code 0.
    pub succeeded: bool,
    /// Its standard output.
    pub output: String,
    /// Its standard error: where `kubectl` prints errors and warnings.
    pub errors: String,
    /// The exit code that it ended with; `None` if a signal ended it.
    pub code: Option<i32>,
}

/// Runs `kubectl` with `arguments`.
#[must_use]
pub fn kubectl(arguments: &[&str]) -> Answer {
    run("kubectl", arguments, None)
}

/// Runs `kubectl` with `arguments` and gives it `manifest` as standard input.
#[must_use]
pub fn kubectl_with(arguments: &[&str], manifest: &str) -> Answer {
    run("kubectl", arguments, Some(manifest))
}

/// Runs the command line, `kubectl sidecar`, with `arguments`.
#[must_use]
pub fn sidecar(arguments: &[&str]) -> Answer {
    run(&sidecar_program(), arguments, None)
}

/// Runs the command line with `arguments` and gives it `manifest` as standard input.
#[must_use]
pub fn sidecar_with(arguments: &[&str], manifest: &str) -> Answer {
    run(&sidecar_program(), arguments, Some(manifest))
}

/// The command line, which `cargo build -p cli` puts beside the tests.
#[must_use]
#[track_caller]
pub fn sidecar_program() -> String {
    let tests = std::env::current_exe().expect("the tests have a path");
    let built = tests.parent().and_then(|deps| deps.parent()).expect("cargo's folder");
    let program = built.join("kubectl-sidecar");
    assert!(program.exists(), "{} is not built: cargo build -p cli", program.display());
    program.to_string_lossy().into_owned()
}

/// Runs any program.
#[must_use]
pub fn run(program: &str, arguments: &[&str], input: Option<&str>) -> Answer {
    // Without it kubectl would take the current context of ~/.kube/config, which may be anybody's.
    assert!(
        std::env::var_os("KUBECONFIG").is_some(),
        "KUBECONFIG is not set: run the tests by `make test-e2e` or through `e2e/cluster/cluster run`"
    );
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
    if let (Some(mut pipe), Some(text)) = (child.stdin.take(), input) {
        // A program that refuses its arguments ends without reading; its answer says why.
        let _ = pipe.write_all(text.as_bytes());
    }
    let finished = child.wait_with_output().expect("the answer of a started program is readable");
    Answer {
        succeeded: finished.status.success(),
        output: String::from_utf8_lossy(&finished.stdout).into_owned(),
        errors: String::from_utf8_lossy(&finished.stderr).into_owned(),
        code: finished.status.code(),
    }
}

impl Answer {
    /// Standard output of a program that must have succeeded.
    #[must_use]
    #[track_caller]
    pub fn expect_success(self) -> String {
        assert!(self.succeeded, "a command failed: {}{}", self.output, self.errors);
        self.output
    }

    /// Standard error of a program that must have failed.
    #[must_use]
    #[track_caller]
    pub fn expect_failure(self) -> String {
        assert!(!self.succeeded, "a command succeeded that had to fail: {}", self.output);
        self.errors
    }
}
