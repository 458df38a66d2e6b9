//! Laws that hold for any pod and policies with any field of the API.

use std::sync::Arc;

use inject::Policy;
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use rstest::rstest;
use serde_json::{Value, json};

use crate::{
    generators::{Case, any_case},
    patch_laws::{
        apply,
        between_calls::{fill_in_defaults, rewrite_images},
        check, run,
    },
};

fn checked(case: &Case) -> Result<(), TestCaseError> {
    check(&case.pod.to_string(), &case.namespace(), &case.compiled())
        .map(drop)
        .map_err(TestCaseError::fail)
}

/// The pod after a first call that did not deny it.
fn after_one_call(case: &Case, policies: &[Arc<Policy>]) -> Result<Option<Value>, TestCaseError> {
    let text = case.pod.to_string();
    let checked = check(&text, &case.namespace(), policies).map_err(TestCaseError::fail)?;
    let admitted = checked.filter(|checked| checked.seen.denied.is_none());
    Ok(admitted.map(|checked| serde_json::from_str(&checked.patched.to_string()).unwrap()))
}

proptest! {
    #[test]
    fn every_patch_keeps_the_laws(case in any_case()) {
        checked(&case)?;
    }

    #[test]
    fn a_second_call_after_defaulting_and_mirrored_images_changes_nothing(case in any_case()) {
        let policies = case.compiled();
        let Some(mut pod) = after_one_call(&case, &policies)? else { return Ok(()) };
        fill_in_defaults(&mut pod);
        rewrite_images(&mut pod);
        let second = run(&pod.to_string(), &case.namespace(), &policies).unwrap();
        prop_assert_eq!(second.denied, None);
        prop_assert_eq!(second.patch, "[]", "{}", pod);
    }

    /// Only the new container may get something, where a policy means every container of the app's.
    #[test]
    fn a_container_that_another_webhook_adds_disturbs_nothing(
        case in any_case(),
        in_front in any::<bool>(),
    ) {
        let policies = case.compiled();
        let Some(mut pod) = after_one_call(&case, &policies)? else { return Ok(()) };
        let containers = pod["spec"]["containers"].as_array_mut().unwrap();
        let position = if in_front { 0 } else { containers.len() };
        containers.insert(position, json!({"name": "added-by-another", "image": "added:1"}));
        let second = run(&pod.to_string(), &case.namespace(), &policies).unwrap();
        prop_assert_eq!(second.denied, None);
        let operations: Vec<Value> = serde_json::from_str(&second.patch).unwrap();
        let of_the_new_one = format!("/spec/containers/{position}/");
        for operation in operations {
            let path = operation["path"].as_str().unwrap();
            prop_assert!(path.starts_with(&of_the_new_one), "{}\nfor {}", second.patch, pod);
        }
    }

    #[test]
    fn audit_never_patches(mut case in any_case()) {
        for given in &mut case.policies {
            given.spec["mode"] = json!("Audit");
        }
        let seen = run(&case.pod.to_string(), &case.namespace(), &case.compiled()).unwrap();
        prop_assert_eq!(seen.denied, None);
        prop_assert!(!seen.patch.contains("\"path\":\"/spec"), "{}", seen.patch);
        prop_assert!(!seen.patch.contains("\"op\":\"add\""), "{}", seen.patch);
    }

    #[test]
    fn a_pod_that_no_policy_reaches_is_left_alone(mut case in any_case()) {
        for given in &mut case.policies {
            given.spec["podSelector"] = json!({"matchLabels": {"app": "another"}});
        }
        let seen = run(&case.pod.to_string(), &case.namespace(), &case.compiled()).unwrap();
        prop_assert_eq!(seen.patch, "[]");
        prop_assert_eq!(seen.decisions.len(), 0);
    }
}

/// A generator whose policies are all refused would prove nothing.
#[test]
fn most_generated_policies_compile_and_go_in() {
    let mut runner = TestRunner::deterministic();
    let (mut given, mut compiled, mut injected, mut conflicts) = (0, 0, 0, 0);
    for _ in 0..300 {
        let case = any_case().new_tree(&mut runner).unwrap().current();
        given += case.policies.len();
        compiled += case.compiled().len();
        let seen = run(&case.pod.to_string(), &case.namespace(), &case.compiled()).unwrap();
        for (_, reason, _) in &seen.decisions {
            injected += usize::from(*reason == "Injected");
            conflicts += usize::from(reason.contains("Conflict") || reason.contains("Taken"));
        }
    }
    assert!(compiled * 2 > given, "{compiled} of {given} compile");
    assert!(injected * 7 > compiled, "{injected} of {compiled} go in");
    assert!(conflicts * 20 > compiled, "{conflicts} of {compiled} are in conflict");
}

#[test]
fn a_container_that_goes_in_between_the_apps_is_guarded_by_a_test() {
    let side =
        |name: &str| json!({"sidecars": [{"name": name, "image": "side:1", "type": "Container"}]});
    let pod = json!({"metadata": {"name": "api"}, "spec": {"containers": [
        {"name": "app", "image": "api:1"}, {"name": "two", "image": "side:1"}]}});
    // The second policy's sidecar is there already, and the first policy's goes before it.
    let policies = [("first", "one"), ("second", "two")]
        .map(|(name, sidecar)| Arc::new(crate::fixture::shop(name, side(sidecar))));
    let seen = run(&pod.to_string(), &crate::fixture::namespace(&[]), &policies).unwrap();
    let operations: Value = serde_json::from_str(&seen.patch).unwrap();
    let in_between = operations.as_array().unwrap().iter();
    let position = in_between.clone().position(|op| op["path"] == "/spec/containers/1");
    let is_guarded = in_between.take(position.expect("it goes in between")).any(|op| {
        op["op"] == "test" && op["path"].as_str().unwrap().starts_with("/spec/containers/")
    });
    assert!(is_guarded, "{}", seen.patch);
}

/// Two policies have a sidecar of one name; the first is to stand beside a container that is missing.
/// On a second call the first finds the other's sidecar to be its own, and then gives way after all.
#[test]
fn a_policy_that_gives_way_keeps_nobody_out_on_a_second_call_either() {
    let first = json!({"priority": 1, "sidecars": [
        {"name": "lost", "image": "side:1", "placement": {"after": "nobody"}},
        {"name": "one", "image": "mirror.example.com/cache/side:1"}]});
    let second = json!({"sidecars": [{"name": "one", "image": "side:1"}]});
    let policies = [("first", first), ("second", second)]
        .map(|(name, spec)| Arc::new(crate::fixture::shop(name, spec)));
    let pod = crate::fixture::api_pod().to_string();
    let checked = check(&pod, &crate::fixture::namespace(&[]), &policies).unwrap().unwrap();
    let reasons: Vec<&str> = checked.seen.decisions.iter().map(|decision| decision.1).collect();
    assert_eq!(reasons, ["PlacementTargetMissing", "Injected"]);
}

/// The laws themselves: each of these patches breaks one.
#[rstest]
#[case::an_index_without_a_test(
    r#"{"op":"add","path":"/spec/containers/0/env","value":[]}"#,
    "no test guards"
)]
#[case::a_place_without_a_test(
    r#"{"op":"add","path":"/spec/containers/1","value":{"name":"b"}}"#,
    "no test says"
)]
#[case::a_test_of_another(
    r#"{"op":"test","path":"/spec/containers/0/name","value":"b"}"#,
    "the test fails"
)]
#[case::a_value_of_the_apps(r#"{"op":"replace","path":"/spec/priority","value":1}"#, "not ours")]
#[case::a_label_of_the_apps(r#"{"op":"remove","path":"/metadata/labels/app"}"#, "not ours")]
#[case::over_what_is_there(r#"{"op":"add","path":"/spec/priority","value":1}"#, "writes over")]
#[case::a_parent_that_is_null(
    r#"{"op":"add","path":"/metadata/annotations/a","value":"1"}"#,
    "the parent is null"
)]
#[case::a_parent_that_is_absent(
    r#"{"op":"add","path":"/spec/volumes/-","value":{"name":"v"}}"#,
    "there is no"
)]
#[case::an_element_twice(
    r#"{"op":"add","path":"/spec/containers/-","value":{"name":"app"}}"#,
    "in the list already"
)]
#[case::twice_in_a_new_list(
    r#"{"op":"add","path":"/spec/volumes","value":[{"name":"v"},{"name":"v"}]}"#,
    "in the list already"
)]
#[case::a_parent_in_two_steps(
    r#"{"op":"add","path":"/spec/volumes","value":[]},{"op":"add","path":"/spec/volumes/-","value":{"name":"v"}}"#,
    "put in just before"
)]
#[case::a_lower_grace_period(
    r#"{"op":"replace","path":"/spec/terminationGracePeriodSeconds","value":9}"#,
    "30 became 9"
)]
#[case::a_variable_without_its_value(
    r#"{"op":"test","path":"/spec/containers/1/name","value":"web"},{"op":"test","path":"/spec/containers/1/env/0/name","value":"A"},
       {"op":"replace","path":"/spec/containers/1/env/0/value","value":"ours"}"#,
    "lost or changed"
)]
#[case::a_key_that_is_not_escaped(
    r#"{"op":"add","path":"/metadata/labels/a~b","value":"1"}"#,
    "not escaped"
)]
#[case::an_operation_of_another_kind(r#"{"op":"move","path":"/spec/a","value":1}"#, "is none of")]
fn a_patch_that_breaks_a_law_is_found(#[case] operations: &str, #[case] expected: &str) {
    let pod = r#"{"metadata":{"labels":{"app":"api"},"annotations":null},"spec":{"priority":0,
        "terminationGracePeriodSeconds":30,"containers":[{"name":"app"},{"name":"web","env":[{"name":"A","value":"1"}]}]}}"#;
    let broken = apply(pod, &format!("[{operations}]")).map(|patched| patched.to_string());
    assert!(broken.as_ref().is_err_and(|law| law.contains(expected)), "{broken:?}");
}

#[test]
fn a_patch_that_keeps_the_laws_applies() {
    let pod =
        r#"{"metadata":{"annotations":null},"spec":{"n":1.10,"containers":[{"name":"app"}]}}"#;
    let patch = r#"[{"op":"add","path":"/metadata/annotations","value":{"a":"1"}},
        {"op":"test","path":"/spec/containers/0/name","value":"app"},
        {"op":"add","path":"/spec/containers/0/env","value":[{"name":"A"}]},
        {"op":"add","path":"/spec/containers/0","value":{"name":"first"}}]"#;
    let expected = r#"{"metadata":{"annotations":{"a":"1"}},"spec":{"n":1.10,"containers":[{"name":"first"},{"name":"app","env":[{"name":"A"}]}]}}"#;
    assert_eq!(apply(pod, patch).unwrap().to_string(), expected);
}
