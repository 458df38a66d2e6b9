//! Brings the content of the previous revision to a policy whose partition keeps pods at it.
//!
//! A content never changes under its revision, so it is read once, when a policy needs it: most have
//! no partition, and to watch the revisions of all would take the memory of all their contents.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use crds::{PolicySpec, PolicyStatus};
use inject::{PolicyId, Share, previous_revision, revision, revision_name};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::{Api, Client, runtime::watcher::Event};
use runtime::logging::with_causes;
use serde::Deserialize as _;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::policy_object::PolicyObject;

/// How often reading a content is tried. Afterwards new pods get the current revision, until the
/// policy or its status changes.
const ATTEMPTS: u32 = 4;
/// The pause after the first attempt; doubled after each further one.
const PAUSE: Duration = Duration::from_millis(250);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);

/// A policy as the watch shows it.
#[derive(Clone, Debug)]
pub(crate) struct WatchedPolicy {
    /// The policy.
    pub(crate) object: PolicyObject,
    /// The revision that it keeps pods at, if there is one.
    pub(crate) previous: Option<Previous>,
}

/// The revision that a policy keeps a share of the pods at.
#[derive(Clone, Debug)]
pub(crate) struct Previous {
    /// Its name.
    pub(crate) revision: String,
    /// The pods.
    pub(crate) share: Share,
    /// What it puts in, if that could be read.
    pub(crate) content: Option<Value>,
}

/// The revision that a policy keeps pods at, by its spec and status; its content is not read yet.
pub(crate) fn kept(object: &PolicyObject) -> Option<Previous> {
    let share = Share::read(object.spec.pointer("/rollout/partition")?);
    if share.is_none() {
        return None;
    }
    let spec = PolicySpec::deserialize(&object.spec).ok()?;
    let status = PolicyStatus::deserialize(&object.status).ok()?;
    let revision = previous_revision(&status, &revision(&spec))?.to_owned();
    Some(Previous { revision, share, content: None })
}

/// Reads contents, and keeps those that are in use.
pub(crate) struct Contents {
    client: Client,
    /// Where the revisions of the cluster kind are.
    namespace: String,
    known: Mutex<HashMap<PolicyId, (String, Value)>>,
}

impl Contents {
    /// Knows none yet; `namespace` is the program's own, and the operator's.
    pub(crate) fn new(client: Client, namespace: &str) -> Self {
        Self { client, namespace: namespace.to_owned(), known: Mutex::default() }
    }

    /// The event, with the content that its policy needs.
    pub(crate) async fn bring(&self, event: Event<PolicyObject>) -> Event<WatchedPolicy> {
        match event {
            Event::Init => Event::Init,
            Event::InitDone => Event::InitDone,
            Event::InitApply(object) => Event::InitApply(self.bring_to(object).await),
            Event::Apply(object) => Event::Apply(self.bring_to(object).await),
            Event::Delete(object) => {
                self.forget(&object.id());
                Event::Delete(WatchedPolicy { object, previous: None })
            }
        }
    }

    async fn bring_to(&self, object: PolicyObject) -> WatchedPolicy {
        let policy = object.id();
        let Some(mut previous) = kept(&object) else {
            self.forget(&policy);
            return WatchedPolicy { object, previous: None };
        };
        previous.content = self.content(policy, &previous.revision).await;
        WatchedPolicy { object, previous: Some(previous) }
    }

    async fn content(&self, policy: PolicyId, revision: &str) -> Option<Value> {
        if let Some(content) = self.find(&policy, revision) {
            return Some(content);
        }
        let content = self.read(&policy, revision).await?;
        if let Ok(mut known) = self.known.lock() {
            known.insert(policy, (revision.to_owned(), content.clone()));
        }
        Some(content)
    }

    fn find(&self, policy: &PolicyId, revision: &str) -> Option<Value> {
        let known = self.known.lock().ok()?;
        let (of, content) = known.get(policy)?;
        (of == revision).then(|| content.clone())
    }

    fn forget(&self, policy: &PolicyId) {
        if let Ok(mut known) = self.known.lock() {
            known.remove(policy);
        }
    }

    /// The stored content; whether it is to be believed is for whoever uses it.
    async fn read(&self, policy: &PolicyId, revision: &str) -> Option<Value> {
        let namespace = policy.namespace.as_ref().unwrap_or(&self.namespace);
        let api: Api<ControllerRevision> = Api::namespaced(self.client.clone(), namespace);
        let name = revision_name(policy, revision);
        for attempt in 0..ATTEMPTS {
            if attempt > 0 {
                sleep(PAUSE * 2_u32.pow(attempt - 1)).await;
            }
            match timeout(ATTEMPT_TIMEOUT, api.get_opt(&name)).await {
                Ok(Ok(found)) => {
                    let content = found.and_then(|found| found.data).map(|data| data.0);
                    if content.is_none() {
                        tracing::warn!(%policy, revision, "the content of a revision is not stored");
                    }
                    return content;
                }
                Ok(Err(error)) => {
                    let error = with_causes(&error);
                    tracing::warn!(%policy, revision, error, "a revision cannot be read");
                }
                Err(_) => tracing::warn!(%policy, revision, "a revision was not read in time"),
            }
        }
        None
    }
}

#[cfg(test)]
#[path = "previous_tests.rs"]
mod tests;
