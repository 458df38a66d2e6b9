//! Whatever stands in the set, however it came there: candidates are all that match, each once.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Pod, compile, select::select_by_metadata};

/// Labels of pods and namespaces, few enough to meet often.
const KEYS: [&str; 3] = ["app", "team", "tier"];
const VALUES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 2] = ["shop", "cluster"];

fn policy(namespace: Option<&str>, name: &str, spec: &Value) -> Arc<Policy> {
    let mut spec = spec.clone();
    spec["sidecars"] = json!([{"name": "helper", "image": "helper:1"}]);
    let id = PolicyId { namespace: namespace.map(str::to_owned), name: name.to_owned() };
    let spec = serde_json::from_value(spec).expect("the spec has the types of the API");
    Arc::new(compile(id, "uid", 1, &spec).expect("the policy compiles"))
}

fn any_selector() -> impl Strategy<Value = Value> {
    let key = || prop::sample::select(&KEYS[..]);
    let values = || prop::sample::subsequence(&VALUES[..], 1..=3);
    let expression = prop_oneof![
        (key(), Just("In"), values()),
        (key(), Just("NotIn"), values()),
        (key(), Just("Exists"), Just(vec![])),
        (key(), Just("DoesNotExist"), Just(vec![])),
    ];
    let expression = expression.prop_map(
        |(key, operator, values)| json!({"key": key, "operator": operator, "values": values}),
    );
    let labels = prop::collection::btree_map(key(), prop::sample::select(&VALUES[..]), 0..3);
    (labels, prop::collection::vec(expression, 0..3)).prop_map(
        |(labels, expressions)| json!({"matchLabels": labels, "matchExpressions": expressions}),
    )
}

fn any_policy() -> impl Strategy<Value = Arc<Policy>> {
    let namespace = prop::option::of(prop::sample::select(&NAMESPACES[..]));
    let name = prop::sample::select(vec!["one", "two", "three", "four"]);
    let selectors = (any_selector(), any_selector(), any::<bool>());
    let on_request = (any::<bool>(), any::<bool>());
    (namespace, name, selectors, on_request).prop_map(
        |(namespace, name, (pods, namespaces, all_pods), (on_request, must))| {
            let mut spec = json!({
                "podSelector": if all_pods { json!({}) } else { pods },
                "activation": if on_request { "OnRequest" } else { "Automatic" },
                "optOut": if must { "Denied" } else { "Allowed" },
            });
            if namespace.is_none() {
                spec["namespaceSelector"] = namespaces;
            }
            policy(namespace, name, &spec)
        },
    )
}

/// Policies that are inserted (`Ok`), often over another, and removed (`Err`).
fn any_changes() -> impl Strategy<Value = Vec<Result<Arc<Policy>, PolicyId>>> {
    let change = (any_policy(), 0..4).prop_map(|(policy, what)| match what {
        0 => Err(policy.id.clone()),
        _ => Ok(policy),
    });
    prop::collection::vec(change, 0..24)
}

fn any_labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    let entry = (prop::sample::select(&KEYS[..]), prop::sample::select(&VALUES[..]));
    prop::collection::vec(entry, 0..4).prop_map(|entries| {
        entries.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
    })
}

fn any_annotations() -> impl Strategy<Value = BTreeMap<String, String>> {
    let list = prop::sample::select(vec![
        "one",
        "two, one,one",
        "*",
        "cluster/one,one",
        "namespace/two, cluster/three",
        "other/one",
    ]);
    let key = prop::sample::select(vec!["sidecarpolicy.dev/inject", "sidecarpolicy.dev/skip"]);
    prop::collection::btree_map(key.prop_map(str::to_owned), list.prop_map(str::to_owned), 0..2)
}

fn any_namespace() -> impl Strategy<Value = Namespace> {
    let name = prop::sample::select(vec!["shop", "cluster", "other"]);
    (name, any_labels(), any_annotations()).prop_map(|(name, labels, annotations)| Namespace {
        name: name.to_owned(),
        labels,
        annotations,
    })
}

/// A pod as JSON.
fn any_pod() -> impl Strategy<Value = String> {
    (any_labels(), any_annotations()).prop_map(|(labels, annotations)| {
        json!({"metadata": {"labels": labels, "annotations": annotations}}).to_string()
    })
}

fn apply(changes: &[Result<Arc<Policy>, PolicyId>]) -> PolicySet {
    let mut set = PolicySet::default();
    for change in changes {
        match change {
            Ok(policy) => set.insert(Arc::clone(policy)),
            Err(id) => set.remove(id),
        }
    }
    set
}

/// What is left after all changes.
fn survivors(changes: &[Result<Arc<Policy>, PolicyId>]) -> BTreeMap<PolicyId, Arc<Policy>> {
    let mut survivors = BTreeMap::new();
    for change in changes {
        match change {
            Ok(policy) => survivors.insert(policy.id.clone(), Arc::clone(policy)),
            Err(id) => survivors.remove(id),
        };
    }
    survivors
}

/// Candidates that select the pod by its metadata; each must be a candidate once.
fn selected(set: &PolicySet, pod: &str, namespace: &Namespace) -> BTreeSet<PolicyId> {
    let pod: Pod<'_> = serde_json::from_str(pod).unwrap();
    let candidates = set.candidates(&pod.metadata, namespace);
    let distinct: BTreeSet<_> = candidates.iter().map(|policy| policy.id.clone()).collect();
    assert_eq!(distinct.len(), candidates.len(), "each once: {candidates:?}");
    let selected = candidates.into_iter().filter(|policy| selects(policy, &pod, namespace));
    selected.map(|policy| policy.id.clone()).collect()
}

fn selects(policy: &Policy, pod: &Pod<'_>, namespace: &Namespace) -> bool {
    let (labels, annotations) = (&pod.metadata.labels, &pod.metadata.annotations);
    select_by_metadata(policy, labels, annotations, namespace).refused.is_none()
}

proptest! {
    #[test]
    fn every_policy_that_selects_a_pod_is_a_candidate(
        changes in any_changes(), pod in any_pod(), namespace in any_namespace(),
    ) {
        let read: Pod<'_> = serde_json::from_str(&pod).unwrap();
        let expected: BTreeSet<PolicyId> = survivors(&changes)
            .into_values()
            .filter(|policy| selects(policy, &read, &namespace))
            .map(|policy| policy.id.clone())
            .collect();
        prop_assert_eq!(selected(&apply(&changes), &pod, &namespace), expected);
    }

    #[test]
    fn changes_in_a_row_are_as_a_fresh_build(
        changes in any_changes(), pod in any_pod(), namespace in any_namespace(),
    ) {
        let (set, survivors) = (apply(&changes), survivors(&changes));
        let fresh: Vec<_> = survivors.values().rev().cloned().map(Ok).collect();
        prop_assert_eq!(
            selected(&set, &pod, &namespace), selected(&apply(&fresh), &pod, &namespace));
        prop_assert_eq!(set.len(), survivors.len());
        prop_assert_eq!(set.is_empty(), survivors.is_empty());
        let listed: BTreeSet<_> = set.iter().map(|policy| &policy.id).collect();
        prop_assert_eq!(listed, survivors.keys().collect::<BTreeSet<_>>());
        for (id, policy) in &survivors {
            prop_assert!(set.get(id).is_some_and(|found| Arc::ptr_eq(found, policy)));
        }
    }

    #[test]
    fn what_is_removed_leaves_nothing_behind(changes in any_changes()) {
        let mut set = apply(&changes);
        for id in survivors(&changes).keys() {
            set.remove(id);
        }
        prop_assert!(set.index.is_empty(), "{:?}", set.index);
        prop_assert!(set.cluster.is_empty() && set.namespaces.is_empty(), "{:?}", set);
    }

    #[test]
    fn a_clone_stays_as_it_was(
        before in any_changes(), after in any_changes(), pod in any_pod(), namespace in any_namespace(),
    ) {
        let mut set = apply(&before);
        let (clone, was) = (set.clone(), selected(&set, &pod, &namespace));
        for change in &after {
            match change {
                Ok(policy) => set.insert(Arc::clone(policy)),
                Err(id) => set.remove(id),
            }
        }
        prop_assert_eq!(selected(&clone, &pod, &namespace), was);
        prop_assert_eq!(clone.len(), survivors(&before).len());
    }
}

/// Names of the candidates for a pod of namespace `shop`.
fn candidates(policies: &[(&str, Value)], labels: &Value, annotations: &Value) -> Vec<String> {
    let mut set = PolicySet::default();
    for (name, spec) in policies {
        set.insert(policy(None, name, spec));
    }
    let pod = json!({"metadata": {"labels": labels, "annotations": annotations}}).to_string();
    let pod: Pod<'_> = serde_json::from_str(&pod).unwrap();
    let name = "kubernetes.io/metadata.name".to_owned();
    let namespace = Namespace {
        name: "shop".to_owned(),
        labels: [(name, "shop".to_owned())].into(),
        ..Namespace::default()
    };
    let found = set.candidates(&pod.metadata, &namespace);
    let mut names: Vec<_> = found.into_iter().map(|policy| policy.id.name.clone()).collect();
    names.sort_unstable();
    names
}

/// A hundred policies called `p-0` to `p-99`.
fn hundred(spec: impl Fn(usize) -> Value) -> Vec<(String, Value)> {
    (0..100).map(|number| (format!("p-{number}"), spec(number))).collect()
}

fn named(policies: &[(String, Value)]) -> Vec<(&str, Value)> {
    policies.iter().map(|(name, spec)| (name.as_str(), spec.clone())).collect()
}

#[test]
fn a_label_that_many_policies_share_does_not_make_them_candidates() {
    let policies = hundred(|number| {
        json!({"podSelector": {"matchLabels": {
            "app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": format!("app-{number}")
        }}})
    });
    let labels = json!({"app.kubernetes.io/managed-by": "Helm", "app.kubernetes.io/name": "app-7"});
    let found = candidates(&named(&policies), &labels, &json!({}));
    // The first one could not know that the others would share it.
    assert_eq!(found, ["p-0", "p-7"]);
}

#[test]
fn policies_of_other_namespaces_are_no_candidates_whatever_they_say_of_pods() {
    let policies = hundred(|number| {
        let names = [format!("team-{number}"), format!("team-{number}-test")];
        json!({
            "podSelector": {"matchLabels": {"app": "api"}},
            "namespaceSelector": {"matchExpressions": [
                {"key": "kubernetes.io/metadata.name", "operator": "In", "values": names}
            ]}
        })
    });
    assert_eq!(candidates(&named(&policies), &json!({"app": "api"}), &json!({})), ["p-0"]);
}

#[test]
fn existence_is_found_by_key() {
    let policies = hundred(|number| {
        let key = format!("feature-{number}");
        json!({"podSelector": {"matchExpressions": [{"key": key, "operator": "Exists"}]}})
    });
    assert_eq!(candidates(&named(&policies), &json!({"feature-7": ""}), &json!({})), ["p-7"]);
}

#[test]
fn policies_on_request_are_found_by_being_asked_for() {
    let policies = hundred(|_| json!({"activation": "OnRequest"}));
    let asked = |list: &str| {
        candidates(&named(&policies), &json!({}), &json!({"sidecarpolicy.dev/inject": list}))
    };
    assert_eq!(asked("p-7, cluster/p-7, p-8, namespace/p-9"), ["p-7", "p-8"]);
    assert_eq!(asked("p-7, *").len(), 100);
    assert_eq!(asked(""), [""; 0]);
}

#[test]
fn a_policy_is_still_found_by_a_label_when_others_under_it_are_gone() {
    let selects = |value: &str| json!({"podSelector": {"matchLabels": {"app": value}}});
    let mut set = PolicySet::default();
    let names = ["one", "two", "three"];
    for (name, value) in names.into_iter().zip(["a", "a", "b"]) {
        set.insert(policy(None, name, &selects(value)));
    }
    let found = |set: &PolicySet| {
        let pods = [r#"{"app": "a"}"#, r#"{"app": "b"}"#];
        let found = pods.map(|labels| format!(r#"{{"metadata": {{"labels": {labels}}}}}"#));
        found.map(|pod| selected(set, &pod, &Namespace::default()).len())
    };
    assert_eq!(found(&set), [2, 1]);
    set.remove(&PolicyId::cluster("one"));
    assert_eq!(found(&set), [1, 1]);
    set.remove(&PolicyId::cluster("two"));
    assert_eq!(found(&set), [0, 1]);
}

#[test]
fn a_label_that_json_names_twice_makes_no_candidate_twice() {
    let mut set = PolicySet::default();
    set.insert(policy(None, "p", &json!({"podSelector": {"matchLabels": {"app": "api"}}})));
    let pod: Pod<'_> =
        serde_json::from_str(r#"{"metadata": {"labels": {"app": "api", "app": "api"}}}"#).unwrap();
    assert_eq!(set.candidates(&pod.metadata, &Namespace::default()).len(), 1);
}

#[test]
fn existence_and_values_of_a_label_are_found_side_by_side() {
    let by_value = json!({"podSelector": {"matchLabels": {"app": "api"}}});
    let by_existence = json!({"podSelector": {"matchExpressions": [
        {"key": "app", "operator": "Exists"}
    ]}});
    let policies = [("value", by_value), ("existence", by_existence)];
    let found = |app: &str| candidates(&policies, &json!({"app": app}), &json!({}));
    assert_eq!(found("api"), ["existence", "value"]);
    assert_eq!(found("web"), ["existence"]);
}
