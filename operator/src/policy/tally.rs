//! Running counts of one policy: how many pods stand to it in which way.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crds::{Overhead, PodCounts, SkippedPods};

use super::overhead::{Resources, overhead};

/// Most reasons that a status lists.
const REASONS: usize = 10;

/// How a pod stands to a policy that concerns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It has the policy.
    Injected {
        /// The revision that it says it has.
        revision: Arc<str>,
        /// That is the policy's.
        current: bool,
        /// All injected containers are ready.
        ready: bool,
        /// What the injected containers ask for.
        resources: Arc<Resources>,
    },
    /// The policy could not be applied to it; why.
    Skipped(Arc<str>),
    /// It should have the policy.
    Missing,
    /// Its owner opted out.
    OptedOut,
    /// It has the policy and is no longer selected.
    Surplus,
}

/// Running counts of one policy.
#[derive(Default)]
pub(super) struct Tally {
    current: i64,
    outdated: i64,
    ready: i64,
    missing: i64,
    opted_out: i64,
    surplus: i64,
    /// Revision -> pods.
    running: BTreeMap<Arc<str>, i64>,
    /// What the injected containers of a pod ask for -> injected pods. Most pods ask for the same.
    resources: HashMap<Arc<Resources>, u64>,
    /// Reason -> pods.
    skipped: BTreeMap<Arc<str>, i64>,
}

impl Tally {
    /// So many more pods stand like this; fewer, if negative.
    pub(super) fn count(&mut self, standing: &Standing, by: i64) {
        match standing {
            Standing::Injected { revision, current, ready, resources } => {
                add(&mut self.running, revision, by);
                *(if *current { &mut self.current } else { &mut self.outdated }) += by;
                self.ready += if *ready { by } else { 0 };
                let asking = self.resources.entry(Arc::clone(resources)).or_default();
                *asking = asking.saturating_add_signed(by);
                if *asking == 0 {
                    self.resources.remove(resources);
                }
            }
            Standing::Skipped(reason) => add(&mut self.skipped, reason, by),
            Standing::Missing => self.missing += by,
            Standing::OptedOut => self.opted_out += by,
            Standing::Surplus => self.surplus += by,
        }
    }

    /// How many pods run each revision.
    pub(super) fn running(&self) -> &BTreeMap<Arc<str>, i64> {
        &self.running
    }

    /// The same resources as injected pods share them already, if one asks for that much.
    pub(super) fn shared(&self, resources: Resources) -> Arc<Resources> {
        let known = self.resources.get_key_value(&resources);
        known.map_or_else(|| Arc::new(resources), |(known, _)| Arc::clone(known))
    }

    /// What the injected containers of all pods ask for; `None` if they ask for nothing.
    pub(super) fn overhead(&self) -> Option<Overhead> {
        overhead(self.resources.iter().map(|(one, pods)| (&**one, *pods)))
    }

    /// The counts, and why pods were skipped, most frequent first; without examples.
    pub(super) fn read(&self) -> (PodCounts, Vec<SkippedPods>) {
        let mut skipped: Vec<SkippedPods> = self
            .skipped
            .iter()
            .map(|(reason, pods)| SkippedPods {
                reason: reason.to_string(),
                count: *pods,
                example: None,
            })
            .collect();
        let skipped_pods: i64 = skipped.iter().map(|reason| reason.count).sum();
        skipped.sort_by(|left, right| {
            right.count.cmp(&left.count).then_with(|| left.reason.cmp(&right.reason))
        });
        skipped.truncate(REASONS);
        let injected = self.current + self.outdated;
        let counts = PodCounts {
            matched: injected + skipped_pods + self.missing,
            injected,
            current: self.current,
            outdated: self.outdated,
            missing: self.missing,
            ready: self.ready,
            opted_out: self.opted_out,
            skipped: skipped_pods,
            surplus: self.surplus,
        };
        (counts, skipped)
    }
}

fn add(counts: &mut BTreeMap<Arc<str>, i64>, key: &Arc<str>, by: i64) {
    let count = counts.entry(Arc::clone(key)).or_default();
    *count += by;
    if *count == 0 {
        counts.remove(key);
    }
}
