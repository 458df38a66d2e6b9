//! What a person sees of a policy: status, columns, explanations.

use e2e::{TestNamespace, command, eventually, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

#[track_caller]
fn wait_for_counts(namespace: &TestNamespace, policy: &str, expected: &Value) {
    eventually(&format!("the counts of {policy} are {expected}"), DEADLINE, || {
        let counts = namespace.get(policy)["status"]["pods"].clone();
        let same = expected
            .as_object()
            .is_some_and(|expected| expected.iter().all(|(key, count)| counts[key] == *count));
        if same { Ok(()) } else { Err(counts.to_string()) }
    });
}

#[test]
fn counts_follow_the_pods() {
    let namespace = TestNamespace::create("counts");
    namespace.create_pod(&manifests::pod("earlier", "api"));
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["sidecars"][0]["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}});
    namespace.apply_policy(&policy);
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": 1, "injected": 0, "missing": 1}));
    assert_eq!(namespace.get("scp/watcher")["status"]["overhead"], Value::Null);

    namespace.create_pod(&manifests::pod("later", "api"));
    let mut out = manifests::pod("out", "api");
    out["metadata"]["annotations"] = json!({"sidecarpolicy.dev/skip": "*"});
    namespace.create_pod(&out);
    wait_for_counts(
        &namespace,
        "scp/watcher",
        &json!({"matched": 2, "injected": 1, "current": 1, "missing": 1, "ready": 1, "optedOut": 1}),
    );
    assert_eq!(
        namespace.get("scp/watcher")["status"]["overhead"],
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "32Mi"}})
    );

    namespace.kubectl(&["delete", "pod", "earlier", "later", "--wait=false"]);
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": 0, "injected": 0, "missing": 0}));
    assert_eq!(namespace.get("scp/watcher")["status"]["overhead"], Value::Null);
}

#[test]
fn ready_is_true_of_the_current_generation() {
    let namespace = TestNamespace::create("generation");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let policy = namespace.get("scp/watcher");
    assert_eq!(policy["status"]["observedGeneration"], policy["metadata"]["generation"]);
    let conditions = policy["status"]["conditions"].as_array().expect("a list of conditions");
    for name in ["Accepted", "Ready"] {
        let condition = conditions.iter().find(|condition| condition["type"] == name);
        let condition = condition.unwrap_or_else(|| panic!("no condition {name}: {conditions:?}"));
        assert_eq!(condition["status"], "True", "{condition}");
        assert_eq!(condition["observedGeneration"], policy["metadata"]["generation"]);
    }
}

/// Waits until the condition `Accepted` of the current generation has this status and reason; gives its
/// message.
#[track_caller]
fn wait_for_accepted(
    namespace: &TestNamespace,
    policy: &str,
    status: &str,
    reason: &str,
) -> String {
    let accepted = crate::wait_for_accepted(namespace, policy, |accepted| {
        accepted["status"] == status && accepted["reason"] == reason
    });
    accepted["message"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn a_field_that_the_api_server_does_not_know_is_named_until_it_is_gone() {
    let namespace = TestNamespace::create("unknown-field");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["sidecars"][0]["fromTheFuture"] = json!(1);
    namespace.apply(&policy);
    let message = wait_for_accepted(&namespace, "scp/watcher", "False", "UnknownField");
    assert!(message.contains("unknown field \"spec.sidecars[0].fromTheFuture\""), "{message}");
    let conditions = namespace.get("scp/watcher")["status"]["conditions"].clone();
    let ready = conditions.as_array().and_then(|conditions| {
        conditions.iter().find(|condition| condition["type"] == "Ready").cloned()
    });
    assert_eq!(ready.expect("a condition Ready")["reason"], "NotAccepted");

    namespace.apply_policy(&manifests::policy("watcher", "api"));
    wait_for_accepted(&namespace, "scp/watcher", "True", "Valid");
}

#[test]
fn what_pod_security_would_say_is_told() {
    let namespace = TestNamespace::create("restricted-words");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let message = wait_for_accepted(&namespace, "scp/watcher", "True", "Valid");
    assert!(message.contains("runAsNonRoot != true"), "{message}");
    assert!(!message.contains("\"app"), "only what goes in is judged: {message}");
}

#[test]
fn ready_means_that_the_very_next_pod_gets_it() {
    let namespace = TestNamespace::create("next-pod");
    for round in 0..5 {
        let name = format!("round-{round}");
        namespace.apply_policy(&manifests::policy(&name, &name));
        let pod = namespace.create_pod(&manifests::pod(&name, &name));
        assert_eq!(pod.init_containers(), [name.as_str()]);
    }
}

#[test]
fn kubectl_get_shows_the_state_in_columns() {
    let namespace = TestNamespace::create("columns");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    namespace.create_pod(&manifests::pod("api", "api"));
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": 1, "injected": 1}));

    let table = namespace.kubectl(&["get", "scp"]);
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().expect("a header");
    assert_eq!(
        header,
        ["NAME", "MODE", "READY", "MATCHED", "INJECTED", "OUTDATED", "MISSING", "AGE"]
    );
    let row = lines.next().expect("a row");
    assert_eq!(row[..7], ["watcher", "Enforce", "True", "1", "1", "0", "0"]);
}

#[test]
fn kubectl_explain_knows_the_fields_of_both_kinds() {
    for field in ["scp.spec.sidecars.livenessProbe", "cscp.spec.sidecars.livenessProbe.httpGet"] {
        let text = command::kubectl(&["explain", field]).expect_success();
        assert!(text.contains("FIELD") || text.contains("FIELDS"), "{text}");
        assert!(text.contains("sidecarpolicy.dev"), "{text}");
    }
    let category = command::kubectl(&["get", "sidecars", "-A"]);
    assert!(category.succeeded, "{}", category.errors);
}
