//! All that the policy controller knows: events go in, and the statuses that differ come out.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crds::PodCounts;
use inject::{Namespace, PolicyId};
use jiff::Timestamp;
use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::Namespace as NamespaceObject},
    apimachinery::pkg::apis::meta::v1::Condition,
};
use kube::{
    ResourceExt,
    api::{DynamicObject, PartialObjectMeta},
    runtime::watcher::{self, Event},
};
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use runtime::watch::Interruptions;

use super::{
    clashes::Clashes,
    conditions::{Acceptance, Configuration},
    dry_run::{DryRuns, Verdict},
    index::Index,
    known::{KnownPolicy, Observed, SpecChange},
    listing::{Change, Listing},
    pod::WatchedPod,
    serving::{Answers, Coverage, Kept},
    writer::{StatusWrite, Writer},
};
use crate::{
    context::Context,
    events::Teller,
    metrics::Controller,
    owner::Uid,
    revision::{Keeper, Wanted},
    rollout::{
        COMPLETE, Progress, Rollouts, Subjects, Workload, WorkloadId, WorkloadKind, Workloads,
    },
    webhook_config::{FailScopes, KnownFailScopes, Published},
    workload::WatchedWorkload,
};

/// How long changes are collected before statuses are looked at.
const COALESCE: Duration = Duration::from_millis(250);
/// How long promises of the operator before this one are kept while nothing is known that speaks against
/// them.
const BEGINNING: Duration = Duration::from_secs(30);
/// When replicas are asked again while some do not serve a policy yet.
const ASK_AGAIN: Duration = Duration::from_millis(400);
/// How long a new policy may take to reach the webhook, in seconds: pods that are created meanwhile
/// miss it as if they had been there before.
const SETTLING: i64 = 10;
/// When a write that failed is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The two kinds of policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `SidecarPolicy`.
    Namespaced,
    /// `ClusterSidecarPolicy`.
    Cluster,
}

impl Kind {
    /// The resource, as its custom resource definition is called.
    fn resource(self) -> &'static str {
        match self {
            Self::Namespaced => "sidecarpolicies.sidecarpolicy.dev",
            Self::Cluster => "clustersidecarpolicies.sidecarpolicy.dev",
        }
    }
}

/// All that is known, and when it has to be looked at.
pub(super) struct Reconciler {
    /// When statuses are looked at; `None`: when something changes.
    pub(super) look_at: Option<Instant>,
    /// When replicas are asked again; `None`: all serve all policies.
    pub(super) ask_at: Option<Instant>,
    /// The revisions of policies.
    pub(super) keeper: Keeper,
    /// What the API server thinks of policies.
    pub(super) dry_runs: DryRuns,
    /// What is done to running pods.
    pub(super) rollouts: Rollouts,
    context: Arc<Context>,
    teller: Teller,
    writer: Writer,
    ask: Arc<Notify>,
    fail_scopes: watch::Sender<KnownFailScopes>,
    answers: Option<Answers>,
    published: Option<Arc<Published>>,
    policies: BTreeMap<PolicyId, KnownPolicy>,
    index: Index,
    clashes: Clashes,
    policy_listing: Listing<PolicyId>,
    cluster_policy_listing: Listing<PolicyId>,
    namespace_listing: Listing<String>,
    pod_listing: Listing<Uid>,
    revision_listing: Listing<(String, String)>,
    workloads: Workloads,
    workload_listings: BTreeMap<WorkloadKind, Listing<WorkloadId>>,
    interruptions: BTreeMap<&'static str, Interruptions>,
    is_counting: bool,
    /// When promises of the operator before this one are kept no longer, whatever is known.
    beginning_ends: Instant,
    /// The last statuses were planned before enough was known.
    has_only_begun: bool,
    changed: BTreeSet<PolicyId>,
}

impl Reconciler {
    /// Knows nothing yet. Notifies `ask` when replicas have to be asked.
    pub(super) fn new(
        context: Arc<Context>,
        ask: Arc<Notify>,
        fail_scopes: watch::Sender<KnownFailScopes>,
        teller: Teller,
    ) -> Self {
        Self {
            look_at: None,
            ask_at: None,
            keeper: Keeper::new(Arc::clone(&context)),
            dry_runs: DryRuns::new(
                context.client.clone(),
                context.dry_run_namespace.clone(),
                context.metrics.clone(),
            ),
            rollouts: Rollouts::new(Arc::clone(&context)),
            teller,
            writer: Writer::new(Arc::clone(&context)),
            index: Index::new(context.exclusions.clone()),
            context,
            ask,
            fail_scopes,
            answers: None,
            published: None,
            policies: BTreeMap::new(),
            clashes: Clashes::default(),
            policy_listing: Listing::default(),
            cluster_policy_listing: Listing::default(),
            namespace_listing: Listing::default(),
            pod_listing: Listing::default(),
            revision_listing: Listing::default(),
            workloads: Workloads::default(),
            workload_listings: BTreeMap::new(),
            interruptions: BTreeMap::new(),
            is_counting: false,
            beginning_ends: Instant::now() + BEGINNING,
            has_only_begun: true,
            changed: BTreeSet::new(),
        }
    }

    /// What the replicas answered.
    pub(super) fn set_answers(&mut self, answers: Option<Answers>) {
        self.answers = answers;
        self.all_changed();
    }

    /// What the webhook configurations hold.
    pub(super) fn set_published(&mut self, published: Option<Arc<Published>>) {
        self.published = published;
        self.all_changed();
    }

    /// An event of one of the two watches of policies.
    pub(super) fn policy_event(
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
    pub(super) fn namespace_event(
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
    pub(super) fn pod_event(&mut self, event: Result<Event<WatchedPod>, watcher::Error>) {
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
    pub(super) fn revision_event(
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
    pub(super) fn needs_workloads(&self) -> bool {
        let restarts = |known: &KnownPolicy| known.compiled.is_some() && known.settings.restarts();
        self.context.permissions.restart && self.policies.values().any(restarts)
    }

    /// Workloads are not watched any more, or not yet.
    pub(super) fn forget_workloads(&mut self) {
        self.workloads = Workloads::default();
        self.workload_listings.clear();
    }

    /// An event of the watches of workloads.
    pub(super) fn workload_event(&mut self, kind: WorkloadKind, event: Event<WatchedWorkload>) {
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

    /// Something that was done for a policy has ended.
    pub(super) fn step_ended(&mut self, policy: PolicyId) {
        self.changed.insert(policy);
        self.look_soon();
    }

    /// The event of a watch; an error is logged and counted.
    pub(super) fn readable<K>(
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

    /// Has the replicas asked, and again a moment later.
    pub(super) fn ask_again(&mut self) {
        self.ask.notify_one();
        self.ask_at = Some(Instant::now() + ASK_AGAIN);
    }

    fn all_changed(&mut self) {
        self.changed.extend(self.policies.keys().cloned());
        self.look_soon();
    }

    fn look_if_counts_changed(&mut self) {
        if self.index.has_changed() {
            self.look_soon();
        }
    }

    /// Looks at what changed after a moment, in which more may come.
    fn look_soon(&mut self) {
        self.look_within(COALESCE);
    }

    fn look_within(&mut self, pause: Duration) {
        let time = Instant::now() + pause;
        self.look_at = Some(self.look_at.map_or(time, |before| before.min(time)));
    }

    /// Writes the statuses that differ from what they should be.
    #[tracing::instrument(name = "reconcile", level = "debug", skip_all)]
    pub(super) async fn reconcile(&mut self) {
        self.look_at = None;
        let is_complete = self.policy_listing.is_complete()
            && self.cluster_policy_listing.is_complete()
            && self.namespace_listing.is_complete()
            && self.pod_listing.is_complete()
            && self.revision_listing.is_complete();
        if !is_complete {
            return;
        }
        if !self.is_counting {
            self.is_counting = true;
            self.index.start_counting();
        }
        self.hand_on_fail_scopes();
        let now = Timestamp::now();
        self.teller.tell(self.index.take_news(), now);
        self.count_missed();
        self.see_whether_it_has_only_begun();
        let wanted = self.plan(now);
        for (id, outcome) in self.writer.write(wanted).await {
            match (outcome, self.policies.get_mut(&id)) {
                (Ok(written), Some(known)) => known.written(written.status, written.version),
                (Err(_), Some(_)) => {
                    self.changed.insert(id);
                    self.look_within(RETRY_INTERVAL);
                }
                (_, None) => {}
            }
        }
        self.measure();
        self.ask_at = match self.ask_at {
            _ if !self.is_waiting_for_replicas() => None,
            None => Some(Instant::now() + ASK_AGAIN),
            Some(time) => Some(time),
        };
        let looks = [self.rollouts.next_look(), self.keeper.next_try()];
        if let Some(time) = looks.into_iter().flatten().min() {
            let seconds = u64::try_from(time - Timestamp::now().as_second()).unwrap_or(0);
            self.look_within(Duration::from_secs(seconds.max(1)));
        }
    }

    /// The statuses to be written: of what changed, those that differ from what is stored. Begins what
    /// is to be done about revisions and running pods.
    fn plan(&mut self, now: Timestamp) -> Vec<StatusWrite> {
        let mut changed = self.index.take_changed();
        changed.append(&mut self.changed);
        changed.extend(self.rollouts.take_due(now.as_second()));
        changed.extend(self.keeper.due(now.as_second()));
        let published = self.published.clone();
        changed
            .into_iter()
            .filter_map(|id| {
                let known = self.policies.get(&id)?;
                let coverage = self.coverage(&id, known);
                let configuration = known.configuration(&id, published.as_deref());
                let dry_run = self.dry_runs.verdict(&id);
                let serving = coverage.endpoints > 0
                    && coverage.serving == coverage.endpoints
                    && matches!(configuration, Configuration::Applied { .. })
                    && dry_run != Verdict::Pending;
                let history = self.keep_revisions(&id, now);
                let clashing = self.clashes.of(&id);
                let counts = self.index.counts(&id);
                let overhead = self.index.overhead(&id);
                let progress = self.advance(&id, &counts.0, serving, &dry_run, now);
                let known = self.policies.get(&id)?;
                let observed = Observed {
                    clashing,
                    dry_run,
                    counts,
                    overhead,
                    coverage,
                    configuration,
                    only_begun: self.has_only_begun,
                    progress,
                    history,
                };
                let status = known.wanted_status(&id, observed, now);
                (status != known.status).then(|| StatusWrite {
                    id,
                    uid: known.uid.clone(),
                    before: known.status.clone(),
                    status,
                })
            })
            .collect()
    }

    /// Has the revisions of a policy kept. Gives the newest one that is not current.
    fn keep_revisions(&mut self, id: &PolicyId, now: Timestamp) -> Option<String> {
        let known = self.policies.get(id)?;
        let Some(compiled) = &known.compiled else {
            self.keeper.forget(id);
            return None;
        };
        let revision = &compiled.revision;
        let history = self.keeper.history.newest_other(id, &known.uid, revision);
        let previous = known.previous_revision(history.clone());
        let wanted = Wanted {
            uid: &known.uid,
            revision,
            previous: previous.as_deref(),
            running: self.index.running(id).into_iter().flatten().map(|(of, _)| &**of).collect(),
            limit: known.history_limit,
        };
        self.keeper.keep(id, &wanted, now.as_second());
        history
    }

    /// Goes on with the rollout of a policy, and says how far it is.
    fn advance(
        &mut self,
        id: &PolicyId,
        counts: &PodCounts,
        serving: bool,
        dry_run: &Verdict,
        now: Timestamp,
    ) -> Progress {
        let Some(known) = self.policies.get(id) else { return Progress::not_accepted() };
        let Some(policy) = &known.compiled else {
            self.rollouts.forget(id);
            return Progress::not_accepted();
        };
        // A pod that is restarted might not come back.
        if dry_run.objects() {
            self.rollouts.forget(id);
            return Progress::not_accepted();
        }
        if !known.settings.is_active() {
            self.rollouts.forget(id);
            return Progress::on_recreate(known.settings.is_partitioned());
        }
        if !policy.enforced {
            self.rollouts.forget(id);
            return Progress::audit();
        }
        let before = known.progress_before();
        // Pods come and go all the time; only a rollout that is not over is worth a look at each.
        let is_complete = before.is_some_and(|(reason, _)| reason == COMPLETE);
        if is_complete && counts.outdated == 0 && (counts.missing == 0 || !known.settings.repair) {
            self.rollouts.forget(id);
            return Progress::complete(counts.current);
        }
        let is_listed = |kind| self.workload_listings.get(kind).is_some_and(Listing::is_complete);
        let are_listed = WorkloadKind::ALL.iter().all(is_listed);
        let subjects = Subjects {
            policy: id,
            uid: &known.uid,
            generation: known.generation,
            created: known.created,
            revision: &policy.revision,
            settings: &known.settings,
            serving,
            stored: self.keeper.history.has(id, &known.uid, &policy.revision),
            before,
            pods: &self.index.rollout_pods(id),
            workloads: are_listed.then_some(&self.workloads),
        };
        self.rollouts.advance(&subjects, now)
    }

    fn hand_on_fail_scopes(&self) {
        let scopes: FailScopes = self
            .policies
            .iter()
            .filter_map(|(id, known)| Some((id.clone(), known.fail_scope.clone()?)))
            .collect();
        self.fail_scopes.send_if_modified(|before| {
            let is_new = before.as_deref() != Some(&scopes);
            if is_new {
                *before = Some(Arc::new(scopes));
            }
            is_new
        });
    }

    /// Which replicas serve a policy as it is.
    fn coverage(&self, id: &PolicyId, known: &KnownPolicy) -> Coverage {
        let kept = known.kept_revision().map(|revision| {
            if self.keeper.history.has(id, &known.uid, revision) {
                Kept::At(revision.to_owned())
            } else {
                Kept::Lost(revision.to_owned())
            }
        });
        let none = Answers::default();
        let answers = self.answers.as_ref().unwrap_or(&none);
        answers.coverage(id, &known.uid, known.generation, kept)
    }

    /// Whether nothing that speaks against a promise of the operator before this one can be known yet. All
    /// statuses are planned anew when that is over.
    fn see_whether_it_has_only_begun(&mut self) {
        let rest = self.beginning_ends.saturating_duration_since(Instant::now());
        let is_little_known = self.answers.is_none()
            || self.published.as_ref().is_none_or(|published| published.has_only_begun());
        let before = self.has_only_begun;
        self.has_only_begun = is_little_known && !rest.is_zero();
        if self.has_only_begun {
            self.look_within(rest);
        } else if before {
            self.changed.extend(self.policies.keys().cloned());
        }
    }

    fn is_waiting_for_replicas(&self) -> bool {
        self.policies.iter().any(|(id, known)| {
            let coverage = self.coverage(id, known);
            known.compiled.is_some() && coverage.serving < coverage.endpoints
        })
    }

    fn count_missed(&mut self) {
        for missed in self.index.take_missed() {
            let policy = self.policies.get(&*missed.policy);
            if policy.is_some_and(|policy| policy.created + SETTLING < missed.created) {
                self.context.metrics.pod_missed();
            }
        }
    }

    fn measure(&self) {
        let mut conditions: BTreeMap<(&str, &str, &str, &str), i64> = BTreeMap::new();
        let mut pods = PodCounts::default();
        for (id, known) in &self.policies {
            for Condition { type_, status, reason, .. } in &known.status.conditions {
                *conditions.entry((id.kind(), type_, status, reason)).or_default() += 1;
            }
            pods += &known.status.pods;
        }
        self.context.metrics.policies(conditions);
        self.context.metrics.pods(&pods);
    }
}

fn policy_id(object: &DynamicObject) -> PolicyId {
    PolicyId { namespace: object.namespace(), name: object.name_any() }
}

fn kind_of(id: &PolicyId) -> Kind {
    if id.namespace.is_some() { Kind::Namespaced } else { Kind::Cluster }
}
