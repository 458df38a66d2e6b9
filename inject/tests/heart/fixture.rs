//! Pods and policies written as JSON values, and what injecting one into the other gives.

use std::{collections::BTreeMap, sync::Arc};

use inject::{
    Exclusions, Invalid, Namespace, Pod, Policy, PolicyId, PolicySet, Request, compile, inject,
};
use serde_json::{Value, json};

/// What a test looks at of an outcome.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) patch: String,
    pub(crate) pod: Value,
    pub(crate) warnings: Vec<String>,
    pub(crate) denied: Option<String>,
    /// Policy and stable word of its reason.
    pub(crate) decisions: Vec<(String, &'static str)>,
}

impl Seen {
    pub(crate) fn reason(&self, policy: &str) -> &'static str {
        self.decisions.iter().find(|(id, _)| id == policy).map_or("absent", |(_, reason)| reason)
    }

    pub(crate) fn unchanged(&self) -> bool {
        self.patch == "[]"
    }
}

/// Compiles `{kind?, namespace?, name, …spec}`-like policies.
pub(crate) fn policy(id: PolicyId, spec: Value) -> Result<Policy, Invalid> {
    let spec = serde_json::from_value(spec).expect("the spec has the types of the API");
    compile(id, "11111111-2222-3333-4444-555555555555", 1, &spec)
}

/// A policy of namespace `shop`.
pub(crate) fn shop(name: &str, spec: Value) -> Policy {
    policy(PolicyId::namespaced("shop", name), spec).expect("the policy compiles")
}

/// A policy of the cluster kind.
pub(crate) fn cluster(name: &str, spec: Value) -> Policy {
    policy(PolicyId::cluster(name), spec).expect("the policy compiles")
}

/// The log shipper of the API's smallest useful policy.
pub(crate) fn log_shipper() -> Value {
    json!({
        "podSelector": {"matchLabels": {"app": "api"}},
        "sidecars": [{
            "name": "shipper",
            "image": "docker.io/otel/collector:1",
            "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app", "readOnly": true}]
        }],
        "volumes": [{"name": "logs", "emptyDir": {"sizeLimit": "256Mi"}}],
        "appContainers": [{"volumeMounts": [{"name": "logs", "mountPath": "/var/log/app"}]}]
    })
}

/// A policy of one sidecar, with more fields of the container.
pub(crate) fn side(more: Value) -> Value {
    json!({"sidecars": [with(json!({"name": "side", "image": "s:1"}), more)]})
}

/// An object with more fields, or others.
pub(crate) fn with(mut object: Value, more: Value) -> Value {
    object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    object
}

/// A pod of one container, selected by the log shipper.
pub(crate) fn api_pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api", "namespace": "shop", "labels": {"app": "api"}},
        "spec": {"containers": [{"name": "app", "image": "api:1"}]}
    })
}

/// Namespace `shop`, with annotations.
pub(crate) fn namespace(annotations: &[(&str, &str)]) -> Namespace {
    let map = |entries: &[(&str, &str)]| -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    Namespace {
        name: "shop".to_owned(),
        labels: map(&[("kubernetes.io/metadata.name", "shop"), ("team", "blue")]),
        annotations: map(annotations),
    }
}

/// Injects policies into a pod of namespace `shop`.
pub(crate) fn run(policies: Vec<Policy>, pod: &Value) -> Seen {
    run_in(&namespace(&[]), policies, pod)
}

/// Injects policies into a pod of a namespace.
pub(crate) fn run_in(namespace: &Namespace, policies: Vec<Policy>, pod: &Value) -> Seen {
    run_text(namespace, policies, &pod.to_string())
}

/// Injects policies into the text of a pod.
pub(crate) fn run_text(namespace: &Namespace, policies: Vec<Policy>, text: &str) -> Seen {
    run_request(namespace, policies, text, "")
}

/// Injects policies into the text of a pod that a request of this uid brings.
pub(crate) fn run_request(
    namespace: &Namespace,
    policies: Vec<Policy>,
    text: &str,
    uid: &str,
) -> Seen {
    let mut set = PolicySet::default();
    for policy in policies {
        set.insert(Arc::new(policy));
    }
    let exclusions = Exclusions::new("sidecar-policy-system", &[]);
    let request = Request { namespace, exclusions: &exclusions, requester_is_node: false, uid };
    let pod: Pod<'_> = serde_json::from_str(text).expect("the pod can be read");
    let outcome = inject(&pod, &request, &set);
    let mut patch = String::new();
    outcome.edits.write(&mut patch);
    let mut patched: Value = serde_json::from_str(text).expect("the pod is JSON");
    let operations: json_patch::Patch = serde_json::from_str(&patch).expect("a JSON patch");
    json_patch::patch(&mut patched, &operations).expect("the patch applies");
    assert_eq!(outcome.edits.is_empty(), patch == "[]", "is_empty tells the truth");
    Seen {
        patch,
        pod: patched,
        warnings: outcome.warnings,
        denied: outcome.denied,
        decisions: outcome
            .decisions
            .iter()
            .map(|decision| (decision.policy.id.to_string(), decision.reason.as_str()))
            .collect(),
    }
}

/// Names of the containers in a list of a pod.
pub(crate) fn names(pod: &Value, list: &str) -> Vec<String> {
    let containers = pod["spec"][list].as_array().cloned().unwrap_or_default();
    containers.iter().map(|container| container["name"].as_str().unwrap().to_owned()).collect()
}
