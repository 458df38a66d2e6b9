//! Policies and pods that are wrong, huge or meant to do harm: each is refused or passed by, and
//! nothing else changes.

use e2e::load::PodCreation;
use e2e::{TestNamespace, manifests};
use serde_json::{Value, json};

use crate::{PODS, processes, report, wait_for_counts};

/// A policy with one field of its sidecar set otherwise.
fn policy_with(field: &str, value: Value) -> Value {
    let mut policy = manifests::policy("hostile", "hostile");
    policy["spec"]["sidecars"][0][field] = value;
    policy
}

/// Policies that have to be refused.
fn policies() -> Vec<(&'static str, Value)> {
    let mut condition = manifests::policy("hostile", "hostile");
    condition["spec"]["matchConditions"] = json!([{"name": "deep", "expression": format!("{}true{}", "(".repeat(2_000), ")".repeat(2_000))}]);
    let mut many = manifests::policy("hostile", "hostile");
    let sidecars = (0..200).map(|number| manifests::container(&format!("sidecar-{number}")));
    many["spec"]["sidecars"] = sidecars.collect();
    let mut pattern = manifests::policy("hostile", "hostile");
    let nested = format!("{}a{}", "(".repeat(500), "{1,1000})".repeat(500));
    pattern["spec"]["parameters"] = json!([{"name": "p", "type": "String", "pattern": nested}]);
    vec![
        ("an expression that does not parse", policy_with("args", json!(["${pod.metadata"]))),
        ("an unknown variable", policy_with("args", json!(["${secrets.token}"]))),
        ("a nested condition", condition),
        ("too many sidecars", many),
        ("a nested pattern", pattern),
        ("two megabytes", policy_with("args", json!(["x".repeat(2_000_000)]))),
        ("no image", policy_with("image", json!(""))),
        ("a list instead of an object", policy_with("resources", json!(["cpu"]))),
    ]
}

/// Pods that look as if they were meant to break something; the API server may refuse them, too.
fn pods() -> Vec<(&'static str, Value)> {
    let annotated = |key: &str, value: String| {
        let mut pod = manifests::pod("hostile", "api");
        pod["metadata"]["annotations"] = json!({key: value});
        pod
    };
    let mut variables = manifests::pod("hostile", "api");
    let list = (0..1_500).map(|number| json!({"name": format!("V{number}"), "value": "x"}));
    variables["spec"]["containers"][0]["env"] = list.collect();
    vec![
        ("a forged record", annotated("sidecarpolicy.dev/injected", "[".repeat(100_000))),
        ("a forged skip", annotated("sidecarpolicy.dev/skipped", "{\"".repeat(50_000))),
        ("a forged revision", annotated("sidecarpolicy.dev/injected", "x".repeat(200_000))),
        ("requests of thousands", annotated("sidecarpolicy.dev/inject", "a,".repeat(100_000))),
        ("1 500 variables", variables),
    ]
}

#[test]
fn what_is_wrong_huge_or_hostile_changes_nothing_for_others() {
    let namespace = TestNamespace::create("hostile");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let replicas = || {
        let mut replicas: Vec<_> = processes("webhook");
        replicas.extend(processes("operator"));
        replicas.into_iter().map(|replica| format!("{replica:?}")).collect::<Vec<_>>()
    };
    let before = replicas();
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let (mut refused, mut admitted) = (0, 0);
    for (what, policy) in policies() {
        // Not `apply`, which copies the whole object into an annotation.
        let create = ["create", "-f", "-", "-n", namespace.name()];
        let answer = e2e::command::kubectl_with(&create, &policy.to_string());
        assert!(!answer.succeeded, "{what} was accepted: {}", answer.output);
        assert!(!answer.errors.contains("failed calling webhook"), "{what}: {}", answer.errors);
        refused += 1;
    }
    for (what, pod) in pods() {
        let answer = namespace.try_dry_run(&pod);
        assert!(!answer.errors.contains("failed calling webhook"), "{what}: {}", answer.errors);
        if answer.succeeded {
            assert!(answer.output.contains("\"watcher\""), "{what}: bare");
            admitted += 1;
        }
    }
    let admissions = creation.finish(PODS / 5);
    admissions.assert_all_injected();
    let all = admissions.count();
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": all, "injected": all}));
    assert_eq!(replicas(), before, "every process is still the same");
    report(
        "hostile policies and pods",
        &format!(
            "{refused} policies refused, {admitted} of {} pods admitted and injected; {all} others created, 0 refused, 0 bare",
            pods().len()
        ),
    );
}
