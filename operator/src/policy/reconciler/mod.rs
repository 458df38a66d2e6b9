//! All that the policy controller knows: events go in (`watched`), and the statuses that differ come out.

mod watched;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use crds::PodCounts;
use inject::PolicyId;
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use runtime::watch::Interruptions;

use super::{
    clashes::Clashes,
    conditions::Configuration,
    dry_run::{DryRuns, Verdict},
    index::Index,
    known::{KnownPolicy, Observed},
    listing::Listing,
    serving::{Answers, Coverage, Kept},
    writer::{StatusWrite, Writer},
};
use crate::{
    context::Context,
    events::Teller,
    owner::Uid,
    revision::{Keeper, Wanted},
    rollout::{COMPLETE, Progress, Rollouts, Subjects, WorkloadId, WorkloadKind, Workloads},
    webhook_config::{FailScopes, KnownFailScopes, Published},
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

    /// Something that was done for a policy has ended.
    pub(super) fn step_ended(&mut self, policy: PolicyId) {
        self.changed.insert(policy);
        self.look_soon();
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
