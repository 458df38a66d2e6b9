//! What the CEL rules of the schema refuse, and where they say so.
//!
//! The rules are evaluated here without an API server; that it takes them, cost included, is
//! shown by the end-to-end tests. So are the rules of `rollout`, whose `type()` this evaluator
//! does not know.

#![allow(
    clippy::expect_used,
    reason = "clippy takes what stands beside the tests of this file for product code"
)]

use std::sync::LazyLock;

use kube_cel::{ErrorKind, Validator};
use serde_json::{Value, json};

#[derive(Clone, Copy)]
enum Kind {
    Namespaced,
    Cluster,
}

/// Schemas by [`Kind`].
static SCHEMAS: LazyLock<[Value; 2]> = LazyLock::new(|| {
    crds::custom_resource_definitions().expect("the definitions are generated").map(|definition| {
        let mut definition = serde_json::to_value(definition).expect("a definition is JSON");
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take()
    })
});

/// Paths of the fields that are refused in a policy of this name and spec.
fn refused_fields(kind: Kind, name: &str, spec: &Value) -> Vec<String> {
    let schema = &SCHEMAS[kind as usize];
    let policy = json!({ "metadata": { "name": name }, "spec": spec });
    match Validator::new().validate(schema, &policy, None) {
        Ok(()) => Vec::new(),
        Err(errors) => errors
            .into_vec()
            .into_iter()
            .map(|error| {
                assert_eq!(error.kind, ErrorKind::ValidationFailure, "{error}");
                error.field_path
            })
            .collect(),
    }
}

fn assert_taken(spec: &Value) {
    assert_eq!(refused_fields(Kind::Namespaced, "p", spec), [""; 0], "{spec}");
}

fn assert_refused(spec: &Value, field: &str) {
    assert_eq!(refused_fields(Kind::Namespaced, "p", spec), [field], "{spec}");
}

#[test]
fn policy_name_is_a_label_of_at_most_40_characters() {
    let spec = json!({ "sidecars": [{ "name": "a", "image": "a" }] });
    for kind in [Kind::Namespaced, Kind::Cluster] {
        for name in ["a", "log-shipper", &"a".repeat(40)] {
            assert_eq!(refused_fields(kind, name, &spec), [""; 0], "{name}");
        }
        for name in ["a.b", "-a", "a-", &"a".repeat(41)] {
            assert_eq!(refused_fields(kind, name, &spec), [""], "{name}");
        }
    }
}

#[test]
fn something_has_to_go_in() {
    assert_refused(&json!({}), "spec");
    assert_refused(&json!({ "sidecars": [], "volumes": [] }), "spec");
    assert_refused(&json!({ "rollout": { "paused": true } }), "spec");
    for spec in [
        json!({ "sidecars": [{ "name": "a", "image": "a" }] }),
        json!({ "volumes": [{ "name": "a" }] }),
        json!({ "files": [{ "path": "/a", "content": "" }] }),
        json!({ "appContainers": [{ "env": [{ "name": "A" }] }] }),
        json!({ "pod": { "labels": { "a": "b" } } }),
    ] {
        assert_taken(&spec);
    }
}

#[test]
fn cluster_kind_refuses_pods_only_where_it_says_so() {
    let spec = |failure_policy: &str| json!({ "failurePolicy": failure_policy, "pod": { "labels": { "a": "b" } } });
    assert_eq!(refused_fields(Kind::Cluster, "p", &spec("Fail")), ["spec.namespaceSelector"]);
    assert_eq!(refused_fields(Kind::Cluster, "p", &spec("Ignore")), [""; 0]);
    let mut selecting = spec("Fail");
    selecting["namespaceSelector"] = json!({});
    assert_eq!(refused_fields(Kind::Cluster, "p", &selecting), [""; 0]);
    assert_taken(&spec("Fail"));
}

#[test]
fn names_have_their_form() {
    let sidecar = |name: &str| json!({ "sidecars": [{ "name": name, "image": "a" }] });
    assert_taken(&sidecar("fluent-bit"));
    assert_refused(&sidecar("Fluent_Bit"), "spec.sidecars[0].name");

    let volume = |name: &str| json!({ "volumes": [{ "name": name }] });
    assert_taken(&volume("logs"));
    assert_refused(&volume("logs.d"), "spec.volumes[0].name");

    let with = |field: &str, entry: Value| {
        let mut spec = sidecar("a");
        spec[field] = json!([entry]);
        spec
    };
    assert_taken(&with("parameters", json!({ "name": "logLevel" })));
    for name in ["log-level", "Level", "", &"a".repeat(22)] {
        let spec = with("parameters", json!({ "name": name }));
        assert_refused(&spec, "spec.parameters[0].name");
    }
    let condition =
        |name: &str| with("matchConditions", json!({ "name": name, "expression": "true" }));
    assert_taken(&condition("is-web"));
    assert_refused(&condition("is web"), "spec.matchConditions[0].name");
}

#[test]
fn path_of_a_file_is_absolute() {
    let file = |path: &str| json!({ "files": [{ "path": path, "content": "" }] });
    assert_taken(&file("/etc/app/app.conf"));
    for path in ["etc/app.conf", "/etc/app/", "/", ""] {
        assert_refused(&file(path), "spec.files[0].path");
    }
}

#[test]
fn entry_of_app_containers_adds_something() {
    let entry = |entry: Value| json!({ "appContainers": [entry] });
    assert_taken(&entry(json!({ "readinessProbe": {} })));
    assert_refused(
        &entry(json!({ "containers": ["app"], "include": "All" })),
        "spec.appContainers[0]",
    );
}

#[test]
fn only_an_appended_value_has_a_separator() {
    let env = |variable: Value| json!({ "appContainers": [{ "env": [variable] }] });
    for variable in [
        json!({ "name": "A", "value": "a" }),
        json!({ "name": "A", "value": "a", "merge": "Append", "separator": " " }),
    ] {
        assert_taken(&env(variable));
    }
    for variable in [
        json!({ "name": "A", "value": "a", "separator": " " }),
        json!({ "name": "A", "merge": "Append" }),
        json!({ "name": "A", "merge": "Append", "valueFrom": {} }),
    ] {
        assert_refused(&env(variable), "spec.appContainers[0].env[0]");
    }
}
