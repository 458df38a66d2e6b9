//! The policies of a cluster and the namespaces that they are asked about, as `inject` takes them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use crds::{PolicySpec, PolicyStatus};
use futures::future::try_join_all;
use inject::{Namespace, PolicyId, PolicySet};

use super::{Cluster, Error, PolicyName, Resource};
use crate::{
    document::Node,
    facts,
    objects::Identity,
    policies::{self, Stored},
    readiness::Readiness,
};

/// Policies that a cluster stores.
#[derive(Debug, Default)]
pub(crate) struct StoredPolicies {
    /// Those that can be used.
    pub(crate) set: PolicySet,
    /// What the cluster says of each of these.
    pub(crate) known: BTreeMap<PolicyId, StoredPolicy>,
    /// What people should know of the others, and of what this program does not know.
    pub(crate) notes: Vec<String>,
    /// Those that are there and that this program cannot use.
    unusable: BTreeSet<PolicyId>,
    /// They come from elsewhere, and say nothing of what the cluster has.
    are_given: bool,
    /// This person may not read those of the cluster kind.
    hides_cluster: bool,
    /// This person may not read those of namespaces.
    hides_namespaced: bool,
}

/// Why nothing is decided about a policy that pods name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Absence {
    /// There is no such policy any more.
    Gone,
    /// This person may not read it.
    Hidden,
    /// Policies were given, and it is not among them.
    NotGiven,
    /// It is there, and this program cannot use it.
    Unusable,
}

impl Absence {
    /// A stable word for scripts.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Gone => "Orphaned",
            Self::Hidden => "Hidden",
            Self::NotGiven => "NotGiven",
            Self::Unusable => "Unusable",
        }
    }
}

impl fmt::Display for Absence {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Gone => "there is no such policy any more",
            Self::Hidden => "you may not read the policy itself",
            Self::NotGiven => "it is not among the policies given",
            Self::Unusable => "this program cannot use the policy as it is stored",
        })
    }
}

/// Policies as a cluster stores them; `Error::Forbidden` for a kind that this person may not read.
#[derive(Debug)]
pub(crate) struct PolicyObjects {
    pub(crate) of_cluster: Result<Vec<Node>, Error>,
    pub(crate) of_namespaces: Result<Vec<Node>, Error>,
}

impl PolicyObjects {
    /// Those that could be read, of the cluster kind first.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Node> {
        self.of_cluster.iter().chain(&self.of_namespaces).flatten()
    }

    /// What people should know of what is missing.
    pub(crate) fn notes(&self) -> Vec<String> {
        let hidden = [("the cluster kind", &self.of_cluster), ("namespaces", &self.of_namespaces)];
        let told = hidden.iter().filter_map(|(kind, read)| {
            let error = read.as_ref().err()?;
            Some(format!("policies of {kind} are left out: {error}"))
        });
        told.collect()
    }
}

/// What a cluster says of a policy.
#[derive(Debug)]
pub(crate) struct StoredPolicy {
    /// When it was created, as RFC 3339 in UTC.
    pub(crate) created: String,
    pub(crate) generation: i64,
    pub(crate) spec: PolicySpec,
    /// What the operator observed; empty before it looked.
    pub(crate) status: PolicyStatus,
}

impl StoredPolicy {
    /// The revision that a partition keeps a part of the pods at.
    pub(crate) fn kept_back(&self) -> Option<&str> {
        self.status.previous_revision.as_deref().filter(|_| self.status.partitioned)
    }

    /// Why the next matching pod may not get it, as far as the operator says.
    pub(crate) fn not_ready(&self) -> Option<String> {
        Readiness::of(&self.status, self.generation).why
    }
}

impl Cluster {
    /// The policies that can reach pods of these namespaces. Read leniently: one that this program cannot
    /// use is told and left out, as the webhook does, and so is a field of a newer version.
    pub(crate) async fn policies(
        &self,
        namespaces: &BTreeSet<String>,
    ) -> Result<StoredPolicies, Error> {
        let objects = self.policy_objects(Some(namespaces)).await?;
        let mut policies = StoredPolicies {
            notes: objects.notes(),
            hides_cluster: objects.of_cluster.is_err(),
            hides_namespaced: objects.of_namespaces.is_err(),
            ..StoredPolicies::default()
        };
        for object in objects.all() {
            policies.add(object);
        }
        Ok(policies)
    }

    /// The policies of the cluster kind and those of these namespaces, or of all. Whoever may read one kind only
    /// gets that and hears what is missing: few developers may read what is of the whole cluster.
    pub(crate) async fn policy_objects(
        &self,
        namespaces: Option<&BTreeSet<String>>,
    ) -> Result<PolicyObjects, Error> {
        let list = |namespace| self.list(&Resource::SIDECAR_POLICY, namespace, None);
        let namespaces: Vec<Option<&str>> = match namespaces {
            Some(namespaces) => namespaces.iter().map(|name| Some(name.as_str())).collect(),
            None => vec![None],
        };
        let (of_cluster, of_namespaces) = futures::join!(
            self.list(&Resource::CLUSTER_SIDECAR_POLICY, None, None),
            try_join_all(namespaces.into_iter().map(list))
        );
        let of_namespaces = of_namespaces.map(|lists| lists.into_iter().flatten().collect());
        match (of_cluster, of_namespaces) {
            (of_cluster @ Err(Error::Forbidden { .. }), of_namespaces @ Ok(_))
            | (of_cluster @ Ok(_), of_namespaces @ Err(Error::Forbidden { .. })) => {
                Ok(PolicyObjects { of_cluster, of_namespaces })
            }
            (of_cluster, of_namespaces) => {
                Ok(PolicyObjects { of_cluster: Ok(of_cluster?), of_namespaces: Ok(of_namespaces?) })
            }
        }
    }

    /// The policy that people name, as it is stored. A name alone means one of the namespace, or else one of
    /// the cluster kind.
    pub(crate) async fn policy_named(
        &self,
        name: &PolicyName,
        namespace: &str,
    ) -> Result<(PolicyId, Node), Error> {
        let policy = match name {
            PolicyName::Full(policy) => policy.clone(),
            PolicyName::Namespaced(name) => PolicyId::namespaced(namespace, name),
            PolicyName::Any(name) => {
                let of_namespace = PolicyId::namespaced(namespace, name);
                if let Some(found) = self.find(&Resource::SIDECAR_POLICY, namespace, name).await? {
                    return Ok((of_namespace, found));
                }
                match self.find(&Resource::CLUSTER_SIDECAR_POLICY, "", name).await? {
                    Some(found) => return Ok((PolicyId::cluster(name), found)),
                    None => of_namespace,
                }
            }
        };
        let namespace = policy.namespace.as_deref().unwrap_or_default();
        let found = self.get(Resource::of_policy(&policy), namespace, &policy.name).await?;
        Ok((policy, found))
    }

    /// What is known of namespaces; one that does not exist is left out.
    pub(crate) async fn namespaces(
        &self,
        names: &BTreeSet<String>,
    ) -> Result<Vec<Namespace>, Error> {
        let found = names.iter().map(|name| self.find(&Resource::NAMESPACE, "", name));
        let found = try_join_all(found).await?;
        Ok(found.iter().flatten().filter_map(facts::described_namespace).collect())
    }
}

impl StoredPolicies {
    /// Policies that come from elsewhere.
    pub(crate) fn given(set: PolicySet) -> Self {
        Self { set, are_given: true, ..Self::default() }
    }

    /// Why the policy is not among those that can be used.
    pub(crate) fn absence(&self, policy: &PolicyId) -> Absence {
        let is_hidden =
            if policy.namespace.is_some() { self.hides_namespaced } else { self.hides_cluster };
        match () {
            () if self.are_given => Absence::NotGiven,
            () if is_hidden => Absence::Hidden,
            () if self.unusable.contains(policy) => Absence::Unusable,
            () => Absence::Gone,
        }
    }

    fn add(&mut self, object: &Node) {
        let Some(identity) = Identity::of(object) else { return };
        match policies::stored(object) {
            Ok(Stored { policy, spec, status, unknown }) => {
                if !unknown.is_empty() {
                    self.notes.push(format!(
                        "{identity}: this program does not know {}; the operator in the cluster is newer, and what it \
                         does may differ",
                        unknown.join(", ")
                    ));
                }
                let created = object.descend(&["metadata", "creationTimestamp"]);
                let created = created.and_then(Node::text).unwrap_or_default().to_owned();
                let generation = policy.generation;
                let known = StoredPolicy { created, generation, spec, status };
                self.known.insert(policy.id.clone(), known);
                self.set.insert(Arc::new(policy));
            }
            Err(problems) => {
                self.notes.push(format!(
                    "{identity}: left out, for this program cannot use it: {}",
                    problems.join("; ")
                ));
                let Identity { kind, namespace, name, .. } = identity;
                let namespace = namespace.filter(|_| kind == Resource::SIDECAR_POLICY.kind);
                self.unusable.insert(PolicyId { namespace, name });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(spec: &str, status: &str) -> StoredPolicies {
        let json = format!(
            r#"{{"apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
                "metadata": {{"name": "log", "namespace": "shop", "generation": 2,
                    "creationTimestamp": "2026-01-01T00:00:00Z", "uid": "u", "newer": 1}},
                "spec": {spec}, "status": {status}}}"#
        );
        let mut policies = StoredPolicies::default();
        policies.add(&Node::from_json(&json, 1).expect("it is JSON"));
        policies
    }

    const SIDECARS: &str = r#""sidecars": [{"name": "a", "image": "a:1"}]"#;

    #[test]
    fn fields_of_a_newer_operator_are_told_and_the_rest_counts() {
        let policies =
            stored(&format!(r#"{{{SIDECARS}, "mood": "good"}}"#), r#"{"weather": "fine"}"#);
        assert_eq!(policies.set.len(), 1);
        let [note] = policies.notes.as_slice() else { panic!("{:?}", policies.notes) };
        assert!(note.contains("does not know spec.mood, status.weather;"), "{note}");
    }

    #[test]
    fn a_policy_that_cannot_be_used_is_told_and_left_out() {
        for spec in ["{}", r#"{"mode": "Newer"}"#, "null"] {
            let policies = stored(spec, "{}");
            assert!(policies.set.is_empty(), "{spec}");
            let [note] = policies.notes.as_slice() else { panic!("{:?}", policies.notes) };
            assert!(note.starts_with("SidecarPolicy shop/log: left out"), "{note}");
        }
    }
}
