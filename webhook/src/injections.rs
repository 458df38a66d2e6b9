//! Counts injections by policy. Policies can be as many as people write, and metrics cannot: only so
//! many have a counter of their own.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use inject::PolicyId;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};

/// Policies of the cluster, and of all namespaces together, that have a counter of their own.
const MOST_POLICIES: usize = 100;
/// Policies of one namespace that have one, so that nobody takes those of all others.
const MOST_OF_A_NAMESPACE: usize = 10;
/// The label of all policies beyond. No policy is called so: this has no slash.
const OTHERS: &str = "others";

/// How often each policy was put into a pod. Clones count together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Injections {
    shown: Family<PolicyLabels, Counter>,
    counters: Arc<RwLock<Counters>>,
}

/// The counter of each policy that was counted once.
type Counters = HashMap<PolicyId, PolicyCounter>;

#[derive(Debug)]
struct PolicyCounter {
    counter: Counter,
    /// It counts this policy only.
    is_own: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct PolicyLabels {
    policy: String,
}

impl Injections {
    /// The counters, as metrics.
    pub(crate) fn shown(&self) -> Family<PolicyLabels, Counter> {
        self.shown.clone()
    }

    /// A policy was put into a pod.
    pub(crate) fn count(&self, policy: &PolicyId) {
        let counters = self.counters.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counters.get(policy) {
            known.counter.inc();
            return;
        }
        drop(counters);
        self.counter_of_new(policy).inc();
    }

    /// Makes room: forgets the policies that are gone, as soon as there are no counters left.
    pub(crate) fn forget_unless(&self, exists: impl Fn(&PolicyId) -> bool) {
        let used = self.counters.read().unwrap_or_else(PoisonError::into_inner).len();
        if used < MOST_OF_A_NAMESPACE {
            return;
        }
        let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
        counters.retain(|policy, known| {
            let stays = exists(policy);
            if !stays && known.is_own {
                self.shown.remove(&labels(policy.to_string()));
            }
            // There may be room for it now.
            stays && known.is_own
        });
    }

    fn counter_of_new(&self, policy: &PolicyId) -> Counter {
        let mut counters = self.counters.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = counters.get(policy) {
            return known.counter.clone();
        }
        let is_own = has_room(&counters, policy);
        let label = if is_own { policy.to_string() } else { OTHERS.to_owned() };
        let counter = self.shown.get_or_create(&labels(label)).clone();
        counters.insert(policy.clone(), PolicyCounter { counter: counter.clone(), is_own });
        counter
    }
}

fn has_room(counters: &Counters, policy: &PolicyId) -> bool {
    let own = || counters.iter().filter(|(_, known)| known.is_own).map(|(policy, _)| policy);
    if policy.namespace.is_none() {
        return own().filter(|known| known.namespace.is_none()).count() < MOST_POLICIES;
    }
    let of_namespaces = own().filter(|known| known.namespace.is_some()).count();
    let neighbours = own().filter(|known| known.namespace == policy.namespace).count();
    of_namespaces < MOST_POLICIES && neighbours < MOST_OF_A_NAMESPACE
}

fn labels(policy: String) -> PolicyLabels {
    PolicyLabels { policy }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten of them in each namespace.
    fn policy(number: usize) -> PolicyId {
        PolicyId::namespaced(
            format!("shop-{}", number / MOST_OF_A_NAMESPACE),
            format!("log-{number}"),
        )
    }

    fn counted(injections: &Injections, policy: &str) -> Option<u64> {
        injections.shown.get(&labels(policy.to_owned())).map(|counter| counter.get())
    }

    #[test]
    fn a_bounded_number_of_policies_is_shown_and_the_rest_together() {
        let injections = Injections::default();
        for number in (0..MOST_POLICIES + 5).chain([0]) {
            injections.count(&policy(number));
        }
        assert_eq!(counted(&injections, "shop-0/log-0"), Some(2));
        assert_eq!(counted(&injections, &policy(MOST_POLICIES).to_string()), None);
        assert_eq!(counted(&injections, OTHERS), Some(5));
    }

    #[test]
    fn no_namespace_takes_the_counters_of_others_or_of_the_cluster() {
        let injections = Injections::default();
        for number in 0..2 * MOST_POLICIES {
            injections.count(&PolicyId::namespaced("greedy", format!("p-{number}")));
        }
        injections.count(&policy(0));
        injections.count(&PolicyId::cluster("mesh"));
        assert_eq!(counted(&injections, "shop-0/log-0"), Some(1));
        assert_eq!(counted(&injections, "cluster/mesh"), Some(1));
        let others = 2 * MOST_POLICIES - MOST_OF_A_NAMESPACE;
        assert_eq!(counted(&injections, OTHERS), Some(others as u64));
    }

    #[test]
    fn a_policy_that_is_gone_makes_room_when_there_is_none() {
        let injections = Injections::default();
        injections.count(&policy(0));
        injections.forget_unless(|_| false);
        assert_eq!(counted(&injections, "shop-0/log-0"), Some(1));
        for number in 1..MOST_POLICIES {
            injections.count(&policy(number));
        }
        injections.forget_unless(|known| *known != policy(0));
        injections.count(&policy(MOST_POLICIES));
        assert_eq!(counted(&injections, "shop-0/log-0"), None);
        assert_eq!(counted(&injections, &policy(MOST_POLICIES).to_string()), Some(1));
        assert_eq!(counted(&injections, OTHERS), None);
    }
}
