//! Where sidecars go: beside a named container, across policies too.

use inject::Policy;
use proptest::prelude::*;
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

fn native(policy: &str, sidecar: &str, placement: Value) -> Policy {
    placed(policy, sidecar, "Sidecar", placement)
}

/// What is there stays where it stands, and the others go among it as they would by themselves.
#[rstest]
#[case::before_the_apps(&["migrate", "logs"], "First", json!({"before": "migrate"}), &["side", "migrate", "logs"])]
#[case::first(&["migrate", "logs"], "First", json!("First"), &["side", "migrate", "logs"])]
#[case::first_behind_first(&["logs", "migrate"], "First", json!("First"), &["logs", "side", "migrate"])]
#[case::before_one_of_ours(&["logs", "migrate"], "Last", json!({"before": "logs"}), &["side", "logs", "migrate"])]
#[case::after_one_of_ours(&["logs", "migrate"], "Last", json!({"after": "logs"}), &["logs", "side", "migrate"])]
#[case::last(&["logs", "migrate"], "Last", json!("Last"), &["logs", "migrate", "side"])]
#[case::last_behind_last(&["migrate", "logs"], "Last", json!("Last"), &["migrate", "logs", "side"])]
#[case::after_the_apps(&["logs", "migrate", "fetch"], "Last", json!({"after": "migrate"}), &["logs", "migrate", "side", "fetch"])]
#[case::between_the_apps(&["fetch", "logs", "migrate"], "First", json!({"before": "migrate"}), &["fetch", "logs", "side", "migrate"])]
fn what_stands_elsewhere_moves_no_other(
    #[case] there: &[&str],
    #[case] of_logs: &str,
    #[case] placement: Value,
    #[case] expected: &[&str],
) {
    let policies =
        || vec![native("a", "logs", json!(of_logs)), native("b", "side", placement.clone())];
    let mut pod = api_pod();
    let container = |name: &&str| match *name {
        "logs" => json!({"name": "logs", "image": "side:1", "restartPolicy": "Always"}),
        name => json!({"name": name, "image": "i:1"}),
    };
    pod["spec"]["initContainers"] = there.iter().map(container).collect();
    let first = run(policies(), &pod);
    assert_eq!(names(&first.pod, "initContainers"), expected);
    assert!(run(policies(), &first.pod).unchanged());
}

/// Names of sidecars with their placements, which name the app's containers and sidecars before them.
fn any_placements() -> impl Strategy<Value = Vec<(String, Value)>> {
    prop::collection::vec((0..4_u8, any::<prop::sample::Index>()), 1..7).prop_map(|choices| {
        let mut targets = vec!["fetch".to_owned(), "migrate".to_owned()];
        let place = |(index, (kind, target)): (usize, (u8, prop::sample::Index))| {
            // The policy order is not the one in which they are placed beside one another.
            let name = format!("side-{}", index * 5 % 7);
            let target = target.get(&targets).clone();
            targets.push(name.clone());
            let placement = match kind {
                0 => json!("First"),
                1 => json!("Last"),
                2 => json!({"before": target}),
                _ => json!({"after": target}),
            };
            (name, placement)
        };
        choices.into_iter().enumerate().map(place).collect()
    })
}

fn of_placements(placements: &[(String, Value)]) -> Vec<Policy> {
    placements.iter().map(|(name, placement)| native(name, name, placement.clone())).collect()
}

proptest! {
    #[test]
    fn several_calls_give_the_order_of_one(
        placements in any_placements(),
        chosen in prop::collection::vec(any::<bool>(), 7),
    ) {
        let at_once = run(of_placements(&placements), &pod_with_three());
        let some = placements.iter().zip(&chosen).filter(|(_, chosen)| **chosen);
        let some: Vec<_> = some.map(|(placement, _)| placement.clone()).collect();
        let first = run(of_placements(&some), &pod_with_three());
        let second = run(of_placements(&placements), &first.pod);
        prop_assert_eq!(names(&second.pod, "initContainers"), names(&at_once.pod, "initContainers"));
    }

    #[test]
    fn any_that_are_missing_come_back_where_they_were(
        placements in any_placements(),
        missing in prop::collection::vec(any::<bool>(), 9),
    ) {
        let whole = run(of_placements(&placements), &pod_with_three());
        let mut pod = whole.pod.clone();
        let mut missing = missing.iter();
        pod["spec"]["initContainers"].as_array_mut().unwrap().retain(|container| {
            let is_missing = *missing.next().unwrap();
            !is_missing || !container["name"].as_str().unwrap().starts_with("side")
        });
        let again = run(of_placements(&placements), &pod);
        prop_assert_eq!(names(&again.pod, "initContainers"), names(&whole.pod, "initContainers"));
    }

    #[test]
    fn what_goes_in_stands_where_it_belongs_whatever_stands_elsewhere(
        placements in any_placements(),
        shuffled in Just((0..9).collect::<Vec<usize>>()).prop_shuffle(),
        missing in prop::collection::vec(any::<bool>(), 9),
    ) {
        let mut pod = run(of_placements(&placements), &pod_with_three()).pod;
        let all = pod["spec"]["initContainers"].as_array().unwrap().clone();
        let is_app = |container: &Value| !container["name"].as_str().unwrap().starts_with("side");
        let there = shuffled.iter().filter_map(|index| all.get(*index).map(|found| (*index, found)));
        let there: Vec<Value> = there
            .filter(|(index, found)| is_app(found) || !missing[*index])
            .map(|(_, found)| found.clone())
            .collect();
        pod["spec"]["initContainers"] = there.clone().into();
        let seen = run(of_placements(&placements), &pod);
        let order = names(&seen.pod, "initContainers");
        let at = |name: &str| order.iter().position(|found| found == name).unwrap();
        let stood = names(&pod, "initContainers");
        prop_assert_eq!(
            order.iter().filter(|name| stood.contains(name)).collect::<Vec<_>>(),
            stood.iter().collect::<Vec<_>>()
        );
        for (name, placement) in placements.iter().filter(|(name, _)| !stood.contains(name)) {
            let apps = ["fetch", "migrate"];
            let holds = match placement {
                Value::String(place) if place == "First" => apps.iter().all(|app| at(name) < at(app)),
                Value::String(_) => apps.iter().all(|app| at(name) > at(app)),
                placement => match placement.get("before").and_then(Value::as_str) {
                    Some(target) => at(name) < at(target),
                    None => at(name) > at(placement["after"].as_str().unwrap()),
                },
            };
            prop_assert!(holds, "{name} {placement} in {order:?}, where {stood:?} stood");
        }
        prop_assert!(run(of_placements(&placements), &seen.pod).unchanged());
    }
}
