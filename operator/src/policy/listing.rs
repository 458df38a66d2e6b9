//! Turns the events of a watch into changes: what was set, what was removed, and after a new list
//! which objects are all there is.

use std::{collections::HashSet, hash::Hash};

use kube::runtime::watcher::Event;

/// One change of what is known.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<O, K: Eq + Hash> {
    /// The object is there, and looks like this.
    Set(O),
    /// The object is gone.
    Remove(O),
    /// These are all there are; the others are gone.
    Retain(HashSet<K>),
    /// A new list begins.
    Begin,
}

/// Follows one watch. `K` identifies an object.
pub(super) struct Listing<K> {
    listed: HashSet<K>,
    complete: bool,
}

impl<K> Default for Listing<K> {
    fn default() -> Self {
        Self { listed: HashSet::new(), complete: false }
    }
}

impl<K: Eq + Hash> Listing<K> {
    /// Whether a list was complete at least once.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// The change that an event stands for.
    pub(super) fn follow<O>(&mut self, event: Event<O>, key: impl Fn(&O) -> K) -> Change<O, K> {
        match event {
            Event::Apply(object) => Change::Set(object),
            Event::Delete(object) => Change::Remove(object),
            Event::Init => {
                self.listed.clear();
                Change::Begin
            }
            Event::InitApply(object) => {
                self.listed.insert(key(&object));
                Change::Set(object)
            }
            Event::InitDone => {
                self.complete = true;
                Change::Retain(std::mem::take(&mut self.listed))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_list_tells_what_is_gone() {
        let mut listing = Listing::default();
        let key = |object: &&'static str| *object;
        assert_eq!(listing.follow(Event::Init, key), Change::Begin);
        assert_eq!(listing.follow(Event::InitApply("a"), key), Change::Set("a"));
        assert!(!listing.is_complete());
        assert_eq!(listing.follow(Event::InitDone, key), Change::Retain(["a"].into()));
        assert!(listing.is_complete());
        assert_eq!(listing.follow(Event::Apply("b"), key), Change::Set("b"));
        assert_eq!(listing.follow(Event::Delete("b"), key), Change::Remove("b"));
        assert_eq!(listing.follow(Event::Init, key), Change::Begin);
        assert_eq!(listing.follow(Event::InitDone, key), Change::Retain(HashSet::new()));
    }
}
