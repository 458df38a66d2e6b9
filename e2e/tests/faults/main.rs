//! What must hold while parts of the installation or of the cluster fail: real processes killed and
//! stopped, and counted what became of the pods meanwhile. These tests run one by one, because each
//! affects every namespace; each leaves the installation working. `make test-faults` runs them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports what went wrong by panicking"
)]

mod certificates;
mod control_plane;
mod hostile;
mod leader;
mod promise;
mod restart;
mod soak;
mod status;
mod upgrade;
mod webhook;

use std::io::Write as _;
use std::time::{Duration, Instant};

use e2e::process::{self, Process};
use e2e::{TestNamespace, eventually, installation};
use serde_json::Value;

/// How long the cluster may take for anything.
const DEADLINE: Duration = Duration::from_secs(120);
/// Pods that are created while something is disturbed.
const PODS: usize = 1_000;

/// Notes what a test measured, for the table at the end.
fn report(fault: &str, figure: &str) {
    let line = format!("{fault:<46} {figure}");
    println!("{line}");
    if let Some(path) = std::env::var_os("FAULT_FIGURES") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        let written = file.and_then(|mut file| writeln!(file, "{line}"));
        written.expect("the file FAULT_FIGURES can be written");
    }
}

/// A number that the environment may set otherwise.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse().unwrap_or_else(|_| panic!("{name} has to be a number, and is {text}"))
    })
}

/// The processes of a component, `webhook` or `operator`, when all its replicas run.
#[track_caller]
fn processes(component: &str) -> Vec<Process> {
    let selector = format!("app.kubernetes.io/component={component}");
    eventually(&format!("two replicas of the {component} run"), DEADLINE, || {
        let found = process::of_pods(installation::NAMESPACE, &selector);
        if found.len() == 2 { Ok(found) } else { Err(format!("{found:?}")) }
    })
}

/// Waits until `status.pods` of a policy has these counts; says how long it took.
#[track_caller]
fn wait_for_counts(namespace: &TestNamespace, policy: &str, expected: &Value) -> Duration {
    let started = Instant::now();
    eventually(&format!("the counts of {policy} are {expected}"), DEADLINE, || {
        let answer = namespace.ask(&["get", policy, "-o", "json"]);
        let object: Value = serde_json::from_str(&answer.output).unwrap_or_default();
        let counts = &object["status"]["pods"];
        let same = expected
            .as_object()
            .is_some_and(|expected| expected.iter().all(|(key, count)| counts[key] == *count));
        if same { Ok(()) } else { Err(format!("{counts} {}", answer.errors)) }
    });
    started.elapsed()
}
