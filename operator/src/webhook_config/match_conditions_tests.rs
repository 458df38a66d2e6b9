//! The match conditions, evaluated against objects with every parent missing: none ever errs.

use cel::{Context, Program, Value as Cel};
use serde_json::{Value, json};

use super::*;

/// Whether all conditions hold, as the API server puts it: an error is a failure.
fn holds(object: &Value, old_object: &Value) -> bool {
    workloads().iter().all(|condition| {
        let mut context = Context::default();
        context.add_variable("object", object).unwrap();
        context.add_variable("oldObject", old_object).unwrap();
        let program = Program::compile(&condition.expression).unwrap();
        match program.execute(&context) {
            Ok(Cel::Bool(holds)) => holds,
            other => panic!("{} of {object}, {old_object}: {other:?}", condition.name),
        }
    })
}

fn annotated(key: &str) -> Value {
    json!({ "metadata": { "annotations": { key: "log", "other": "x" } } })
}

/// Objects without annotations of ours, with ever fewer parents.
fn unmarked() -> Vec<Value> {
    vec![
        json!({ "metadata": { "annotations": { "sidecarpolicy.dev.example.org/inject": "x" } } }),
        json!({ "metadata": { "annotations": {} } }),
        json!({ "metadata": {}, "spec": {} }),
        json!({ "spec": { "template": { "metadata": { "annotations": { "other": "x" } } } } }),
        json!({ "spec": { "template": { "metadata": {} }, "jobTemplate": {} } }),
        json!({ "spec": { "template": {}, "jobTemplate": { "spec": {} } } }),
        json!({ "spec": { "jobTemplate": { "spec": { "template": { "metadata": {} } } } } }),
        json!({}),
        json!(null),
    ]
}

#[test]
fn objects_without_our_annotations_never_reach_the_webhook() {
    for object in unmarked() {
        for old_object in unmarked() {
            assert!(!holds(&object, &old_object), "{object}, {old_object}");
        }
    }
}

#[test]
fn each_of_our_keys_counts_on_the_object_and_on_the_old_one() {
    for key in [
        keys::INJECT,
        keys::SKIP,
        keys::CARRIED,
        "params.sidecarpolicy.dev/log.level",
        "params.cluster.sidecarpolicy.dev/mesh.port",
    ] {
        let marked = annotated(key);
        assert!(holds(&marked, &json!(null)), "{key} on CREATE");
        for other in unmarked() {
            assert!(holds(&marked, &other), "{key} added to {other}");
            // The API server never asks about an update to nothing.
            assert_eq!(holds(&other, &marked), !other.is_null(), "{key} removed from {other}");
        }
    }
}

#[test]
fn our_keys_in_a_pod_template_reach_the_webhook_to_be_looked_at() {
    let deployment = json!({ "metadata": {}, "spec": { "template": annotated(keys::INJECT) } });
    let job = json!({ "spec": { "template": annotated("params.sidecarpolicy.dev/log.level") } });
    let cron_job = json!({ "spec": { "jobTemplate": job } });
    for object in [deployment, cron_job] {
        assert!(holds(&object, &json!(null)), "{object}");
        assert!(holds(&object, &object), "{object}");
        assert!(!holds(&json!({}), &object), "removed from {object}");
    }
}

#[test]
fn what_a_controller_owns_is_left_alone() {
    let owned = |owners: Value| {
        let mut object = annotated(keys::INJECT);
        object["metadata"]["ownerReferences"] = owners;
        holds(&object, &json!(null))
    };
    assert!(!owned(json!([{ "kind": "Deployment", "controller": true }])));
    assert!(!owned(json!([{ "kind": "A" }, { "kind": "B", "controller": true }])));
    assert!(owned(json!([{ "kind": "A" }])));
    assert!(owned(json!([{ "kind": "A", "controller": false }])));
    assert!(owned(json!([])));
}

#[test]
fn only_dry_runs_are_probed() {
    let [condition] = &probe()[..] else { panic!("one condition") };
    let program = Program::compile(&condition.expression).unwrap();
    for (request, expected) in
        [(json!({ "dryRun": true }), true), (json!({ "dryRun": false }), false), (json!({}), false)]
    {
        let mut context = Context::default();
        context.add_variable("request", &request).unwrap();
        assert_eq!(program.execute(&context).unwrap(), Cel::Bool(expected), "{request}");
    }
}
