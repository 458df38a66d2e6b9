//! Takes the steps of a plan. Every write holds only for the object as it was read or as the plan
//! knew it, so a step that comes too late does nothing.

use std::{collections::BTreeMap, sync::Arc};

use inject::PolicyId;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::ReplicaSet, core::v1::Pod, policy::v1::Eviction, policy::v1::PodDisruptionBudget,
    },
    apimachinery::pkg::apis::meta::v1::{
        DeleteOptions, LabelSelector, ObjectMeta, Preconditions, Status,
    },
};
use kube::{
    Api,
    api::{ListParams, Patch, PostParams},
    core::{Selector, SelectorExt},
};
use serde_json::Value;

use super::{
    difference::Difference,
    facts::{PodId, Step},
    in_place::{self, Obstacle, Target},
    memory::Outcome,
    workload::{self, Restarted, Workload, WorkloadId},
};
use crate::{
    context::{Context, WriteError},
    owner::Uid,
    revision,
    workload::WatchedWorkload,
};

/// For whom a step is taken.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    /// The policy.
    pub(super) policy: PolicyId,
    /// The revision that pods should have.
    pub(super) revision: String,
    /// `spec.rollout.progressDeadlineSeconds`.
    pub(super) deadline: i64,
}

/// Takes a step.
#[tracing::instrument(
    name = "rollout step",
    level = "debug",
    skip_all,
    fields(policy = %errand.policy, revision = errand.revision, step = step.kind())
)]
pub(super) async fn take(
    context: &Context,
    errand: &Errand,
    step: Step,
    now: Timestamp,
) -> Outcome {
    let outcome = match step {
        Step::Compare(from) => compare(context, errand, &from).await,
        Step::ChangeInPlace { pod, from, difference } => {
            let policy = errand.policy.to_string();
            let target = Target { policy: &policy, from: &from, to: &errand.revision };
            change_in_place(context, &pod, &target, &difference, errand.deadline, now).await
        }
        Step::Restart { workload, uid, replica_set, times } => {
            let policy = errand.policy.to_string();
            let restarted = Restarted {
                revision: errand.revision.clone(),
                at: whole_seconds(now),
                times: times + 1,
            };
            restart(context, &policy, &workload, &uid, replica_set, restarted).await
        }
        Step::Evict(pod) => evict(context, &pod).await,
    };
    outcome.unwrap_or_else(|error| match error.code() {
        Some(404) => Outcome::Needless,
        _ => Outcome::Failed(error.to_string()),
    })
}

async fn compare(context: &Context, errand: &Errand, from: &str) -> Result<Outcome, WriteError> {
    let after = revision::read(context, &errand.policy, &errand.revision).await?;
    let Some(after) = after else {
        return Ok(Outcome::Failed("wait until the revision is stored".to_owned()));
    };
    let Some(before) = revision::read(context, &errand.policy, from).await? else {
        return Ok(Outcome::Compared(Err(format!("revision {from} is not stored any more"))));
    };
    Ok(Outcome::Compared(Difference::between(&before, &after).map(Arc::new)))
}

async fn change_in_place(
    context: &Context,
    pod: &PodId,
    target: &Target<'_>,
    difference: &Difference,
    deadline: i64,
    now: Timestamp,
) -> Result<Outcome, WriteError> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    let mut found = json(&context.write(api.get(&pod.name)).await?);
    if Uid::of(found["metadata"]["uid"].as_str().unwrap_or_default()) != pod.uid {
        return Ok(Outcome::Needless);
    }
    // Looked at before anything is asked for: a pod that cannot follow is left as it is.
    match in_place::images(&found, target, difference, now) {
        Ok(_) => {}
        Err(obstacle) => return Ok(outcome(obstacle)),
    }
    if let Some(body) = in_place::resize(difference) {
        match resize(context, &api, &pod.name, body).await? {
            Ok(resized) => found = resized,
            Err(refusal) => return Ok(Outcome::Refused(refusal)),
        }
        if let Err(obstacle) = in_place::resized(&found, difference, deadline, now) {
            if let (Obstacle::Cannot(_), Some(body)) =
                (&obstacle, in_place::resize_back(difference))
                && let Err(refusal) = resize(context, &api, &pod.name, body).await?
            {
                tracing::warn!(
                    namespace = pod.namespace,
                    pod = pod.name,
                    error = refusal,
                    "cannot take back a resize that the node refused"
                );
            }
            return Ok(outcome(obstacle));
        }
    }
    let patch = match in_place::images(&found, target, difference, now) {
        Ok(patch) => Patch::Strategic(patch),
        Err(obstacle) => return Ok(outcome(obstacle)),
    };
    let parameters = Context::patch_parameters();
    match context.write(api.patch(&pod.name, &parameters, &patch)).await {
        Ok(_) => Ok(Outcome::Taken),
        Err(error) => match refusal(&error) {
            Some(refusal) => Ok(Outcome::Refused(refusal)),
            None => Err(error),
        },
    }
}

fn outcome(obstacle: Obstacle) -> Outcome {
    match obstacle {
        Obstacle::Wait(why) => Outcome::Waits(why),
        Obstacle::Cannot(why) => Outcome::Refused(why),
        Obstacle::Outdated => Outcome::Needless,
    }
}

/// The pod as it is after the resize, or what the API server has against it.
async fn resize(
    context: &Context,
    api: &Api<Pod>,
    name: &str,
    body: Value,
) -> Result<Result<Value, String>, WriteError> {
    let parameters = Context::patch_parameters();
    let patch = Patch::Strategic(body);
    match context.write(api.patch_resize(name, &parameters, &patch)).await {
        Ok(pod) => Ok(Ok(json(&pod))),
        Err(error) => refusal(&error).map(Err).ok_or(error),
    }
}

/// What the API server has against a change of a pod as such; asking again would not help. Its
/// admission answers with the same code as its authorization, as for a resize that is more than the
/// node has in all.
fn refusal(error: &WriteError) -> Option<String> {
    let message = error.to_string();
    let is_refused = match error.code() {
        Some(400 | 422) => true,
        Some(403) => !message.contains("cannot patch resource"),
        _ => false,
    };
    is_refused.then_some(message)
}

async fn restart(
    context: &Context,
    policy: &str,
    id: &WorkloadId,
    uid: &str,
    replica_set: Option<(String, String)>,
    restarted: Restarted,
) -> Result<Outcome, WriteError> {
    let api = Api::namespaced_with(context.client.clone(), &id.namespace, &id.kind.resource());
    let found: WatchedWorkload = context.write(api.get(&id.name)).await?;
    let workload = Workload::read(id.kind, &found);
    let is_done = workload.restarted.get(policy).is_some_and(|earlier| {
        earlier.revision == restarted.revision && earlier.times >= restarted.times
    });
    if workload.uid != uid || is_done {
        return Ok(Outcome::Needless);
    }
    if let Some((name, replica_set_uid)) = replica_set
        && !owns(context, id, uid, &name, &replica_set_uid).await?
    {
        return Ok(Outcome::Refused(format!("ReplicaSet {name} is not the {id}'s")));
    }
    let labels = found.template_metadata().map(|metadata| &metadata.labels);
    if let Some(budget) = exhausted_budget(context, &id.namespace, labels).await? {
        return Ok(Outcome::Failed(format!(
            "PodDisruptionBudget {budget} allows no disruption now"
        )));
    }
    let patch = Patch::Merge(workload::restart(&found, policy, restarted));
    context.write(api.patch(&id.name, &Context::patch_parameters(), &patch)).await?;
    tracing::info!(policy, workload = %id, "restarted");
    Ok(Outcome::Taken)
}

/// Whether a ReplicaSet really is the workload's; until here its name was all there was.
async fn owns(
    context: &Context,
    id: &WorkloadId,
    uid: &str,
    name: &str,
    replica_set_uid: &str,
) -> Result<bool, WriteError> {
    let api: Api<ReplicaSet> = Api::namespaced(context.client.clone(), &id.namespace);
    let found = context.write(api.get_metadata_opt(name)).await?;
    // One that is gone by now proves nothing, and its pods are about to go.
    let Some(found) = found else { return Ok(false) };
    let mut owners = found.metadata.owner_references.iter().flatten();
    let owned = owners.any(|owner| owner.controller == Some(true) && owner.uid == uid);
    Ok(owned && found.metadata.uid.as_deref() == Some(replica_set_uid))
}

/// A budget for pods with these labels that allows no disruption.
async fn exhausted_budget(
    context: &Context,
    namespace: &str,
    labels: Option<&BTreeMap<String, String>>,
) -> Result<Option<String>, WriteError> {
    let api: Api<PodDisruptionBudget> = Api::namespaced(context.client.clone(), namespace);
    let budgets = context.write(api.list(&ListParams::default())).await?;
    let exhausted = budgets.items.into_iter().find(|budget| {
        let selector = budget.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        let status = budget.status.as_ref();
        let allowed = status.and_then(|status| status.disruptions_allowed).unwrap_or(0);
        let selects = |selector| selects(selector, labels.unwrap_or(&BTreeMap::new()));
        allowed < 1 && selector.is_some_and(selects)
    });
    Ok(exhausted.and_then(|budget| budget.metadata.name))
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    Selector::try_from(selector.clone()).is_ok_and(|selector| selector.matches(labels))
}

async fn evict(context: &Context, pod: &PodId) -> Result<Outcome, WriteError> {
    let api: Api<Pod> = Api::namespaced(context.client.clone(), &pod.namespace);
    // Not `Api::evict`: it writes `delete_options`, which the API server passes over, and the next pod
    // of that name could be hit.
    let eviction = Eviction {
        metadata: ObjectMeta {
            name: Some(pod.name.clone()),
            namespace: Some(pod.namespace.clone()),
            ..ObjectMeta::default()
        },
        delete_options: Some(DeleteOptions {
            preconditions: Some(Preconditions {
                uid: Some(pod.uid.text()),
                resource_version: None,
            }),
            ..DeleteOptions::default()
        }),
    };
    let parameters = PostParams::default();
    let evicting = api.create_subresource("eviction", &pod.name, &parameters, &eviction);
    let answer: Result<Status, WriteError> = context.write(evicting).await;
    match answer {
        Ok(_) => {
            tracing::info!(namespace = pod.namespace, pod = pod.name, "evicted");
            Ok(Outcome::Taken)
        }
        // Another pod has that name by now.
        Err(error) if error.code() == Some(409) => Ok(Outcome::Needless),
        Err(error) if error.code() == Some(429) => {
            Ok(Outcome::Failed(format!("its eviction has to wait: {error}")))
        }
        Err(error) => Err(error),
    }
}

fn json(pod: &Pod) -> Value {
    serde_json::to_value(pod).unwrap_or(Value::Null)
}

fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[test]
    fn an_empty_selector_of_a_budget_selects_every_pod() {
        let labels = [("app".to_owned(), "api".to_owned())].into();
        let selector = |value| serde_json::from_value::<LabelSelector>(value).unwrap();
        assert!(selects(&selector(json!({})), &labels));
        assert!(selects(&selector(json!({ "matchLabels": { "app": "api" } })), &labels));
        assert!(!selects(&selector(json!({ "matchLabels": { "app": "web" } })), &labels));
    }

    #[rstest]
    #[case(422, "Pod QOS Class may not change", true)]
    #[case(
        403,
        "pods \"a\" is forbidden: node didn't have enough allocatable resources: cpu",
        true
    )]
    #[case(403, "pods \"a\" is forbidden: User \"b\" cannot patch resource \"pods/resize\"", false)]
    #[case(404, "not found", false)]
    #[case(409, "the object has been modified", false)]
    #[case(503, "later", false)]
    fn only_what_the_api_server_has_against_the_change_itself_is_final(
        #[case] code: u16,
        #[case] message: &str,
        #[case] is_final: bool,
    ) {
        let message = message.to_owned();
        let status = kube::core::Status { code, message, ..kube::core::Status::default() };
        let error = WriteError::Api(kube::Error::Api(Box::new(status)));
        assert_eq!(refusal(&error).is_some(), is_final);
    }
}
