//! Writes statuses by server-side apply, several at a time, and notes what people should notice.

use std::sync::Arc;

use crds::{ClusterSidecarPolicy, GROUP, PolicyStatus, SidecarPolicy, VERSION};
use futures::{StreamExt, stream};
use inject::PolicyId;
use k8s_openapi::{api::core::v1::ObjectReference, apimachinery::pkg::apis::meta::v1::Condition};
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

/// A status that is to be written.
pub(super) struct StatusWrite {
    /// Of which policy.
    pub(super) id: PolicyId,
    /// `metadata.uid` of the policy.
    pub(super) uid: String,
    /// The status as it is stored.
    pub(super) before: PolicyStatus,
    /// The status as it should be.
    pub(super) status: PolicyStatus,
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

    /// Writes statuses. One that fails stops no other.
    /// Leaves out the policies that are gone.
    pub(super) async fn write(
        &self,
        wanted: Vec<StatusWrite>,
    ) -> Vec<(PolicyId, Result<Written, WriteError>)> {
        stream::iter(wanted)
            .map(async |wanted| {
                let outcome = self.write_one(&wanted).await;
                let StatusWrite { id, status, .. } = wanted;
                (id, outcome.map(|version| Written { status, version }))
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

    /// Gives the `metadata.resourceVersion` that the write made.
    #[tracing::instrument(name = "write status", level = "debug", skip_all, fields(policy = %wanted.id))]
    async fn write_one(&self, wanted: &StatusWrite) -> Result<Option<String>, WriteError> {
        let StatusWrite { id, uid, before, status } = wanted;
        let object = json!({
            "apiVersion": format!("{GROUP}/{VERSION}"),
            "kind": id.kind(),
            // With its identity a policy of the same name that was made since is left alone.
            "metadata": { "name": id.name, "namespace": id.namespace, "uid": uid },
            "status": status,
        });
        let written = self.context.apply_status(&self.api(id), &id.name, &object).await?;
        self.context.metrics.status_written();
        if let Some(refusal) = new_refusal(before, status) {
            self.note(id, uid, refusal).await;
        }
        Ok(written.resource_version())
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

    /// An event on a policy that is not accepted.
    async fn note(&self, id: &PolicyId, uid: &str, refusal: &Condition) {
        let event = Event {
            type_: EventType::Warning,
            reason: refusal.reason.clone(),
            note: Some(shortened(&refusal.message, NOTE_LENGTH).to_owned()),
            action: "Accept".to_owned(),
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

/// The condition by which a policy is not accepted, if the stored status does not say so already: the
/// counts of one that clashes change often.
fn new_refusal<'s>(before: &PolicyStatus, status: &'s PolicyStatus) -> Option<&'s Condition> {
    refusal(status).filter(|found| refusal(before) != Some(*found))
}

fn refusal(status: &PolicyStatus) -> Option<&Condition> {
    let mut conditions = status.conditions.iter();
    conditions.find(|condition| condition.type_ == "Accepted" && condition.status == "False")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(status: &str, message: &str, matched: i64) -> PolicyStatus {
        let condition = json!({
            "type": "Accepted", "status": status, "reason": "Clash", "message": message,
            "lastTransitionTime": "2026-11-21T01:02:03Z",
        });
        let status = json!({ "pods": { "matched": matched }, "conditions": [condition] });
        serde_json::from_value(status).unwrap()
    }

    #[test]
    fn a_refusal_is_noted_when_it_is_new() {
        let noted = |before: &PolicyStatus, status: &PolicyStatus| {
            new_refusal(before, status).map(|condition| condition.message.clone())
        };
        let (fine, refused) = (accepted("True", "", 0), accepted("False", "clashes with a", 0));
        assert_eq!(noted(&PolicyStatus::default(), &fine), None);
        assert_eq!(noted(&fine, &refused).as_deref(), Some("clashes with a"));
        assert_eq!(noted(&refused, &accepted("False", "clashes with a", 1)), None);
        let other = accepted("False", "clashes with b", 0);
        assert_eq!(noted(&refused, &other).as_deref(), Some("clashes with b"));
    }
}
