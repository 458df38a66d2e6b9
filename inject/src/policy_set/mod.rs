//! The compiled policies of a cluster, and an index that finds those that can match a pod.
//!
//! Looking up costs by what can match, not by how many policies exist, and a change by the policy
//! that changes. Everything is kept in persistent maps: a clone is made in no time, shares what does
//! not change, and stays as it is whatever happens to the original.

mod label_index;
mod policies;
#[cfg(test)]
mod tests;

use std::{ptr, sync::Arc};

use crds::{Activation, OptOut};

use self::{
    label_index::LabelIndex,
    policies::{Empty, Map, Policies, change},
};
use crate::{
    Metadata, Namespace, Policy, PolicyId,
    requests::{self, Named},
};

/// Compiled policies. A clone is a snapshot.
#[derive(Clone, Debug, Default)]
pub struct PolicySet {
    cluster: Scope,
    namespaces: Map<Scope>,
    length: usize,
}

/// The policies of one namespace, or those of the cluster kind. Names are unique in it.
#[derive(Clone, Debug, Default)]
struct Scope {
    by_name: Policies,
    // Every policy stands in exactly one of the next four.
    /// Policies found by a label they demand of the pod.
    pods: LabelIndex,
    /// Policies found by a label they demand of the pod's namespace.
    namespaces: LabelIndex,
    /// Policies that demand no label and that owners have to ask for by name.
    on_request: Policies,
    /// Policies that demand no label: candidates for every pod.
    others: Policies,
    /// Labels by which policies select pods, and how many do.
    selected: Map<Count>,
}

/// A number of policies.
#[derive(Clone, Copy, Debug, Default)]
struct Count(usize);

impl Empty for Count {
    fn is_empty(&self) -> bool {
        self.0 == 0
    }
}

impl PolicySet {
    /// Adds a policy, or takes the place of the one with the same identity.
    pub fn insert(&mut self, policy: Arc<Policy>) {
        self.remove(&policy.id);
        self.length += 1;
        match policy.id.namespace.clone() {
            None => self.cluster.insert(policy),
            Some(namespace) => {
                change(&mut self.namespaces, &namespace, |scope| scope.insert(policy));
            }
        }
    }

    /// Removes a policy, if it is there.
    pub fn remove(&mut self, id: &PolicyId) {
        let Some(policy) = self.get(id).cloned() else { return };
        self.length -= 1;
        match &id.namespace {
            None => self.cluster.remove(&policy),
            Some(namespace) => {
                change(&mut self.namespaces, namespace, |scope| scope.remove(&policy));
            }
        }
    }

    /// The policy of this identity.
    #[must_use]
    pub fn get(&self, id: &PolicyId) -> Option<&Arc<Policy>> {
        let scope = match &id.namespace {
            None => &self.cluster,
            Some(namespace) => self.namespaces.get(namespace.as_str())?,
        };
        scope.by_name.get(&id.name)
    }

    /// Every policy, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        let namespaced = self.namespaces.values().flat_map(|scope| scope.by_name.iter());
        self.cluster.by_name.iter().chain(namespaced)
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
        let mut candidates = Vec::new();
        let of_namespace = self.namespaces.get(namespace.name.as_str());
        for scope in [Some(&self.cluster), of_namespace].into_iter().flatten() {
            scope.pods.collect(|| pod.labels.iter(), &mut candidates);
            let labels = || namespace.labels.iter().map(|(key, value)| (&**key, &**value));
            scope.namespaces.collect(labels, &mut candidates);
            candidates.extend(scope.others.iter().map(Arc::as_ref));
        }
        self.collect_asked(pod, namespace, of_namespace, &mut candidates);
        candidates
    }

    /// Whether a policy that can reach pods of the namespace selects pods by this label.
    pub(crate) fn selects_by(&self, namespace: &str, label: &str) -> bool {
        let of_namespace = self.namespaces.get(namespace);
        let mut scopes = [Some(&self.cluster), of_namespace].into_iter().flatten();
        scopes.any(|scope| scope.selected.get(label).is_some())
    }

    /// Whether a policy of this name, of either kind, can reach pods of the namespace.
    pub(crate) fn knows(&self, namespace: &str, name: &str) -> bool {
        self.knows_cluster(name) || self.knows_namespaced(namespace, name)
    }

    pub(crate) fn knows_cluster(&self, name: &str) -> bool {
        self.cluster.by_name.get(name).is_some()
    }

    pub(crate) fn knows_namespaced(&self, namespace: &str, name: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|scope| scope.by_name.get(name).is_some())
    }

    /// The policies that are found by being asked for, as far as pod and namespace do.
    fn collect_asked<'s>(
        &'s self,
        pod: &Metadata<'_>,
        namespace: &Namespace,
        of_namespace: Option<&'s Scope>,
        candidates: &mut Vec<&'s Policy>,
    ) {
        let of_cluster = &self.cluster.on_request;
        let of_namespace = of_namespace.map(|scope| &scope.on_request);
        if of_cluster.is_empty() && of_namespace.is_none_or(Policies::is_empty) {
            return;
        }
        let mut found: Vec<&Policy> = Vec::new();
        for named in requests::asked_for([&pod.annotations, &namespace.annotations]) {
            let (name, lists) = match named {
                Named::All => {
                    let all = of_namespace.into_iter().chain([of_cluster]);
                    candidates.extend(all.flat_map(Policies::iter).map(Arc::as_ref));
                    return;
                }
                Named::Either(name) => (name, [Some(of_cluster), of_namespace]),
                Named::Cluster(name) => (name, [Some(of_cluster), None]),
                Named::Namespaced(name) => (name, [None, of_namespace]),
            };
            let named = lists.into_iter().flatten().filter_map(|policies| policies.get(name));
            found.extend(named.map(Arc::as_ref));
        }
        // A policy may be asked for more than once.
        found.sort_unstable_by_key(|policy| ptr::from_ref::<Policy>(policy));
        found.dedup_by_key(|policy| ptr::from_ref::<Policy>(policy));
        candidates.append(&mut found);
    }
}

impl Scope {
    fn insert(&mut self, policy: Arc<Policy>) {
        for key in policy.pod_selector.keys() {
            change(&mut self.selected, key, |count| count.0 += 1);
        }
        let by_pod = self.pods.least_crowded(&policy.pod_selector);
        let by_namespace = self.namespaces.least_crowded(&policy.namespace_selector);
        match (by_pod, by_namespace) {
            (Some((company, demand)), other)
                if other.as_ref().is_none_or(|(others, _)| company <= *others) =>
            {
                self.pods.insert(&demand, &policy);
            }
            (_, Some((_, demand))) => self.namespaces.insert(&demand, &policy),
            _ if is_found_by_asking(&policy) => self.on_request.insert(Arc::clone(&policy)),
            _ => self.others.insert(Arc::clone(&policy)),
        }
        self.by_name.insert(policy);
    }

    fn remove(&mut self, policy: &Policy) {
        let name = &policy.id.name;
        for key in policy.pod_selector.keys() {
            change(&mut self.selected, key, |count| count.0 = count.0.saturating_sub(1));
        }
        for policies in [&mut self.by_name, &mut self.on_request, &mut self.others] {
            policies.remove(name);
        }
        // Which demand it was found by depended on the policies that were there then.
        for demand in policy.pod_selector.demands() {
            self.pods.remove(&demand, name);
        }
        for demand in policy.namespace_selector.demands() {
            self.namespaces.remove(&demand, name);
        }
    }
}

impl Empty for Scope {
    fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }
}

/// Whether a policy concerns only pods whose owners name it. One that cannot be opted out of also
/// answers to owners who try.
fn is_found_by_asking(policy: &Policy) -> bool {
    policy.activation == Activation::OnRequest && policy.opt_out == OptOut::Allowed
}
