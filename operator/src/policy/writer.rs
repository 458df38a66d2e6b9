//! Writes statuses by server-side apply, several at a time, and notes what people should notice.

use std::sync::Arc;

use crds::{ClusterSidecarPolicy, GROUP, PolicyStatus, SidecarPolicy, VERSION};
use futures::{StreamExt, stream};
use inject::PolicyId;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject},
    runtime::events::{Event, EventType, Recorder, Reporter},
};
use serde_json::json;

use crate::{
    context::{Context, FIELD_MANAGER, WriteError},
    metrics::Controller,
    shorten::shortened,
};

/// Status writes at a time.
const WRITES_AT_ONCE: usize = 8;
/// Longest note that an event takes, in bytes.
const NOTE_LENGTH: usize = 1000;

/// Writes statuses.
pub(super) struct Writer {
    context: Arc<Context>,
    recorder: Recorder,
}

/// A status that was written.
pub(super) struct Written {
    /// The status.
    pub(super) status: PolicyStatus,
    /// `metadata.resourceVersion` that the write made.
    pub(super) version: Option<String>,
}

impl Writer {
    /// A writer for the operator's policies.
    pub(super) fn new(context: Arc<Context>) -> Self {
        let reporter = Reporter { controller: FIELD_MANAGER.to_owned(), instance: None };
        Self { recorder: Recorder::new(context.client.clone(), reporter), context }
    }

    /// Writes statuses, each for the policy with the uid given. One that fails stops no other.
    /// Leaves out the policies that are gone.
    pub(super) async fn write(
        &self,
        wanted: Vec<(PolicyId, String, PolicyStatus)>,
    ) -> Vec<(PolicyId, Result<Written, WriteError>)> {
        stream::iter(wanted)
            .map(async |(id, uid, status)| {
                let outcome = self.write_one(&id, &uid, status).await;
                (id, outcome)
            })
            .buffer_unordered(WRITES_AT_ONCE)
            .filter_map(async |(id, outcome)| match outcome {
                Err(error) if error.is_outdated() => None,
                Err(error) => {
                    self.context.metrics.failed(Controller::Policy);
                    tracing::error!(
                        policy = %id,
                        field = "status",
                        error = %error,
                        "cannot write the status of the policy; trying again"
                    );
                    Some((id, Err(error)))
                }
                Ok(written) => Some((id, Ok(written))),
            })
            .collect()
            .await
    }

    async fn write_one(
        &self,
        id: &PolicyId,
        uid: &str,
        status: PolicyStatus,
    ) -> Result<Written, WriteError> {
        let object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": id.kind(),
            // With its identity a policy of the same name that was made since is left alone.
            "metadata": { "name": id.name, "namespace": id.namespace, "uid": uid },
            "status": status,
        });
        let written = self.context.apply_status(&self.api(id), &id.name, &object).await?;
        self.context.metrics.status_written();
        self.note_refusal(id, uid, &status).await;
        Ok(Written { status, version: written.resource_version() })
    }

    fn api(&self, id: &PolicyId) -> Api<DynamicObject> {
        let client = self.context.client.clone();
        match &id.namespace {
            Some(namespace) => {
                let resource = ApiResource::erase::<SidecarPolicy>(&());
                Api::namespaced_with(client, namespace, &resource)
            }
            None => Api::all_with(client, &ApiResource::erase::<ClusterSidecarPolicy>(&())),
        }
    }

    /// An event on a policy that was refused just now.
    async fn note_refusal(&self, id: &PolicyId, uid: &str, status: &PolicyStatus) {
        let refused = status.conditions.iter().find(|condition| {
            condition.type_ == "Accepted"
                && condition.status == "False"
                && condition.observed_generation == status.observed_generation
        });
        let Some(refused) = refused else { return };
        let event = Event {
            type_: EventType::Warning,
            reason: refused.reason.clone(),
            note: Some(shortened(&refused.message, NOTE_LENGTH).to_owned()),
            action: "Compile".to_owned(),
            secondary: None,
        };
        let policy = ObjectReference {
            api_version: Some(format!("{GROUP}/{VERSION}")),
            kind: Some(id.kind().to_owned()),
            name: Some(id.name.clone()),
            namespace: id.namespace.clone(),
            uid: Some(uid.to_owned()),
            ..ObjectReference::default()
        };
        if let Err(error) = self.recorder.publish(&event, &policy).await {
            tracing::warn!(policy = %id, error = %error, "cannot write an event about the policy");
        }
    }
}
