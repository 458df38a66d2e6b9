//! What owners ask for by the annotations `inject` and `skip`, on the pod and on its namespace.

use crds::keys;

use crate::{Policy, PolicyId, PolicySet, select::Lookup};

/// What the nearest level that names a policy says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Inject,
    Skip,
}

/// What the owner wants of a policy. Levels go from the nearest (the pod) to the farthest.
pub(crate) fn wish(policy: &Policy, levels: [&dyn Lookup; 2]) -> Option<Wish> {
    levels.into_iter().find_map(|level| {
        if names(level.value(keys::SKIP), &policy.id) {
            Some(Wish::Skip)
        } else if names(level.value(keys::INJECT), &policy.id) {
            Some(Wish::Inject)
        } else {
            None
        }
    })
}

/// The names in the pod's lists that no policy has which could reach its namespace.
pub(crate) fn unknown_names(
    annotations: &impl Lookup,
    namespace: &str,
    policies: &PolicySet,
) -> Vec<(&'static str, String)> {
    [keys::INJECT, keys::SKIP]
        .into_iter()
        .flat_map(|key| entries(annotations.value(key)).map(move |name| (key, name)))
        .filter(|(_, name)| !is_known(name, namespace, policies))
        .map(|(key, name)| (key, name.to_owned()))
        .collect()
}

fn is_known(entry: &str, namespace: &str, policies: &PolicySet) -> bool {
    match entry.split_once('/') {
        _ if entry == "*" => true,
        None => policies.knows(namespace, entry),
        Some(("cluster", name)) => policies.knows_cluster(name),
        Some(("namespace", name)) => policies.knows_namespaced(namespace, name),
        Some(_) => false,
    }
}

fn names(list: Option<&str>, id: &PolicyId) -> bool {
    entries(list).any(|entry| match entry.split_once('/') {
        None => entry == "*" || entry == id.name,
        Some(("cluster", name)) => id.namespace.is_none() && name == id.name,
        Some(("namespace", name)) => id.namespace.is_some() && name == id.name,
        Some(_) => false,
    })
}

fn entries(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty())
}
