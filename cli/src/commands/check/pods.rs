//! Pods of a namespace get their sidecars: for each policy that reaches it the API server is shown a pod, by
//! a dry run, and what comes back is compared with what the policies of the cluster say.

use std::collections::BTreeSet;

use crds::{Activation, PolicySpec};
use inject::{Exclusions, Namespace, Pod, PolicyId, Reason, Request};
use serde_json::{Value, json};

use super::{
    finding::{Check, Finding},
    look::{DryRun, Look},
};
use crate::cluster::{Error, Installation, Resource, StoredPolicies};

const GROUP: &str = "Pods";
const NAME: &str = "kubectl-sidecar-check";

/// What decides about pods of the namespace.
struct Facts {
    namespace: Namespace,
    exclusions: Exclusions,
    policies: StoredPolicies,
}

pub(super) async fn check(look: &Look, namespace: &str) -> Vec<Finding> {
    let check = Check(GROUP, "pods");
    let facts = match facts(look, namespace).await {
        Ok(Some(facts)) => facts,
        Ok(None) => {
            let hint = "--pods-in takes the name of a namespace that exists";
            return vec![check.failed(format!("there is no namespace {namespace}"), hint)];
        }
        Err(error) => {
            return vec![check.failed("no pod can be tried", error.to_string())];
        }
    };
    let mut findings = Vec::new();
    for (id, policy) in &facts.policies.known {
        // A policy whose pods cannot be made up may still work.
        let Ok(pod) = sample(id, &policy.spec, namespace) else { continue };
        if decided(&pod, &facts, id) != Some(Reason::Injected) {
            continue;
        }
        findings.push(match look.dry_run(&Resource::POD, namespace, &pod).await {
            Ok(answer) => judge(id, namespace, &answer),
            Err(error) => check.failed("no pod can be tried", error.to_string()),
        });
    }
    if findings.is_empty() {
        let hint =
            "kubectl sidecar explain says for a workload which policies reach it, and why not";
        findings.push(check.warning(
            format!("no policy puts anything into a pod of the namespace {namespace} that could be made up"),
            hint,
        ));
    }
    findings
}

async fn facts(look: &Look, namespace: &str) -> Result<Option<Facts>, Error> {
    let names: BTreeSet<String> = [namespace.to_owned()].into();
    let found = look.cluster.namespaces(&names).await?;
    let Some(namespace) = found.into_iter().next() else { return Ok(None) };
    let installed = look.cluster.installation().await?;
    let exclusions = installed.seen().map(Installation::exclusions).unwrap_or_default();
    let policies = look.cluster.policies(&names).await?;
    Ok(Some(Facts { namespace, exclusions, policies }))
}

/// A pod that the policy selects.
fn sample(id: &PolicyId, spec: &PolicySpec, namespace: &str) -> Result<Value, String> {
    let sample = inject::sample(id, spec)?;
    let mut pod: Value = serde_json::from_str(&sample.pod).map_err(|error| error.to_string())?;
    let metadata = &mut pod["metadata"];
    // Its owner does not exist.
    for key in ["generateName", "ownerReferences"] {
        metadata.as_object_mut().map(|metadata| metadata.remove(key));
    }
    (metadata["name"], metadata["namespace"]) = (json!(NAME), json!(namespace));
    let selector = spec.pod_selector.clone().unwrap_or_default();
    for (key, value) in selector.match_labels.unwrap_or_default() {
        metadata["labels"][key] = json!(value);
    }
    for wanted in selector.match_expressions.unwrap_or_default() {
        let first = wanted.values.and_then(|values| values.into_iter().next());
        match wanted.operator.as_str() {
            "In" => metadata["labels"][wanted.key] = json!(first),
            "Exists" => metadata["labels"][wanted.key] = json!("1"),
            _ => {}
        }
    }
    if spec.activation == Activation::OnRequest {
        metadata["annotations"][crds::keys::INJECT] = json!(id.name);
    }
    Ok(pod)
}

/// What the policies of the cluster come to for the pod, by the same code as in the webhook.
fn decided(pod: &Value, facts: &Facts, id: &PolicyId) -> Option<Reason> {
    let text = pod.to_string();
    let pod: Pod<'_> = inject::read(&text).ok()?;
    let request = Request {
        namespace: &facts.namespace,
        exclusions: &facts.exclusions,
        requester_is_node: false,
        uid: "",
    };
    let outcome = inject::inject(&pod, &request, &facts.policies.set);
    outcome
        .decisions
        .into_iter()
        .find(|decision| decision.policy.id == *id)
        .map(|found| found.reason)
}

fn judge(id: &PolicyId, namespace: &str, answer: &DryRun) -> Finding {
    let check = Check(GROUP, "pods");
    let created = match &answer.outcome {
        Ok(created) => created,
        Err(refusal) => {
            return check.failed(
                format!(
                    "a pod of {id} is refused in the namespace {namespace}: {}",
                    refusal.message
                ),
                "correct what the API server objects to; it may have nothing to do with the policy",
            );
        }
    };
    let injected =
        created.pointer("/metadata/annotations").and_then(|all| all[crds::keys::INJECTED].as_str());
    let injected: Value =
        injected.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    if injected.get(id.to_string()).is_some() {
        return check.ok(format!("a pod of {id} gets its sidecars in the namespace {namespace}"));
    }
    let said = if answer.warnings.is_empty() {
        String::new()
    } else {
        format!(": {}", answer.warnings.join("; "))
    };
    check.failed(
        format!("a pod of {id} comes without its sidecars in the namespace {namespace}{said}"),
        "the lines above say whether the webhook is called; kubectl describe says whether the policy is ready",
    )
}
