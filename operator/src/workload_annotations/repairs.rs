//! Which workloads are mended, when, and how often. Pure: what is seen and what became of it goes in.
//!
//! Nothing here decides what a workload has to look like; it only keeps a repair that is refused, or
//! undone by somebody else, from being made without end.

use std::collections::HashMap;

use inject::WorkloadKind;

use super::missed::{Missed, Remedy, WorkloadId};

/// How long a workload is left alone after it was seen to lack something, in seconds: its owner may be
/// about to write more. Also how long the webhook has to be back.
const SETTLING: i64 = 5;
/// First pause after a repair that failed, in seconds; it doubles.
const RETRY: i64 = 10;
/// Longest of these pauses.
const LONGEST_RETRY: i64 = 60 * 60;
/// Most repairs of a workload to the same content in a day: somebody undoes them.
const MOST_REPAIRS: u32 = 3;
/// Pause before what was undone is mended again.
const UNDONE: i64 = 5 * 60;
/// How long a repair is remembered.
const DAY: i64 = 24 * 60 * 60;
/// Repairs that may come at once; one more a second. Each rolls a workload.
const BURST: i64 = 10;
/// Repairs under way at a time.
const AT_ONCE: usize = 4;

/// How a repair ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The workload is as it has to be.
    Carried,
    /// It has changed since, or is gone.
    Outdated,
    /// The API server, or somebody's admission, does not take it.
    Refused(String),
    /// The operator lacks the right.
    Forbidden(String),
    /// The API server did not ask the webhook.
    NotCalled,
    /// It could not be tried.
    Failed(String),
}

/// Something to be told on a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) id: WorkloadId,
    /// Keys of the pod template that are concerned.
    pub(super) keys: Vec<String>,
    pub(super) what: What,
}

/// What happened to a workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its annotations were carried into its pod template.
    Carried,
    /// They could not be, for this reason.
    Refused(String),
    /// Somebody took them out again, as often as they were carried.
    Undone,
    /// They came too late for a Job.
    TooLate,
}

/// The workloads that lack something, and those that did.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    cases: HashMap<WorkloadId, Case>,
    /// Repairs of the current burst.
    used: i64,
    used_at: i64,
}

/// One workload.
#[derive(Debug)]
struct Case {
    /// What it lacks by the last that was seen of it.
    missed: Option<Missed>,
    /// What its owner asked for when this began, as a hash.
    asked: u64,
    /// When it may be tried.
    next: i64,
    /// A repair is under way.
    is_under_way: bool,
    /// Whether the list that is under way has it.
    is_listed: bool,
    failures: u32,
    repairs: u32,
    told: bool,
    /// When something was last done.
    last: i64,
}

impl Repairs {
    /// A workload was seen, and what it lacks.
    pub(super) fn see(&mut self, id: &WorkloadId, missed: Option<Missed>, now: i64) {
        let Some(missed) = missed else {
            let Some(case) = self.cases.get_mut(id) else { return };
            case.missed = None;
            // A repair is remembered, in case it is undone.
            if case.repairs == 0 && !case.is_under_way {
                self.cases.remove(id);
            }
            return;
        };
        match self.cases.get_mut(id) {
            Some(case) if case.asked == missed.asked => {
                if case.missed.is_none() {
                    case.next = case.next.max(now + SETTLING);
                }
                case.missed = Some(missed);
                case.is_listed = true;
            }
            Some(case) if case.is_under_way => {
                let last = case.last;
                *case = Case { is_under_way: true, last, ..Case::new(missed, now) };
            }
            _ => {
                self.cases.insert(id.clone(), Case::new(missed, now));
            }
        }
    }

    /// A workload is gone.
    pub(super) fn remove(&mut self, id: &WorkloadId) {
        self.cases.remove(id);
    }

    /// A list of a kind begins.
    pub(super) fn begin_list(&mut self, kind: WorkloadKind) {
        for (_, case) in self.cases.iter_mut().filter(|(id, _)| id.kind == kind) {
            case.is_listed = false;
        }
    }

    /// A list of a kind is complete.
    pub(super) fn end_list(&mut self, kind: WorkloadKind, now: i64) {
        for (_, case) in self.cases.iter_mut().filter(|(id, _)| id.kind == kind) {
            case.missed = case.missed.take().filter(|_| case.is_listed);
        }
        self.forget(now);
    }

    fn forget(&mut self, now: i64) {
        self.cases.retain(|_, case| {
            let is_recent = case.repairs > 0 && now - case.last < DAY;
            case.missed.is_some() || case.is_under_way || is_recent
        });
    }

    /// What is to be tried now, and what is to be told. `serving_since`: since when the webhook
    /// answers; without it, the pods of a rolled workload would lack what their owner asks for.
    pub(super) fn due(&mut self, serving_since: Option<i64>, now: i64) -> (Vec<Missed>, Vec<News>) {
        let (mut repairs, mut news) = (Vec::new(), Vec::new());
        self.used = (self.used - (now - self.used_at).max(0)).max(0);
        self.used_at = now;
        let is_serving = serving_since.is_some_and(|since| since + SETTLING <= now);
        let mut under_way = self.cases.values().filter(|case| case.is_under_way).count();
        let mut due: Vec<(&WorkloadId, &mut Case)> = self
            .cases
            .iter_mut()
            .filter(|(_, case)| case.is_waiting() && case.next <= now)
            .collect();
        due.sort_by(|(one_id, one), (other_id, other)| {
            (one.next, one_id).cmp(&(other.next, other_id))
        });
        for (id, case) in due {
            let Some(missed) = case.missed.clone() else { continue };
            let tell = |what| News { id: id.clone(), keys: missed.keys.clone(), what };
            if missed.remedy == Remedy::Tell {
                case.next = i64::MAX;
                news.push(tell(What::TooLate));
                continue;
            }
            if case.repairs > 0 && now - case.last >= DAY {
                case.repairs = 0;
                case.told = false;
            }
            if case.repairs >= MOST_REPAIRS {
                case.next = case.last + DAY;
                if !std::mem::replace(&mut case.told, true) {
                    news.push(tell(What::Undone));
                }
                continue;
            }
            if is_serving && self.used < BURST && under_way < AT_ONCE {
                self.used += 1;
                under_way += 1;
                case.is_under_way = true;
                repairs.push(missed);
            }
        }
        (repairs, news)
    }

    /// A repair has ended.
    pub(super) fn end(&mut self, repaired: Missed, outcome: &Outcome, now: i64) -> Option<News> {
        let case = self.cases.get_mut(&repaired.id)?;
        case.is_under_way = false;
        if case.asked != repaired.asked {
            // Other annotations were written meanwhile; they begin anew.
            return (*outcome == Outcome::Carried).then(|| carried(repaired)).flatten();
        }
        case.last = now;
        match outcome {
            Outcome::Carried => {
                case.failures = 0;
                case.told = false;
                case.repairs += 1;
                case.next = now + UNDONE;
                // The watch may have shown it already; it shows every change of it later.
                let is_of_before =
                    |missed: &Missed| missed.resource_version == repaired.resource_version;
                case.missed = case.missed.take().filter(|missed| !is_of_before(missed));
                carried(repaired)
            }
            Outcome::Outdated => {
                case.next = now + SETTLING;
                None
            }
            Outcome::Refused(why) => {
                case.fail(now);
                // The first time it may be that the workload had just changed.
                if case.failures < 2 || std::mem::replace(&mut case.told, true) {
                    return None;
                }
                let what = What::Refused(why.clone());
                Some(News { id: repaired.id, keys: repaired.keys, what })
            }
            Outcome::NotCalled | Outcome::Forbidden(_) | Outcome::Failed(_) => {
                case.fail(now);
                None
            }
        }
    }

    /// When something may have to be tried; `None`: when something is seen.
    pub(super) fn next_look(&self) -> Option<i64> {
        self.cases.values().filter(|case| case.is_waiting()).map(|case| case.next).min()
    }
}

/// Nothing is told of a record alone.
fn carried(repaired: Missed) -> Option<News> {
    let is_told = !repaired.keys.is_empty();
    is_told.then_some(News { id: repaired.id, keys: repaired.keys, what: What::Carried })
}

impl Case {
    fn new(missed: Missed, now: i64) -> Self {
        Self {
            asked: missed.asked,
            missed: Some(missed),
            next: now + SETTLING,
            is_under_way: false,
            is_listed: true,
            failures: 0,
            repairs: 0,
            told: false,
            last: now,
        }
    }

    fn is_waiting(&self) -> bool {
        self.missed.is_some() && !self.is_under_way && self.next < i64::MAX
    }

    fn fail(&mut self, now: i64) {
        let doubled = RETRY.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        self.next = now + doubled.min(LONGEST_RETRY);
    }
}

#[cfg(test)]
#[path = "repairs_tests.rs"]
mod tests;
