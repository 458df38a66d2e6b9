//! What `kubectl apply` says of a policy that cannot work.

use e2e::{TestNamespace, manifests};
use serde_json::{Value, json};

#[track_caller]
fn assert_refused(namespace: &TestNamespace, policy: &Value, words: &[&str]) {
    let refusal = namespace.apply_refused(policy);
    for word in words {
        assert!(refusal.contains(word), "{word:?} is missing in: {refusal}");
    }
}

#[test]
fn a_policy_that_cannot_work_is_refused_with_the_path_of_the_field() {
    let namespace = TestNamespace::create("refused");
    let with = |change: &dyn Fn(&mut Value)| {
        let mut policy = manifests::policy("watcher", "api");
        change(&mut policy["spec"]);
        policy
    };

    let unknown_volume = with(&|spec| {
        spec["sidecars"][0]["volumeMounts"] = json!([{"name": "none", "mountPath": "relative"}]);
        spec["sidecars"][0]["volumeMounts"][0]
            .as_object_mut()
            .expect("a mount")
            .remove("mountPath");
    });
    assert_refused(&namespace, &unknown_volume, &["spec.sidecars[0].volumeMounts[0].mountPath"]);
    let bad_image = with(&|spec| spec["sidecars"][0]["image"] = json!(""));
    assert_refused(&namespace, &bad_image, &["spec.sidecars[0].image"]);
    let bad_operator = with(&|spec| {
        spec["podSelector"] = json!({"matchExpressions": [{"key": "app", "operator": "Like"}]});
    });
    assert_refused(&namespace, &bad_operator, &["spec.podSelector.matchExpressions[0].operator"]);
    let bad_mode = with(&|spec| spec["mode"] = json!("Sometimes"));
    assert_refused(&namespace, &bad_mode, &["spec.mode", "Enforce", "Audit"]);
    let nothing = with(&|spec| spec["sidecars"] = json!([]));
    assert_refused(&namespace, &nothing, &["spec"]);
}

#[test]
fn an_expression_that_cannot_work_is_refused_with_its_path_and_a_hint() {
    let namespace = TestNamespace::create("bad-expression");
    let with_argument = |argument: &str| {
        let mut policy = manifests::policy("watcher", "api");
        policy["spec"]["sidecars"][0]["args"] = json!([argument]);
        policy
    };
    let shell = with_argument("${HOME}");
    assert_refused(&namespace, &shell, &["spec.sidecars[0].args[0]", "$${HOME}"]);
    let undeclared = with_argument("${params.level}");
    assert_refused(&namespace, &undeclared, &["spec.sidecars[0].args[0]", "params.level"]);
    let mut condition = manifests::policy("watcher", "api");
    condition["spec"]["matchConditions"] = json!([{"name": "x", "expression": "pod.labels"}]);
    assert_refused(&namespace, &condition, &["spec.matchConditions[0].expression"]);
}

#[test]
fn a_name_too_long_for_annotation_keys_is_refused() {
    let namespace = TestNamespace::create("long-name");
    let policy = manifests::policy(&"a".repeat(41), "api");
    assert_refused(&namespace, &policy, &["40"]);
}

#[test]
fn a_refused_change_leaves_the_policy_as_it_was() {
    let namespace = TestNamespace::create("refused-change");
    let mut policy = manifests::policy("watcher", "api");
    namespace.apply_policy(&policy);
    policy["spec"]["sidecars"][0]["image"] = json!("");
    assert_refused(&namespace, &policy, &["spec.sidecars[0].image"]);
    assert_eq!(namespace.create_pod(&manifests::pod("api", "api")).init_containers(), ["watcher"]);
}

#[test]
fn a_container_field_of_a_newer_kubernetes_survives_in_the_policy() {
    let namespace = TestNamespace::create("newer-field");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["sidecars"][0]["fieldOfTomorrow"] = json!({"deep": [1, 2.50, "three"]});
    namespace.apply(&policy);
    let stored = namespace.get("scp/watcher");
    assert_eq!(
        stored["spec"]["sidecars"][0]["fieldOfTomorrow"],
        policy["spec"]["sidecars"][0]["fieldOfTomorrow"]
    );
}

#[test]
fn a_misspelt_field_of_the_policy_is_refused() {
    let namespace = TestNamespace::create("misspelt");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["podSelectors"] = json!({});
    assert_refused(&namespace, &policy, &["podSelectors"]);
}
