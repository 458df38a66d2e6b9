//! Which policies clash, and which of two is told to give way. Pure: policies and namespaces in, the
//! policies concerned out.
//!
//! Of two that clash, the later one by precedence gives way. For each policy only the first few before
//! it are kept, and found anew when one of them goes; so a change costs by what it can meet with.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use inject::{Clash, ClashIndex, Footprint, Namespace, PolicyId, clash};

/// Most clashes that are told of one policy.
const TOLD: usize = 8;

/// All policies that compile, and how they clash.
#[derive(Default)]
pub(super) struct Clashes {
    index: ClashIndex,
    /// Policies of the namespaced kind.
    namespaced: BTreeSet<PolicyId>,
    namespaces: HashMap<String, Namespace>,
    /// Policy -> those before it that it clashes with, in the order of their precedence.
    before: HashMap<PolicyId, Vec<Clash>>,
    /// Policy -> those that have it among the ones before them.
    behind: HashMap<PolicyId, BTreeSet<PolicyId>>,
}

/// The clashes of one policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Clashing {
    /// Those in which it gives way; at most eight.
    pub(super) gives_way: Vec<Clash>,
    /// The others, in which it does not; at most eight. A policy of the cluster has none of a namespace
    /// here: whoever may read it need not be told what is in other people's namespaces.
    pub(super) others: Vec<Other>,
    /// There are more of the others.
    pub(super) more: bool,
    /// What clashes with a policy of the cluster.
    pub(super) of_namespaces: OfNamespaces,
}

/// How many policies of namespaces clash with a policy of the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct OfNamespaces {
    /// They give way to it.
    pub(super) give_way: usize,
    /// They go into pods before it all the same, by their priority.
    pub(super) go_before: usize,
}

/// A policy that clashes with one that does not give way to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Other {
    /// Which policy.
    pub(super) id: PolicyId,
    /// It goes into pods first all the same, by its priority.
    pub(super) goes_before: bool,
}

impl Clashes {
    /// Adds a policy, or takes the place of the one before. Gives the policies whose clashes may have
    /// changed.
    pub(super) fn set(&mut self, footprint: Footprint) -> BTreeSet<PolicyId> {
        let id = footprint.id.clone();
        let mut changed = self.remove(&id);
        if id.namespace.is_some() {
            self.namespaced.insert(id.clone());
        }
        self.index.insert(footprint);
        self.look_before(&id, &mut changed);
        self.look_behind(&id, &mut changed);
        changed
    }

    /// Removes a policy. Gives the policies whose clashes may have changed.
    pub(super) fn remove(&mut self, id: &PolicyId) -> BTreeSet<PolicyId> {
        let mut changed = BTreeSet::new();
        self.keep(id, Vec::new(), &mut changed);
        self.index.remove(id);
        self.namespaced.remove(id);
        for later in self.behind.remove(id).unwrap_or_default() {
            let Some(before) = self.before.get(&later) else { continue };
            if before.len() < TOLD {
                let rest = before.iter().filter(|clash| clash.other != *id).cloned().collect();
                self.keep(&later, rest, &mut changed);
            } else {
                self.look_before(&later, &mut changed);
            }
        }
        changed
    }

    /// A namespace was seen: a policy of the cluster kind reaches it by its labels. Gives the policies
    /// whose clashes may have changed.
    pub(super) fn set_namespace(&mut self, namespace: &Namespace) -> BTreeSet<PolicyId> {
        let known = self.namespaces.get(&namespace.name);
        if known.is_some_and(|known| known.labels == namespace.labels) {
            return BTreeSet::new();
        }
        let kept = Namespace { annotations: BTreeMap::new(), ..namespace.clone() };
        self.namespaces.insert(namespace.name.clone(), kept);
        let first = PolicyId::namespaced(namespace.name.clone(), "");
        let own = self.namespaced.range(first..);
        let own: Vec<PolicyId> =
            own.take_while(|id| id.namespace.as_ref() == Some(&namespace.name)).cloned().collect();
        let mut changed = BTreeSet::new();
        for id in own {
            self.look_before(&id, &mut changed);
        }
        changed
    }

    /// A namespace is gone; so are its policies, or will be.
    pub(super) fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
    }

    /// Forgets the namespaces that are not listed any more.
    pub(super) fn retain_namespaces(&mut self, listed: &HashSet<String>) {
        self.namespaces.retain(|name, _| listed.contains(name));
    }

    /// The clashes of a policy.
    pub(super) fn of(&self, id: &PolicyId) -> Clashing {
        let Some(footprint) = self.index.get(id) else { return Clashing::default() };
        let behind = self.behind.get(id).into_iter().flatten();
        let mut clashing = Clashing {
            gives_way: self.before.get(id).cloned().unwrap_or_default(),
            ..Clashing::default()
        };
        for other in behind.filter_map(|other| self.index.get(other)) {
            let goes_before = other.goes_before(footprint);
            if id.namespace.is_none() && other.id.namespace.is_some() {
                let OfNamespaces { give_way, go_before } = &mut clashing.of_namespaces;
                *(if goes_before { go_before } else { give_way }) += 1;
            } else if clashing.others.len() < TOLD {
                clashing.others.push(Other { id: other.id.clone(), goes_before });
            } else {
                clashing.more = true;
            }
        }
        clashing
    }

    /// Finds the first ones before a policy that it clashes with.
    fn look_before(&mut self, id: &PolicyId, changed: &mut BTreeSet<PolicyId>) {
        let Some(policy) = self.index.get(id) else { return };
        let rivals = self.index.rivals(policy).into_iter();
        let found = rivals
            .take_while(|other| other.precedence() < policy.precedence())
            .filter_map(|other| self.clash(policy, other))
            .take(TOLD)
            .collect();
        self.keep(id, found, changed);
    }

    /// Finds those behind a policy that clash with it.
    fn look_behind(&mut self, id: &PolicyId, changed: &mut BTreeSet<PolicyId>) {
        let Some(policy) = self.index.get(id) else { return };
        let later: Vec<Clash> = self
            .index
            .rivals(policy)
            .into_iter()
            .filter(|other| policy.precedence() < other.precedence())
            .filter(|other| self.place(other, policy) < TOLD)
            .filter_map(|other| self.clash(other, policy))
            .collect();
        for clash in later {
            let Some(policy) = self.index.get(id) else { return };
            let Some(other) = self.index.get(&clash.policy) else { continue };
            let (place, later) = (self.place(other, policy), clash.policy.clone());
            let mut before = self.before.get(&later).cloned().unwrap_or_default();
            before.insert(place, clash);
            before.truncate(TOLD);
            self.keep(&later, before, changed);
        }
    }

    /// Where one stands among those that are kept for a later one.
    fn place(&self, later: &Footprint, policy: &Footprint) -> usize {
        let precedes = |clash: &Clash| {
            let other = self.index.get(&clash.other);
            other.is_some_and(|other| other.precedence() < policy.precedence())
        };
        self.before.get(&later.id).map_or(0, |before| before.partition_point(precedes))
    }

    /// What is kept of those before a policy.
    fn keep(&mut self, id: &PolicyId, clashes: Vec<Clash>, changed: &mut BTreeSet<PolicyId>) {
        for clash in self.before.remove(id).unwrap_or_default() {
            if let Some(behind) = self.behind.get_mut(&clash.other) {
                behind.remove(id);
                if behind.is_empty() {
                    self.behind.remove(&clash.other);
                }
            }
            changed.insert(clash.other);
        }
        for clash in &clashes {
            self.behind.entry(clash.other.clone()).or_default().insert(id.clone());
            changed.insert(clash.other.clone());
        }
        if !clashes.is_empty() {
            self.before.insert(id.clone(), clashes);
        }
        changed.insert(id.clone());
    }

    /// What two policies collide in, if there is a namespace in which they can meet.
    fn clash(&self, policy: &Footprint, other: &Footprint) -> Option<Clash> {
        let reaches = |cluster: &Footprint, name: &String| {
            self.namespaces.get(name).is_some_and(|namespace| cluster.reaches(namespace))
        };
        let can_meet = match (&policy.id.namespace, &other.id.namespace) {
            (Some(name), None) => reaches(other, name),
            (None, Some(name)) => reaches(policy, name),
            _ => true,
        };
        if can_meet { clash(policy, other) } else { None }
    }
}

#[cfg(test)]
#[path = "clashes_tests.rs"]
mod tests;
