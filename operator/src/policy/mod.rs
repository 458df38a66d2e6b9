//! Keeps the status of every policy true: which pods it reached, whether the next one gets it, and how
//! far its rollout is.
//!
//! One task owns all that is known and takes one event at a time. Writes are coalesced: what changed
//! is looked at a moment later, and written only if it differs from what is stored.

mod clashes;
mod conditions;
mod dry_run;
mod index;
mod known;
mod listing;
mod overhead;
mod pod;
mod reconciler;
mod serving;
mod standings;
mod tally;
mod writer;

use std::{fmt::Debug, sync::Arc};

use crds::{ClusterSidecarPolicy, SidecarPolicy};
use futures::{Stream, StreamExt, stream::BoxStream};
use jiff::Timestamp;
use k8s_openapi::api::{apps::v1::ControllerRevision, core::v1::Pod};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event},
};
use runtime::watch::begin_again;
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    certificates::Trusted,
    context::Context,
    events::{self, Teller},
    rollout::WorkloadKind,
    webhook_config::{KnownFailScopes, Published},
    workload::{self, WorkloadEvent},
    workload_annotations::WorkloadAnnotations,
};
use pod::WatchedPod;
use reconciler::{Kind, Reconciler};
use serving::Answers;

/// Revisions that the API server sends at a time: with their contents, which are not kept.
const REVISIONS: u32 = 100;
/// Pods, policies and namespaces that the API server sends at a time: a page, read as a whole, takes more
/// memory than thousands of them that are kept.
const PODS: u32 = 100;
const POLICIES: u32 = 50;
const NAMESPACES: u32 = 500;

/// Runs until the process ends.
pub(crate) async fn run(
    context: Arc<Context>,
    trusted: watch::Receiver<Trusted>,
    mut published: watch::Receiver<Option<Arc<Published>>>,
    fail_scopes: watch::Sender<KnownFailScopes>,
) {
    let ask = Arc::new(Notify::new());
    let (answers_sender, mut answers) = watch::channel(None);
    let asking = serving::run(Arc::clone(&context), trusted, Arc::clone(&ask), answers_sender);
    let mut asking = std::pin::pin!(asking);
    let mut policies = std::pin::pin!(watch_all(policy_api::<SidecarPolicy>(&context), POLICIES));
    let mut cluster_policies =
        std::pin::pin!(watch_all(policy_api::<ClusterSidecarPolicy>(&context), POLICIES));
    let all_namespaces = Api::all(context.client.clone());
    let mut namespaces = std::pin::pin!(watch_all(all_namespaces, NAMESPACES));
    let mut pods = std::pin::pin!(watch_all(pod_api(&context), PODS));
    let mut revisions = std::pin::pin!(watch_revisions(&context));
    let mut workloads = watch_workloads(&context, false);
    let mut rolls_workloads = false;
    let mut annotations = WorkloadAnnotations::new(Arc::clone(&context));
    let (teller, news) = Teller::new();
    let mut telling = std::pin::pin!(events::run(Arc::clone(&context), news));
    let mut reconciler = Reconciler::new(Arc::clone(&context), ask, fail_scopes, teller);
    loop {
        // Most installations restart nothing, and need not keep every workload in mind.
        if reconciler.needs_workloads() != rolls_workloads {
            rolls_workloads = !rolls_workloads;
            reconciler.forget_workloads();
            workloads = watch_workloads(&context, rolls_workloads);
        }
        let (look_at, ask_at) = (reconciler.look_at, reconciler.ask_at);
        let mend_at = annotations.look_at;
        tokio::select! {
            () = &mut asking => return,
            () = &mut telling => return,
            Some(event) = policies.next() => reconciler.policy_event(event, Kind::Namespaced),
            Some(event) = cluster_policies.next() => reconciler.policy_event(event, Kind::Cluster),
            Some(event) = namespaces.next() => reconciler.namespace_event(event),
            Some(event) = pods.next() => reconciler.pod_event(event),
            Some(event) = revisions.next() => reconciler.revision_event(event),
            Some((kind, event)) = next(&mut workloads) => {
                let event = reconciler.readable(kind.name(), event);
                let Some(event) = event else { continue };
                if context.repairs_workload_annotations {
                    annotations.see(kind, &event);
                }
                if let Some(kind) = WorkloadKind::of(kind) && rolls_workloads {
                    reconciler.workload_event(kind, event);
                }
            }
            Some(()) = annotations.next() => {}
            () = sleep_until(mend_at) => annotations.act(),
            Some(policy) = reconciler.rollouts.next() => reconciler.step_ended(policy),
            Some(policy) = reconciler.keeper.next(unix_time) => reconciler.step_ended(policy),
            Some(policy) = reconciler.dry_runs.next() => reconciler.step_ended(policy),
            Ok(()) = answers.changed() => {
                let answers = answers.borrow_and_update().clone();
                annotations.set_serving(answers.as_ref().is_some_and(Answers::are_complete));
                reconciler.set_answers(answers);
            }
            Ok(()) = published.changed() => {
                reconciler.set_published(published.borrow_and_update().clone());
            }
            () = sleep_until(ask_at) => reconciler.ask_again(),
            () = sleep_until(look_at) => reconciler.reconcile().await,
        }
    }
}

fn watch_all<K>(api: Api<K>, page_size: u32) -> impl Stream<Item = Result<Event<K>, watcher::Error>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    begin_again(watcher::watcher(api, watcher::Config::default().page_size(page_size)))
}

/// Watches the workloads that somebody needs to know of, all listed anew.
fn watch_workloads(
    context: &Context,
    rolls_workloads: bool,
) -> Option<BoxStream<'static, WorkloadEvent>> {
    let rolling = WorkloadKind::ALL.map(WorkloadKind::kind);
    let kinds = match (context.repairs_workload_annotations, rolls_workloads) {
        (true, _) => &inject::WorkloadKind::ALL[..],
        (false, true) => &rolling,
        (false, false) => return None,
    };
    Some(workload::watch(&context.client, kinds).boxed())
}

/// The next event of a watch, if there is one.
async fn next(watch: &mut Option<BoxStream<'static, WorkloadEvent>>) -> Option<WorkloadEvent> {
    match watch {
        Some(watch) => watch.next().await,
        None => std::future::pending().await,
    }
}

/// Revisions of policies, and of nothing else that keeps `ControllerRevision`s.
fn watch_revisions(
    context: &Context,
) -> impl Stream<Item = Result<Event<ControllerRevision>, watcher::Error>> + use<> {
    let config = watcher::Config::default().labels(crds::keys::POLICY).page_size(REVISIONS);
    begin_again(watcher::watcher(Api::all(context.client.clone()), config))
}

fn unix_time() -> i64 {
    Timestamp::now().as_second()
}

/// Policies are read one by one: one that cannot be read must not hide the others.
fn policy_api<K: Resource<DynamicType = ()>>(context: &Context) -> Api<DynamicObject> {
    Api::all_with(context.client.clone(), &ApiResource::erase::<K>(&()))
}

fn pod_api(context: &Context) -> Api<WatchedPod> {
    Api::all_with(context.client.clone(), &ApiResource::erase::<Pod>(&()))
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
