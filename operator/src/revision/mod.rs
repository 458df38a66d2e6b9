//! Keeps the revisions of every policy: one `ControllerRevision` for each content that it had, so that
//! a rollout knows what running pods have, and an earlier content can be put back.

mod apply;
mod history;
mod plan;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use inject::PolicyId;
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Api;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{context::Context, metrics::Controller};
pub(crate) use apply::read;
pub(crate) use history::History;
pub(crate) use plan::Wanted;

/// Policies whose revisions are kept at a time.
const AT_ONCE: usize = 4;
/// When keeping the revisions of a policy that failed is tried again, in seconds; doubled each time.
const RETRY_SECONDS: i64 = 2;
/// Longest time until it is tried again, in seconds.
const LONGEST_RETRY_SECONDS: i64 = 300;

/// The API of a policy's revisions: its namespace, or for the cluster kind the operator's.
pub(crate) fn api(context: &Context, policy: &PolicyId) -> Api<ControllerRevision> {
    let namespace = policy.namespace.as_deref().unwrap_or(&context.namespace);
    Api::namespaced(context.client.clone(), namespace)
}

/// Keeps revisions, those of one policy after another's.
pub(crate) struct Keeper {
    context: Arc<Context>,
    /// What the watch shows.
    pub(crate) history: History,
    tasks: JoinSet<(PolicyId, Result<(), apply::KeepError>)>,
    in_flight: HashSet<PolicyId>,
    /// At the first start all policies lack their revision at once; each request under way takes a
    /// connection of its own.
    permits: Arc<Semaphore>,
    /// Policies whose revisions could not be kept: failures, and when to try again.
    retries: HashMap<PolicyId, (u32, i64)>,
}

impl Keeper {
    /// Keeps nothing yet.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self {
            history: History::new(&context.namespace),
            context,
            tasks: JoinSet::new(),
            in_flight: HashSet::new(),
            permits: Arc::new(Semaphore::new(AT_ONCE)),
            retries: HashMap::new(),
        }
    }

    /// Begins what has to be done for the revisions of a policy.
    pub(crate) fn keep(&mut self, policy: &PolicyId, wanted: &Wanted<'_>, now: i64) {
        let is_early = self.retries.get(policy).is_some_and(|(_, again_at)| *again_at > now);
        if is_early || self.in_flight.contains(policy) {
            return;
        }
        let changes = plan::plan(policy, wanted, self.history.of(policy));
        if changes.is_empty() {
            self.retries.remove(policy);
            return;
        }
        self.in_flight.insert(policy.clone());
        let (context, id) = (Arc::clone(&self.context), policy.clone());
        let uid = wanted.uid.to_owned();
        let permits = Arc::clone(&self.permits);
        self.tasks.spawn(async move {
            // An error means that the semaphore was closed, which nobody does.
            let _permit = permits.acquire().await;
            let outcome = apply::apply(&context, &id, &uid, changes).await;
            (id, outcome)
        });
    }

    /// When the next policy has to be tried again, as Unix time.
    pub(crate) fn next_try(&self) -> Option<i64> {
        self.waiting().map(|(_, again_at)| again_at).min()
    }

    /// The policies that have to be tried again by now.
    pub(crate) fn due(&self, now: i64) -> Vec<PolicyId> {
        let due = self.waiting().filter(|(_, again_at)| *again_at <= now);
        due.map(|(policy, _)| policy.clone()).collect()
    }

    fn waiting(&self) -> impl Iterator<Item = (&PolicyId, i64)> {
        let waits = |(policy, _): &(&PolicyId, _)| !self.in_flight.contains(*policy);
        self.retries.iter().filter(waits).map(|(policy, (_, again_at))| (policy, *again_at))
    }

    /// The next policy whose revisions are kept, or could not be. `None` when none is under way.
    pub(crate) async fn next(&mut self, now: impl Fn() -> i64) -> Option<PolicyId> {
        let (policy, outcome) = self.tasks.join_next().await?.ok()?;
        self.in_flight.remove(&policy);
        match outcome {
            Ok(()) => {
                self.retries.remove(&policy);
            }
            Err(error) => {
                self.context.metrics.failed(Controller::Revision);
                tracing::warn!(policy = %policy, error = %error, "cannot keep the revisions of the policy; trying again");
                let failures = self.retries.get(&policy).map_or(0, |(failures, _)| *failures);
                let seconds = (RETRY_SECONDS << failures.min(8)).min(LONGEST_RETRY_SECONDS);
                self.retries.insert(policy.clone(), (failures + 1, now() + seconds));
            }
        }
        Some(policy)
    }

    /// A policy is gone.
    pub(crate) fn forget(&mut self, policy: &PolicyId) {
        self.retries.remove(policy);
    }
}
