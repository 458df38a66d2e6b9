//! What is true of every pod and every set of policies.

use crds::keys;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::take_out_of;
use crate::{
    document::Node,
    facts::Facts,
    generators::{Case, any_case},
    injection::inject_into,
    manifests::{self, Document},
    policies::{self, Policies, Written},
};

/// The policies of a case that can be read, each from its manifest.
fn policies(case: &Case) -> Option<Policies> {
    let manifests = case.policies.iter().filter(|given| given.compile().is_some()).map(|given| {
        json!({
            "apiVersion": "sidecarpolicy.dev/v1alpha1",
            "kind": given.id.kind(),
            "metadata": {"name": given.id.name, "namespace": given.id.namespace},
            "spec": given.spec,
        })
    });
    let documents: Vec<Document> =
        manifests.map(|manifest| manifests::of_value(&manifest)).collect();
    policies::read(&documents, "shop").ok()
}

fn namespace(case: &Case) -> Document {
    let namespace = case.namespace();
    manifests::of_value(&json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "shop", "labels": namespace.labels, "annotations": namespace.annotations},
    }))
}

fn pod(case: &Case) -> Node {
    let mut pod = case.pod.clone();
    if let Value::Object(fields) = &mut pod {
        fields.insert("apiVersion".to_owned(), "v1".into());
        fields.insert("kind".to_owned(), "Pod".into());
        if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
            metadata.insert("namespace".to_owned(), "shop".into());
            metadata.remove("uid");
            for map in ["labels", "annotations"] {
                // Stale keys of ours are lost by the injection itself.
                if let Some(Value::Object(map)) = metadata.get_mut(map) {
                    map.retain(|key, _| {
                        ![keys::INJECTED, keys::SKIPPED, keys::PLACE].contains(&key.as_str())
                    });
                }
            }
        }
    }
    Node::from_json(&pod.to_string(), 1).expect("it is JSON")
}

/// Whether a container of the pod has the name of a policy's.
fn has_a_sidecar(pod: &Node, policies: &Policies) -> bool {
    let sidecars = policies.written.iter().flat_map(|written| &written.spec.sidecars);
    let names: Vec<&str> = sidecars.map(|sidecar| sidecar.name.as_str()).collect();
    ["containers", "initContainers"].into_iter().any(|list| {
        let containers = pod.descend(&["spec", list]).map(Node::items).unwrap_or_default();
        containers
            .iter()
            .any(|found| found.text_of("name").is_some_and(|name| names.contains(&name)))
    })
}

proptest! {
    #[test]
    fn injecting_what_is_left_gives_the_same_again(case in any_case()) {
        let Some(policies) = policies(&case) else { return Ok(()) };
        let original = pod(&case);
        let facts = Facts::new(policies.set.clone(), "shop", &[namespace(&case)]);
        let mut injected = original.clone();
        let Some(report) = inject_into(&mut injected, &facts).expect("the patch fits") else { return Ok(()) };
        if !report.changed {
            return Ok(());
        }
        let mut taken = injected.clone();
        let contents: Vec<_> = policies.written.iter().map(Written::contents).collect();
        let removal = take_out_of(&mut taken, &facts, &contents).expect("the patch fits");
        // Injection may have done no more than to remove stale keys of its own.
        let Some(removal) = removal else { return Ok(()) };
        if has_a_sidecar(&original, &policies) || !removal.left.is_empty() {
            return Ok(());
        }
        prop_assert!(!taken.to_json().contains(keys::INJECTED), "{}", taken.to_json());
        let mut again = taken.clone();
        inject_into(&mut again, &facts).expect("the patch fits");
        // The order of keys aside: null has a place, what is absent has none.
        let value = |pod: &Node| serde_json::from_str::<Value>(&pod.to_json()).expect("it is JSON");
        prop_assert_eq!(
            value(&again),
            value(&injected),
            "\nwas {}\nwithout {}\n{:?}",
            original.to_json(),
            taken.to_json(),
            removal
        );
    }
}
