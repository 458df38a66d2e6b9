//! What this process has tried for one policy. Hints only: without them the same is tried again,
//! which does no harm, because everything that a rollout rests on is in the cluster.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::Arc,
};

use super::{difference::Difference, workload::WorkloadId};
use crate::owner::Uid;

/// How long an effect may take to be seen before the step counts as not taken, in seconds.
const EFFECT_SECONDS: i64 = 30;
/// How long a step may take at most, in seconds.
const STEP_SECONDS: i64 = 60;
/// When a step that failed is tried again, in seconds; doubled with every failure.
const RETRY_SECONDS: i64 = 5;
/// Longest time until a failed step is tried again, in seconds.
const LONGEST_RETRY_SECONDS: i64 = 120;
/// When a pod that cannot follow yet is asked again, in seconds.
const WAIT_SECONDS: i64 = 2;

/// What a step is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// A pod.
    Pod(Uid),
    /// A workload.
    Workload(WorkloadId),
    /// The content of an earlier revision.
    Revision(Arc<str>),
}

impl fmt::Display for Subject {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(uid) => write!(formatter, "pod {}", uid.text()),
            Self::Workload(id) => id.fmt(formatter),
            Self::Revision(revision) => write!(formatter, "revision {revision}"),
        }
    }
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The API server took it. Its effect may not have been seen yet.
    Taken,
    /// There is nothing to do any more.
    Needless,
    /// It will do, later.
    Waits(String),
    /// It can never be done in this way.
    Refused(String),
    /// Something went wrong.
    Failed(String),
    /// What the revision differs in.
    Compared(Result<Arc<Difference>, String>),
}

impl Outcome {
    /// One word, for metrics.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Taken | Self::Compared(_) => "taken",
            Self::Needless => "needless",
            Self::Waits(_) => "waits",
            Self::Refused(_) => "refused",
            Self::Failed(_) => "failed",
        }
    }
}

/// What is known of a step that was tried and did not do what it should.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trouble {
    /// Why not.
    pub(crate) why: String,
    /// It is not tried again.
    pub(crate) is_final: bool,
    /// When it is tried again.
    pub(crate) again_at: i64,
    failures: u32,
}

/// What was tried for one policy.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    /// The uid of the policy, the revision aimed at, and the generation that says how.
    aim: (String, String, i64),
    in_flight: HashSet<Subject>,
    /// Steps whose effect has not been seen, and until when it is awaited.
    taken: HashMap<Subject, i64>,
    troubles: HashMap<Subject, Trouble>,
    differences: HashMap<Arc<str>, Result<Arc<Difference>, String>>,
}

impl Memory {
    /// Forgets what a new revision or generation makes void, and what lies too long ago.
    pub(crate) fn aim(&mut self, uid: &str, revision: &str, generation: i64, now: i64) {
        self.taken.retain(|_, until| *until > now);
        let aim = (uid.to_owned(), revision.to_owned(), generation);
        if self.aim == aim {
            return;
        }
        if self.aim.1 != aim.1 {
            self.differences.clear();
        }
        self.troubles.clear();
        self.aim = aim;
    }

    /// How many steps are being taken.
    pub(crate) fn steps_in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Whether a step is being taken, or was and its effect has not been seen.
    pub(crate) fn is_busy(&self, subject: &Subject) -> bool {
        self.in_flight.contains(subject) || self.taken.contains_key(subject)
    }

    /// Why a step was not successful.
    pub(crate) fn trouble(&self, subject: &Subject) -> Option<&Trouble> {
        self.troubles.get(subject)
    }

    /// What the current revision differs in from an earlier one; `None`: not known yet.
    pub(crate) fn difference(&self, from: &str) -> Option<&Result<Arc<Difference>, String>> {
        self.differences.get(from)
    }

    /// A step begins.
    pub(crate) fn begin(&mut self, subject: Subject) {
        self.in_flight.insert(subject);
    }

    /// The effect of a step was seen.
    pub(crate) fn seen(&mut self, subject: &Subject) {
        self.taken.remove(subject);
    }

    /// The workloads that were restarted, whose effect has not been seen.
    pub(crate) fn restarted(&self) -> Vec<WorkloadId> {
        let workload = |subject: &Subject| match subject {
            Subject::Workload(id) => Some(id.clone()),
            _ => None,
        };
        self.taken.keys().filter_map(workload).collect()
    }

    /// A workload shows a restart of this time, which may be an earlier one.
    pub(crate) fn seen_restart(&mut self, workload: WorkloadId, at: i64) {
        let subject = Subject::Workload(workload);
        let begun = self.taken.get(&subject).map(|until| until - EFFECT_SECONDS - STEP_SECONDS);
        if begun.is_some_and(|begun| at >= begun) {
            self.taken.remove(&subject);
        }
    }

    /// A step ended. `revision` is the one that it was taken for.
    pub(crate) fn end(&mut self, subject: Subject, revision: &str, outcome: Outcome, now: i64) {
        self.in_flight.remove(&subject);
        if self.aim.1 != revision {
            return;
        }
        let failures = self.troubles.get(&subject).map_or(0, |trouble| trouble.failures);
        let mut trouble = |why, is_final, seconds, failures| {
            let trouble = Trouble { why, is_final, again_at: now + seconds, failures };
            self.troubles.insert(subject.clone(), trouble);
        };
        match outcome {
            Outcome::Taken => {
                self.troubles.remove(&subject);
                self.taken.insert(subject, now + EFFECT_SECONDS);
            }
            Outcome::Needless => {
                self.troubles.remove(&subject);
            }
            Outcome::Waits(why) => trouble(why, false, WAIT_SECONDS, 0),
            Outcome::Refused(why) => trouble(why, true, 0, 0),
            Outcome::Failed(why) => {
                let seconds = RETRY_SECONDS << failures.min(5);
                trouble(why, false, seconds.min(LONGEST_RETRY_SECONDS), failures + 1);
            }
            Outcome::Compared(difference) => {
                if let Subject::Revision(from) = subject {
                    self.differences.insert(from, difference);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod() -> Subject {
        Subject::Pod(Uid::of("a"))
    }

    fn memory() -> Memory {
        let mut memory = Memory::default();
        memory.aim("uid", "new", 1, 0);
        memory
    }

    #[test]
    fn a_step_is_busy_until_its_effect_is_seen() {
        let mut memory = memory();
        memory.begin(pod());
        assert!(memory.is_busy(&pod()) && memory.steps_in_flight() == 1);
        memory.end(pod(), "new", Outcome::Taken, 0);
        assert!(memory.is_busy(&pod()) && memory.steps_in_flight() == 0);
        memory.seen(&pod());
        assert!(!memory.is_busy(&pod()));
    }

    #[test]
    fn an_effect_is_not_awaited_for_ever() {
        let mut memory = memory();
        memory.end(pod(), "new", Outcome::Taken, 0);
        memory.aim("uid", "new", 1, EFFECT_SECONDS);
        assert!(!memory.is_busy(&pod()));
    }

    #[test]
    fn an_earlier_restart_is_not_taken_for_the_new_one() {
        let kind = super::super::workload::WorkloadKind::Deployment;
        let id = WorkloadId { namespace: "shop".to_owned(), name: "api".to_owned(), kind };
        let mut memory = memory();
        memory.end(Subject::Workload(id.clone()), "new", Outcome::Taken, 1000);
        memory.seen_restart(id.clone(), 400);
        assert_eq!(memory.restarted().len(), 1);
        memory.seen_restart(id, 999);
        assert!(memory.restarted().is_empty());
    }

    #[test]
    fn failures_are_tried_again_ever_later() {
        let mut memory = memory();
        let mut again = Vec::new();
        for _ in 0..7 {
            memory.end(pod(), "new", Outcome::Failed("why".to_owned()), 0);
            again.push(memory.trouble(&pod()).unwrap().again_at);
        }
        assert_eq!(again, [5, 10, 20, 40, 80, 120, 120]);
        memory.end(pod(), "new", Outcome::Taken, 0);
        assert_eq!(memory.trouble(&pod()), None);
    }

    #[test]
    fn a_new_revision_begins_anew() {
        let mut memory = memory();
        memory.end(pod(), "new", Outcome::Refused("why".to_owned()), 0);
        memory.aim("uid", "newer", 2, 0);
        assert_eq!(memory.trouble(&pod()), None);
        memory.end(pod(), "new", Outcome::Refused("late".to_owned()), 0);
        assert_eq!(memory.trouble(&pod()), None, "an answer for another revision");
    }
}
