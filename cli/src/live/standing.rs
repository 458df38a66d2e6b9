//! How a running pod stands to a policy: what its record says, beside what the heart decides now.
//! The words are those of the policies' status.

use std::fmt;

use inject::Reason;

use super::Record;
use crate::injection::Decided;

/// How a running pod stands to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has the policy.
    Current { revision: String },
    /// It has another revision of the policy.
    Outdated { revision: String, current: String },
    /// It has the policy, which is no longer for it.
    Surplus { revision: String, reason: Reason },
    /// It has a policy that is not there any more, or cannot be used.
    Orphaned { revision: String },
    /// What the pod says of a policy that this person may not read.
    Hidden { revision: Option<String>, why: Option<String> },
    /// The webhook could not apply the policy; its words.
    Skipped { why: String, now: Option<Reason> },
    /// It should have the policy.
    Missing { now: Reason },
    /// The policy only looks at what it would do.
    Audited { reason: Reason },
    /// Its owner opted out.
    OptedOut { reason: Reason },
    /// The policy is not for it.
    NotMatched { reason: Reason },
}

impl Standing {
    /// How a pod stands to a policy, by its record and by what is decided about it now.
    pub(crate) fn of(record: &Record, policy: &str, now: Option<&Decided>) -> Option<Self> {
        let revision = record.injected.get(policy).cloned();
        let skipped = record.skipped.get(policy).cloned();
        let Some(decided) = now else {
            let orphaned = revision.map(|revision| Self::Orphaned { revision });
            return orphaned.or_else(|| skipped.map(|why| Self::Skipped { why, now: None }));
        };
        let reason = decided.reason.clone();
        Some(match (&reason, revision, skipped) {
            (
                Reason::Injected
                | Reason::AlreadyInjected
                | Reason::WouldInject
                | Reason::Conflict(_),
                Some(revision),
                _,
            ) => {
                let current = decided.revision.clone();
                if revision == current {
                    Self::Current { revision }
                } else {
                    Self::Outdated { revision, current }
                }
            }
            (_, Some(revision), _) => Self::Surplus { revision, reason },
            (Reason::OptedOut(_), None, _) => Self::OptedOut { reason },
            (
                Reason::Injected
                | Reason::AlreadyInjected
                | Reason::WouldInject
                | Reason::Conflict(_),
                None,
                Some(why),
            ) => Self::Skipped { why, now: Some(reason) },
            (Reason::WouldInject, None, None) => Self::Audited { reason },
            (Reason::Injected | Reason::AlreadyInjected, None, None) => {
                Self::Missing { now: reason }
            }
            _ => Self::NotMatched { reason },
        })
    }

    /// How a pod stands to a policy that this person may not read.
    pub(crate) fn of_hidden(record: &Record, policy: &str) -> Option<Self> {
        let (revision, why) = (record.injected.get(policy), record.skipped.get(policy));
        (revision.is_some() || why.is_some())
            .then(|| Self::Hidden { revision: revision.cloned(), why: why.cloned() })
    }

    /// Whether the pod has the policy.
    pub(crate) fn is_injected(&self) -> bool {
        self.revision().is_some()
    }

    /// The revision that the pod has.
    pub(crate) fn revision(&self) -> Option<&str> {
        match self {
            Self::Current { revision }
            | Self::Outdated { revision, .. }
            | Self::Surplus { revision, .. }
            | Self::Orphaned { revision } => Some(revision),
            Self::Hidden { revision, .. } => revision.as_deref(),
            _ => None,
        }
    }

    /// A stable word for scripts.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Current { .. } => "Current",
            Self::Outdated { .. } => "Outdated",
            Self::Surplus { .. } => "Surplus",
            Self::Orphaned { .. } => "Orphaned",
            Self::Hidden { .. } => "Hidden",
            Self::Skipped { .. } => "Skipped",
            Self::Missing { .. } => "Missing",
            Self::Audited { .. } => "Audited",
            Self::OptedOut { .. } => "OptedOut",
            Self::NotMatched { .. } => "NotMatched",
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Current { revision } => write!(formatter, "revision {revision}"),
            Self::Outdated { revision, current } => {
                write!(formatter, "outdated: it has revision {revision}, the policy is at {current}")
            }
            Self::Surplus { revision, reason } => write!(
                formatter,
                "revision {revision}, and no longer meant for it: {reason}; it stays until the pod is created \
                 anew"
            ),
            Self::Orphaned { revision } => write!(
                formatter,
                "revision {revision}, and there is no such policy any more that can be used; it stays until the pod \
                 is created anew"
            ),
            Self::Hidden { revision, why } => {
                match (revision, why) {
                    (Some(revision), _) => write!(formatter, "revision {revision}")?,
                    (None, why) => formatter.write_str(why.as_deref().unwrap_or_default())?,
                }
                formatter.write_str("; you may not read the policy itself")
            }
            Self::Skipped { why, now } => {
                formatter.write_str(why)?;
                match now {
                    Some(Reason::Conflict(_)) => Ok(()),
                    None => formatter.write_str("; there is no such policy any more"),
                    Some(Reason::Injected | Reason::AlreadyInjected) => {
                        formatter.write_str("; created anew, it would get it now")
                    }
                    Some(now) => write!(formatter, "; now {now}"),
                }
            }
            Self::Missing { now: Reason::AlreadyInjected } => formatter.write_str(
                "missing: the webhook was not asked, though all that it would put in is there already",
            ),
            Self::Missing { .. } => formatter.write_str("missing: created anew, it would get it now"),
            Self::Audited { reason } | Self::OptedOut { reason } | Self::NotMatched { reason } => {
                reason.fmt(formatter)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use inject::{Conflict, Level, PolicyId};

    use super::*;

    fn standing(
        revision: Option<&str>,
        skipped: Option<&str>,
        now: Option<Reason>,
    ) -> &'static str {
        let map = |value: Option<&str>| {
            value.map(|value| ("shop/log".to_owned(), value.to_owned())).into_iter().collect()
        };
        let record = Record { injected: map(revision), skipped: map(skipped) };
        let decided = now.map(|reason| Decided {
            policy: PolicyId::namespaced("shop", "log"),
            revision: "b".to_owned(),
            reason,
            notices: Vec::new(),
            containers: Vec::new(),
        });
        Standing::of(&record, "shop/log", decided.as_ref())
            .map_or("nothing", |found| found.as_str())
    }

    #[test]
    fn what_a_pod_says_of_a_hidden_policy_counts() {
        let map = |policy: &str, value: &str| [(policy.to_owned(), value.to_owned())].into();
        let record = Record { injected: map("cluster/a", "r"), skipped: map("cluster/b", "why") };
        let told = |policy| Standing::of_hidden(&record, policy).map(|found| found.to_string());
        assert_eq!(
            told("cluster/a").as_deref(),
            Some("revision r; you may not read the policy itself")
        );
        assert_eq!(told("cluster/b").as_deref(), Some("why; you may not read the policy itself"));
        assert_eq!(told("cluster/c"), None);
        assert!(Standing::of_hidden(&record, "cluster/a").is_some_and(|found| found.is_injected()));
    }

    #[test]
    fn what_happened_and_what_is_decided_now_make_the_standing() {
        let conflict =
            || Some(Reason::Conflict(Conflict::ContainerAltered { container: "a".to_owned() }));
        let elsewhere = || Some(Reason::PodNotSelected(String::new()));
        let opted_out = || Some(Reason::OptedOut(Level::Pod));
        for (revision, skipped, now, expected) in [
            (Some("b"), None, Some(Reason::AlreadyInjected), "Current"),
            (Some("b"), None, conflict(), "Current"),
            (Some("a"), None, Some(Reason::Injected), "Outdated"),
            (Some("a"), None, conflict(), "Outdated"),
            (Some("b"), None, elsewhere(), "Surplus"),
            (Some("b"), None, opted_out(), "Surplus"),
            (Some("b"), None, None, "Orphaned"),
            (None, Some("why"), conflict(), "Skipped"),
            (None, Some("why"), Some(Reason::Injected), "Skipped"),
            (None, Some("why"), None, "Skipped"),
            (None, Some("why"), elsewhere(), "NotMatched"),
            (None, None, Some(Reason::Injected), "Missing"),
            (None, None, Some(Reason::AlreadyInjected), "Missing"),
            (None, None, Some(Reason::WouldInject), "Audited"),
            (None, None, opted_out(), "OptedOut"),
            (None, None, conflict(), "NotMatched"),
            (None, None, None, "nothing"),
        ] {
            let shown = format!("{revision:?} {skipped:?} {now:?}");
            assert_eq!(standing(revision, skipped, now), expected, "{shown}");
        }
    }
}
