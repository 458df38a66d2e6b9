//! The policies of one namespace, or those of the cluster kind, by name.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;
use rpds::{HashTrieMapSync, HashTrieSetSync};

use super::index::FoundBy;
use crate::Policy;

/// Policies by name, which is unique among them. Clones share everything that does not change.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    entries: HashTrieSetSync<Entry, RandomState>,
    /// Labels by which policies select pods, and how many do.
    selected: HashTrieMapSync<String, usize, RandomState>,
}

/// A policy that is known by its name.
#[derive(Clone, Debug)]
struct Entry {
    policy: Arc<Policy>,
    found_by: FoundBy,
}

impl Scope {
    /// Adds a policy.
    pub(super) fn insert(&mut self, policy: Arc<Policy>, found_by: FoundBy) {
        for label in policy.pod_selector.keys() {
            match self.selected.get_mut(label) {
                Some(count) => *count += 1,
                None => self.selected.insert_mut(label.to_owned(), 1),
            }
        }
        self.entries.insert_mut(Entry { policy, found_by });
    }

    /// Removes a policy.
    pub(super) fn remove(&mut self, name: &str) {
        let Some(policy) = self.get(name).map(|(policy, _)| Arc::clone(policy)) else { return };
        for label in policy.pod_selector.keys() {
            match self.selected.get_mut(label) {
                Some(count) if *count > 1 => *count -= 1,
                _ => {
                    self.selected.remove_mut(label);
                }
            }
        }
        self.entries.remove_mut(name);
    }

    /// Whether a policy selects pods by this label.
    pub(super) fn selects_by(&self, label: &str) -> bool {
        self.selected.contains_key(label)
    }

    /// The policy of this name, and what it is found by.
    pub(super) fn get(&self, name: &str) -> Option<(&Arc<Policy>, FoundBy)> {
        self.entries.get(name).map(|entry| (&entry.policy, entry.found_by))
    }

    /// All policies, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<Policy>, FoundBy)> {
        self.entries.iter().map(|entry| (&entry.policy, entry.found_by))
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl Borrow<str> for Entry {
    fn borrow(&self) -> &str {
        &self.policy.id.name
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.policy.id.name == other.policy.id.name
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.policy.id.name.hash(state);
    }
}
