//! What is to be done about the certificates. Pure: facts and the time in, one step out.
//!
//! A new authority is trusted before anything is signed with it: it is published next to the old
//! one, then the API server is seen to call by it, then the serving certificate switches, then the old
//! one is dropped. Each is a step of its own, taken when the facts allow it, so that an operator that
//! starts in the middle goes on there. A certificate that clients refuse waits for nothing: the API
//! server cannot call by any authority then, so there would never be proof.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::{
    Certificate,
    issue::LEAF_LIFETIME,
    secrets::{Authority, Leaf},
};
use crate::webhook_config::Proven;

/// How long an old authority stays trusted after the serving certificate was switched.
pub(super) const OLD_AUTHORITY_KEPT: SignedDuration = SignedDuration::from_hours(1);
/// How long after the proof the serving certificate switches: other API servers behind the same address
/// load the authority in their own time, and calls under way may still begin a connection.
const SETTLING: SignedDuration = SignedDuration::from_secs(10);
/// How long before its end a serving certificate switches without proof, when an authority has been
/// published for weeks and the API server still cannot be asked.
const LAST_RESORT: SignedDuration = SignedDuration::from_hours(7 * 24);
/// Most old authorities that are kept beside a new one.
pub(super) const OLD_AUTHORITIES: usize = 2;

/// What is known.
pub(super) struct Facts<'f> {
    /// The time.
    pub(super) now: Timestamp,
    /// DNS names that the serving certificate must carry.
    pub(super) names: &'f BTreeSet<String>,
    /// What the authority's Secret holds.
    pub(super) authority: &'f Authority,
    /// What the serving certificate's Secret holds.
    pub(super) leaf: &'f Leaf,
    /// The authorities that each of the webhook configurations carries.
    pub(super) published: &'f [Vec<Certificate>],
    /// What the API server was last seen to call by.
    pub(super) proven: Option<&'f Proven>,
}

/// The next thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Make a new authority that signs from now on.
    NewAuthority {
        /// Why, for people.
        reason: String,
        /// Old authorities that stay trusted.
        keep: Vec<Certificate>,
    },
    /// Make a new serving certificate.
    NewLeaf {
        /// Why, for people.
        reason: String,
    },
    /// Trust only the signing authority.
    DropOldAuthorities,
    /// Nothing, until a fact changes or this time comes.
    WaitUntil(Timestamp),
}

/// Decides the next step.
pub(super) fn plan(facts: &Facts<'_>) -> Step {
    let now = facts.now;
    let signing = match signing_authority(now, facts.authority) {
        Ok(signing) => signing,
        Err(reason) => return Step::NewAuthority { reason, keep: old_authorities(facts) },
    };
    let leaf = match usable_leaf(facts, signing) {
        Ok(leaf) => leaf,
        Err(reason) => return Step::NewLeaf { reason },
    };
    let mut next = authority_renewal_time(signing);
    if let Some((time, reason)) = leaf_renewal(facts, leaf, signing) {
        if time <= now {
            return Step::NewLeaf { reason };
        }
        next = next.min(time);
    }
    if facts.authority.trusted.len() > 1 && leaf.is_signed_by(signing) {
        let drop = drop_time(leaf, signing);
        if drop <= now {
            return Step::DropOldAuthorities;
        }
        next = next.min(drop);
    }
    // A leaf that waits for a proof must not be forgotten until it expires.
    Step::WaitUntil(next.min(leaf.not_after))
}

/// The authority that signs, or why a new one is needed.
fn signing_authority(now: Timestamp, authority: &Authority) -> Result<&Certificate, String> {
    authority.key.as_ref().map_err(Clone::clone)?;
    let signing = authority.trusted.first().ok_or("it holds no certificate")?;
    if !signing.is_valid_at(now) {
        return Err(format!("it is valid from {} to {}", signing.not_before, signing.not_after));
    }
    if authority_renewal_time(signing) <= now {
        return Err(format!("it ends on {}", signing.not_after));
    }
    Ok(signing)
}

/// Those that may have signed what is being served: also when the Secret is lost, the API server
/// still trusts what the webhook configurations carry.
fn old_authorities(facts: &Facts<'_>) -> Vec<Certificate> {
    let mut old: Vec<Certificate> = Vec::new();
    for authority in facts.authority.trusted.iter().chain(facts.published.iter().flatten()) {
        let usable = authority.is_authority && authority.is_valid_at(facts.now);
        if usable && !old.contains(authority) && old.len() < OLD_AUTHORITIES {
            old.push(authority.clone());
        }
    }
    old
}

/// Whether every webhook configuration carries the authority, so that clients trust what it signs.
fn carried(signing: &Certificate, configurations: &[Vec<Certificate>]) -> bool {
    !configurations.is_empty()
        && configurations.iter().all(|authorities| authorities.contains(signing))
}

/// An authority is renewed while it can still sign a certificate for its whole lifetime.
fn authority_renewal_time(signing: &Certificate) -> Timestamp {
    let last_full_leaf = signing.not_after.checked_sub(LEAF_LIFETIME).unwrap_or(Timestamp::MIN);
    signing.renewal_time().min(last_full_leaf)
}

/// The serving certificate, or why clients would refuse it.
fn usable_leaf<'f>(facts: &'f Facts<'_>, signing: &Certificate) -> Result<&'f Certificate, String> {
    let leaf = facts.leaf.as_ref().map_err(Clone::clone)?;
    if !leaf.is_valid_at(facts.now) {
        return Err(format!("it is valid from {} to {}", leaf.not_before, leaf.not_after));
    }
    if let Some(missing) = facts.names.difference(&leaf.names).next() {
        return Err(format!("it lacks the name {missing}"));
    }
    let trusted = std::iter::once(signing).chain(&facts.authority.trusted);
    if !trusted.into_iter().any(|authority| leaf.is_signed_by(authority)) {
        return Err("no trusted authority signed it".to_owned());
    }
    Ok(leaf)
}

/// When a serving certificate that still works is replaced, and why. `None`: when a fact has changed.
fn leaf_renewal(
    facts: &Facts<'_>,
    leaf: &Certificate,
    signing: &Certificate,
) -> Option<(Timestamp, String)> {
    if leaf.is_signed_by(signing) {
        // Whoever trusts this one will trust the next.
        return Some((leaf.renewal_time(), format!("it ends on {}", leaf.not_after)));
    }
    let reason = || "the authority was renewed".to_owned();
    if let Some(proven) = facts.proven.filter(|proven| carried(signing, &proven.authorities)) {
        return Some((later(proven.at, SETTLING), reason()));
    }
    let last = leaf.not_after.checked_sub(LAST_RESORT).unwrap_or(Timestamp::MIN);
    carried(signing, facts.published)
        .then(|| (last, format!("{}, without proof that the API server knows it", reason())))
}

/// When the authorities before `signing` are no longer needed.
fn drop_time(leaf: &Certificate, signing: &Certificate) -> Timestamp {
    let switched = leaf.not_before.max(signing.not_before);
    later(switched, super::issue::CLOCK_SKEW + OLD_AUTHORITY_KEPT)
}

/// The time after a pause.
pub(super) fn later(time: Timestamp, pause: SignedDuration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
