//! Takes in what the watches show.

use std::sync::Arc;

use inject::{Namespace, PolicyId};
use k8s_openapi::api::{apps::v1::ControllerRevision, core::v1::Namespace as NamespaceObject};
use kube::{
    ResourceExt,
    api::{DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Event},
};

use super::{
    super::{
        conditions::Acceptance,
        known::{KnownPolicy, SpecChange},
        listing::Change,
        pod::WatchedPod,
    },
    Kind, Reconciler,
};
use crate::{
    metrics::Controller,
    owner::Uid,
    rollout::{Workload, WorkloadId, WorkloadKind, Workloads},
    workload::WatchedWorkload,
};

impl Reconciler {
    /// An event of one of the two watches of policies.
    pub(in crate::policy) fn policy_event(
        &mut self,
        event: Result<Event<DynamicObject>, watcher::Error>,
        kind: Kind,
    ) {
        let Some(event) = self.readable(kind.resource(), event) else { return };
        let listing = match kind {
            Kind::Namespaced => &mut self.policy_listing,
            Kind::Cluster => &mut self.cluster_policy_listing,
        };
        match listing.follow(event, policy_id) {
            Change::Set(object) => self.set_policy(&object),
            Change::Remove(object) => self.remove_policy(&policy_id(&object)),
            Change::Retain(listed) => {
                let is_gone = |id: &&PolicyId| kind_of(id) == kind && !listed.contains(*id);
                let gone: Vec<PolicyId> = self.policies.keys().filter(is_gone).cloned().collect();
                for id in gone {
                    self.remove_policy(&id);
                }
                self.look_soon();
            }
            Change::Begin => self.policies.values_mut().for_each(KnownPolicy::await_nothing),
        }
    }

    fn set_policy(&mut self, object: &DynamicObject) {
        let id = policy_id(object);
        let before = self.policies.remove(&id);
        let (known, change) = KnownPolicy::read(&id, object, &self.context.exclusions, before);
        self.spec_changed(&id, &known, change);
        self.policies.insert(id.clone(), known);
        self.changed.insert(id);
        self.look_soon();
    }

    fn spec_changed(&mut self, id: &PolicyId, known: &KnownPolicy, change: SpecChange) {
        match change {
            SpecChange::None => return,
            SpecChange::Refused => {
                self.changed.extend(self.clashes.remove(id));
                self.dry_runs.forget(id);
            }
            SpecChange::Accepted(claims) => {
                self.changed.extend(self.clashes.set(claims.footprint));
                self.dry_runs.ask(id, known.version(), claims.question);
            }
        }
        match &known.compiled {
            Some(policy) => self.index.set_policy(Arc::clone(policy)),
            None => self.index.remove_policy(id),
        }
        if let Acceptance::Invalid(problems) = &known.acceptance {
            tracing::warn!(policy = %id, problems, "the policy does not compile; it is left out");
        }
        self.ask.notify_one();
    }

    fn remove_policy(&mut self, id: &PolicyId) {
        self.policies.remove(id);
        self.index.remove_policy(id);
        self.changed.extend(self.clashes.remove(id));
        self.dry_runs.forget(id);
        self.rollouts.forget(id);
        self.keeper.forget(id);
        self.look_soon();
    }

    /// An event of the watch of namespaces.
    pub(in crate::policy) fn namespace_event(
        &mut self,
        event: Result<Event<PartialObjectMeta<NamespaceObject>>, watcher::Error>,
    ) {
        let Some(event) = self.readable("namespaces", event) else { return };
        match self.namespace_listing.follow(event, ResourceExt::name_any) {
            Change::Set(object) => self.set_namespace(Namespace {
                name: object.name_any(),
                labels: object.metadata.labels.unwrap_or_default(),
                annotations: object.metadata.annotations.unwrap_or_default(),
            }),
            Change::Remove(object) => {
                self.index.remove_namespace(&object.name_any());
                self.clashes.remove_namespace(&object.name_any());
            }
            Change::Retain(listed) => {
                self.index.retain_namespaces(&listed);
                self.clashes.retain_namespaces(&listed);
                self.look_soon();
            }
            Change::Begin => {}
        }
        self.look_if_counts_changed();
    }

    fn set_namespace(&mut self, namespace: Namespace) {
        let clashing = self.clashes.set_namespace(&namespace);
        if !clashing.is_empty() {
            self.changed.extend(clashing);
            self.look_soon();
        }
        self.index.set_namespace(namespace);
    }

    /// An event of the watch of pods.
    pub(in crate::policy) fn pod_event(
        &mut self,
        event: Result<Event<WatchedPod>, watcher::Error>,
    ) {
        let Some(event) = self.readable("pods", event) else { return };
        let uid = |pod: &WatchedPod| Uid::of(pod.metadata.uid.as_deref().unwrap_or_default());
        match self.pod_listing.follow(event, uid) {
            Change::Set(pod) => self.index.set_pod(pod),
            Change::Remove(pod) => {
                self.index.remove_pod(&pod.namespace().unwrap_or_default(), &pod.name_any());
            }
            Change::Retain(listed) => {
                self.index.retain_pods(&listed);
                self.look_soon();
            }
            Change::Begin => {}
        }
        self.look_if_counts_changed();
    }

    /// An event of the watch of revisions.
    pub(in crate::policy) fn revision_event(
        &mut self,
        event: Result<Event<ControllerRevision>, watcher::Error>,
    ) {
        let Some(event) = self.readable("controllerrevisions", event) else { return };
        let key = |object: &ControllerRevision| {
            (object.namespace().unwrap_or_default(), object.name_any())
        };
        let policy = match self.revision_listing.follow(event, key) {
            Change::Set(object) => self.keeper.history.set(&object),
            Change::Remove(object) => self.keeper.history.remove(&object),
            Change::Retain(listed) => {
                self.keeper.history.retain(|object| listed.contains(object));
                self.all_changed();
                None
            }
            Change::Begin => None,
        };
        if let Some(policy) = policy {
            self.changed.insert(policy);
            self.look_soon();
        }
    }

    /// Whether workloads have to be watched: a policy restarts them.
    pub(in crate::policy) fn needs_workloads(&self) -> bool {
        let restarts = |known: &KnownPolicy| known.compiled.is_some() && known.settings.restarts();
        self.context.permissions.restart && self.policies.values().any(restarts)
    }

    /// Workloads are not watched any more, or not yet.
    pub(in crate::policy) fn forget_workloads(&mut self) {
        self.workloads = Workloads::default();
        self.workload_listings.clear();
    }

    /// An event of the watches of workloads.
    pub(in crate::policy) fn workload_event(
        &mut self,
        kind: WorkloadKind,
        event: Event<WatchedWorkload>,
    ) {
        let id = |object: &WatchedWorkload| WorkloadId {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            kind,
        };
        let is_new = match self.workload_listings.entry(kind).or_default().follow(event, id) {
            Change::Set(object) => self.workloads.set(id(&object), Workload::read(kind, &object)),
            Change::Remove(object) => {
                self.workloads.remove(&id(&object));
                true
            }
            Change::Retain(listed) => {
                self.workloads.retain(kind, |id| listed.contains(id));
                true
            }
            Change::Begin => false,
        };
        if is_new {
            self.changed.extend(self.rollouts.under_way().cloned());
            self.look_soon();
        }
    }

    /// The event of a watch; an error is logged and counted.
    pub(in crate::policy) fn readable<K>(
        &mut self,
        watch: &'static str,
        event: Result<Event<K>, watcher::Error>,
    ) -> Option<Event<K>> {
        self.interruptions.entry(watch).or_default().log(watch, &event);
        if event.is_err() {
            self.context.metrics.failed(Controller::Policy);
        }
        event.ok()
    }
}

fn policy_id(object: &DynamicObject) -> PolicyId {
    PolicyId { namespace: object.namespace(), name: object.name_any() }
}

fn kind_of(id: &PolicyId) -> Kind {
    if id.namespace.is_some() { Kind::Namespaced } else { Kind::Cluster }
}
