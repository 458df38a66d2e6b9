//! The compiled policies of a cluster, and an index that finds those that can match a pod.
//!
//! Looking up costs by what can match, not by how many policies exist, and a change by the policy
//! that changes. A clone is made in no time, shares what does not change, and stays as it is whatever
//! happens to the original.

mod index;
mod scope;
mod sharded;
#[cfg(test)]
mod tests;

use std::{ptr, sync::Arc};

use foldhash::fast::RandomState;
use rpds::HashTrieMapSync;

use self::{
    index::{FoundBy, Index},
    scope::Scope,
};
use crate::{
    Metadata, Namespace, Policy, PolicyId,
    requests::{self, Named},
};

/// Compiled policies. A clone is a snapshot.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    cluster: Scope,
    namespaces: HashTrieMapSync<String, Scope, RandomState>,
    index: Index,
    length: usize,
}

impl PolicySet {
    /// Adds a policy, or takes the place of the one with the same identity.
    pub fn insert(&mut self, policy: Arc<Policy>) {
        self.remove(&policy.id);
        self.length += 1;
        let found_by = self.index.insert(&policy);
        match policy.id.namespace.clone() {
            None => self.cluster.insert(policy, found_by),
            Some(namespace) => {
                if let Some(scope) = self.namespaces.get_mut(&namespace) {
                    scope.insert(policy, found_by);
                } else {
                    let mut scope = Scope::default();
                    scope.insert(policy, found_by);
                    self.namespaces.insert_mut(namespace, scope);
                }
            }
        }
    }

    /// Removes a policy, if it is there.
    pub fn remove(&mut self, id: &PolicyId) {
        let Some((policy, found_by)) = self.scope(id).and_then(|scope| scope.get(&id.name)) else {
            return;
        };
        let policy = Arc::clone(policy);
        self.length -= 1;
        self.index.remove(&policy, found_by);
        match &id.namespace {
            None => self.cluster.remove(&id.name),
            Some(namespace) => {
                let Some(scope) = self.namespaces.get_mut(namespace) else { return };
                scope.remove(&id.name);
                if scope.is_empty() {
                    self.namespaces.remove_mut(namespace);
                }
            }
        }
    }

    /// The policy of this identity.
    #[must_use]
    pub fn get(&self, id: &PolicyId) -> Option<&Arc<Policy>> {
        self.scope(id)?.get(&id.name).map(|(policy, _)| policy)
    }

    /// Every policy, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let scopes = [&self.cluster].into_iter().chain(self.namespaces.values());
        scopes.flat_map(Scope::iter).map(|(policy, _)| policy)
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The policies that may select a pod, each once, in no particular order: all that do, and some
    /// that do not.
    #[must_use]
    pub fn candidates(&self, pod: &Metadata<'_>, namespace: &Namespace) -> Vec<&Policy> {
        let mut candidates = self.index.candidates(pod, namespace);
        let asked_for = requests::asked_for([&pod.annotations, &namespace.annotations]);
        let mut asked_for = asked_for.peekable();
        if asked_for.peek().is_some() {
            candidates.append(&mut self.found_by_asking(asked_for, &namespace.name));
        }
        candidates
    }

    /// The policies that can reach pods of the namespace, in no particular order.
    pub(crate) fn reaching(&self, namespace: &str) -> impl Iterator<Item = &Policy> {
        let scopes = [Some(&self.cluster), self.namespaces.get(namespace)];
        scopes.into_iter().flatten().flat_map(Scope::iter).map(|(policy, _)| policy.as_ref())
    }

    /// Whether a policy that can reach pods of the namespace selects pods by this label.
    pub(crate) fn selects_by(&self, namespace: &str, label: &str) -> bool {
        let of_namespace = self.namespaces.get(namespace);
        let mut scopes = [Some(&self.cluster), of_namespace].into_iter().flatten();
        scopes.any(|scope| scope.selects_by(label))
    }

    /// Whether a policy of this name, of either kind, can reach pods of the namespace.
    pub(crate) fn knows(&self, namespace: &str, name: &str) -> bool {
        self.knows_cluster(name) || self.knows_namespaced(namespace, name)
    }

    pub(crate) fn knows_cluster(&self, name: &str) -> bool {
        self.cluster.get(name).is_some()
    }

    pub(crate) fn knows_namespaced(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|scope| scope.get(name).is_some())
    }

    fn scope(&self, id: &PolicyId) -> Option<&Scope> {
        match &id.namespace {
            None => Some(&self.cluster),
            Some(namespace) => self.namespaces.get(namespace.as_str()),
        }
    }

    /// The policies that are found by being asked for, each once.
    fn found_by_asking<'a>(
        &self,
        asked_for: impl Iterator<Item = Named<'a>>,
        namespace: &str,
    ) -> Vec<&Policy> {
        let (cluster, own) = (Some(&self.cluster), self.namespaces.get(namespace));
        let mut found: Vec<(&Arc<Policy>, FoundBy)> = Vec::new();
        for named in asked_for {
            let (name, scopes) = match named {
                Named::All => {
                    found = cluster.into_iter().chain(own).flat_map(Scope::iter).collect();
                    break;
                }
                Named::Either(name) => (name, [cluster, own]),
                Named::Cluster(name) => (name, [cluster, None]),
                Named::Namespaced(name) => (name, [None, own]),
            };
            found.extend(scopes.into_iter().flatten().filter_map(|scope| scope.get(name)));
        }
        found.retain(|(_, found_by)| *found_by == FoundBy::Asking);
        let mut found: Vec<&Policy> =
            found.into_iter().map(|(policy, _)| policy.as_ref()).collect();
        // A policy may be asked for more than once.
        found.sort_unstable_by_key(|policy| ptr::from_ref(*policy));
        found.dedup_by_key(|policy| ptr::from_ref(*policy));
        found
    }
}
