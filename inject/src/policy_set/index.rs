//! Finds the policies that may match a pod by the labels that they demand.
//!
//! Hashes stand for texts. Should two collide, a policy is a candidate in vain, and its selectors
//! sort it out like any other candidate.

use std::{hash::BuildHasher as _, sync::Arc};

use crds::{Activation, OptOut};
use foldhash::fast::RandomState;

use super::sharded::Sharded;
use crate::{Metadata, Namespace, Policy, selector::Demand};

/// What a demand for any value counts as beyond the policies that are found by it: more objects have
/// some value of a label than a particular one.
const ANY_VALUE_COMPANY: usize = 8;
/// Stands where the hash of a value would.
const ANY_VALUE: u64 = 0;
/// Stands where the hash of a label's key would.
const NO_LABEL: u64 = 0;

/// The policies by what they are found by. Clones share everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    hasher: RandomState,
    slots: Sharded<Arc<[Arc<Policy>]>>,
    /// Who is found by each label's key, so that most labels of a pod cost one look-up.
    keys: Sharded<Followers>,
}

/// How many policies are found by a label.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Followers {
    /// By particular values of it.
    of_value: usize,
    /// By its existence.
    of_any_value: usize,
}

/// What a policy is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FoundBy {
    /// That one of its demands, those of the pod selector first: under each value that meets it.
    Demand(usize),
    /// Being asked for by name, and by nothing in the index.
    Asking,
    /// Nothing in particular: it is a candidate for every pod of its scope.
    Nothing,
}

/// Whose labels.
#[derive(Clone, Copy, Debug, Hash)]
enum Subject {
    Pod,
    Namespace,
}

impl Index {
    /// Takes up a policy, and says what it is found by from now on.
    pub(super) fn insert(&mut self, policy: &Arc<Policy>) -> FoundBy {
        let found_by = self.choose(policy);
        for slot in self.slots_of(policy, found_by) {
            self.slots.change(slot, |found| Some(found.iter().chain([policy]).cloned().collect()));
        }
        self.count(policy, found_by, |followers| *followers += 1);
        found_by
    }

    /// Forgets a policy that is found by this.
    pub(super) fn remove(&mut self, policy: &Arc<Policy>, found_by: FoundBy) {
        for slot in self.slots_of(policy, found_by) {
            self.slots.change(slot, |found| {
                let others = found.iter().filter(|other| !Arc::ptr_eq(other, policy));
                let others: Arc<[_]> = others.cloned().collect();
                (!others.is_empty()).then_some(others)
            });
        }
        self.count(policy, found_by, |followers| *followers -= 1);
    }

    /// The policies that may select a pod, but for those that are found by asking.
    pub(super) fn candidates<'s>(
        &'s self,
        pod: &Metadata<'_>,
        namespace: &Namespace,
    ) -> Vec<&'s Policy> {
        let mut candidates = Vec::new();
        let [cluster, own] = [None, Some(&*namespace.name)].map(|scope| self.scope(scope));
        for (position, (key, value)) in pod.labels.iter().enumerate() {
            // Of a label that JSON names twice the first counts, as for selectors.
            let is_first = || pod.labels.iter().take(position).all(|(earlier, _)| earlier != key);
            let key = self.key(Subject::Pod, key);
            if let Some(followers) = self.keys.get(key)
                && is_first()
            {
                self.collect(*followers, &[cluster, own], key, value, &mut candidates);
            }
        }
        for (key, value) in &namespace.labels {
            let key = self.key(Subject::Namespace, key);
            if let Some(followers) = self.keys.get(key) {
                self.collect(*followers, &[cluster], key, value, &mut candidates);
            }
        }
        for scope in [cluster, own] {
            self.collect_slot(self.slot(scope, NO_LABEL, ANY_VALUE), &mut candidates);
        }
        candidates
    }

    /// Adds the policies of these scopes whose demand a label meets.
    fn collect<'s>(
        &'s self,
        followers: Followers,
        scopes: &[u64],
        key: u64,
        value: &str,
        candidates: &mut Vec<&'s Policy>,
    ) {
        let value = (followers.of_value > 0).then(|| self.value(value));
        let any_value = (followers.of_any_value > 0).then_some(ANY_VALUE);
        for value in value.into_iter().chain(any_value) {
            for scope in scopes {
                self.collect_slot(self.slot(*scope, key, value), candidates);
            }
        }
    }

    fn collect_slot<'s>(&'s self, slot: u64, candidates: &mut Vec<&'s Policy>) {
        if let Some(found) = self.slots.get(slot) {
            candidates.extend(found.iter().map(Arc::as_ref));
        }
    }

    /// By its demand that the fewest others are found by. Policies that share one label and differ in
    /// another are so found by the other.
    fn choose(&self, policy: &Policy) -> FoundBy {
        let scope = self.scope(policy.id.namespace.as_deref());
        let company = demands(policy).map(|(subject, demand)| {
            let slots = self.slots_under(scope, subject, demand);
            let most = slots.map(|slot| self.slots.get(slot).map_or(0, |found| found.len())).max();
            let any_value = if demand.values.is_none() { ANY_VALUE_COMPANY } else { 0 };
            most.unwrap_or_default() + any_value
        });
        match company.enumerate().min_by_key(|(_, company)| *company) {
            Some((position, _)) => FoundBy::Demand(position),
            None if is_found_by_asking(policy) => FoundBy::Asking,
            None => FoundBy::Nothing,
        }
    }

    fn slots_of(&self, policy: &Policy, found_by: FoundBy) -> Vec<u64> {
        let scope = self.scope(policy.id.namespace.as_deref());
        match found_by {
            FoundBy::Demand(position) => demands(policy)
                .skip(position)
                .take(1)
                .flat_map(|(subject, demand)| self.slots_under(scope, subject, demand))
                .collect(),
            FoundBy::Asking => Vec::new(),
            FoundBy::Nothing => vec![self.slot(scope, NO_LABEL, ANY_VALUE)],
        }
    }

    /// Counts a policy under the key of the label it is found by, or no longer.
    fn count(&mut self, policy: &Policy, found_by: FoundBy, count: impl FnOnce(&mut usize)) {
        let FoundBy::Demand(position) = found_by else { return };
        let Some((subject, demand)) = demands(policy).nth(position) else { return };
        self.keys.change(self.key(subject, demand.key), |mut followers| {
            count(match demand.values {
                Some(_) => &mut followers.of_value,
                None => &mut followers.of_any_value,
            });
            (followers != Followers::default()).then_some(followers)
        });
    }

    /// The slots of all values that meet a demand.
    fn slots_under<'d>(
        &'d self,
        scope: u64,
        subject: Subject,
        demand: Demand<'d>,
    ) -> impl Iterator<Item = u64> + 'd {
        let key = self.key(subject, demand.key);
        let any_value = demand.values.is_none().then_some(ANY_VALUE);
        let values = demand.values.into_iter().flatten().map(|value| self.value(value));
        values.chain(any_value).map(move |value| self.slot(scope, key, value))
    }

    /// `None` is the scope of the cluster kind.
    fn scope(&self, namespace: Option<&str>) -> u64 {
        self.hasher.hash_one(namespace)
    }

    fn key(&self, subject: Subject, key: &str) -> u64 {
        self.hasher.hash_one((subject, key))
    }

    fn value(&self, value: &str) -> u64 {
        self.hasher.hash_one(value)
    }

    fn slot(&self, scope: u64, key: u64, value: u64) -> u64 {
        self.hasher.hash_one((scope, key, value))
    }

    /// Whether there is nothing in it.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.keys.is_empty()
    }
}

/// The labels that a policy demands: of the pod, then of its namespace.
fn demands(policy: &Policy) -> impl Iterator<Item = (Subject, Demand<'_>)> {
    let of_pod = policy.pod_selector.demands().map(|demand| (Subject::Pod, demand));
    let of_namespace = policy.namespace_selector.demands();
    of_pod.chain(of_namespace.map(|demand| (Subject::Namespace, demand)))
}

/// Whether a policy concerns only pods whose owners name it. One that cannot be opted out of also
/// answers to owners who try.
fn is_found_by_asking(policy: &Policy) -> bool {
    policy.activation == Activation::OnRequest && policy.opt_out == OptOut::Allowed
}
