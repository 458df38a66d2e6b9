//! Annotations of workloads: carried into the pod template, and out again.

use inject::{Operation, PolicySet, Workload, WorkloadKind, carry};
use rstest::rstest;
use serde_json::{Value, json};

const INJECT: &str = "sidecarpolicy.dev/inject";
const CARRIED: &str = "sidecarpolicy.dev/carried";

struct Seen {
    object: Value,
    unchanged: bool,
    warnings: Vec<String>,
}

fn run(kind: WorkloadKind, operation: Operation<'_>, object: &Value) -> Seen {
    let text = object.to_string();
    let workload: Workload<'_> = serde_json::from_str(&text).unwrap();
    let carried = carry(kind, operation, &workload, "shop", &PolicySet::default());
    let mut patch = String::new();
    carried.edits.write(&mut patch);
    let mut patched = object.clone();
    let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
    json_patch::patch(&mut patched, &operations).unwrap();
    let warnings =
        carried.warnings.into_iter().filter(|text| !text.contains("no policy named")).collect();
    Seen { object: patched, unchanged: patch == "[]", warnings }
}

fn deployment(annotations: &Value, template: &Value) -> Value {
    json!({"metadata": {"name": "api", "annotations": annotations},
        "spec": {"template": {"metadata": {"labels": {"app": "api"}, "annotations": template}}}})
}

fn update(object: &Value) -> Seen {
    run(WorkloadKind::Deployment, Operation::Update(None), object)
}

fn template(object: &Value) -> &Value {
    &object["spec"]["template"]["metadata"]["annotations"]
}

#[test]
fn an_annotation_is_carried_changed_and_taken_out_again() {
    let mut object = update(&deployment(&json!({INJECT: "log"}), &Value::Null)).object;
    assert_eq!(template(&object), &json!({INJECT: "log"}));
    assert_eq!(object["metadata"]["annotations"][CARRIED], json!({INJECT: "log"}).to_string());
    assert!(update(&object).unchanged);

    object["metadata"]["annotations"][INJECT] = json!("log,trace");
    object = update(&object).object;
    assert_eq!(template(&object), &json!({INJECT: "log,trace"}));

    object["metadata"]["annotations"].as_object_mut().unwrap().remove(INJECT);
    object = update(&object).object;
    assert_eq!(template(&object), &json!({}));
    assert_eq!(object["metadata"]["annotations"], json!({}));
    assert!(update(&object).unchanged);
}

#[test]
fn parameters_are_carried_and_other_annotations_are_not() {
    let annotations = json!({"params.sidecarpolicy.dev/log.level": "debug",
        "params.cluster.sidecarpolicy.dev/mesh.port": "1", "example.com/owner": "me",
        "sidecarpolicy.dev/injected": "forged"});
    let object = update(&deployment(&annotations, &json!({"own": "1"}))).object;
    assert_eq!(
        template(&object),
        &json!({"own": "1", "params.sidecarpolicy.dev/log.level": "debug",
        "params.cluster.sidecarpolicy.dev/mesh.port": "1"})
    );
}

#[test]
fn a_template_key_of_the_users_own_is_left_alone() {
    let object = deployment(&json!({INJECT: "log"}), &json!({INJECT: "mine"}));
    let seen = update(&object);
    assert!(seen.unchanged);
    assert!(seen.warnings[0].contains("sets another value"), "{:?}", seen.warnings);
    let removed =
        deployment(&json!({CARRIED: json!({INJECT: "log"}).to_string()}), &json!({INJECT: "mine"}));
    let seen = update(&removed);
    assert_eq!(template(&seen.object), &json!({INJECT: "mine"}));
    assert_eq!(seen.object["metadata"]["annotations"], json!({}));
}

#[test]
fn a_forged_record_does_not_remove_what_is_not_ours() {
    let record = json!({"example.com/owner": "me"}).to_string();
    let seen = update(&deployment(&json!({CARRIED: record}), &json!({"example.com/owner": "me"})));
    assert_eq!(template(&seen.object), &json!({"example.com/owner": "me"}));
}

#[test]
fn objects_with_a_controller_are_never_touched() {
    let mut object = deployment(&json!({INJECT: "log"}), &Value::Null);
    object["metadata"]["ownerReferences"] =
        json!([{"kind": "Deployment", "name": "api", "controller": true}]);
    assert!(run(WorkloadKind::ReplicaSet, Operation::Update(None), &object).unchanged);
    object["metadata"]["ownerReferences"][0]["controller"] = json!(false);
    assert!(!run(WorkloadKind::ReplicaSet, Operation::Create, &object).unchanged);
}

#[test]
fn a_job_is_carried_when_it_is_created_only() {
    let object = deployment(&json!({INJECT: "log"}), &Value::Null);
    assert!(!run(WorkloadKind::Job, Operation::Create, &object).unchanged);
    let seen = run(WorkloadKind::Job, Operation::Update(None), &object);
    assert!(seen.unchanged);
    assert!(seen.warnings[0].contains("cannot change"), "{:?}", seen.warnings);
}

#[test]
fn a_cron_job_carries_into_its_job_template() {
    let object = json!({"metadata": {"annotations": {INJECT: "log"}},
        "spec": {"jobTemplate": {"spec": {"template": {"spec": {}}}}}});
    let seen = run(WorkloadKind::CronJob, Operation::Create, &object);
    let template = &seen.object["spec"]["jobTemplate"]["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"], json!({INJECT: "log"}));
}

#[rstest]
#[case(WorkloadKind::ReplicaSet, json!({}), "does not roll")]
#[case(WorkloadKind::Deployment, json!({"paused": true}), "paused")]
#[case(WorkloadKind::StatefulSet, json!({"updateStrategy": {"type": "OnDelete"}}), "OnDelete")]
#[case(WorkloadKind::DaemonSet, json!({"updateStrategy": {"type": "OnDelete"}}), "OnDelete")]
fn a_change_that_waits_is_said_to(
    #[case] kind: WorkloadKind,
    #[case] spec: Value,
    #[case] why: &str,
) {
    let mut object = deployment(&json!({INJECT: "log"}), &Value::Null);
    object["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let seen = run(kind, Operation::Update(None), &object);
    assert!(!seen.unchanged);
    assert!(seen.warnings.iter().any(|warning| warning.contains(why)), "{:?}", seen.warnings);
}

#[rstest]
#[case(json!({"metadata": {"annotations": {INJECT: "log"}}, "spec": {"template": []}}))]
#[case(json!({"metadata": {"annotations": {INJECT: "log"}}, "spec": 3}))]
fn a_workload_of_wrong_types_is_left_alone_with_a_warning(#[case] object: Value) {
    let seen = update(&object);
    assert!(seen.unchanged);
    assert_eq!(seen.warnings.len(), 1);
}

#[test]
fn names_without_a_policy_are_warned_about_at_once() {
    let text = deployment(&json!({INJECT: "nobody"}), &Value::Null).to_string();
    let workload: Workload<'_> = serde_json::from_str(&text).unwrap();
    let carried = carry(
        WorkloadKind::Deployment,
        Operation::Update(None),
        &workload,
        "shop",
        &PolicySet::default(),
    );
    assert!(carried.warnings[0].contains("no policy named \"nobody\""));
}

/// What is told of a Deployment when no policy has a name or parameter.
fn told(annotations: &Value, template: &Value, operation: Operation<'_>) -> Vec<String> {
    let text = deployment(annotations, template).to_string();
    let workload: Workload<'_> = serde_json::from_str(&text).unwrap();
    carry(WorkloadKind::Deployment, operation, &workload, "shop", &PolicySet::default()).warnings
}

#[test]
fn unknown_names_on_the_pod_template_are_warned_about_when_the_workload_is_written() {
    let template = json!({INJECT: "nobody", "params.sidecarpolicy.dev/log.level": "debug"});
    let expected = [
        "annotation sidecarpolicy.dev/inject: no policy named \"nobody\" reaches namespace \"shop\"",
        "annotation params.sidecarpolicy.dev/log.level: there is no SidecarPolicy shop/log",
    ];
    for operation in [Operation::Create, Operation::Update(None)] {
        assert_eq!(told(&Value::Null, &template, operation), expected);
    }
}

#[test]
fn what_was_carried_is_not_warned_about_twice() {
    let annotations = json!({INJECT: "nobody", "params.sidecarpolicy.dev/log.level": "debug"});
    let first = update(&deployment(&annotations, &Value::Null)).object;
    let again = told(&first["metadata"]["annotations"], template(&first), Operation::Update(None));
    assert_eq!(again.len(), 2, "{again:?}");
    // What is about to be carried out is not warned about at all.
    let mut removed = first.clone();
    for key in annotations.as_object().unwrap().keys() {
        removed["metadata"]["annotations"].as_object_mut().unwrap().remove(key);
    }
    let none =
        told(&removed["metadata"]["annotations"], template(&removed), Operation::Update(None));
    assert_eq!(none, Vec::<String>::new());
}
