//! What happens to a pod that a policy cannot be applied to.

use e2e::{TestNamespace, manifests};
use serde_json::{Value, json};

/// A pod whose own container has the name of the policy's sidecar.
fn posing_pod(name: &str) -> Value {
    let mut pod = manifests::pod(name, "api");
    let mut posing = manifests::container("watcher");
    posing["command"] = json!(["sleep", "3600"]);
    pod["spec"]["containers"].as_array_mut().expect("a pod has containers").push(posing);
    pod
}

#[test]
fn a_conflict_is_skipped_with_a_warning_and_written_on_the_pod() {
    let namespace = TestNamespace::create("conflict-skip");
    namespace.apply_policy(&manifests::policy("watcher", "api"));

    let printed = namespace.apply(&posing_pod("api"));

    assert!(printed.contains("Warning: ") && printed.contains("watcher"), "{printed}");
    let pod = namespace.pod("api");
    assert_eq!(pod.containers(), ["app", "watcher"]);
    assert!(pod.init_containers().is_empty(), "{}", pod.0);
    assert_eq!(pod.label("sidecarpolicy.dev/injected"), None);
    let skipped = pod.annotation("sidecarpolicy.dev/skipped").expect("the pod says what it misses");
    let skipped: Value = serde_json::from_str(skipped).expect("the annotation is JSON");
    let reason = skipped[format!("{}/watcher", namespace.name())].as_str();
    assert!(reason.is_some_and(|text| !text.is_empty()), "{skipped}");
}

#[test]
fn a_conflict_is_denied_with_the_reason_where_the_policy_must_not_be_missed() {
    let namespace = TestNamespace::create("conflict-deny");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["failurePolicy"] = json!("Fail");
    namespace.apply_policy(&policy);

    let refusal = namespace.apply_refused(&posing_pod("api"));
    for word in ["denied the request", &format!("{}/watcher", namespace.name()), "spec.containers"]
    {
        assert!(refusal.contains(word), "{word:?} is missing in: {refusal}");
    }
    assert_eq!(namespace.create_pod(&manifests::pod("good", "api")).init_containers(), ["watcher"]);
}

#[test]
fn one_policys_conflict_never_stops_another() {
    let namespace = TestNamespace::create("conflict-other");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    namespace.apply_policy(&manifests::policy("helper", "api"));

    let pod = namespace.create_pod(&posing_pod("api"));
    assert_eq!(pod.init_containers(), ["helper"]);
    let skipped = pod.annotation("sidecarpolicy.dev/skipped").unwrap_or_default();
    assert!(skipped.contains("watcher") && !skipped.contains("helper"), "{skipped}");
}

#[test]
fn a_policy_that_conflicts_in_one_place_puts_in_nothing_at_all() {
    let namespace = TestNamespace::create("conflict-whole");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    policy["spec"]["appContainers"] = json!([{
        "env": [{"name": "ADDED", "value": "ours"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
    }]);
    namespace.apply_policy(&policy);
    let mut pod = manifests::pod("api", "api");
    pod["spec"]["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "own", "mountPath": "/data"}]);

    let pod = namespace.create_pod(&pod);
    assert!(pod.init_containers().is_empty(), "{}", pod.0);
    assert_eq!(pod.volumes(), ["own"]);
    assert_eq!(pod.container("app")["env"], Value::Null);
}
