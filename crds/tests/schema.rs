//! What the API server and people are promised of the schema.

#![allow(
    clippy::expect_used,
    reason = "clippy takes what stands beside the tests of this file for product code"
)]

use serde_json::{Value, json};

/// The definitions as JSON: the namespaced kind, then the cluster kind.
fn definitions() -> [Value; 2] {
    crds::custom_resource_definitions()
        .expect("the definitions are generated")
        .map(|definition| serde_json::to_value(definition).expect("a definition is JSON"))
}

fn version(definition: &Value) -> &Value {
    &definition["spec"]["versions"][0]
}

/// Schema of a field, by its path as `kubectl explain` takes it.
fn field<'a>(definition: &'a Value, path: &str) -> &'a Value {
    let root = &version(definition)["schema"]["openAPIV3Schema"];
    path.split('.').fold(root, |schema, name| {
        let schema = schema.get("items").unwrap_or(schema);
        &schema["properties"][name]
    })
}

/// Calls `check` with every schema below `schema`, and with its path.
fn for_each_schema(schema: &Value, path: &str, check: &mut dyn FnMut(&str, &Value)) {
    check(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        for_each_schema(property, &format!("{path}.{name}"), check);
    }
    if let Some(items) = schema.get("items") {
        for_each_schema(items, &format!("{path}[]"), check);
    }
    if let Some(values) = schema.get("additionalProperties") {
        for_each_schema(values, &format!("{path}{{}}"), check);
    }
}

fn for_each_schema_of_both_kinds(mut check: impl FnMut(&str, &Value)) {
    for definition in definitions() {
        let root = &version(&definition)["schema"]["openAPIV3Schema"];
        for_each_schema(root, "", &mut check);
    }
}

#[test]
fn definitions_stay_small() {
    for definition in definitions() {
        let bytes = definition.to_string().len();
        assert!(bytes < 200_000, "{bytes} bytes");
    }
}

#[test]
fn every_schema_has_a_type_or_says_what_stands_for_it() {
    for_each_schema_of_both_kinds(|path, schema| {
        let typed = schema.get("type").is_some()
            || schema["x-kubernetes-int-or-string"] == true
            || schema["x-kubernetes-preserve-unknown-fields"] == true;
        assert!(typed, "{path}: {schema}");
    });
}

#[test]
fn every_field_is_described_on_one_line() {
    for_each_schema_of_both_kinds(|path, schema| {
        let Some(description) = schema["description"].as_str() else {
            let is_entry = path.ends_with("[]") || path.ends_with("{}");
            assert!(is_entry || path == ".metadata", "{path} is not described");
            return;
        };
        assert!(!description.contains('\n'), "{path}: {description}");
    });
}

#[test]
fn only_the_mode_is_written_into_objects_by_default() {
    for_each_schema_of_both_kinds(|path, schema| {
        let expected = (path == ".spec.mode").then(|| json!("Enforce"));
        assert_eq!(schema.get("default"), expected.as_ref(), "{path}");
    });
}

#[test]
fn other_defaults_stand_in_the_description() {
    let [namespaced, _] = definitions();
    for (path, default) in [
        ("spec.failurePolicy", "(default: Ignore)"),
        ("spec.priority", "(default: 0)"),
        ("spec.sidecars.type", "(default: Sidecar)"),
        ("spec.rollout.paused", "(default: false)"),
    ] {
        let description = field(&namespaced, path)["description"].as_str();
        assert!(
            description.is_some_and(|description| description.contains(default)),
            "{path}: {description:?}"
        );
    }
}

#[test]
fn lists_are_bounded_and_keyed_as_the_api_says() {
    let [namespaced, _] = definitions();
    for (path, bound, list_type) in [
        ("spec.sidecars", 16, "map"),
        ("spec.volumes", 32, "map"),
        ("spec.parameters", 64, "map"),
        ("spec.appContainers", 16, "atomic"),
        ("spec.sidecars.env", 128, ""),
        ("spec.sidecars.volumeMounts", 128, ""),
        ("spec.sidecars.ports", 128, ""),
        ("spec.appContainers.env", 128, ""),
        ("spec.appContainers.volumeMounts", 128, ""),
    ] {
        let list = field(&namespaced, path);
        assert_eq!(list["maxItems"], bound, "{path}");
        let actual = list["x-kubernetes-list-type"].as_str().unwrap_or_default();
        assert_eq!(actual, list_type, "{path}");
        if list_type == "map" {
            assert_eq!(list["x-kubernetes-list-map-keys"], json!(["name"]), "{path}");
        }
    }
}

#[test]
fn kubernetes_fields_are_typed_and_keep_newer_ones() {
    let [namespaced, _] = definitions();
    for path in [
        "spec.sidecars.livenessProbe",
        "spec.sidecars.livenessProbe.httpGet",
        "spec.sidecars.securityContext",
        "spec.volumes.emptyDir",
        "spec.appContainers.readinessProbe",
    ] {
        let schema = field(&namespaced, path);
        assert_eq!(schema["type"], "object", "{path}");
        assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{path}");
    }
    for path in ["sidecars", "volumes", "sidecars.env", "appContainers.env"] {
        let entry = &field(&namespaced, &format!("spec.{path}"))["items"];
        assert_eq!(entry["x-kubernetes-preserve-unknown-fields"], true, "{path}");
    }
}

#[test]
fn numbers_of_containers_may_be_expressions() {
    let [namespaced, _] = definitions();
    for path in [
        "spec.sidecars.ports.containerPort",
        "spec.sidecars.livenessProbe.periodSeconds",
        "spec.sidecars.livenessProbe.httpGet.port",
        "spec.sidecars.securityContext.runAsUser",
        "spec.volumes.emptyDir.sizeLimit",
        "spec.appContainers.livenessProbe.failureThreshold",
        "spec.pod.securityContext.fsGroup",
    ] {
        let schema = field(&namespaced, path);
        assert_eq!(schema["x-kubernetes-int-or-string"], true, "{path}");
        assert!(schema.get("type").is_none(), "{path}");
    }
    let period = field(&namespaced, "spec.sidecars.livenessProbe.periodSeconds");
    let description = period["description"].as_str().unwrap_or_default();
    assert!(description.ends_with(" (integer)."), "{description}");
}

#[test]
fn booleans_of_containers_may_be_expressions() {
    let [namespaced, _] = definitions();
    for path in [
        "spec.sidecars.volumeMounts.readOnly",
        "spec.sidecars.securityContext.privileged",
        "spec.sidecars.env.valueFrom.secretKeyRef.optional",
        "spec.volumes.csi.readOnly",
        "spec.appContainers.volumeMounts.readOnly",
    ] {
        let schema = field(&namespaced, path);
        assert!(schema.get("type").is_none(), "{path}");
        assert_eq!(schema["x-kubernetes-preserve-unknown-fields"], true, "{path}");
        assert_eq!(schema["pattern"], r"^\$\{", "{path}");
        let description = schema["description"].as_str().unwrap_or_default();
        assert!(description.ends_with(" (boolean)."), "{path}: {description}");
    }
}

#[test]
fn only_the_cluster_kind_selects_namespaces() {
    let [namespaced, cluster] = definitions();
    assert!(field(&namespaced, "spec.namespaceSelector").is_null());
    assert_eq!(field(&cluster, "spec.namespaceSelector")["type"], "object");
}

#[test]
fn every_rule_says_what_to_do() {
    let mut rules = 0;
    for_each_schema_of_both_kinds(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            assert!(rule["message"].is_string(), "{path}: {rule}");
        }
    });
    assert!(rules > 0);
}

#[test]
fn kinds_are_named_and_listed_as_the_api_says() {
    let names = definitions().map(|definition| {
        let names = &definition["spec"]["names"];
        json!({
            "name": definition["metadata"]["name"],
            "scope": definition["spec"]["scope"],
            "shortNames": names["shortNames"],
            "categories": names["categories"],
            "subresources": version(&definition)["subresources"],
            "columns": version(&definition)["additionalPrinterColumns"]
                .as_array()
                .map(|columns| columns.iter().map(|column| column["name"].clone()).collect::<Vec<_>>()),
        })
    });
    insta::assert_json_snapshot!(names);
}
