//! Annotations that owners wrote on workloads while the webhook was away: carried into the pod template
//! by the same function, once the webhook is back. Gather (`missed`, from the watch of workloads) ->
//! plan (`repairs`, pure) -> apply.
//!
//! The stored workload alone decides, so nothing races: what the webhook carries lacks nothing by the
//! time it is seen here. Kept is only what lacks something, or did a while ago.

mod apply;
mod missed;
mod repairs;

use std::{sync::Arc, time::Duration};

use inject::WorkloadKind;
use jiff::Timestamp;
use kube::runtime::{
    events::{Recorder, Reporter},
    watcher::Event,
};
use tokio::{sync::Semaphore, task::JoinSet, time::Instant};

use crate::{
    context::{Context, FIELD_MANAGER},
    metrics::Controller,
    workload::WatchedWorkload,
};
use missed::{Missed, WorkloadId};
use repairs::{News, Outcome, Repairs};

/// Events that are written at a time.
const EVENTS_AT_ONCE: usize = 4;

/// The annotations of all workloads.
pub(crate) struct WorkloadAnnotations {
    /// When something may have to be done; `None`: when something is seen.
    pub(crate) look_at: Option<Instant>,
    context: Arc<Context>,
    recorder: Recorder,
    repairs: Repairs,
    /// Since when the webhook answers, as Unix time.
    serving_since: Option<i64>,
    tasks: JoinSet<Option<(Missed, Outcome)>>,
    /// Events that may be written at a time: there can be as many as Jobs.
    telling: Arc<Semaphore>,
    is_forbidden: bool,
}

impl WorkloadAnnotations {
    /// Nothing has been seen yet.
    pub(crate) fn new(context: Arc<Context>) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        Self {
            look_at: None,
            recorder: Recorder::new(context.client.clone(), reporter),
            context,
            repairs: Repairs::default(),
            serving_since: None,
            tasks: JoinSet::new(),
            telling: Arc::new(Semaphore::new(EVENTS_AT_ONCE)),
            is_forbidden: false,
        }
    }

    /// An event of the watch of a kind.
    pub(crate) fn see(&mut self, kind: WorkloadKind, event: &Event<WatchedWorkload>) {
        let now = unix_time();
        match event {
            Event::Init => self.repairs.begin_list(kind),
            Event::InitApply(workload) | Event::Apply(workload) => {
                let missed = missed::missed(kind, workload, &self.context.exclusions);
                self.repairs.see(&WorkloadId::of(kind, workload), missed, now);
            }
            Event::InitDone => self.repairs.end_list(kind, now),
            Event::Delete(workload) => self.repairs.remove(&WorkloadId::of(kind, workload)),
        }
        self.look_later(now);
    }

    /// Whether every replica of the webhook answers.
    pub(crate) fn set_serving(&mut self, is_serving: bool) {
        let now = unix_time();
        self.serving_since = is_serving.then(|| self.serving_since.unwrap_or(now));
        self.look_later(now);
    }

    /// Begins what is due.
    pub(crate) fn act(&mut self) {
        let now = unix_time();
        self.look_at = None;
        let (repairs, news) = self.repairs.due(self.serving_since, now);
        for news in news {
            self.tell(news);
        }
        for missed in repairs {
            let context = Arc::clone(&self.context);
            self.tasks.spawn(async move {
                let outcome = apply::repair(&context, &missed).await;
                Some((missed, outcome))
            });
        }
        self.look_later(now);
    }

    /// Takes in the next thing that ends. `None` while nothing is under way.
    pub(crate) async fn next(&mut self) -> Option<()> {
        let Ok(Some((missed, outcome))) = self.tasks.join_next().await? else { return Some(()) };
        let now = unix_time();
        self.report(&missed, &outcome);
        if let Some(news) = self.repairs.end(missed, &outcome, now) {
            self.tell(news);
        }
        self.look_later(now);
        Some(())
    }

    fn report(&mut self, missed: &Missed, outcome: &Outcome) {
        let workload = &missed.id;
        let result = match outcome {
            Outcome::Carried => {
                tracing::info!(%workload, keys = ?missed.keys, "carried annotations that the webhook did not see");
                self.is_forbidden = false;
                "carried"
            }
            Outcome::Outdated => "outdated",
            Outcome::NotCalled => {
                tracing::warn!(%workload, "annotations were not carried: the API server did not ask the webhook; trying again");
                "not-called"
            }
            Outcome::Refused(error) => {
                tracing::warn!(%workload, error, "annotations cannot be carried");
                "refused"
            }
            Outcome::Forbidden(error) => {
                if !std::mem::replace(&mut self.is_forbidden, true) {
                    tracing::error!(
                        %workload, error,
                        "the operator may not change workloads, so annotations that the webhook did not see are not carried; give it the right or set workloadAnnotations.repair to false"
                    );
                }
                "failed"
            }
            Outcome::Failed(error) => {
                self.context.metrics.failed(Controller::WorkloadAnnotations);
                tracing::warn!(%workload, error, "annotations were not carried; trying again");
                "failed"
            }
        };
        self.context.metrics.workload_repaired(result);
    }

    fn tell(&mut self, news: News) {
        let (context, recorder) = (Arc::clone(&self.context), self.recorder.clone());
        let telling = Arc::clone(&self.telling);
        self.tasks.spawn(async move {
            let _turn = telling.acquire_owned().await.ok()?;
            let (event, regarding) = apply::event(&news);
            let published = context.write(recorder.publish(&event, &regarding)).await;
            if let Err(error) = published
                && !error.is_of_ending_namespace()
            {
                context.metrics.failed(Controller::Events);
                tracing::warn!(workload = %news.id, error = %error, "cannot write an event about the workload");
            }
            None
        });
    }

    fn look_later(&mut self, now: i64) {
        let Some(time) = self.repairs.next_look() else { return };
        let seconds = u64::try_from(time - now).unwrap_or(0).max(1);
        let time = Instant::now() + Duration::from_secs(seconds);
        self.look_at = Some(self.look_at.map_or(time, |before| before.min(time)));
    }
}

fn unix_time() -> i64 {
    Timestamp::now().as_second()
}
