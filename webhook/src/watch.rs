//! Watches policies, namespaces and the certificate, and publishes a snapshot after each change.
//!
//! A list that begins anew replaces what was known only when it is complete, so a lost watch takes
//! nothing away in between.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use crds::PolicySpec;
use futures::{Stream, StreamExt as _, TryStreamExt as _, stream};
use inject::{Invalid, Namespace, Policy, PolicyId, PolicySet, compile};
use k8s_openapi::api::core::v1::{Namespace as NamespaceObject, Secret};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use runtime::{health::Readiness, tls::ServingCertificate};

use crate::{
    cache::{Cache, Snapshot},
    metrics::Metrics,
};

/// What readiness waits for: everything was listed once.
pub const POLICIES: &str = "policies and namespaces";
/// What readiness waits for: there is a certificate to serve.
pub const CERTIFICATE: &str = "certificate";

/// A change of something that is watched.
enum Change {
    Policy(Kind, Event<DynamicObject>),
    Namespace(Event<PartialObjectMeta<NamespaceObject>>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Namespaced,
    Cluster,
}

/// Keeps the cache up to date for as long as it is polled.
pub async fn keep_cache(client: Client, cache: Arc<Cache>, metrics: Metrics, readiness: Readiness) {
    let policies = |kind, resource: ApiResource| {
        let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
        changes(watcher(api, paged())).map(move |event| Change::Policy(kind, event)).boxed()
    };
    let namespaces = Api::<PartialObjectMeta<NamespaceObject>>::all(client.clone());
    let mut all = stream::select_all([
        policies(Kind::Namespaced, ApiResource::erase::<crds::SidecarPolicy>(&())),
        policies(Kind::Cluster, ApiResource::erase::<crds::ClusterSidecarPolicy>(&())),
        changes(watcher(namespaces, paged())).map(Change::Namespace).boxed(),
    ]);
    let mut known = Known::default();
    while let Some(change) = all.next().await {
        if !known.take(change) || !known.is_complete() {
            continue;
        }
        let snapshot = known.snapshot();
        metrics.policies.set(i64::try_from(snapshot.policies.len()).unwrap_or(i64::MAX));
        metrics.policies_rejected.set(i64::try_from(snapshot.rejected.len()).unwrap_or(i64::MAX));
        metrics.snapshots.inc();
        cache.publish(snapshot);
        readiness.reached(POLICIES);
    }
}

/// Keeps the serving certificate up to date for as long as it is polled.
pub async fn keep_certificate(
    client: Client,
    namespace: &str,
    secret: &str,
    certificate: ServingCertificate,
    readiness: Readiness,
) {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let only = watcher::Config::default().fields(&format!("metadata.name={secret}"));
    let mut events = std::pin::pin!(changes(watcher(api, only)));
    while let Some(event) = events.next().await {
        let (Event::Apply(object) | Event::InitApply(object)) = event else { continue };
        let data = object.data.unwrap_or_default();
        let part = |key: &str| data.get(key).map_or(&[][..], |bytes| &bytes.0);
        match certificate.replace(part("tls.crt"), part("tls.key")) {
            Ok(()) => {
                tracing::info!(secret, "serving a new certificate");
                readiness.reached(CERTIFICATE);
            }
            Err(error) => {
                tracing::error!(secret, %error, "the certificate is not served; the one before stays");
            }
        }
    }
}

/// The events of a watch that begins again after every error, with growing pauses.
fn changes<T>(
    events: impl Stream<Item = watcher::Result<Event<T>>> + Send,
) -> impl Stream<Item = Event<T>> + Send
where
    T: Send,
{
    events
        .default_backoff()
        .inspect_err(|error| tracing::warn!(%error, "a watch was interrupted; it begins again"))
        .filter_map(|event| async { event.ok() })
}

/// Lists in pages, so that one object at a time is in memory.
fn paged() -> watcher::Config {
    watcher::Config::default().page_size(100)
}

/// Everything known, and the lists that are still arriving.
#[derive(Default)]
struct Known {
    namespaced: Listed<PolicyId, Compiled>,
    cluster: Listed<PolicyId, Compiled>,
    namespaces: Listed<String, Arc<Namespace>>,
    policies: PolicySet,
}

/// A policy, or the generation of one that does not compile.
#[derive(Clone)]
enum Compiled {
    Served(Arc<Policy>),
    Rejected(i64),
}

/// The objects of one kind.
struct Listed<K, V> {
    known: HashMap<K, V>,
    /// The list that is still arriving.
    arriving: Option<HashMap<K, V>>,
    complete: bool,
}

impl<K, V> Default for Listed<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), arriving: None, complete: false }
    }
}

impl Known {
    fn is_complete(&self) -> bool {
        self.namespaced.complete && self.cluster.complete && self.namespaces.complete
    }

    /// Takes a change over. False while it changes nothing that requests could see.
    fn take(&mut self, change: Change) -> bool {
        match change {
            Change::Namespace(event) => self
                .namespaces
                .take(event, |object| Some((object.name_any(), Arc::new(namespace(object))))),
            Change::Policy(kind, event) => {
                let list = match kind {
                    Kind::Namespaced => &mut self.namespaced,
                    Kind::Cluster => &mut self.cluster,
                };
                let single = match &event {
                    Event::Apply(object) | Event::Delete(object) => Some(id(object)),
                    _ => None,
                };
                let visible = list.take(event, |object| Some((id(object), compiled(object))));
                match single {
                    Some(id) => self.update(&id),
                    None if visible => self.rebuild(),
                    None => {}
                }
                visible
            }
        }
    }

    /// Brings one policy of the set up to date.
    fn update(&mut self, id: &PolicyId) {
        let list = if id.namespace.is_some() { &self.namespaced } else { &self.cluster };
        match list.known.get(id) {
            Some(Compiled::Served(policy)) => self.policies.insert(Arc::clone(policy)),
            Some(Compiled::Rejected(_)) | None => self.policies.remove(id),
        }
    }

    /// Makes the set anew after a complete list.
    fn rebuild(&mut self) {
        self.policies = PolicySet::default();
        for compiled in self.namespaced.known.values().chain(self.cluster.known.values()) {
            if let Compiled::Served(policy) = compiled {
                self.policies.insert(Arc::clone(policy));
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let rejected: BTreeMap<PolicyId, i64> = self
            .namespaced
            .known
            .iter()
            .chain(&self.cluster.known)
            .filter_map(|(id, compiled)| match compiled {
                Compiled::Rejected(generation) => Some((id.clone(), *generation)),
                Compiled::Served(_) => None,
            })
            .collect();
        Snapshot {
            synced: true,
            policies: self.policies.clone(),
            rejected,
            namespaces: self.namespaces.known.clone(),
        }
    }
}

impl<K: std::hash::Hash + Eq, V> Listed<K, V> {
    fn take<T>(&mut self, event: Event<T>, read: impl Fn(&T) -> Option<(K, V)>) -> bool {
        match event {
            Event::Init => {
                self.arriving = Some(HashMap::new());
                false
            }
            Event::InitApply(object) => {
                if let (Some(arriving), Some((key, value))) = (&mut self.arriving, read(&object)) {
                    arriving.insert(key, value);
                }
                false
            }
            Event::InitDone => {
                self.known = self.arriving.take().unwrap_or_default();
                self.complete = true;
                true
            }
            Event::Apply(object) => {
                self.known.extend(read(&object));
                true
            }
            Event::Delete(object) => {
                if let Some((key, _)) = read(&object) {
                    self.known.remove(&key);
                }
                true
            }
        }
    }
}

fn id(object: &DynamicObject) -> PolicyId {
    PolicyId { namespace: object.namespace(), name: object.name_any() }
}

fn compiled(object: &DynamicObject) -> Compiled {
    let id = id(object);
    let generation = object.metadata.generation.unwrap_or_default();
    match compile_object(object) {
        Ok(policy) => Compiled::Served(Arc::new(policy)),
        Err(error) => {
            tracing::warn!(policy = %id, generation, %error, "the policy does not compile and is left out");
            Compiled::Rejected(generation)
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum CompileError {
    #[error("spec: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Invalid(#[from] Invalid),
}

fn compile_object(object: &DynamicObject) -> Result<Policy, CompileError> {
    let spec = object.data.get("spec").cloned().unwrap_or_default();
    let spec: PolicySpec = serde_json::from_value(spec)?;
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    Ok(compile(id(object), uid, generation, &spec)?)
}

fn namespace(object: &PartialObjectMeta<NamespaceObject>) -> Namespace {
    Namespace {
        name: object.name_any(),
        labels: object.meta().labels.clone().unwrap_or_default(),
        annotations: object.meta().annotations.clone().unwrap_or_default(),
    }
}
