//! Writes revisions, and reads their contents.

use std::collections::BTreeMap;

use crds::{ClusterSidecarPolicy, GROUP, PolicySpec, SidecarPolicy, VERSION, keys};
use inject::{PolicyId, revision_name};
use k8s_openapi::{
    api::apps::v1::ControllerRevision,
    apimachinery::pkg::{
        apis::meta::v1::{ObjectMeta, OwnerReference},
        runtime::RawExtension,
    },
};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, PostParams, Preconditions},
};
use serde_json::Value;

use super::{api, plan::Change};
use crate::context::{Context, FIELD_MANAGER, WriteError};

/// The revisions of a policy could not be kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    /// The API server.
    #[error("{0}")]
    Write(#[from] WriteError),
    /// The policy changed meanwhile; its next event brings us back.
    #[error("the spec of the policy is not of revision {0} any more")]
    Changed(String),
    /// The policy cannot be read as one.
    #[error("the policy cannot be read: {0}")]
    Unreadable(#[from] serde_json::Error),
}

/// Carries changes out, one after another.
#[tracing::instrument(name = "keep revisions", level = "debug", skip_all, fields(policy = %policy))]
pub(super) async fn apply(
    context: &Context,
    policy: &PolicyId,
    uid: &str,
    changes: Vec<Change>,
) -> Result<(), KeepError> {
    let api = api(context, policy);
    for change in changes {
        match change {
            Change::Create { revision, number } => {
                let Some(current) = current_content(context, policy, uid).await? else {
                    return Ok(());
                };
                if inject::revision_of_content(&current) != revision {
                    return Err(KeepError::Changed(revision));
                }
                let object = object(policy, uid, &revision, number, current);
                match context.write(api.create(&post_parameters(), &object)).await {
                    // The policy is about to go, too.
                    Err(error) if error.is_of_ending_namespace() => return Ok(()),
                    outcome => outcome?,
                };
                tracing::info!(policy = %policy, revision, "stored a revision");
            }
            Change::Renumber { name, number } => renumber(context, &api, &name, number).await?,
            Change::Delete { name, uid } => delete(context, &api, &name, uid).await?,
        }
    }
    Ok(())
}

/// Gives a revision another number. Not by a patch: the API server would write the content anew, with
/// its keys in another order, and then refuse the change of it.
async fn renumber(
    context: &Context,
    api: &Api<ControllerRevision>,
    name: &str,
    number: i64,
) -> Result<(), WriteError> {
    let Some(mut found) = context.write(api.get_opt(name)).await? else { return Ok(()) };
    found.revision = number;
    match context.write(api.replace(name, &post_parameters(), &found)).await {
        // Written by another program, as when it was restored from a backup: stored anew next time.
        Err(error) if error.code() == Some(422) => {
            delete(context, api, name, found.metadata.uid.unwrap_or_default()).await
        }
        outcome => outcome.map(drop),
    }
}

async fn delete(
    context: &Context,
    api: &Api<ControllerRevision>,
    name: &str,
    uid: String,
) -> Result<(), WriteError> {
    let only_it = Preconditions { uid: Some(uid), resource_version: None };
    let parameters = DeleteParams::background().preconditions(only_it);
    match context.write(api.delete(name, &parameters)).await {
        Err(error) if !error.is_outdated() => Err(error),
        _ => Ok(()),
    }
}

fn post_parameters() -> PostParams {
    PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), dry_run: false }
}

/// The content of a stored revision; `None` when it is not there or cannot be believed.
pub(crate) async fn read(
    context: &Context,
    policy: &PolicyId,
    revision: &str,
) -> Result<Option<Value>, WriteError> {
    let api = api(context, policy);
    let name = revision_name(policy, revision);
    let found = context.write(api.get_opt(&name)).await?;
    let stored = found.and_then(|found| found.data).map(|data| data.0);
    Ok(stored.filter(|stored| inject::revision_of_content(stored) == revision))
}

/// What the policy puts in now; `None` when it is gone.
async fn current_content(
    context: &Context,
    policy: &PolicyId,
    uid: &str,
) -> Result<Option<Value>, KeepError> {
    let client = context.client.clone();
    let api: Api<DynamicObject> = match &policy.namespace {
        Some(namespace) => {
            let resource = ApiResource::erase::<SidecarPolicy>(&());
            Api::namespaced_with(client, namespace, &resource)
        }
        None => Api::all_with(client, &ApiResource::erase::<ClusterSidecarPolicy>(&())),
    };
    let found = context.write(api.get_opt(&policy.name)).await?;
    let found = found.filter(|found| found.metadata.uid.as_deref() == Some(uid));
    let Some(found) = found else { return Ok(None) };
    let spec = found.data.get("spec").cloned().unwrap_or(Value::Null);
    let spec: PolicySpec = serde_json::from_value(spec)?;
    Ok(Some(inject::revision_content(&spec)))
}

fn object(
    policy: &PolicyId,
    uid: &str,
    revision: &str,
    number: i64,
    content: Value,
) -> ControllerRevision {
    let labels = [
        (keys::POLICY, policy.name.as_str()),
        (keys::POLICY_KIND, policy.kind()),
        ("app.kubernetes.io/managed-by", FIELD_MANAGER),
    ];
    let labels: BTreeMap<String, String> =
        labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(revision_name(policy, revision)),
            labels: Some(labels),
            owner_references: Some(vec![OwnerReference {
                api_version: format!("{GROUP}/{VERSION}"),
                kind: policy.kind().to_owned(),
                name: policy.name.clone(),
                uid: uid.to_owned(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(content)),
        revision: number,
    }
}
