//! Keeps the webhook's certificate authority and serving certificate: made, renewed and healed. Or takes
//! them as somebody else makes them, such as cert-manager (`external`).
//!
//! Both live in Secrets of the operator's namespace. The authorities to be trusted are handed on to
//! the webhook configurations; what those carry, and what the API server was seen to call by, comes back
//! as a fact for the plan.

mod certificate;
mod external;
mod issue;
mod plan;
mod secrets;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::{
    ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, runtime::watcher};
use runtime::watch::{Interruptions, begin_again};
use tokio::{sync::watch, time::Instant};

pub(crate) use certificate::Certificate;
pub(crate) use secrets::to_pem;

use crate::{
    context::{Context, FIELD_MANAGER, WriteError},
    metrics::Controller,
    seen::Seen,
    webhook_config::Published,
};
use issue::{IssueError, Issued};
use plan::{Facts, Step};
use secrets::{AUTHORITY_CERTIFICATE, AUTHORITY_KEY, LEAF_CERTIFICATE, LEAF_KEY};

/// Longest pause between two looks at the clock.
const CLOCK_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Pause after a step that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// Steps in a row before events are looked at again; a rotation needs three.
const STEPS_AT_ONCE: usize = 5;

/// The authorities that clients of the webhook have to trust, or why there are none, for people. `None`
/// until that is known.
pub(crate) type Trusted = Option<Result<Arc<Vec<Certificate>>, String>>;

/// Runs until the process ends.
pub(crate) async fn run(
    context: Arc<Context>,
    published: watch::Receiver<Option<Arc<Published>>>,
    trusted: watch::Sender<Trusted>,
) {
    match context.authority_secret.clone() {
        Some(authority_secret) => keep(context, authority_secret, published, trusted).await,
        None => external::follow(context, published, trusted).await,
    }
}

async fn keep(
    context: Arc<Context>,
    authority_secret: String,
    mut published: watch::Receiver<Option<Arc<Published>>>,
    trusted: watch::Sender<Trusted>,
) {
    let secrets: Api<Secret> = Api::namespaced(context.client.clone(), &context.namespace);
    let watch = |name: &str| begin_again(watcher::watch_object(secrets.clone(), name));
    let mut authorities = std::pin::pin!(watch(&authority_secret));
    let mut leaves = std::pin::pin!(watch(&context.certificate_secret));
    let mut keeper = Keeper {
        names: context.webhook_names().into(),
        secrets: secrets.clone(),
        authority_secret,
        context,
        trusted,
        authority: Seen::NotYet,
        leaf: Seen::NotYet,
    };
    let (mut of_authority, mut of_leaf) = (Interruptions::default(), Interruptions::default());
    let mut next_look = Instant::now() + CLOCK_INTERVAL;
    loop {
        tokio::select! {
            Some(event) = authorities.next() => {
                log(&keeper.context, &mut of_authority, &keeper.authority_secret, &event);
                keeper.authority.see(event);
            }
            Some(event) = leaves.next() => {
                log(&keeper.context, &mut of_leaf, &keeper.context.certificate_secret, &event);
                keeper.leaf.see(event);
            }
            Ok(()) = published.changed() => {}
            () = tokio::time::sleep_until(next_look) => {}
        }
        let published = published.borrow_and_update().clone();
        if let Some(published) = published {
            next_look = Instant::now() + keeper.reconcile(&published).await;
        }
    }
}

/// Logs and counts an interruption of the watch of a Secret.
fn log(
    context: &Context,
    interruptions: &mut Interruptions,
    secret: &str,
    event: &Result<Option<Secret>, watcher::Error>,
) {
    interruptions.log_object(secret, event);
    if event.is_err() {
        context.metrics.failed(Controller::Certificates);
    }
}

/// Says when the authority and the serving certificate end.
fn measure(context: &Context, authority: Option<&Certificate>, leaf: Option<&Certificate>) {
    let expiry = |certificate: &Certificate| certificate.not_after.as_second();
    context.metrics.certificate_expires("authority", authority.map_or(0, expiry));
    context.metrics.certificate_expires("webhook", leaf.map_or(0, expiry));
}

/// How long until this time, but for a look at the clock now and then.
fn pause_until(time: Timestamp, now: Timestamp) -> Duration {
    let pause = Duration::try_from(now.duration_until(time)).unwrap_or_default();
    pause.clamp(Duration::from_secs(1), CLOCK_INTERVAL)
}

/// Hands on which authorities have to be trusted. Gives whether that is new.
fn hand_on(trusted: &watch::Sender<Trusted>, authorities: Result<&[Certificate], &str>) -> bool {
    trusted.send_if_modified(|trusted| {
        let before = trusted.as_ref().map(|trusted| match trusted {
            Ok(trusted) => Ok(trusted.as_slice()),
            Err(problem) => Err(problem.as_str()),
        });
        if before == Some(authorities) {
            return false;
        }
        let owned = authorities.map(|all| Arc::new(all.to_vec())).map_err(ToOwned::to_owned);
        *trusted = Some(owned);
        true
    })
}

/// Gathers, plans and applies.
struct Keeper {
    context: Arc<Context>,
    secrets: Api<Secret>,
    authority_secret: String,
    names: BTreeSet<String>,
    trusted: watch::Sender<Trusted>,
    authority: Seen<Secret>,
    leaf: Seen<Secret>,
}

/// A step could not be carried out.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Issue(#[from] IssueError),
    #[error("cannot write Secret {name}: {source}")]
    Write { name: String, source: WriteError },
}

impl Keeper {
    /// Takes steps until there is nothing to do, and says when to look again.
    async fn reconcile(&mut self, published: &Published) -> Duration {
        for _ in 0..STEPS_AT_ONCE {
            if !self.authority.is_known() || !self.leaf.is_known() {
                return CLOCK_INTERVAL;
            }
            let authority = secrets::read_authority(self.authority.object());
            let leaf = secrets::read_leaf(self.leaf.object());
            if authority.key.is_ok() {
                hand_on(&self.trusted, Ok(&authority.trusted));
            }
            let now = Timestamp::now();
            let step = plan::plan(&Facts {
                now,
                names: &self.names,
                authority: &authority,
                leaf: &leaf,
                published: &published.authorities,
                proven: published.proven.as_deref(),
            });
            measure(&self.context, authority.trusted.first(), leaf.as_ref().ok());
            if let Step::WaitUntil(time) = step {
                return pause_until(time, now);
            }
            if let Err(error) = self.take(step, now, authority.signing()).await {
                self.context.metrics.failed(Controller::Certificates);
                tracing::error!(error = %error, "cannot renew the webhook's certificates; trying again");
                return RETRY_INTERVAL;
            }
        }
        RETRY_INTERVAL
    }

    async fn take(
        &mut self,
        step: Step,
        now: Timestamp,
        signing: Option<Issued>,
    ) -> Result<(), StepError> {
        match (step, signing) {
            (Step::NewAuthority { reason, keep }, _) => {
                let authority = issue::authority(now)?;
                self.write_authority(&authority, &keep).await?;
                tracing::info!(
                    secret = self.authority_secret,
                    reason,
                    "made a new certificate authority"
                );
            }
            (Step::NewLeaf { reason }, Some(authority)) => {
                let leaf = issue::leaf(now, self.names.iter().cloned(), &authority)?;
                self.write_leaf(&leaf, &authority).await?;
                tracing::info!(
                    secret = self.context.certificate_secret,
                    reason,
                    "made a new serving certificate for the webhook"
                );
            }
            (Step::DropOldAuthorities, Some(authority)) => {
                self.write_authority(&authority, &[]).await?;
                tracing::info!(
                    secret = self.authority_secret,
                    "stopped trusting the certificate authorities before the current one"
                );
            }
            (Step::NewLeaf { .. } | Step::DropOldAuthorities | Step::WaitUntil(_), _) => {}
        }
        Ok(())
    }

    async fn write_authority(
        &mut self,
        signing: &Issued,
        keep: &[Certificate],
    ) -> Result<(), StepError> {
        let bundle = format!("{}{}", signing.certificate, to_pem(keep));
        let entries = [(AUTHORITY_CERTIFICATE, bundle.as_str()), (AUTHORITY_KEY, &signing.key)];
        let seen = self.authority.object();
        let name = &self.authority_secret;
        self.authority = Seen::Present(self.write(name, "Opaque", &entries, seen).await?);
        Ok(())
    }

    async fn write_leaf(&mut self, leaf: &Issued, authority: &Issued) -> Result<(), StepError> {
        let entries = [
            (LEAF_CERTIFICATE, leaf.certificate.as_str()),
            (LEAF_KEY, &leaf.key),
            (AUTHORITY_CERTIFICATE, &authority.certificate),
        ];
        let seen = self.leaf.object();
        let name = &self.context.certificate_secret;
        self.leaf = Seen::Present(self.write(name, "kubernetes.io/tls", &entries, seen).await?);
        Ok(())
    }

    async fn write(
        &self,
        name: &str,
        kind: &str,
        entries: &[(&str, &str)],
        seen: Option<&Secret>,
    ) -> Result<Secret, StepError> {
        let data = entries
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let label = ("app.kubernetes.io/managed-by".to_owned(), FIELD_MANAGER.to_owned());
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                // The decision rests on this version of the Secret and on no other.
                resource_version: seen.and_then(|secret| secret.metadata.resource_version.clone()),
                labels: Some([label].into()),
                ..ObjectMeta::default()
            },
            type_: Some(kind.to_owned()),
            data: Some(data.collect()),
            ..Secret::default()
        };
        self.context
            .apply(&self.secrets, name, &secret)
            .await
            .map_err(|source| StepError::Write { name: name.to_owned(), source })
    }
}
