//! The compiled policies of a cluster, and an index that finds those that can match a pod.
//!
//! A policy whose pod selector demands one of a few values of a label is found by that label; the
//! others stand in a short list. Looking up costs by what can match, not by how many policies exist.

use std::{collections::HashMap, sync::Arc};

use crate::{Policy, PolicyId, pod::Entries};

/// Compiled policies by scope. A clone shares the policies and every scope that did not change.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    cluster: Arc<Scope>,
    namespaces: HashMap<String, Arc<Scope>>,
}

/// The policies of one namespace, or those of the cluster kind.
#[derive(Clone, Debug, Default)]
struct Scope {
    by_name: HashMap<String, Arc<Policy>>,
    /// label key -> value -> policies that demand it.
    by_label: HashMap<String, HashMap<String, Vec<Arc<Policy>>>>,
    unindexed: Vec<Arc<Policy>>,
}

impl PolicySet {
    /// Adds a policy, or takes the place of the one with the same identity.
    pub fn insert(&mut self, policy: Arc<Policy>) {
        let scope = match &policy.id.namespace {
            None => &mut self.cluster,
            Some(namespace) => self.namespaces.entry(namespace.clone()).or_default(),
        };
        let scope = Arc::make_mut(scope);
        scope.remove(&policy.id.name);
        scope.insert(policy);
    }

    /// Removes a policy, if it is there.
    pub fn remove(&mut self, id: &PolicyId) {
        match &id.namespace {
            None => Arc::make_mut(&mut self.cluster).remove(&id.name),
            Some(namespace) => {
                let Some(scope) = self.namespaces.get_mut(namespace) else { return };
                let scope = Arc::make_mut(scope);
                scope.remove(&id.name);
                if scope.by_name.is_empty() {
                    self.namespaces.remove(namespace);
                }
            }
        }
    }

    /// The policy of this identity.
    #[must_use]
    pub fn get(&self, id: &PolicyId) -> Option<&Arc<Policy>> {
        match &id.namespace {
            None => self.cluster.by_name.get(&id.name),
            Some(namespace) => self.namespaces.get(namespace)?.by_name.get(&id.name),
        }
    }

    /// Every policy, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let namespaced = self.namespaces.values().flat_map(|scope| scope.by_name.values());
        self.cluster.by_name.values().chain(namespaced)
    }

    /// How many policies there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.cluster.by_name.is_empty() && self.namespaces.is_empty()
    }

    /// Whether a policy of this name, of either kind, can reach pods of the namespace.
    pub(crate) fn knows(&self, namespace: &str, name: &str) -> bool {
        self.knows_cluster(name) || self.knows_namespaced(namespace, name)
    }

    pub(crate) fn knows_cluster(&self, name: &str) -> bool {
        self.cluster.by_name.contains_key(name)
    }

    pub(crate) fn knows_namespaced(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|scope| scope.by_name.contains_key(name))
    }

    /// The policies whose pod selector these labels may satisfy, and perhaps others.
    pub(crate) fn candidates<'s>(
        &'s self,
        namespace: &str,
        labels: &Entries<'_>,
    ) -> Vec<&'s Policy> {
        let mut candidates = Vec::new();
        self.cluster.collect(labels, &mut candidates);
        if let Some(scope) = self.namespaces.get(namespace) {
            scope.collect(labels, &mut candidates);
        }
        candidates
    }
}

impl Scope {
    fn insert(&mut self, policy: Arc<Policy>) {
        match policy.pod_selector.equality() {
            Some((key, values)) => {
                let by_value = self.by_label.entry(key.to_owned()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(Arc::clone(&policy));
                }
            }
            None => self.unindexed.push(Arc::clone(&policy)),
        }
        self.by_name.insert(policy.id.name.clone(), policy);
    }

    fn remove(&mut self, name: &str) {
        let Some(policy) = self.by_name.remove(name) else { return };
        let Some((key, values)) = policy.pod_selector.equality() else {
            self.unindexed.retain(|other| !Arc::ptr_eq(other, &policy));
            return;
        };
        let Some(by_value) = self.by_label.get_mut(key) else { return };
        for value in values {
            if let Some(policies) = by_value.get_mut(value) {
                policies.retain(|other| !Arc::ptr_eq(other, &policy));
                if policies.is_empty() {
                    by_value.remove(value);
                }
            }
        }
        if by_value.is_empty() {
            self.by_label.remove(key);
        }
    }

    fn collect<'s>(&'s self, labels: &Entries<'_>, candidates: &mut Vec<&'s Policy>) {
        candidates.extend(self.unindexed.iter().map(Arc::as_ref));
        if self.by_label.is_empty() {
            return;
        }
        for (key, value) in labels.iter() {
            let found = self.by_label.get(key).and_then(|by_value| by_value.get(value));
            candidates.extend(found.into_iter().flatten().map(Arc::as_ref));
        }
    }
}
