//! Keeps the status of every policy true: which pods it reached, and whether the next one gets it.
//!
//! One task owns all that is known and takes one event at a time. Writes are coalesced: what changed
//! is looked at a moment later, and written only if it differs from what is stored.

mod conditions;
mod index;
mod known;
mod listing;
mod pod;
mod reconciler;
mod serving;
mod shorten;
mod writer;

use std::{fmt::Debug, sync::Arc};

use crds::{ClusterSidecarPolicy, SidecarPolicy};
use futures::{Stream, StreamExt};
use kube::{
    Api, Resource,
    api::{ApiResource, DynamicObject},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event},
    },
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    certificates::Trusted,
    context::Context,
    webhook_config::{KnownFailScopes, Published},
};
use reconciler::{Kind, Reconciler};
use serving::Answers;

/// Runs until the process ends.
pub(crate) async fn run(
    context: Arc<Context>,
    trusted: watch::Receiver<Trusted>,
    mut published: watch::Receiver<Option<Arc<Published>>>,
    fail_scopes: watch::Sender<KnownFailScopes>,
) {
    let ask = Arc::new(Notify::new());
    let (answers_sender, mut answers) = watch::channel(Answers::default());
    let asking = serving::run(Arc::clone(&context), trusted, Arc::clone(&ask), answers_sender);
    let mut asking = std::pin::pin!(asking);
    let mut policies = std::pin::pin!(watch_all(policy_api::<SidecarPolicy>(&context)));
    let mut cluster_policies =
        std::pin::pin!(watch_all(policy_api::<ClusterSidecarPolicy>(&context)));
    let mut namespaces = std::pin::pin!(watch_all(Api::all(context.client.clone())));
    let mut pods = std::pin::pin!(watch_all(Api::all(context.client.clone())));
    let mut reconciler = Reconciler::new(context, ask, fail_scopes);
    loop {
        let (look_at, ask_at) = (reconciler.look_at, reconciler.ask_at);
        tokio::select! {
            () = &mut asking => return,
            Some(event) = policies.next() => reconciler.policy_event(event, Kind::Namespaced),
            Some(event) = cluster_policies.next() => reconciler.policy_event(event, Kind::Cluster),
            Some(event) = namespaces.next() => reconciler.namespace_event(event),
            Some(event) = pods.next() => reconciler.pod_event(event),
            Ok(()) = answers.changed() => {
                reconciler.set_answers(answers.borrow_and_update().clone());
            }
            Ok(()) = published.changed() => {
                reconciler.set_published(published.borrow_and_update().clone());
            }
            () = sleep_until(ask_at) => reconciler.ask_again(),
            () = sleep_until(look_at) => reconciler.reconcile().await,
        }
    }
}

fn watch_all<K>(api: Api<K>) -> impl Stream<Item = Result<Event<K>, watcher::Error>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    watcher::watcher(api, watcher::Config::default()).default_backoff()
}

/// Policies are read one by one: one that cannot be read must not hide the others.
fn policy_api<K: Resource<DynamicType = ()>>(context: &Context) -> Api<DynamicObject> {
    Api::all_with(context.client.clone(), &ApiResource::erase::<K>(&()))
}

async fn sleep_until(time: Option<Instant>) {
    match time {
        Some(time) => tokio::time::sleep_until(time).await,
        None => std::future::pending().await,
    }
}
