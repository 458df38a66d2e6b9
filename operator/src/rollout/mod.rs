//! Rollouts: how running pods follow a change of what a policy puts in, and how pods that miss it
//! get it. Gather (`facts`, from the index of pods and the watches) -> plan (pure) -> apply.
//!
//! Nothing has to be remembered: which pods have which revision, which workloads were restarted for
//! it, and when, stands on the pods and workloads themselves.

mod apply;
mod difference;
mod facts;
mod in_place;
mod memory;
mod plan;
mod progress;
mod settings;
mod workload;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use inject::PolicyId;
use jiff::Timestamp;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::context::Context;
use apply::Errand;
use memory::{Memory, Outcome, Subject};

pub(crate) use facts::{Facts, PlacedBy, PodState, RolloutPod};
pub(crate) use in_place::Updated;
pub(crate) use progress::{COMPLETE, Progress};
pub(crate) use settings::Settings;
pub(crate) use workload::{Workload, WorkloadId, WorkloadKind, Workloads};

/// Steps of all rollouts at a time.
const STEPS_AT_ONCE: usize = 8;

/// What the operator may do to running pods: switches of the chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RolloutPermissions {
    /// Change images, CPU and memory of running pods.
    pub(crate) in_place: bool,
    /// Restart workloads and evict pods.
    pub(crate) restart: bool,
}

/// What is known of a policy whose rollout is looked at.
pub(crate) struct Subjects<'s> {
    /// The policy.
    pub(crate) policy: &'s PolicyId,
    /// Its uid.
    pub(crate) uid: &'s str,
    /// Its generation.
    pub(crate) generation: i64,
    /// When it was created, as Unix time.
    pub(crate) created: i64,
    /// Its current revision.
    pub(crate) revision: &'s str,
    /// `spec.rollout`.
    pub(crate) settings: &'s Settings,
    /// Every webhook replica serves it as it is.
    pub(crate) serving: bool,
    /// The content of the revision is stored.
    pub(crate) stored: bool,
    /// Reason and message of the condition `Progressing`, if it speaks of this generation.
    pub(crate) before: Option<(&'s str, &'s str)>,
    /// The pods that should have it.
    pub(crate) pods: &'s [RolloutPod<'s>],
    /// The workloads, once they have been listed.
    pub(crate) workloads: Option<&'s Workloads>,
}

/// The rollouts of all policies.
pub(crate) struct Rollouts {
    context: Arc<Context>,
    memories: HashMap<PolicyId, Memory>,
    tasks: JoinSet<Ended>,
    permits: Arc<Semaphore>,
    /// When policies have to be looked at again.
    due: BTreeMap<PolicyId, i64>,
}

/// A step that ended.
struct Ended {
    policy: PolicyId,
    revision: String,
    subject: Subject,
    outcome: Outcome,
}

impl Rollouts {
    /// No rollout is under way.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            context,
            memories: HashMap::new(),
            tasks: JoinSet::new(),
            permits: Arc::new(Semaphore::new(STEPS_AT_ONCE)),
            due: BTreeMap::new(),
        }
    }

    /// Plans what comes next for a policy, begins it, and says how far the rollout is.
    pub(crate) fn advance(&mut self, subjects: &Subjects<'_>, now: Timestamp) -> Progress {
        let memory = self.memories.entry(subjects.policy.clone()).or_default();
        memory.aim(subjects.uid, subjects.revision, subjects.generation, now.as_second());
        see_effects(memory, subjects);
        let policy = subjects.policy.to_string();
        let plan = plan::plan(&Facts {
            policy: &policy,
            uid: subjects.uid,
            created: subjects.created,
            revision: subjects.revision,
            settings: subjects.settings,
            serving: subjects.serving,
            stored: subjects.stored,
            before: subjects.before,
            permissions: self.context.permissions,
            pods: subjects.pods,
            workloads: subjects.workloads,
            memory,
            now: now.as_second(),
        });
        let errand = Errand {
            policy: subjects.policy.clone(),
            revision: subjects.revision.to_owned(),
            deadline: subjects.settings.deadline,
        };
        for step in plan.steps {
            let subject = step.subject();
            memory.begin(subject.clone());
            let (context, permits) = (Arc::clone(&self.context), Arc::clone(&self.permits));
            let errand = errand.clone();
            self.tasks.spawn(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                let kind = step.kind();
                let outcome = apply::take(&context, &errand, step, now).await;
                context.metrics.step_taken(kind, outcome.kind());
                Ended { policy: errand.policy, revision: errand.revision, subject, outcome }
            });
        }
        match plan.look_at {
            Some(time) => self.due.insert(subjects.policy.clone(), time),
            None => self.due.remove(subjects.policy),
        };
        plan.progress
    }

    /// Nothing is to be done for a policy, or it is gone.
    pub(crate) fn forget(&mut self, policy: &PolicyId) {
        self.memories.remove(policy);
        self.due.remove(policy);
    }

    /// The policy of the next step that ends. `None` while none is being taken.
    pub(crate) async fn next(&mut self) -> Option<PolicyId> {
        let ended = self.tasks.join_next().await?.ok()?;
        if let Outcome::Failed(error) | Outcome::Refused(error) = &ended.outcome {
            tracing::warn!(
                policy = %ended.policy, subject = %ended.subject, error,
                "a step of a rollout was not taken"
            );
        }
        if let Some(memory) = self.memories.get_mut(&ended.policy) {
            let now = Timestamp::now().as_second();
            memory.end(ended.subject, &ended.revision, ended.outcome, now);
        }
        Some(ended.policy)
    }

    /// When the next policy has to be looked at, as Unix time.
    pub(crate) fn next_look(&self) -> Option<i64> {
        self.due.values().min().copied()
    }

    /// The policies that have to be looked at by now.
    pub(crate) fn take_due(&mut self, now: i64) -> Vec<PolicyId> {
        let due = self.due.iter().filter(|(_, time)| **time <= now);
        let policies: Vec<PolicyId> = due.map(|(policy, _)| policy.clone()).collect();
        for policy in &policies {
            self.due.remove(policy);
        }
        policies
    }

    /// The policies with a rollout that is not at rest.
    pub(crate) fn under_way(&self) -> impl Iterator<Item = &PolicyId> {
        self.memories.keys()
    }
}

/// Notes which steps have shown their effect.
fn see_effects(memory: &mut Memory, subjects: &Subjects<'_>) {
    for pod in subjects.pods {
        if pod.ending || matches!(pod.state, PodState::Current { .. }) {
            memory.seen(&Subject::Pod(pod.uid));
        }
    }
    let policy = subjects.policy.to_string();
    for id in memory.restarted() {
        let workload = subjects.workloads.and_then(|workloads| workloads.get(&id));
        let restarted = workload.and_then(|workload| workload.restarted.get(&policy));
        if let Some(restarted) = restarted.filter(|found| found.revision == subjects.revision) {
            memory.seen_restart(id, restarted.at.as_second());
        }
    }
}
