//! The custom resource definitions: there, established, and of a version that this program knows.

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
    let of = text(definition, "/metadata/labels/app.kubernetes.io~1version");
    let own = env!("CARGO_PKG_VERSION");
    if !of.is_empty() && of != own {
        return check.warning(
            format!("{name} is of version {of}, and this program of {own}"),
            "fields that only one of them knows are lost or refused; bring both to one version",
        );
    }
    check.ok(format!("{name} is established and serves {}", crds::VERSION))
}

/// Without a right to look at definitions, whether the API server knows the kind says enough.
async fn served(look: &Look, name: &str, why: &str) -> Finding {
    let check = Check(GROUP, "definition");
    let version = format!("{}/{}", crds::GROUP, crds::VERSION);
    let list = look.cluster.client.list_api_group_resources(&version).await;
    let resources = list.map(|list| list.resources).unwrap_or_default();
    if resources.iter().any(|resource| name.starts_with(&format!("{}.", resource.name))) {
        check.ok(format!("{name} is served in version {}", crds::VERSION))
    } else {
        check.failed(format!("the API server does not serve {name}"), why.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::finding::State, *};

    fn definition(established: &str, version: &str, of: &str) -> Value {
        json!({
            "metadata": {"labels": {"app.kubernetes.io/version": of}},
            "spec": {"versions": [{"name": version, "served": true}]},
            "status": {"conditions": [{"type": "Established", "status": established}]},
        })
    }

    #[test]
    fn what_a_definition_lacks_is_said() {
        let own = env!("CARGO_PKG_VERSION");
        for (definition, state, words) in [
            (definition("True", "v1alpha1", own), State::Ok, "serves v1alpha1"),
            (definition("False", "v1alpha1", own), State::Failed, "is not established"),
            (definition("True", "v2", own), State::Failed, "has no version v1alpha1"),
            (definition("True", "v1alpha1", "0.0.1"), State::Warning, "is of version 0.0.1"),
            (json!({}), State::Failed, "is not established"),
        ] {
            let found = judge("x.sidecarpolicy.dev", &definition);
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.message.contains(words), "{found:?}");
        }
    }
}
