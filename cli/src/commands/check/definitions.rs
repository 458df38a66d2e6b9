//! The custom resource definitions: there, established, and with the fields that this program knows.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{
    finding::{Check, Finding},
    look::{Look, text},
};
use crate::cluster::Resource;

const GROUP: &str = "Custom resource definitions";

pub(super) const DEFINITION: Resource = Resource::cluster(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
);

/// The names of both definitions.
pub(super) fn names() -> [String; 2] {
    [&Resource::SIDECAR_POLICY, &Resource::CLUSTER_SIDECAR_POLICY].map(Resource::full_name)
}

pub(super) async fn check(look: &Look) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in names() {
        let check = Check(GROUP, "definition");
        findings.push(match look.object(&DEFINITION, "", &name).await {
            Ok(Some(definition)) => judge(&name, &definition),
            Ok(None) => check.failed(
                format!("{name} is not there, so there are no policies"),
                "helm upgrade brings it back, unless crds.install is false; then install it as it was",
            ),
            Err(error) => served(look, &name, &error.to_string()).await,
        });
    }
    findings
}

fn judge(name: &str, definition: &Value) -> Finding {
    let check = Check(GROUP, "definition");
    let all = |pointer| definition.pointer(pointer).and_then(Value::as_array).into_iter().flatten();
    let is_established = all("/status/conditions")
        .any(|condition| condition["type"] == "Established" && condition["status"] == "True");
    if !is_established {
        return check.failed(
            format!("{name} is not established, so the API server does not serve it"),
            format!("kubectl describe crd {name} says why"),
        );
    }
    let mut versions = all("/spec/versions").filter(|version| version["served"] == true);
    if !versions.any(|version| version["name"] == crds::VERSION) {
        return check.failed(
            format!(
                "{name} has no version {}, which is all that this program knows",
                crds::VERSION
            ),
            "use a kubectl sidecar of the operator's version",
        );
    }
    let known = match known(name) {
        Ok(known) => known,
        Err(error) => {
            let told =
                format!("whether {name} has the fields that this program knows was not looked at");
            return check.warning(told, error.to_string());
        }
    };
    let differences = differences(&fields_of(definition), &known);
    if !differences.is_empty() {
        return check.warning(
            format!("{name} and this program differ: {differences}"),
            "what only one of them knows is lost or refused; bring both to one version",
        );
    }
    check.ok(format!(
        "{name} is established, and its version {} has the fields that this program knows",
        crds::VERSION
    ))
}

/// The fields that this program knows of a kind.
fn known(name: &str) -> serde_json::Result<BTreeSet<String>> {
    let mut known = BTreeSet::new();
    for definition in crds::custom_resource_definitions()? {
        let definition = serde_json::to_value(definition)?;
        if text(&definition, "/metadata/name") == name {
            known = fields_of(&definition);
        }
    }
    Ok(known)
}

/// Paths of the fields that the version has which this program knows.
fn fields_of(definition: &Value) -> BTreeSet<String> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let mut versions = versions.into_iter().flatten();
    let version = versions.find(|version| version["name"] == crds::VERSION);
    let mut found = BTreeSet::new();
    if let Some(version) = version {
        collect(&version["schema"]["openAPIV3Schema"], "", &mut found);
    }
    found
}

fn collect(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let dot = if path.is_empty() { "" } else { "." };
        let path = format!("{path}{dot}{name}");
        collect(field, &path, found);
        found.insert(path);
    }
    for elements in ["items", "additionalProperties"] {
        if schema[elements].is_object() {
            collect(&schema[elements], &format!("{path}[]"), found);
        }
    }
}

/// In which fields a definition and this program differ; empty if in none.
fn differences(found: &BTreeSet<String>, known: &BTreeSet<String>) -> String {
    let of_both =
        [("the program does not know", found, known), ("the definition lacks", known, found)];
    let told = of_both.into_iter().filter_map(|(words, left, right)| {
        let only: Vec<&str> = left.difference(right).map(String::as_str).collect();
        let is_within = |path: &str, parent: &str| {
            path.strip_prefix(parent).is_some_and(|rest| rest.starts_with(['.', '[']))
        };
        let topmost = only.iter().filter(|path| !only.iter().any(|parent| is_within(path, parent)));
        let topmost: Vec<&str> = topmost.copied().collect();
        (!topmost.is_empty()).then(|| format!("{words} {}", topmost.join(", ")))
    });
    told.collect::<Vec<String>>().join("; ")
}

/// Without a right to look at definitions, whether the API server knows the kind says enough.
async fn served(look: &Look, name: &str, why: &str) -> Finding {
    let check = Check(GROUP, "definition");
    let version = format!("{}/{}", crds::GROUP, crds::VERSION);
    let resources = match look.cluster.client.list_api_group_resources(&version).await {
        Ok(list) => list.resources,
        Err(kube::Error::Api(status)) if status.code == 404 => Vec::new(),
        Err(_) => return check.warning(format!("{name} was not looked at"), why),
    };
    if resources.iter().any(|resource| name.starts_with(&format!("{}.", resource.name))) {
        check.ok(format!(
            "{name} is served in version {}; its fields were not looked at",
            crds::VERSION
        ))
    } else {
        check.failed(format!("the API server does not serve {name}"), why.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, json};

    use super::{super::finding::State, *};

    fn definition(established: &str, version: &str) -> Value {
        let [own, _] = crds::custom_resource_definitions().expect("they can be made");
        let mut own = serde_json::to_value(own).expect("it is JSON");
        own["spec"]["versions"][0]["name"] = json!(version);
        own["status"] = json!({"conditions": [{"type": "Established", "status": established}]});
        own
    }

    fn changed(change: impl Fn(&mut Map<String, Value>)) -> Value {
        let mut definition = definition("True", "v1alpha1");
        let spec = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties";
        change(definition.pointer_mut(spec).and_then(Value::as_object_mut).expect("it has fields"));
        definition
    }

    #[test]
    fn what_a_definition_lacks_is_said() {
        let older = changed(|fields| {
            fields.remove("volumes");
        });
        let newer = changed(|fields| {
            fields.insert("mood".to_owned(), json!({"properties": {"today": {}}}));
        });
        for (definition, state, words) in [
            (definition("True", "v1alpha1"), State::Ok, "v1alpha1 has the fields"),
            (definition("False", "v1alpha1"), State::Failed, "is not established"),
            (definition("True", "v2"), State::Failed, "has no version v1alpha1"),
            (older, State::Warning, "differ: the definition lacks spec.volumes"),
            (newer, State::Warning, "differ: the program does not know spec.mood"),
            (json!({}), State::Failed, "is not established"),
        ] {
            let found = judge(&names()[0], &definition);
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.message.contains(words), "{found:?}");
            assert!(!found.message.contains("today"), "what is within is not told: {found:?}");
        }
    }
}
