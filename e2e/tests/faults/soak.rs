//! Policies and pods that come, change and go for minutes: memory stays where it is.

use std::time::{Duration, Instant};

use e2e::command::kubectl_with;
use e2e::process::Process;
use e2e::{TestNamespace, manifests};
use serde_json::json;

use crate::{processes, report, setting};

/// Policies that take turns.
const POLICIES: usize = 10;
/// Pods that come with every change.
const PODS: usize = 10;
/// Measurements in all.
const SAMPLES: usize = 12;
/// What a process may have grown by from the middle third to the last one, in MiB.
const GROWTH: f64 = 3.0;

#[test]
fn memory_stays_flat_while_policies_churn() {
    let seconds = setting("SOAK_SECONDS", 240);
    let namespace = TestNamespace::create("soak");
    let before = ids();
    let (started, mut round, mut samples) = (Instant::now(), 0_usize, Vec::new());
    while samples.len() < SAMPLES {
        churn(&namespace, round);
        round += 1;
        let due = Duration::from_secs(seconds) * u32::try_from(samples.len() + 1).unwrap_or(1)
            / u32::try_from(SAMPLES).unwrap_or(1);
        if started.elapsed() >= due {
            samples.push(["operator", "webhook"].map(memory));
        }
    }
    assert_eq!(ids(), before, "no process was restarted");
    for (component, index) in [("operator", 0), ("webhook", 1)] {
        let of = |part: &[[f64; 2]]| part.iter().map(|sample| sample[index]).fold(0.0, f64::max);
        let third = SAMPLES / 3;
        let (first, middle, last) =
            (of(&samples[..third]), of(&samples[third..2 * third]), of(&samples[2 * third..]));
        report(
            &format!("soak of {seconds} s, memory of the {component}"),
            &format!(
                "{round} changes, {} pods; at most {first:.1}, {middle:.1}, {last:.1} MiB in each third",
                round * PODS
            ),
        );
        assert!(last < middle + GROWTH, "{component}: {samples:?}");
    }
}

/// A policy changes or comes, pods of it come, and those of the time before go.
fn churn(namespace: &TestNamespace, round: usize) {
    let name = format!("policy-{}", round % POLICIES);
    let mut policy = manifests::policy(&name, &name);
    policy["spec"]["sidecars"][0]["env"] = json!([{"name": "ROUND", "value": round.to_string()}]);
    if round % 7 == 6 {
        namespace.kubectl(&["delete", "scp", &name, "--ignore-not-found"]);
    }
    namespace.apply(&policy);
    let selector = format!("app={name}");
    namespace.kubectl(&["delete", "pods", "-l", &selector, "--wait=false", "--now"]);
    let pods = manifests::list(&vec![manifests::held_pod(&name); PODS]).to_string();
    let _ = kubectl_with(&["create", "-f", "-", "-n", namespace.name()], &pods).expect_success();
}

fn ids() -> Vec<String> {
    let all = ["operator", "webhook"].into_iter().flat_map(processes);
    all.map(|process| format!("{process:?}")).collect()
}

/// Memory of the replica that has most, in MiB.
fn memory(component: &str) -> f64 {
    let resident = processes(component).iter().map(Process::resident_kib).max();
    f64::from(u32::try_from(resident.unwrap_or_default()).unwrap_or(u32::MAX)) / 1024.0
}
