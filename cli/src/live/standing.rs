//! How a running pod stands to a policy: what its record says, beside what the heart decides now.
//! The words are those of the policies' status.

use std::fmt;

use inject::{Conflict, Reason};

use super::Record;
use crate::{cluster::Absence, injection::Decided};

/// How a running pod stands to a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has the policy.
    Current { revision: String },
    /// It has another revision of the policy.
    Outdated { revision: String, current: String },
    /// It has the policy, which is no longer for it.
    Surplus { revision: String, reason: Reason },
    /// What the pod says of a policy about which nothing is decided.
    Absent { revision: Option<String>, why: Option<String>, absence: Absence },
    /// The webhook could not apply the policy; its words, or those of the conflict that lasts.
    Skipped { why: String, now: Reason },
    /// It should have the policy.
    Missing { now: Reason },
    /// The policy only looks at what it would do.
    Audited { reason: Reason },
    /// Its owner opted out; maybe after the policy went in.
    OptedOut { revision: Option<String>, reason: Reason },
    /// It would get the policy by now, but the policy goes by what only admission saw.
    Unrecorded,
    /// The policy is not for it.
    NotMatched { reason: Reason },
}

impl Standing {
    /// How a pod stands to a policy, by its record and by what is decided about it now.
    pub(crate) fn of(record: &Record, policy: &str, decided: &Decided) -> Self {
        let revision = record.injected.get(policy).cloned();
        let skipped = record.skipped.get(policy).cloned();
        let reason = decided.reason.clone();
        let is_for_it = matches!(
            reason,
            Reason::Injected | Reason::AlreadyInjected | Reason::WouldInject | Reason::Conflict(_)
        );
        match (revision, skipped) {
            (revision, _) if matches!(reason, Reason::OptedOut(_)) => {
                Self::OptedOut { revision, reason }
            }
            (Some(revision), _) if is_for_it || decided.is_decided_at_admission => {
                let current = decided.revision.clone();
                if revision == current {
                    Self::Current { revision }
                } else {
                    Self::Outdated { revision, current }
                }
            }
            (Some(revision), _) => Self::Surplus { revision, reason },
            (None, Some(why)) if is_for_it || decided.is_decided_at_admission => {
                Self::Skipped { why, now: reason }
            }
            (None, _) if is_for_it && !decided.is_enforced => Self::Audited { reason },
            (None, _) if is_for_it && decided.is_decided_at_admission => Self::Unrecorded,
            (None, _) => match reason {
                // These would have been recorded of any pod, whatever others bring.
                Reason::Conflict(
                    ref conflict @ (Conflict::Parameter { .. } | Conflict::MatchCondition { .. }),
                ) => {
                    Self::Skipped { why: format!("{}: {conflict}", conflict.as_str()), now: reason }
                }
                reason if is_for_it => Self::Missing { now: reason },
                reason => Self::NotMatched { reason },
            },
        }
    }

    /// How a pod stands to a policy about which nothing is decided.
    pub(crate) fn of_absent(record: &Record, policy: &str, absence: Absence) -> Option<Self> {
        let (revision, why) = (record.injected.get(policy), record.skipped.get(policy));
        (revision.is_some() || why.is_some()).then(|| Self::Absent {
            revision: revision.cloned(),
            why: why.cloned(),
            absence,
        })
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
            | Self::Surplus { revision, .. } => Some(revision),
            Self::Absent { revision, .. } | Self::OptedOut { revision, .. } => revision.as_deref(),
            _ => None,
        }
    }

    /// A stable word for scripts.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Current { .. } => "Current",
            Self::Outdated { .. } => "Outdated",
            Self::Surplus { .. } => "Surplus",
            Self::Absent { absence, .. } => absence.as_str(),
            Self::Skipped { .. } => "Skipped",
            Self::Missing { .. } => "Missing",
            Self::Audited { .. } => "Audited",
            Self::OptedOut { .. } => "OptedOut",
            Self::Unrecorded => "Unrecorded",
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
            Self::Absent { revision, why, absence } => {
                match (revision, why) {
                    (Some(revision), _) => write!(formatter, "revision {revision}")?,
                    (None, why) => formatter.write_str(why.as_deref().unwrap_or_default())?,
                }
                write!(formatter, "; {absence}")?;
                if revision.is_some() && *absence == Absence::Gone {
                    formatter.write_str(", and it stays until the pod is created anew")?;
                }
                Ok(())
            }
            Self::Skipped { why, now } => {
                formatter.write_str(why)?;
                match now {
                    Reason::Conflict(_) => Ok(()),
                    Reason::Injected | Reason::AlreadyInjected => {
                        formatter.write_str("; created anew, it would get it now")
                    }
                    now => write!(formatter, "; now {now}"),
                }
            }
            Self::OptedOut { revision: Some(revision), reason } => write!(
                formatter,
                "revision {revision}, and {reason} since; it stays until the pod is created anew"
            ),
            Self::Unrecorded => formatter.write_str(
                "as it runs it would get it, but its match conditions read what may have been otherwise when it \
                 was created",
            ),
            Self::Missing { now: Reason::Conflict(conflict) } => {
                write!(formatter, "missing: created anew, it would not get it: {conflict}")
            }
            Self::Missing { now: Reason::AlreadyInjected } => formatter.write_str(
                "missing: the webhook was not asked, though all that it would put in is there already",
            ),
            Self::Missing { .. } => formatter.write_str("missing: created anew, it would get it now"),
            Self::Audited { reason }
            | Self::OptedOut { reason, .. }
            | Self::NotMatched { reason } => reason.fmt(formatter),
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
        let Some(reason) = now else {
            let standing = Standing::of_absent(&record, "shop/log", Absence::Gone);
            return standing.map_or("nothing", |found| found.as_str());
        };
        let is_decided_at_admission = matches!(
            &reason,
            Reason::ConditionNotMet(_) | Reason::Conflict(Conflict::MatchCondition { .. })
        );
        let is_enforced = reason != Reason::WouldInject;
        let decided = Decided {
            policy: PolicyId::namespaced("shop", "log"),
            revision: "b".to_owned(),
            reason,
            is_decided_at_admission,
            is_enforced,
            notices: Vec::new(),
            containers: Vec::new(),
        };
        Standing::of(&record, "shop/log", &decided).as_str()
    }

    #[test]
    fn what_a_pod_says_of_a_hidden_policy_counts() {
        let map = |policy: &str, value: &str| [(policy.to_owned(), value.to_owned())].into();
        let record = Record { injected: map("cluster/a", "r"), skipped: map("cluster/b", "why") };
        let told = |policy| {
            let found = Standing::of_absent(&record, policy, Absence::Hidden);
            found.map(|found| found.to_string())
        };
        assert_eq!(
            told("cluster/a").as_deref(),
            Some("revision r; you may not read the policy itself")
        );
        assert_eq!(told("cluster/b").as_deref(), Some("why; you may not read the policy itself"));
        assert_eq!(told("cluster/c"), None);
        let found = Standing::of_absent(&record, "cluster/a", Absence::Hidden);
        assert!(found.is_some_and(|found| found.is_injected()));
    }

    #[test]
    fn what_happened_and_what_is_decided_now_make_the_standing() {
        let conflict =
            || Some(Reason::Conflict(Conflict::ContainerAltered { container: "a".to_owned() }));
        let elsewhere = || Some(Reason::PodNotSelected(String::new()));
        let opted_out = || Some(Reason::OptedOut(Level::Pod));
        let condition = || Some(Reason::ConditionNotMet("is-here".to_owned()));
        let failing_condition = || {
            let (condition, why) = ("is-here".to_owned(), "why".to_owned());
            Some(Reason::Conflict(Conflict::MatchCondition { condition, why }))
        };
        let wrong_parameter = || {
            let (annotation, why) = ("a".to_owned(), "b".to_owned());
            Some(Reason::Conflict(Conflict::Parameter { annotation, why }))
        };
        for (revision, skipped, now, expected) in [
            (Some("b"), None, Some(Reason::AlreadyInjected), "Current"),
            (Some("b"), None, conflict(), "Current"),
            (Some("a"), None, Some(Reason::Injected), "Outdated"),
            (Some("a"), None, conflict(), "Outdated"),
            (Some("b"), None, elsewhere(), "Surplus"),
            (Some("b"), None, opted_out(), "OptedOut"),
            (Some("b"), None, condition(), "Current"),
            (None, Some("why"), condition(), "Skipped"),
            (None, None, condition(), "NotMatched"),
            (None, None, failing_condition(), "Unrecorded"),
            (Some("b"), None, None, "Orphaned"),
            (None, Some("why"), conflict(), "Skipped"),
            (None, Some("why"), Some(Reason::Injected), "Skipped"),
            (None, Some("why"), None, "Orphaned"),
            (None, Some("why"), elsewhere(), "NotMatched"),
            (None, None, Some(Reason::Injected), "Missing"),
            (None, None, Some(Reason::AlreadyInjected), "Missing"),
            (None, None, Some(Reason::WouldInject), "Audited"),
            (None, None, opted_out(), "OptedOut"),
            (None, None, conflict(), "Missing"),
            (None, None, wrong_parameter(), "Skipped"),
            (None, None, None, "nothing"),
        ] {
            let shown = format!("{revision:?} {skipped:?} {now:?}");
            assert_eq!(standing(revision, skipped, now), expected, "{shown}");
        }
    }
}
