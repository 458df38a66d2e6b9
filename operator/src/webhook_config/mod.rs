//! Keeps the two webhook configurations filled: the chart renders them empty and owns them, the
//! operator applies the entries. It never creates them, so that uninstalling removes all.

mod entries;
mod match_conditions;
mod probe;
mod refusals;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    sync::Arc,
    time::Duration,
};

use futures::StreamExt;
use inject::PolicyId;
use k8s_openapi::{
    api::admissionregistration::v1::{
        MutatingWebhook, MutatingWebhookConfiguration, ValidatingWebhook,
        ValidatingWebhookConfiguration, WebhookClientConfig,
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Resource, ResourceExt, runtime::watcher};
use runtime::watch::{Interruptions, begin_again};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::watch, time::Instant};

use crate::{
    certificates::{Certificate, Trusted, to_pem},
    context::{Context, WriteError},
    metrics::Controller,
    seen::Seen,
};
use entries::{Entries, Inputs};
pub(crate) use entries::{FailScope, FailScopes};
pub(crate) use probe::{Doubt, Proof, Proven};
use probe::{Expected, Probe};
use refusals::Refusals;

/// Pause after a write that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Longest pause between two comparisons; changes are seen at once by the watch.
const RESYNC_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// What the API server holds of the two configurations.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Published {
    /// The authorities that each configuration carries in all its entries.
    pub(crate) authorities: Vec<Vec<Certificate>>,
    /// The `Fail` scopes that the configurations stand for; `None` before the first comparison.
    pub(crate) fail_scopes: Option<Arc<FailScopes>>,
    /// Policies whose `Fail` entry is wider than their selectors.
    pub(crate) merged: BTreeSet<PolicyId>,
    /// Policies whose `Fail` entry is left out, and what the API server says of it.
    pub(crate) refused: BTreeMap<PolicyId, String>,
    /// Why the configurations are not as they have to be, for people.
    pub(crate) problem: Option<String>,
    /// Whether the API server was seen to call by them.
    pub(crate) proof: Proof,
    /// The last ones that it was seen to call by, since this process leads.
    pub(crate) proven: Option<Arc<Proven>>,
}

impl Published {
    /// Whether there was no time yet to fill the configurations and to see the API server call by them.
    pub(crate) fn has_only_begun(&self) -> bool {
        self.problem.is_none()
            && self.proven.is_none()
            && !matches!(self.proof, Proof::Missing { lasting: true, .. })
    }

    /// Whether the configurations are as they have to be, as far as it can be known.
    fn is_in_order(&self) -> bool {
        let is_called =
            !matches!(self.proof, Proof::Missing { doubt: Doubt::NotCalled(_), lasting: true });
        self.fail_scopes.is_some() && self.problem.is_none() && is_called
    }
}

/// The `Fail` scopes of all policies; `None` until the policies are known.
pub(crate) type KnownFailScopes = Option<Arc<FailScopes>>;

/// Runs until the process ends.
pub(crate) async fn run(
    context: Arc<Context>,
    mut trusted: watch::Receiver<Trusted>,
    mut fail_scopes: watch::Receiver<KnownFailScopes>,
    published: watch::Sender<Option<Arc<Published>>>,
) {
    let name = &context.webhook_configuration;
    let mutating_api: Api<MutatingWebhookConfiguration> = Api::all(context.client.clone());
    let validating_api: Api<ValidatingWebhookConfiguration> = Api::all(context.client.clone());
    let mut mutating_events =
        std::pin::pin!(begin_again(watcher::watch_object(mutating_api.clone(), name)));
    let mut validating_events =
        std::pin::pin!(begin_again(watcher::watch_object(validating_api.clone(), name)));
    let mut configurations = Configurations {
        mutating: Shell::new(mutating_api, &context),
        validating: Shell::new(validating_api, &context),
        refusals: Refusals::default(),
        probe: Probe::new(
            context.client.clone(),
            context.dry_run_namespace.clone(),
            context.metrics.clone(),
        ),
    };
    let mut next_look = Instant::now() + RESYNC_INTERVAL;
    loop {
        tokio::select! {
            Some(event) = mutating_events.next() => configurations.mutating.see(event),
            Some(event) = validating_events.next() => configurations.validating.see(event),
            Ok(()) = trusted.changed() => {}
            Ok(()) = fail_scopes.changed() => {}
            Some(()) = configurations.probe.next() => {}
            () = tokio::time::sleep_until(next_look) => {}
        }
        if !configurations.are_known() {
            continue;
        }
        let trusted = trusted.borrow_and_update().clone();
        let fail_scopes = fail_scopes.borrow_and_update().clone();
        let state = configurations.reconcile(trusted, fail_scopes).await;
        let pause = if state.problem.is_some() { RETRY_INTERVAL } else { RESYNC_INTERVAL };
        next_look = Instant::now() + pause;
        hand_on(&context, &published, state);
    }
}

fn hand_on(context: &Context, published: &watch::Sender<Option<Arc<Published>>>, state: Published) {
    context.metrics.webhook_is_configured(state.is_in_order());
    published.send_if_modified(|published| {
        if published.as_deref() == Some(&state) {
            return false;
        }
        let before = published.as_ref().and_then(|published| published.problem.as_ref());
        if let Some(problem) = &state.problem
            && before != Some(problem)
        {
            context.metrics.failed(Controller::WebhookConfiguration);
            tracing::error!(problem, "the webhook configurations are not as they have to be");
        }
        *published = Some(Arc::new(state));
        true
    });
}

/// Both webhook configurations, and what the API server makes of them.
struct Configurations {
    mutating: Shell<MutatingWebhookConfiguration>,
    validating: Shell<ValidatingWebhookConfiguration>,
    refusals: Refusals,
    probe: Probe,
}

impl Configurations {
    fn are_known(&self) -> bool {
        self.mutating.seen.is_known() && self.validating.seen.is_known()
    }

    /// Fills them as far as all that goes into them is known, and has the API server asked about them.
    async fn reconcile(&mut self, trusted: Trusted, fail_scopes: KnownFailScopes) -> Published {
        let mut state = Published::default();
        let mut in_force = None;
        match (trusted, fail_scopes) {
            // Without all policies known, an entry that blocks for one of them would be taken away.
            (Some(Ok(trusted)), Some(fail_scopes)) => {
                let wanted = self.fill(&trusted, &fail_scopes, &mut state).await;
                if state.problem.is_none() {
                    in_force = Some((wanted.hashes, self.refusals.leave_out(&fail_scopes)));
                }
                state.fail_scopes = Some(fail_scopes);
            }
            (Some(Err(problem)), _) => state.problem = Some(problem),
            (Some(Ok(_)) | None, _) => {}
        }
        state.authorities = vec![self.mutating.authorities(), self.validating.authorities()];
        self.probe.expect(in_force.map(|(hashes, fail_scopes)| Expected {
            hashes,
            generations: [self.mutating.generation(), self.validating.generation()],
            authorities: state.authorities.clone(),
            fail_scopes,
        }));
        state.proof = self.probe.proof().clone();
        state.proven = self.probe.proven().cloned();
        state
    }

    async fn fill(
        &mut self,
        trusted: &[Certificate],
        fail_scopes: &FailScopes,
        state: &mut Published,
    ) -> Entries {
        let (wanted, filled) =
            fill_mutating(&mut self.mutating, &mut self.refusals, trusted, fail_scopes).await;
        let results = [filled, self.validating.fill(&wanted.validating).await];
        let problems: Vec<String> =
            results.iter().filter_map(|result| Some(result.as_ref().err()?.to_string())).collect();
        state.problem = (!problems.is_empty()).then(|| problems.join("; "));
        state.merged.clone_from(&wanted.merged);
        state.refused = self.refusals.words();
        wanted
    }
}

/// Fills the mutating configuration without the `Fail` entries that the API server refuses.
async fn fill_mutating(
    mutating: &mut Shell<MutatingWebhookConfiguration>,
    refusals: &mut Refusals,
    trusted: &[Certificate],
    fail_scopes: &FailScopes,
) -> (Entries, Result<(), FillError>) {
    loop {
        let wanted = wanted(&mutating.context, trusted, &refusals.leave_out(fail_scopes));
        let filled = mutating.fill(&wanted.mutating).await;
        // The answer tells positions, which are ours only where no entry of others is in between.
        if let Err(FillError::Write { error, .. }) = &filled
            && let Some(answer) = error.invalid()
            && mutating.holds_only_ours()
        {
            let refused = refusals.learn(answer, &wanted, fail_scopes);
            if !refused.is_empty() {
                mutating.context.metrics.failed(Controller::WebhookConfiguration);
                tracing::error!(
                    policies = ?refused.iter().map(PolicyId::to_string).collect::<Vec<_>>(),
                    error = %error,
                    "the API server refuses Fail entries of the webhook configuration; writing it without them"
                );
                continue;
            }
        }
        return (wanted, filled);
    }
}

fn wanted(context: &Context, trusted: &[Certificate], fail_scopes: &FailScopes) -> Entries {
    entries::plan(&Inputs {
        fail_scopes,
        exclusions: &context.exclusions,
        authorities: &to_pem(trusted),
        service_namespace: &context.namespace,
        service_name: &context.webhook_service,
        dry_run_namespace: &context.dry_run_namespace,
    })
}

/// One webhook configuration, made empty by the chart.
struct Shell<C> {
    api: Api<C>,
    context: Arc<Context>,
    seen: Seen<C>,
    interruptions: Interruptions,
}

/// Why a webhook configuration is not as it has to be.
#[derive(Debug, thiserror::Error)]
enum FillError {
    /// It was deleted, or never made.
    #[error("{kind} {name} does not exist; the chart renders it: run helm upgrade")]
    Missing { kind: Cow<'static, str>, name: String },
    /// The write failed.
    #[error("{kind} {name} cannot be written: {error}")]
    Write { kind: Cow<'static, str>, name: String, error: WriteError },
}

/// What the two kinds have in common.
trait Configuration:
    Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned + Send + Sync
{
    type Entry: Clone + PartialEq;

    fn entries(&self) -> &[Self::Entry];
    fn filled(metadata: ObjectMeta, entries: Vec<Self::Entry>) -> Self;
    fn name(entry: &Self::Entry) -> &str;
    fn client_config(entry: &Self::Entry) -> &WebhookClientConfig;
}

macro_rules! configuration {
    ($kind:ident, $entry:ident) => {
        impl Configuration for $kind {
            type Entry = $entry;

            fn entries(&self) -> &[$entry] {
                self.webhooks.as_deref().unwrap_or_default()
            }

            fn filled(metadata: ObjectMeta, entries: Vec<$entry>) -> Self {
                Self { metadata, webhooks: Some(entries) }
            }

            fn name(entry: &$entry) -> &str {
                &entry.name
            }

            fn client_config(entry: &$entry) -> &WebhookClientConfig {
                &entry.client_config
            }
        }
    };
}

configuration!(MutatingWebhookConfiguration, MutatingWebhook);
configuration!(ValidatingWebhookConfiguration, ValidatingWebhook);

impl<C: Configuration> Shell<C> {
    fn new(api: Api<C>, context: &Arc<Context>) -> Self {
        let context = Arc::clone(context);
        Self { api, context, seen: Seen::NotYet, interruptions: Interruptions::default() }
    }

    fn see(&mut self, event: Result<Option<C>, watcher::Error>) {
        self.interruptions.log_object(&C::plural(&()), &event);
        if event.is_err() {
            self.context.metrics.failed(Controller::WebhookConfiguration);
        }
        self.seen.see(event);
    }

    /// Applies the entries unless they are there.
    async fn fill(&mut self, wanted: &[C::Entry]) -> Result<(), FillError> {
        let name = &self.context.webhook_configuration;
        let Some(seen) = self.seen.object() else {
            return Err(FillError::Missing { kind: C::kind(&()), name: name.clone() });
        };
        if own_entries::<C>(seen.entries()).eq(wanted) {
            return Ok(());
        }
        let metadata = ObjectMeta {
            name: Some(name.clone()),
            // With its identity the object is changed if it is there, and never created.
            uid: seen.uid(),
            ..ObjectMeta::default()
        };
        let object = C::filled(metadata, wanted.to_vec());
        match self.context.apply(&self.api, name, &object).await {
            Ok(applied) => {
                tracing::info!(
                    kind = %C::kind(&()),
                    name,
                    entries = applied.entries().len(),
                    "filled the webhook configuration"
                );
                self.seen = Seen::Present(applied);
                Ok(())
            }
            Err(error) => Err(FillError::Write { kind: C::kind(&()), name: name.clone(), error }),
        }
    }

    fn generation(&self) -> Option<i64> {
        self.seen.object()?.meta().generation
    }

    /// Whether there are no entries of others.
    fn holds_only_ours(&self) -> bool {
        self.seen
            .object()
            .is_some_and(|seen| own_entries::<C>(seen.entries()).count() == seen.entries().len())
    }

    /// The authorities that every entry of ours carries.
    fn authorities(&self) -> Vec<Certificate> {
        let Some(seen) = self.seen.object() else { return Vec::new() };
        let mut carried = own_entries::<C>(seen.entries()).map(|entry| {
            let bundle = C::client_config(entry).ca_bundle.as_ref();
            bundle.and_then(|pem| Certificate::read_all(&pem.0).ok()).unwrap_or_default()
        });
        let mut common = carried.next().unwrap_or_default();
        for other in carried {
            common.retain(|authority| other.contains(authority));
        }
        common
    }
}

/// Entries by their names; those of others are none of our business.
fn own_entries<C: Configuration>(entries: &[C::Entry]) -> impl Iterator<Item = &C::Entry> {
    entries.iter().filter(|entry| C::name(entry).ends_with(".sidecarpolicy.dev"))
}
