//! What has to change in the stored revisions of a policy. Pure.

use std::collections::{BTreeMap, HashSet};

use inject::{PolicyId, revision_name};

use super::history::Stored;

/// Revisions kept beside the current one, unless the policy says otherwise.
const HISTORY_LIMIT: usize = 10;

/// What should be stored.
pub(crate) struct Wanted<'w> {
    /// The uid of the policy.
    pub(crate) uid: &'w str,
    /// The current revision.
    pub(crate) revision: &'w str,
    /// The revision before it.
    pub(crate) previous: Option<&'w str>,
    /// Revisions that pods have.
    pub(crate) running: HashSet<&'w str>,
    /// `spec.revisionHistoryLimit`.
    pub(crate) limit: Option<i32>,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Store the current revision.
    Create {
        /// The revision.
        revision: String,
        /// Its number.
        number: i64,
    },
    /// An earlier revision is the current one again.
    Renumber {
        /// Name of the object.
        name: String,
        /// Its new number.
        number: i64,
    },
    /// It is not needed any more, or cannot be believed.
    Delete {
        /// Name of the object.
        name: String,
        /// Its uid.
        uid: String,
    },
}

/// The changes that make what is stored what is wanted.
pub(super) fn plan(
    policy: &PolicyId,
    wanted: &Wanted<'_>,
    stored: &BTreeMap<String, Stored>,
) -> Vec<Change> {
    let name = revision_name(policy, wanted.revision);
    let is_ours = |stored: &Stored| stored.policy_uid == wanted.uid;
    let delete = |name: &str, stored: &Stored| Change::Delete {
        name: name.to_owned(),
        uid: stored.uid.clone(),
    };
    let ours = || stored.iter().filter(|(_, stored)| is_ours(stored));
    let mut changes: Vec<Change> = ours()
        .filter(|(_, stored)| stored.revision.is_none())
        .map(|(name, stored)| delete(name, stored))
        .collect();
    let newest = ours().map(|(_, stored)| stored.number).max().unwrap_or(0);
    match stored.get(&name) {
        // Of a policy of the same name that was deleted: garbage collection makes room.
        Some(found) if !is_ours(found) => {}
        Some(found) if found.revision.is_some() => {
            let is_newest = ours().all(|(other, o)| *other == name || o.number < found.number);
            if !is_newest {
                changes.push(Change::Renumber { name: name.clone(), number: newest + 1 });
            }
        }
        _ => changes
            .push(Change::Create { revision: wanted.revision.to_owned(), number: newest + 1 }),
    }
    let limit = wanted.limit.map_or(HISTORY_LIMIT, |limit| usize::try_from(limit).unwrap_or(0));
    let mut earlier: Vec<_> = ours()
        .filter(|(other, _)| **other != name)
        .filter_map(|(name, stored)| Some((name, stored, stored.revision.as_deref()?)))
        .collect();
    earlier.sort_by_key(|(_, stored, _)| std::cmp::Reverse(stored.number));
    for (name, stored, revision) in earlier.into_iter().skip(limit) {
        // A rollout has to know what pods have, and the webhook what was there before.
        if !wanted.running.contains(revision) && wanted.previous != Some(revision) {
            changes.push(delete(name, stored));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> PolicyId {
        PolicyId::namespaced("shop", "log")
    }

    fn stored(revisions: &[(&str, i64)]) -> BTreeMap<String, Stored> {
        let entry = |(revision, number): &(&str, i64)| {
            let stored = Stored {
                uid: format!("uid-{revision}"),
                policy_uid: "policy".to_owned(),
                number: *number,
                revision: Some((*revision).to_owned()),
            };
            (format!("log-{revision}"), stored)
        };
        revisions.iter().map(entry).collect()
    }

    fn wanted(revision: &str) -> Wanted<'_> {
        Wanted { uid: "policy", revision, previous: None, running: HashSet::new(), limit: None }
    }

    fn create(revision: &str, number: i64) -> Change {
        Change::Create { revision: revision.to_owned(), number }
    }

    fn delete(revision: &str) -> Change {
        Change::Delete { name: format!("log-{revision}"), uid: format!("uid-{revision}") }
    }

    #[test]
    fn a_new_revision_is_stored_once() {
        assert_eq!(plan(&policy(), &wanted("a"), &stored(&[])), [create("a", 1)]);
        assert_eq!(plan(&policy(), &wanted("b"), &stored(&[("a", 1)])), [create("b", 2)]);
        assert_eq!(plan(&policy(), &wanted("b"), &stored(&[("a", 1), ("b", 2)])), []);
    }

    #[test]
    fn an_earlier_revision_comes_back_without_a_new_object() {
        let changes = plan(&policy(), &wanted("a"), &stored(&[("a", 1), ("b", 2)]));
        assert_eq!(changes, [Change::Renumber { name: "log-a".to_owned(), number: 3 }]);
        assert_eq!(plan(&policy(), &wanted("a"), &stored(&[("a", 3), ("b", 2)])), []);
    }

    #[test]
    fn numbers_that_are_equal_are_put_right() {
        let changes = plan(&policy(), &wanted("a"), &stored(&[("a", 2), ("b", 2)]));
        assert_eq!(changes, [Change::Renumber { name: "log-a".to_owned(), number: 3 }]);
    }

    #[test]
    fn the_oldest_beyond_the_limit_go() {
        let all = stored(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let limited = Wanted { limit: Some(1), ..wanted("d") };
        assert_eq!(plan(&policy(), &limited, &all), [delete("b"), delete("a")]);
        let none = Wanted { limit: Some(0), ..wanted("d") };
        assert_eq!(plan(&policy(), &none, &all), [delete("c"), delete("b"), delete("a")]);
        assert_eq!(plan(&policy(), &wanted("d"), &all), []);
    }

    #[test]
    fn what_pods_have_and_what_was_there_before_stays() {
        let all = stored(&[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
        let wanted =
            Wanted { limit: Some(0), running: ["a"].into(), previous: Some("c"), ..wanted("d") };
        assert_eq!(plan(&policy(), &wanted, &all), [delete("b")]);
    }

    #[test]
    fn what_cannot_be_believed_is_replaced() {
        let mut all = stored(&[("a", 1)]);
        all.get_mut("log-a").unwrap().revision = None;
        assert_eq!(plan(&policy(), &wanted("a"), &all), [delete("a"), create("a", 2)]);
    }

    #[test]
    fn revisions_of_a_deleted_policy_of_the_same_name_are_left_to_garbage_collection() {
        let mut all = stored(&[("a", 1), ("b", 2)]);
        for stored in all.values_mut() {
            stored.policy_uid = "deleted".to_owned();
        }
        assert_eq!(plan(&policy(), &wanted("a"), &all), []);
        assert_eq!(plan(&policy(), &wanted("c"), &all), [create("c", 1)]);
    }
}
