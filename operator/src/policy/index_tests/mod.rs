//! Counting without a cluster: events in, counts out, and the sums that always hold.

mod counts;
mod laws;
mod news;
mod overhead;
mod rollout_pods;

use crds::{Activation, OptOut, PolicySpec, Sidecar};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Value, json};

use super::*;

const SHOP: &str = "shop";

fn spec() -> PolicySpec {
    let image = ("image".to_owned(), json!("example.org/shipper:1"));
    PolicySpec {
        pod_selector: Some(LabelSelector {
            match_labels: Some([("app".to_owned(), "api".to_owned())].into()),
            match_expressions: None,
        }),
        sidecars: vec![Sidecar {
            name: "shipper".to_owned(),
            container: [image].into_iter().collect(),
            ..Sidecar::default()
        }],
        ..PolicySpec::default()
    }
}

fn brought(name: &str) -> Sidecar {
    Sidecar { name: name.to_owned(), ..spec().sidecars.remove(0) }
}

fn policy(id: &PolicyId, spec: &PolicySpec) -> Arc<Policy> {
    Arc::new(inject::compile(id.clone(), "uid", 1, spec).unwrap())
}

fn log() -> PolicyId {
    PolicyId::namespaced(SHOP, "log")
}

fn revision() -> String {
    policy(&log(), &spec()).revision.clone()
}

fn namespace(name: &str) -> Namespace {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Namespace { name: name.to_owned(), labels: [label].into(), annotations: BTreeMap::new() }
}

/// A counting index with the namespace `shop` and the policy `shop/log`.
fn index() -> Index {
    let mut index = Index::new(Exclusions::new("system", &[]));
    index.set_namespace(namespace(SHOP));
    index.set_policy(policy(&log(), &spec()));
    index.start_counting();
    index
}

/// A running pod of `app: api`, with `changes` merged over it.
fn pod(name: &str, changes: &Value) -> WatchedPod {
    let mut pod = json!({
        "metadata": {
            "name": name, "generateName": "pod-", "namespace": SHOP, "labels": { "app": "api" },
        },
        "spec": { "containers": [{ "name": "api" }], "someFieldOfTheFuture": [1] },
        "status": { "phase": "Running" },
    });
    merge(&mut pod, changes);
    serde_json::from_value(pod).unwrap()
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}

fn injected(revision: &str, ready: bool) -> Value {
    json!({
        "metadata": { "annotations": {
            "sidecarpolicy.dev/injected": json!({ "shop/log": revision }).to_string(),
        }},
        "status": { "initContainerStatuses": [{ "name": "shipper", "ready": ready }] },
    })
}

fn skipped(reason: &str) -> Value {
    json!({ "metadata": { "annotations": {
        "sidecarpolicy.dev/skipped": json!({ "shop/log": reason }).to_string(),
    }}})
}

fn opted_out() -> Value {
    json!({ "metadata": { "annotations": { "sidecarpolicy.dev/skip": "log" } } })
}

fn counts(index: &Index) -> PodCounts {
    index.counts(&log()).0
}

/// An injected pod whose sidecar asks for this much CPU, and whose app asks for more.
fn asking(cpu: &str, revision: &str) -> Value {
    let mut changes = injected(revision, true);
    let spec = json!({
        "initContainers": [
            { "name": "setup", "resources": { "requests": { "cpu": "4" } } },
            { "name": "shipper", "restartPolicy": "Always", "resources": {
                "requests": { "cpu": cpu, "memory": "32Mi" }, "limits": { "memory": "64Mi" },
            }},
        ],
        "containers": [{ "name": "api", "resources": { "requests": { "cpu": "1" } } }],
    });
    merge(&mut changes, &json!({ "spec": spec }));
    changes
}

fn of(owner: &str, created: &str, ready: bool) -> Value {
    json!({
        "metadata": {
            "uid": "0f2d7c1e-5b1d-4f0e-9a51-0d5cbd8b6a11", "creationTimestamp": created,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": "o",
                "controller": true,
            }],
        },
        "status": { "conditions": [{
            "type": "Ready", "status": if ready { "True" } else { "False" },
            "lastTransitionTime": "2026-11-21T00:01:00Z",
        }]},
    })
}

fn together(changes: &[Value]) -> Value {
    let mut all = json!({});
    for change in changes {
        merge(&mut all, change);
    }
    all
}
