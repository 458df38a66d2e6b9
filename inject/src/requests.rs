//! What owners ask for by the annotations `inject` and `skip`, on the pod and on its namespace.

use crds::keys;

use crate::{Level, Policy, PolicyId, PolicySet, pod::Entries, select::Lookup};

/// What the nearest level that names a policy says about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    Inject,
    Skip(Level),
}

/// What the owner wants of a policy, by the annotations of the pod, then by those of the namespace.
pub(crate) fn wish(policy: &Policy, pod: &dyn Lookup, namespace: &dyn Lookup) -> Option<Wish> {
    [(Level::Pod, pod), (Level::Namespace, namespace)].into_iter().find_map(
        |(level, annotations)| {
            if names(annotations.value(keys::SKIP), &policy.id) {
                Some(Wish::Skip(level))
            } else if names(annotations.value(keys::INJECT), &policy.id) {
                Some(Wish::Inject)
            } else {
                None
            }
        },
    )
}

/// The policies that are asked for on any level.
pub(crate) fn asked_for(levels: [&dyn Lookup; 2]) -> impl Iterator<Item = Named<'_>> {
    levels.into_iter().flat_map(|level| entries(level.value(keys::INJECT))).filter_map(Named::parse)
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

/// What an entry of a list names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named<'a> {
    /// Every policy.
    All,
    /// Policies of this name, of either kind.
    Either(&'a str),
    /// The `ClusterSidecarPolicy` of this name.
    Cluster(&'a str),
    /// The `SidecarPolicy` of this name in the pod's namespace.
    Namespaced(&'a str),
}

impl<'a> Named<'a> {
    fn parse(entry: &'a str) -> Option<Self> {
        match entry.split_once('/') {
            None if entry == "*" => Some(Self::All),
            None => Some(Self::Either(entry)),
            Some(("cluster", name)) => Some(Self::Cluster(name)),
            Some(("namespace", name)) => Some(Self::Namespaced(name)),
            Some(_) => None,
        }
    }
}

/// Annotations that would set a parameter which no policy has that could reach the namespace: each
/// with what is wrong.
pub(crate) fn unknown_parameters(
    annotations: &Entries<'_>,
    namespace: &str,
    policies: &PolicySet,
) -> Vec<(String, String)> {
    let mut unknown = Vec::new();
    for (key, _) in annotations.iter() {
        let (id, name) = if let Some(name) = key.strip_prefix(keys::PARAMETER_PREFIX) {
            (PolicyId::namespaced(namespace, ""), name)
        } else if let Some(name) = key.strip_prefix(keys::CLUSTER_PARAMETER_PREFIX) {
            (PolicyId::cluster(""), name)
        } else {
            continue;
        };
        let Some((policy, parameter)) = name.rsplit_once('.') else {
            unknown.push((key.to_owned(), "does not name a policy and a parameter".to_owned()));
            continue;
        };
        let id = PolicyId { name: policy.to_owned(), ..id };
        match policies.get(&id) {
            None => unknown.push((key.to_owned(), format!("there is no {} {id}", id.kind()))),
            Some(found) if found.parameter_names().all(|known| known != parameter) => {
                let known: Vec<&str> = found.parameter_names().collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                unknown.push((
                    key.to_owned(),
                    format!("{} {id} has no parameter {parameter:?}; it has {known}", id.kind()),
                ));
            }
            Some(_) => {}
        }
    }
    unknown
}

fn is_known(entry: &str, namespace: &str, policies: &PolicySet) -> bool {
    match Named::parse(entry) {
        Some(Named::All) => true,
        Some(Named::Either(name)) => policies.knows(namespace, name),
        Some(Named::Cluster(name)) => policies.knows_cluster(name),
        Some(Named::Namespaced(name)) => policies.knows_namespaced(namespace, name),
        None => false,
    }
}

fn names(list: Option<&str>, id: &PolicyId) -> bool {
    entries(list).filter_map(Named::parse).any(|named| match named {
        Named::All => true,
        Named::Either(name) => name == id.name,
        Named::Cluster(name) => id.namespace.is_none() && name == id.name,
        Named::Namespaced(name) => id.namespace.is_some() && name == id.name,
    })
}

fn entries(list: Option<&str>) -> impl Iterator<Item = &str> {
    list.into_iter().flat_map(|list| list.split(',')).map(str::trim).filter(|name| !name.is_empty())
}
