//! Persistent maps and sets: a clone shares everything, and a change copies what it touches alone.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;
use rpds::{HashTrieMapSync, HashTrieSetSync};

use crate::Policy;

/// A persistent map by text.
pub(super) type Map<V> = HashTrieMapSync<String, V, RandomState>;

/// Policies of one scope, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Policies(HashTrieSetSync<ByName, RandomState>);

/// A policy that is known by its name.
#[derive(Clone, Debug)]
struct ByName(Arc<Policy>);

/// What can hold nothing, and is then not worth keeping.
pub(super) trait Empty {
    /// Whether it holds nothing.
    fn is_empty(&self) -> bool;
}

/// Changes the value of a key, which is a new one if there was none, and drops it once it is empty.
pub(super) fn change<V: Clone + Default + Empty>(
    map: &mut Map<V>,
    key: &str,
    change: impl FnOnce(&mut V),
) {
    if let Some(value) = map.get_mut(key) {
        change(value);
        if value.is_empty() {
            map.remove_mut(key);
        }
    } else {
        let mut value = V::default();
        change(&mut value);
        if !value.is_empty() {
            map.insert_mut(key.to_owned(), value);
        }
    }
}

impl Policies {
    /// Adds a policy, or takes the place of the one with its name.
    pub(super) fn insert(&mut self, policy: Arc<Policy>) {
        self.0.insert_mut(ByName(policy));
    }

    /// Removes a policy, if it is there.
    pub(super) fn remove(&mut self, name: &str) {
        self.0.remove_mut(name);
    }

    /// The policy of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Arc<Policy>> {
        self.0.get(name).map(|policy| &policy.0)
    }

    /// All policies, in no particular order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.0.iter().map(|policy| &policy.0)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.0.size()
    }
}

impl Empty for Policies {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.id.name
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.id.name == other.0.id.name
    }
}

impl Eq for ByName {}

impl Hash for ByName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.name.hash(state);
    }
}
