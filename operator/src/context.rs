//! What every controller of the operator needs: the client, names of objects, and the one way to
//! write, which only the leader may use.

use std::{fmt::Debug, time::Duration};

use inject::Exclusions;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    core::Status,
};
use runtime::lease::Term;
use serde::{Serialize, de::DeserializeOwned};

use crate::{metrics::Metrics, rollout::RolloutPermissions};

/// Field manager of everything the operator writes.
pub(crate) const FIELD_MANAGER: &str = "sidecar-policy-operator";
/// How long one write may take.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What every controller needs.
pub(crate) struct Context {
    /// Client of the API server.
    pub(crate) client: Client,
    /// The operator's own namespace.
    pub(crate) namespace: String,
    /// Namespaces that no policy reaches.
    pub(crate) exclusions: Exclusions,
    /// Secret of the certificate authority, in the own namespace; `None`: somebody else makes the
    /// webhook's serving certificate.
    pub(crate) authority_secret: Option<String>,
    /// Secret of the webhook's serving certificate, in the own namespace.
    pub(crate) certificate_secret: String,
    /// Service of the webhook, in the own namespace.
    pub(crate) webhook_service: String,
    /// Name of both webhook configurations.
    pub(crate) webhook_configuration: String,
    /// Namespace in which policies are tried by dry runs.
    pub(crate) dry_run_namespace: String,
    /// What may be done to running pods.
    pub(crate) permissions: RolloutPermissions,
    /// Whether annotations of workloads that the webhook missed may be carried.
    pub(crate) repairs_workload_annotations: bool,
    /// Whether this process still leads.
    pub(crate) term: Term,
    /// What is measured.
    pub(crate) metrics: Metrics,
}

/// Something could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// Another replica may lead by now.
    #[error("this replica no longer leads, so it writes nothing")]
    NotLeader,
    /// The API server refused or could not be reached.
    #[error("{}", in_short(.0))]
    Api(#[from] kube::Error),
    /// The API server did not answer in time.
    #[error("the API server did not answer within {} seconds", WRITE_TIMEOUT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
}

/// What the API server says, without the structure that it comes in.
fn in_short(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message.clone(),
        other => other.to_string(),
    }
}

impl WriteError {
    /// The HTTP status code that the API server answered with.
    pub(crate) fn code(&self) -> Option<u16> {
        match self {
            Self::Api(kube::Error::Api(status)) => Some(status.code),
            _ => None,
        }
    }

    /// The answer, if the API server does not take the object as it is.
    pub(crate) fn invalid(&self) -> Option<&Status> {
        match self {
            Self::Api(kube::Error::Api(status)) if status.code == 422 => Some(status),
            _ => None,
        }
    }

    /// Whether nothing can be created because the namespace is being deleted.
    pub(crate) fn is_of_ending_namespace(&self) -> bool {
        let Self::Api(kube::Error::Api(status)) = self else { return false };
        let causes = status.details.iter().flat_map(|details| &details.causes);
        causes.into_iter().any(|cause| cause.reason == "NamespaceTerminating")
    }

    /// Whether the object is gone, or is not the one that was meant.
    pub(crate) fn is_outdated(&self) -> bool {
        matches!(self, Self::Api(kube::Error::Api(status)) if status.code == 404 || status.code == 409)
    }
}

/// Waits for a write, but not for ever.
async fn in_time<K>(write: impl Future<Output = kube::Result<K>>) -> Result<K, WriteError> {
    Ok(tokio::time::timeout(WRITE_TIMEOUT, write).await??)
}

impl Context {
    /// Server-side apply of an object.
    pub(crate) async fn apply<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &(impl Serialize + Debug + Sync),
    ) -> Result<K, WriteError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let parameters = self.parameters()?;
        in_time(api.patch(name, &parameters, &Patch::Apply(object))).await
    }

    /// Server-side apply of the `status` subresource of an object.
    pub(crate) async fn apply_status<K>(
        &self,
        api: &Api<K>,
        name: &str,
        object: &(impl Serialize + Debug + Sync),
    ) -> Result<K, WriteError>
    where
        K: Clone + DeserializeOwned + Debug,
    {
        let parameters = self.parameters()?;
        in_time(api.patch_status(name, &parameters, &Patch::Apply(object))).await
    }

    /// Any other write, as long as this process leads.
    pub(crate) async fn write<K>(
        &self,
        write: impl Future<Output = kube::Result<K>>,
    ) -> Result<K, WriteError> {
        if self.term.is_current() { in_time(write).await } else { Err(WriteError::NotLeader) }
    }

    /// Parameters of a patch that is no server-side apply.
    pub(crate) fn patch_parameters() -> PatchParams {
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
    }

    fn parameters(&self) -> Result<PatchParams, WriteError> {
        if self.term.is_current() {
            Ok(PatchParams::apply(FIELD_MANAGER).force())
        } else {
            Err(WriteError::NotLeader)
        }
    }

    /// DNS names of the webhook's Service; the first is what the API server asks for.
    pub(crate) fn webhook_names(&self) -> [String; 3] {
        let short = format!("{}.{}", self.webhook_service, self.namespace);
        [format!("{short}.svc"), format!("{short}.svc.cluster.local"), short]
    }
}
