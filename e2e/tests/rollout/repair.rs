//! Pods that miss a policy: told, and restarted where the policy says so.

use e2e::{TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::{
    DEADLINE,
    policy::{deploy, image, policy, restarts_of, wait_for_progress},
};

/// Events of this reason on the Deployment `api`.
#[track_caller]
fn events(namespace: &TestNamespace, reason: &str) -> Vec<Value> {
    let events = namespace.get("events.events.k8s.io");
    let events = events["items"].as_array().cloned().unwrap_or_default();
    let ours = |event: &Value| {
        event["reason"] == reason
            && event["regarding"]["kind"] == "Deployment"
            && event["regarding"]["name"] == "api"
    };
    events.into_iter().filter(ours).collect()
}

#[track_caller]
fn wait_for_event(namespace: &TestNamespace, reason: &str) -> Value {
    eventually(&format!("an event {reason} on the Deployment"), DEADLINE, || {
        let mut found = events(namespace, reason);
        found.pop().ok_or_else(|| "none".to_owned())
    })
}

#[test]
fn pods_older_than_the_policy_are_told_of_and_restarted_on_request() {
    let namespace = TestNamespace::create("repair");
    deploy(&namespace, 3);
    let mut first = policy(json!({}));
    namespace.apply_policy(&first);
    let event = wait_for_event(&namespace, "SidecarsMissing");
    let deployment = namespace.get("deployment/api");
    assert_eq!(event["regarding"]["uid"], deployment["metadata"]["uid"]);
    assert_eq!(events(&namespace, "SidecarsMissing").len(), 1, "one for three pods");

    first["spec"]["rollout"]["repair"] = json!(true);
    namespace.apply(&first);
    eventually("all pods have the policy", DEADLINE, || {
        let pods = namespace.pods("api");
        let repaired = pods.iter().filter(|pod| image(pod) == manifests::BUSYBOX).count();
        if repaired == 3 && pods.len() == 3 { Ok(()) } else { Err(format!("{repaired} of 3")) }
    });
    wait_for_progress(&namespace, "OnRecreate");
    assert_eq!(restarts_of(&namespace, "deployment/api"), 1);
    wait_for_event(&namespace, "SidecarsInjected");
}

#[test]
fn a_conflict_is_told_on_the_owner_and_not_repaired() {
    let namespace = TestNamespace::create("skipped");
    namespace.apply_policy(&policy(json!({"repair": true})));
    let mut deployment = manifests::deployment("api");
    let taken = manifests::container("watcher");
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array_mut();
    containers.expect("a list of containers").push(taken);
    namespace.apply(&deployment);
    namespace.wait_for_rollout("deployment/api");
    let event = wait_for_event(&namespace, "SidecarsSkipped");
    let note = event["note"].as_str().unwrap_or_default();
    assert!(note.contains("watcher"), "{note}");
    assert_eq!(restarts_of(&namespace, "deployment/api"), 0);
}
