//! Where sidecars go: beside a named container, across policies too.

use inject::Policy;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{api_pod, names, run, shop};

fn placed(policy: &str, sidecar: &str, kind: &str, placement: Value) -> Policy {
    shop(
        policy,
        json!({"sidecars": [
            {"name": sidecar, "image": "side:1", "type": kind, "placement": placement}
        ]}),
    )
}

fn pod_with_three() -> Value {
    let mut pod = api_pod();
    pod["spec"]["containers"] = json!([
        {"name": "one", "image": "i:1"}, {"name": "two", "image": "i:1"}, {"name": "three", "image": "i:1"}
    ]);
    pod["spec"]["initContainers"] =
        json!([{"name": "fetch", "image": "i:1"}, {"name": "migrate", "image": "i:1"}]);
    pod
}

#[rstest]
#[case(json!({"before": "one"}), &["side", "one", "two", "three"])]
#[case(json!({"before": "two"}), &["one", "side", "two", "three"])]
#[case(json!({"after": "two"}), &["one", "two", "side", "three"])]
#[case(json!({"after": "three"}), &["one", "two", "three", "side"])]
fn a_container_goes_beside_a_named_one(#[case] placement: Value, #[case] expected: &[&str]) {
    let policy = || placed("p", "side", "Container", placement.clone());
    let first = run(vec![policy()], &pod_with_three());
    assert_eq!(names(&first.pod, "containers"), expected);
    assert!(run(vec![policy()], &first.pod).unchanged());
}

#[rstest]
#[case(json!({"before": "migrate"}), &["fetch", "side", "migrate"])]
#[case(json!({"after": "fetch"}), &["fetch", "side", "migrate"])]
#[case(json!({"after": "migrate"}), &["fetch", "migrate", "side"])]
fn a_native_sidecar_goes_beside_an_init_container(
    #[case] placement: Value,
    #[case] expected: &[&str],
) {
    let seen = run(vec![placed("p", "side", "Sidecar", placement)], &pod_with_three());
    assert_eq!(names(&seen.pod, "initContainers"), expected);
}

#[test]
fn sidecars_of_several_policies_stand_in_policy_order_around_their_target() {
    let policies = || {
        vec![
            placed("a", "a", "Container", json!({"before": "two"})),
            placed("b", "b", "Container", json!({"before": "two"})),
            placed("c", "c", "Container", json!({"after": "two"})),
            placed("d", "d", "Container", json!({"after": "two"})),
            placed("e", "e", "Container", json!({"after": "a"})),
        ]
    };
    let seen = run(policies(), &pod_with_three());
    let expected = ["one", "a", "e", "b", "two", "c", "d", "three"];
    assert_eq!(names(&seen.pod, "containers"), expected);
    assert!(run(policies(), &seen.pod).unchanged());
    let mut reversed = policies();
    reversed.reverse();
    assert_eq!(run(reversed, &pod_with_three()).patch, seen.patch);
}

#[test]
fn a_target_may_be_a_sidecar_of_a_lower_policy() {
    let seen = run(
        vec![
            placed("a", "proxy", "Sidecar", json!({"after": "secrets"})),
            placed("b", "secrets", "Sidecar", json!("First")),
        ],
        &api_pod(),
    );
    assert_eq!(names(&seen.pod, "initContainers"), ["secrets", "proxy"]);
}

#[test]
fn a_missing_target_leaves_that_policy_out_and_the_others_in() {
    let seen = run(
        vec![
            placed("a", "a", "Container", json!({"after": "nobody"})),
            placed("b", "b", "Container", json!({"after": "a"})),
            placed("c", "c", "Container", json!("Last")),
        ],
        &api_pod(),
    );
    assert_eq!(names(&seen.pod, "containers"), ["app", "c"]);
    assert_eq!(seen.reason("shop/a"), "PlacementTargetMissing");
    assert_eq!(seen.reason("shop/b"), "PlacementTargetMissing");
    assert!(seen.warnings[0].contains("beside \"nobody\", which is not in spec.containers"));
}

#[test]
fn a_target_in_the_other_list_is_missing() {
    let seen = run(vec![placed("a", "a", "Sidecar", json!({"before": "app"}))], &api_pod());
    assert_eq!(seen.reason("shop/a"), "PlacementTargetMissing");
}

#[test]
fn a_circle_drops_the_lowest_policy_in_it() {
    let seen = run(
        vec![
            placed("a", "a", "Container", json!({"after": "b"})),
            placed("b", "b", "Container", json!({"after": "a"})),
            placed("c", "c", "Container", json!({"before": "app"})),
        ],
        &api_pod(),
    );
    assert_eq!(seen.reason("shop/b"), "PlacementCycle");
    // What it stood beside is gone with it.
    assert_eq!(seen.reason("shop/a"), "PlacementTargetMissing");
    assert_eq!(names(&seen.pod, "containers"), ["c", "app"]);
}

#[test]
fn an_audited_policy_is_told_that_it_would_have_no_place() {
    let mut spec = json!({"mode": "Audit", "sidecars": [
        {"name": "side", "image": "side:1", "placement": {"before": "nobody"}}
    ]});
    assert_eq!(
        run(vec![shop("p", spec.clone())], &api_pod()).reason("shop/p"),
        "PlacementTargetMissing"
    );
    spec["sidecars"][0]["placement"] = json!("First");
    assert_eq!(run(vec![shop("p", spec)], &api_pod()).reason("shop/p"), "WouldInject");
}

#[test]
fn an_index_in_the_middle_is_guarded() {
    let seen =
        run(vec![placed("p", "side", "Container", json!({"before": "two"}))], &pod_with_three());
    let guard = r#"{"op":"test","path":"/spec/containers/1/name","value":"two"}"#;
    assert!(seen.patch.contains(guard), "{}", seen.patch);
}
