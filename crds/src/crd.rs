//! The custom resource definitions of both kinds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube_core::Resource;
use schemars::Schema;
use serde_json::{Value, json};

use crate::schema::{self, rules};
use crate::{ClusterSidecarPolicy, GROUP, SidecarPolicy, VERSION};

/// The definitions of `SidecarPolicy` and `ClusterSidecarPolicy`, in this order.
///
/// Fails only if the generated schema is not one that Kubernetes knows; a test holds that it is.
pub fn custom_resource_definitions() -> serde_json::Result<[CustomResourceDefinition; 2]> {
    let mut namespaced = schema::spec();
    if let Some(Value::Object(properties)) = namespaced.get_mut("properties") {
        properties.remove("namespaceSelector");
    }
    let mut cluster = schema::spec();
    if let Some(Value::Array(validations)) = cluster.get_mut("x-kubernetes-validations") {
        validations.push(json!(rules::namespace_selector_with_fail()));
    }
    Ok([
        definition::<SidecarPolicy>(&Kind {
            scope: "Namespaced",
            short_name: "scp",
            description: "Injects sidecars into pods of its own namespace.",
            spec: namespaced,
        })?,
        definition::<ClusterSidecarPolicy>(&Kind {
            scope: "Cluster",
            short_name: "cscp",
            description: "Injects sidecars into pods of the namespaces it selects.",
            spec: cluster,
        })?,
    ])
}

/// What one kind has of its own.
struct Kind {
    scope: &'static str,
    short_name: &'static str,
    description: &'static str,
    spec: Schema,
}

fn definition<K>(kind: &Kind) -> serde_json::Result<CustomResourceDefinition>
where
    K: Resource<DynamicType = ()>,
{
    let plural = K::plural(&());
    let name = K::kind(&());
    serde_json::from_value(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "scope": kind.scope,
            "names": {
                "kind": name,
                "listKind": format!("{name}List"),
                "plural": plural,
                "singular": name.to_lowercase(),
                "shortNames": [kind.short_name],
                "categories": ["sidecars"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": { "status": {} },
                "additionalPrinterColumns": printer_columns(),
                "schema": { "openAPIV3Schema": root(kind) },
            }],
        },
    }))
}

fn root(kind: &Kind) -> Value {
    let mut spec = kind.spec.clone();
    spec.insert("description".to_owned(), "Which pods, and what goes in.".into());
    // A column is empty where a field is absent, so this one default is written into the object.
    if let Some(Value::Object(mode)) = spec.pointer_mut("/properties/mode") {
        mode.insert("default".to_owned(), json!(crate::Mode::default()));
    }
    let mut status = schema::status();
    status.insert("description".to_owned(), "What the operator observed.".into());
    json!({
        "description": kind.description,
        "type": "object",
        "required": ["spec"],
        "x-kubernetes-validations": [rules::policy_name()],
        "properties": {
            "apiVersion": {
                "description": "Group and version of this object.",
                "type": "string",
            },
            "kind": { "description": "Kind of this object.", "type": "string" },
            "metadata": { "type": "object" },
            "spec": spec,
            "status": status,
        },
    })
}

fn printer_columns() -> Value {
    let pods = |name: &str, field: &str| {
        json!({
            "name": name,
            "type": "integer",
            "jsonPath": format!(".status.pods.{field}"),
        })
    };
    json!([
        { "name": "Mode", "type": "string", "jsonPath": ".spec.mode" },
        {
            "name": "Ready",
            "type": "string",
            "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status",
        },
        pods("Matched", "matched"),
        pods("Injected", "injected"),
        pods("Outdated", "outdated"),
        pods("Missing", "missing"),
        { "name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp" },
    ])
}
