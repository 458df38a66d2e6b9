//! What the condition `Progressing` says of a rollout.

use std::{collections::BTreeMap, fmt::Write as _};

/// Most pods that a message names.
const NAMES: usize = 5;
/// Most reasons that a message gives.
const REASONS: usize = 5;

/// What the condition `Progressing` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// False when the rollout cannot go on by itself.
    pub(crate) holds: bool,
    /// One word.
    pub(crate) reason: &'static str,
    /// For people.
    pub(crate) message: String,
}

/// Nothing is done to running pods.
pub(crate) const ON_RECREATE: &str = "OnRecreate";
/// The mode of the policy is `Audit`.
pub(crate) const AUDIT: &str = "Audit";
/// Pods are being changed, or are awaited.
pub(crate) const ROLLING_OUT: &str = "RollingOut";
/// What is left waits for something else than this rollout.
pub(crate) const WAITING: &str = "Waiting";
/// Every pod that the rollout reaches has the revision.
pub(crate) const COMPLETE: &str = "Complete";
/// The policy says so.
pub(crate) const PAUSED: &str = "Paused";
/// The chart does not give the right.
pub(crate) const NOT_PERMITTED: &str = "NotPermitted";
/// Sidecars did not become ready in time.
pub(crate) const DEADLINE_EXCEEDED: &str = "ProgressDeadlineExceeded";

impl Progress {
    /// What the condition says.
    pub(crate) fn new(holds: bool, reason: &'static str, message: impl Into<String>) -> Self {
        Self { holds, reason, message: message.into() }
    }

    /// Nothing is done to running pods.
    pub(crate) fn on_recreate(is_partitioned: bool) -> Self {
        let message = if is_partitioned {
            "new pods get the current revision, but for the share that spec.rollout.partition keeps at the previous one; running pods change when they are next created"
        } else {
            "new pods get the current revision; running pods change when they are next created"
        };
        Self::new(true, ON_RECREATE, message)
    }

    /// The mode of the policy is `Audit`.
    pub(crate) fn audit() -> Self {
        Self::new(true, AUDIT, "spec.mode is Audit: running pods are left as they are")
    }

    /// Nothing is done, because the policy is not carried out.
    pub(crate) fn not_accepted() -> Self {
        Self::new(false, "NotAccepted", "see the condition Accepted")
    }

    /// All pods have what they should.
    pub(crate) fn complete(pods: i64) -> Self {
        let message = match pods {
            0 => "no pod has the policy yet".to_owned(),
            1 => "the one pod that has the policy has the current revision".to_owned(),
            _ => format!("all {pods} pods that have the policy have the current revision"),
        };
        Self::new(true, COMPLETE, message)
    }
}

/// Pods by what they wait for, in the order it was found.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    order: Vec<String>,
    pods: BTreeMap<String, Vec<String>>,
}

impl Waiting {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// A pod, or another object, waits.
    pub(crate) fn add(&mut self, why: impl Into<String>, object: impl Into<String>) {
        let why = why.into();
        if !self.pods.contains_key(&why) {
            self.order.push(why.clone());
        }
        self.pods.entry(why).or_default().push(object.into());
    }

    /// `"; WHY (shop/a, shop/b and 3 more)"` for every reason.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for why in self.order.iter().take(REASONS) {
            let pods = self.pods.get(why).map_or(&[][..], Vec::as_slice);
            let _ = write!(text, "; {why} ({})", names(pods));
        }
        if self.order.len() > REASONS {
            let _ = write!(text, "; and {} more reasons", self.order.len() - REASONS);
        }
        text
    }
}

/// `"a, b and 3 more"`.
pub(crate) fn names(names: &[String]) -> String {
    let shown = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded() {
        let mut waiting = Waiting::default();
        for number in 0..7 {
            waiting.add("is paused", format!("shop/a{number}"));
        }
        assert_eq!(
            waiting.describe(),
            "; is paused (shop/a0, shop/a1, shop/a2, shop/a3, shop/a4 and 2 more)"
        );
        for number in 0..6 {
            waiting.add(format!("reason {number}"), "shop/b");
        }
        assert!(waiting.describe().ends_with("; reason 3 (shop/b); and 2 more reasons"));
    }
}
