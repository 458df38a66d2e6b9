//! What goes wrong between this program and a cluster, and what people can do about it.

use std::{error::Error as StdError, fmt, io, path::Path};

use kube::{client::AuthError, config::KubeconfigError};

use super::{Cluster, Resource};
use crate::manifests;

/// What people can still do without a cluster.
const WITHOUT: &str = "without a cluster work explain and diff with -f and -p, inject, uninject, lint, test, export, and catalog list and show";

/// Why a cluster gave no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(
        "there is no kubeconfig, so no cluster is known; name one with --kubeconfig or the variable \
         KUBECONFIG ({WITHOUT})"
    )]
    NoKubeconfig,
    #[error(
        "the kubeconfig has no context {name:?}; kubectl config get-contexts lists those it has"
    )]
    NoContext { name: String },
    #[error(
        "the kubeconfig has no current context; name one with --context, or choose one with kubectl \
         config use-context"
    )]
    NoCurrentContext,
    #[error("the kubeconfig cannot be used: {0}")]
    Kubeconfig(String),
    #[error("the credentials of the kubeconfig cannot be used: {0}")]
    Credentials(String),
    #[error("the API server at {server} cannot be reached: {cause} ({WITHOUT})")]
    Unreachable { server: String, cause: String },
    #[error(
        "the API server at {server} does not know who you are: it refuses the credentials of the \
         kubeconfig; they may have expired"
    )]
    Unauthorized { server: String },
    #[error("you may not {right}; check it with: kubectl{flags} auth can-i {} (the API server says: {said})", right.as_question())]
    Forbidden { right: Right, flags: String, said: String },
    #[error("there is no {}; see what there is with: kubectl{flags} get {}", right.object(), right.as_list())]
    NotFound { right: Right, flags: String },
    #[error(
        "the cluster does not know the kind {kind} of {group}/{version}: the operator is not installed there, \
         or it is older or newer than this program; see what the cluster knows with: kubectl{flags} \
         api-resources --api-group={group}"
    )]
    NotServed { kind: &'static str, group: &'static str, version: &'static str, flags: String },
    #[error("the API server did not {right}: {said}")]
    Refused {
        right: Right,
        /// HTTP status code; 0 if what answers is no API server.
        code: u16,
        said: String,
    },
    #[error("the API server did not {right}: {said}; --force-conflicts takes these fields over")]
    Conflict { right: Right, said: String },
    #[error(
        "the API server did not {right}: kubectl sidecar rollout itself has changed {fields} since, to put an earlier \
         revision back for instance; --force-conflicts goes over it"
    )]
    OwnConflict { right: Right, fields: String },
    #[error("{kind:?} is no kind that has pods; those are {known}")]
    UnknownKind { kind: String, known: String },
    #[error("the name of a {kind:?} is missing; write it as {kind}/NAME")]
    NoName { kind: String },
    #[error(
        "{object} names a kind itself; name the kind once, or with each object as KIND/NAME (before it stands {kind:?})"
    )]
    KindTwice { kind: String, object: String },
    #[error(
        "{word:?} names no policy; write NAME, scp/NAME, cscp/NAME, cluster/NAME or NAMESPACE/NAME"
    )]
    NoPolicyName { word: String },
    #[error("that cannot be asked: {0}")]
    Request(String),
    #[error(
        "what the API server answers cannot be read: {0}; is the server that the kubeconfig names an API server?"
    )]
    Answer(String),
    #[error("the program cannot wait for a cluster: {0}")]
    Runtime(io::Error),
}

impl Error {
    /// A kubeconfig that cannot be read or lacks something.
    pub(super) fn kubeconfig(error: KubeconfigError) -> Self {
        match error {
            KubeconfigError::CurrentContextNotSet => Self::NoCurrentContext,
            KubeconfigError::LoadContext(name) => Self::NoContext { name },
            KubeconfigError::LoadClusterOfContext(name) => Self::Kubeconfig(format!(
                "its context names the cluster {name:?}, which it does not have"
            )),
            KubeconfigError::MissingClusterUrl => {
                Self::Kubeconfig("the cluster of its context has no server".to_owned())
            }
            error => Self::Kubeconfig(with_last_cause(&error)),
        }
    }

    /// A file that is no kubeconfig.
    pub(super) fn kubeconfig_file(file: &Path, error: &KubeconfigError) -> Self {
        let cause = last_cause(error);
        // What is wrong with YAML comes with an excerpt, which may show a secret.
        let what = cause.lines().next().unwrap_or_default();
        let what = what.strip_prefix("error: ").unwrap_or(what);
        Self::Kubeconfig(format!("{}: {what}", file.display()))
    }

    /// Credentials of which no client can be made.
    pub(super) fn credentials(error: &kube::Error) -> Self {
        Self::Credentials(match error {
            kube::Error::Auth(error) => of_credentials(error),
            error => with_last_cause(error),
        })
    }

    /// A question that cannot be put to an API server.
    pub(crate) fn request(error: &kube::core::request::Error) -> Self {
        Self::Request(last_cause(error))
    }

    /// Whether it may pass by itself: the API server restarts, or has too much to do.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { code, .. } => matches!(code, 0 | 429 | 500..),
            _ => false,
        }
    }

    /// An answer that is not what it should be.
    pub(crate) fn answer(error: &serde_json::Error) -> Self {
        Self::Answer(manifests::without_position(error))
    }
}

impl Cluster {
    /// What a request ended with that took this right.
    pub(crate) fn failed(&self, right: Right, error: kube::Error) -> Error {
        let flags = self.kubectl_flags.clone();
        let server = || self.server.clone();
        match error {
            kube::Error::Api(status) => match status.code {
                401 => Error::Unauthorized { server: server() },
                403 => Error::Forbidden { right, flags, said: status.message },
                // Without a name in the answer it is the path that the server does not know.
                404 if status.details.is_none_or(|details| details.name.is_empty()) => {
                    let Resource { kind, group, version, .. } = *right.resource;
                    Error::NotServed { kind, group, version, flags }
                }
                404 => Error::NotFound { right, flags },
                code => Error::Refused { right, code, said: status.message },
            },
            kube::Error::Auth(error) => Error::Credentials(of_credentials(&error)),
            kube::Error::SerdeError(error) => Error::answer(&error),
            kube::Error::Service(error) if error.is::<AuthError>() => {
                Error::Credentials(error.downcast_ref().map(of_credentials).unwrap_or_default())
            }
            error => Error::Unreachable { server: server(), cause: last_cause(&error) },
        }
    }
}

/// What a request does, and so the right that it takes.
#[derive(Clone, Debug)]
pub(crate) struct Right {
    /// As RBAC has it, such as `get`.
    pub(crate) verb: &'static str,
    pub(crate) resource: &'static Resource,
    /// `None` for the whole cluster.
    pub(crate) namespace: Option<String>,
    /// `None` for all.
    pub(crate) name: Option<String>,
}

impl Right {
    /// `Deployment shop/api`, or `pods in the namespace shop`.
    fn object(&self) -> String {
        let Self { resource, namespace, name, .. } = self;
        match (name, namespace) {
            (Some(name), Some(namespace)) => format!("{} {namespace}/{name}", resource.kind),
            (Some(name), None) => format!("{} {name}", resource.kind),
            (None, Some(namespace)) => format!("{} in the namespace {namespace}", resource.plural),
            (None, None) if resource.namespaced => format!("{} in all namespaces", resource.plural),
            (None, None) => resource.plural.to_owned(),
        }
    }

    /// As `kubectl auth can-i` asks.
    fn as_question(&self) -> String {
        let mut question = format!("{} {}", self.verb, self.resource.full_name());
        if let Some(name) = &self.name {
            question.push('/');
            question.push_str(name);
        }
        question.push_str(&self.scope());
        question
    }

    /// As `kubectl get` lists what there is.
    fn as_list(&self) -> String {
        format!("{}{}", self.resource.full_name(), self.scope())
    }

    fn scope(&self) -> String {
        match &self.namespace {
            Some(namespace) => format!(" -n {namespace}"),
            None if self.resource.namespaced => " -A".to_owned(),
            None => String::new(),
        }
    }
}

impl fmt::Display for Right {
    /// `get Deployment shop/api`, or `list pods in the namespace shop`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.verb, self.object())
    }
}

/// Why there are no credentials. What a credential plugin was given and printed may be secret; what it
/// complained of is for people.
fn of_credentials(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecStart(error) => {
            format!("the credential plugin that it names cannot be started: {error}")
        }
        AuthError::AuthExecRun { out, .. } => {
            let complaint = String::from_utf8_lossy(&out.stderr);
            let complaint = complaint.trim();
            let complaint = if complaint.is_empty() { "it said nothing" } else { complaint };
            format!("the credential plugin that it names failed ({}): {complaint}", out.status)
        }
        error => with_last_cause(error),
    }
}

/// The innermost cause with what says where, which most often names a file.
fn with_last_cause(error: &dyn StdError) -> String {
    let (mut error, mut around) = (error, None);
    while let Some(source) = error.source() {
        around = Some(error.to_string());
        error = source;
    }
    let cause = error.to_string();
    around.filter(|around| around.contains(&cause)).unwrap_or(cause)
}

/// The innermost cause, which says what happened; those around it only say where.
fn last_cause(error: &dyn StdError) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
