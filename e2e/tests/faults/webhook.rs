//! All replicas of the webhook killed, or standing still so that calls get no answer.

use std::time::{Duration, Instant};

use e2e::command::kubectl_with;
use e2e::load::PodCreation;
use e2e::process::Stopped;
use e2e::{Pod, TestNamespace, eventually, installation, manifests};
use serde_json::json;

use crate::{DEADLINE, PODS, processes, report, wait_for_counts};

/// After their return the webhook has to be used again within this time.
const RECOVERY: Duration = Duration::from_secs(10);

/// Waits until a pod of a policy that says `Fail` is admitted, and says how long it took.
#[track_caller]
fn wait_until_admitted(namespace: &TestNamespace, app: &str) -> Duration {
    let started = Instant::now();
    eventually("pods are admitted again", DEADLINE, || {
        let answer = namespace.try_dry_run(&manifests::pod("again", app));
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
    started.elapsed()
}

#[test]
fn killed_replicas_are_back_in_seconds_and_what_started_bare_is_counted() {
    let namespace = TestNamespace::create("killed");
    namespace.apply_policy(&manifests::policy("optional", "optional"));
    namespace.apply_policy(&manifests::failing_policy("required", "required"));
    let replicas = processes("webhook");
    let creation = PodCreation::start(namespace.name(), "optional", "optional");
    for replica in &replicas {
        replica.signal("KILL");
    }
    let recovered = wait_until_admitted(&namespace, "required");
    let admissions = creation.finish(PODS / 5);
    assert!(admissions.refused.is_empty(), "refused under Ignore: {:?}", admissions.refused);
    let (all, bare) = (admissions.count(), admissions.bare.len());
    let counts = json!({"matched": all, "injected": all - bare, "missing": bare});
    wait_for_counts(&namespace, "scp/optional", &counts);
    report(
        "both replicas of the webhook killed",
        &format!(
            "{all} pods created, 0 refused, {bare} bare and counted; Fail admitted again after {:.1} s",
            recovered.as_secs_f64()
        ),
    );
    assert!(recovered < RECOVERY, "took {recovered:?}");
    installation::wait_for_rollout(installation::WEBHOOK);
}

#[test]
fn without_answers_ignore_starts_pods_that_are_repaired_and_fail_refuses_them() {
    let namespace = TestNamespace::create("stopped");
    let mut optional = manifests::policy("optional", "optional");
    namespace.apply_policy(&optional);
    namespace.apply_policy(&manifests::failing_policy("required", "required"));
    let everything = namespace.unique("everything");
    let mut policy = manifests::failing_policy(&everything, "unused");
    policy["kind"] = json!("ClusterSidecarPolicy");
    policy["spec"]["podSelector"] = json!({"matchLabels": {"app": everything}});
    policy["spec"]["namespaceSelector"] = json!({});
    namespace.delete_at_the_end(format!("cscp/{everything}"));
    namespace.apply_policy(&policy);

    let stopped = Stopped::stop(processes("webhook"));
    let asked = Instant::now();
    let refusal = namespace.try_dry_run(&manifests::pod("required", "required"));
    let refused_after = asked.elapsed();
    assert!(!refusal.succeeded, "admitted without the webhook: {}", refusal.output);
    for words in ["failed calling webhook", "sidecarpolicy.dev"] {
        assert!(refusal.errors.contains(words), "{words:?} is missing in: {}", refusal.errors);
    }
    namespace.apply(&manifests::deployment("optional"));
    namespace.wait_for_rollout("deployment/optional");
    let bare = namespace.list("pods", "optional");
    assert!(bare.iter().all(|pod| Pod(pod.clone()).init_containers().is_empty()), "{bare:?}");
    for excluded in ["kube-system", "kube-public", "kube-node-lease", installation::NAMESPACE] {
        let create = ["create", "--dry-run=server", "-f", "-", "-n", excluded];
        let pod = manifests::pod("app", &everything).to_string();
        let answer = kubectl_with(&create, &pod);
        assert!(answer.succeeded, "a pod of {excluded} was refused: {}", answer.errors);
    }

    stopped.resume();
    let recovered = wait_until_admitted(&namespace, "required");
    wait_for_counts(&namespace, "scp/optional", &json!({"matched": 1, "missing": 1}));
    optional["spec"]["rollout"] = json!({"repair": true});
    namespace.apply(&optional);
    wait_for_counts(&namespace, "scp/optional", &json!({"injected": 1, "missing": 0, "ready": 1}));
    report(
        "both replicas of the webhook stopped",
        &format!(
            "Ignore: started, counted missing, repaired; Fail: refused after {:.1} s, admitted {:.1} s after the return",
            refused_after.as_secs_f64(),
            recovered.as_secs_f64()
        ),
    );
    assert!(recovered < RECOVERY, "took {recovered:?}");
}
