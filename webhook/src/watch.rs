//! Watches policies, namespaces and the certificate, and publishes a snapshot after each change.

use std::{sync::Arc, time::SystemTime};

use futures::{Stream, StreamExt as _, stream};
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Api, Client,
    api::ApiResource,
    core::PartialObjectMeta,
    runtime::watcher::{self, Event, watcher},
};
use runtime::{
    health::Readiness,
    tls::ServingCertificate,
    watch::{Interruptions, begin_again, is_not_served},
};

use crate::{
    cache::Cache,
    known::{Change, Known},
    metrics::Metrics,
    policy_object::PolicyObject,
    previous::Contents,
};

/// What readiness waits for: everything was listed once.
pub const POLICIES: &str = "policies and namespaces";
/// What readiness waits for: there is a certificate to serve.
pub const CERTIFICATE: &str = "certificate";

/// What readiness waits for where the API server does not know our kinds.
const DEFINITION: &str = "custom resource definition sidecarpolicies.sidecarpolicy.dev";
/// The same for the cluster kind.
const CLUSTER_DEFINITION: &str =
    "custom resource definition clustersidecarpolicies.sidecarpolicy.dev";

/// Objects in one page of a list: few, so that little is in memory at a time.
const PAGE_SIZE: u32 = 100;
/// Policies whose previous revisions are read at a time.
const CONTENTS_AT_ONCE: usize = 16;
/// Most changes that one snapshot takes over at once.
const CHANGES_AT_ONCE: usize = 64;

/// Keeps the cache up to date for as long as it is polled.
///
/// `namespace` is the program's own.
pub async fn keep_cache(
    client: Client,
    namespace: &str,
    cache: Arc<Cache>,
    metrics: Metrics,
    readiness: Readiness,
) {
    let contents = Arc::new(Contents::new(client.clone(), namespace));
    let policies = |name, resource: ApiResource, definition| {
        let api: Api<PolicyObject> = Api::all_with(client.clone(), &resource);
        let contents = Arc::clone(&contents);
        let events = watch_definition(&cache, &readiness, definition, watcher(api, paged()));
        changes(name, &metrics, events)
            .map(move |event| {
                let contents = Arc::clone(&contents);
                async move { contents.bring(event).await }
            })
            .buffered(CONTENTS_AT_ONCE)
    };
    let namespaces = Api::<PartialObjectMeta<Namespace>>::all(client.clone());
    let mut batches = stream::select_all([
        policies("policies", ApiResource::erase::<crds::SidecarPolicy>(&()), DEFINITION)
            .map(Change::Policy)
            .boxed(),
        policies(
            "cluster-policies",
            ApiResource::erase::<crds::ClusterSidecarPolicy>(&()),
            CLUSTER_DEFINITION,
        )
        .map(Change::ClusterPolicy)
        .boxed(),
        changes("namespaces", &metrics, watcher(namespaces, paged()))
            .map(Change::Namespace)
            .boxed(),
    ])
    .ready_chunks(CHANGES_AT_ONCE);
    let mut known = Known::default();
    while let Some(batch) = batches.next().await {
        let mut visible = false;
        for change in batch {
            visible |= known.take(change);
        }
        if !visible {
            continue;
        }
        if let Some(snapshot) = known.snapshot() {
            metrics.describe(&snapshot, SystemTime::now());
            cache.publish(snapshot);
            readiness.reached(POLICIES);
        }
    }
}

/// Keeps the serving certificate up to date for as long as it is polled.
pub async fn keep_certificate(
    client: Client,
    namespace: &str,
    secret: &str,
    certificate: ServingCertificate,
    metrics: Metrics,
    readiness: Readiness,
) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={secret}"));
    let mut events = std::pin::pin!(changes("certificate", &metrics, watcher(api, only)));
    while let Some(event) = events.next().await {
        let (Event::Apply(object) | Event::InitApply(object)) = event else { continue };
        let data = object.data.unwrap_or_default();
        let part = |key: &str| data.get(key).map_or(&[][..], |bytes| &bytes.0);
        match certificate.replace(part("tls.crt"), part("tls.key")) {
            Ok(()) => {
                tracing::info!(secret, "serving the certificate of the Secret");
                readiness.reached(CERTIFICATE);
            }
            Err(error) => {
                tracing::error!(secret, %error, "the certificate is not served; the one before stays");
            }
        }
    }
}

/// Says in the readiness whether the definition of a watched kind is there. Not of a webhook that has
/// policies to go by: it goes on with them.
fn watch_definition<T: Send>(
    cache: &Arc<Cache>,
    readiness: &Readiness,
    definition: &'static str,
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send,
) -> impl Stream<Item = watcher::Result<Event<T>>> + Send {
    let (cache, readiness) = (Arc::clone(cache), readiness.clone());
    events.inspect(move |event| match event {
        Ok(Event::InitDone) => readiness.reached(definition),
        // Of a list only: it is followed by another one, which says when the definition is there.
        Err(error @ watcher::Error::InitialListFailed(_))
            if is_not_served(error) && !cache.load().synced =>
        {
            readiness.lost(definition);
        }
        _ => {}
    })
}

/// The events of a watch that begins again after every error, with growing pauses.
fn changes<T: Send>(
    name: &'static str,
    metrics: &Metrics,
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send,
) -> impl Stream<Item = Event<T>> + Send {
    let metrics = metrics.clone();
    let mut interruptions = Interruptions::default();
    begin_again(events)
        .inspect(move |event| {
            interruptions.log(name, event);
            if event.is_err() {
                metrics.count_interruption(name);
            }
        })
        .filter_map(|event| async { event.ok() })
}

/// Lists in pages, so that one object at a time is in memory.
fn paged() -> watcher::Config {
    watcher::Config::default().page_size(PAGE_SIZE)
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
