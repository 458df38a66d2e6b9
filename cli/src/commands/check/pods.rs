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
use crate::cluster::{Error, Installation, Resource, StoredPolicies, usual_exclusions};

const GROUP: &str = "Pods";
const NAME: &str = "kubectl-sidecar-check";

/// What decides about pods of the namespace.
struct Facts {
    namespace: Namespace,
    /// By convention where the installation was not seen.
    exclusions: Exclusions,
    is_installation_seen: bool,
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
        Err(error @ Error::Forbidden { .. }) => {
            return vec![check.warning("no pod was tried", error.to_string())];
        }
        Err(error) => {
            return vec![check.failed("no pod can be tried", error.to_string())];
        }
    };
    let mut findings = Vec::new();
    for (id, policy) in &facts.policies.known {
        match trial(id, &policy.spec, &facts) {
            Trial::NotReached => {}
            Trial::NoPod(why) => findings.push(check.warning(
                format!("whether pods of {id} get their sidecars was not tried: {why}"),
                "kubectl sidecar explain says for a workload what is decided about its pods",
            )),
            Trial::Pod(pod) => match look.dry_run(&Resource::POD, namespace, &pod).await {
                Ok(answer) => {
                    findings.push(judge(id, &answer, &facts));
                    // It would say the same of every pod.
                    if answer.outcome.is_err_and(|refusal| refusal.is_for_lack_of_right()) {
                        break;
                    }
                }
                Err(error) => findings.push(check.failed("no pod can be tried", error.to_string())),
            },
        }
    }
    let notes = &facts.policies.notes;
    if findings.is_empty() {
        findings.push(nothing_tried(namespace, notes.is_empty()));
    }
    findings.extend(notes.iter().map(|note| left_out(note)));
    findings
}

fn nothing_tried(namespace: &str, all_read: bool) -> Finding {
    let policy = if all_read { "no policy" } else { "no policy that could be read" };
    Check(GROUP, "pods").warning(
        format!(
            "{policy} puts anything into pods of the namespace {namespace} that do not ask for it"
        ),
        "kubectl sidecar explain says for a workload which policies reach it, and why not",
    )
}

/// What was not seen of the policies.
fn left_out(note: &str) -> Finding {
    Check(GROUP, "policies").warning(
        note,
        "pods of the namespace may get something else than is said here, and it was not tried",
    )
}

async fn facts(look: &Look, namespace: &str) -> Result<Option<Facts>, Error> {
    let names: BTreeSet<String> = [namespace.to_owned()].into();
    let found = look.cluster.namespaces(&names).await?;
    let Some(namespace) = found.into_iter().next() else { return Ok(None) };
    let installed = look.cluster.installation().await?;
    let installation = installed.seen();
    let is_installation_seen = installation.is_some();
    let exclusions = installation.map_or_else(usual_exclusions, Installation::exclusions);
    let policies = look.cluster.policies(&names).await?;
    Ok(Some(Facts { namespace, exclusions, is_installation_seen, policies }))
}

/// How a policy can be tried.
#[derive(Debug)]
enum Trial {
    /// With this pod, which it goes into.
    Pod(Value),
    /// It may reach pods of the namespace, and none could be made up, for this reason.
    NoPod(String),
    /// It puts nothing into pods of the namespace that do not ask for it.
    NotReached,
}

fn trial(id: &PolicyId, spec: &PolicySpec, facts: &Facts) -> Trial {
    let sample = sample(id, spec, &facts.namespace.name);
    // What is decided by the namespace alone, is so for every pod.
    let pod = sample.as_ref().map_or_else(|_| any_pod(&facts.namespace.name), Clone::clone);
    match (decided(&pod, facts, id), sample) {
        (
            None
            | Some(
                Reason::NamespaceExcluded
                | Reason::NamespaceNotSelected(_)
                | Reason::WouldInject
                | Reason::OptedOut(_),
            ),
            _,
        ) => Trial::NotReached,
        (_, Err(why)) => Trial::NoPod(format!("no pod can be made up for it: {why}")),
        (Some(Reason::Injected), Ok(pod)) => Trial::Pod(pod),
        (Some(reason), Ok(_)) => {
            Trial::NoPod(format!("the pod that was made up goes without it: {reason}"))
        }
    }
}

fn any_pod(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": { "name": NAME, "namespace": namespace },
        "spec": { "containers": [{ "name": "app", "image": "app" }] },
    })
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

fn judge(id: &PolicyId, answer: &DryRun, facts: &Facts) -> Finding {
    let check = Check(GROUP, "pods");
    let namespace = &facts.namespace.name;
    let created = match &answer.outcome {
        Ok(created) => created,
        Err(refusal) if refusal.is_for_lack_of_right() => {
            return check.warning(
                "no pod was tried",
                format!(
                    "ask for the right to create pods in the namespace {namespace}: {}",
                    refusal.message
                ),
            );
        }
        Err(refusal) => {
            return check.failed(
                format!(
                    "the pod that was made up for {id} is refused in the namespace {namespace}: {}",
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
    let told =
        format!("a pod of {id} comes without its sidecars in the namespace {namespace}{said}");
    if !facts.is_installation_seen {
        let hint = "the installation was not seen, and may exclude the namespace";
        return check.warning(told, hint);
    }
    check.failed(
        told,
        "the lines above say whether the webhook is called; kubectl describe says whether the policy is ready",
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::{
        super::{finding::State, look::Refusal},
        *,
    };

    fn id() -> PolicyId {
        PolicyId::namespaced("shop", "log")
    }

    fn answer(outcome: Result<Value, (u64, &str)>) -> DryRun {
        let outcome =
            outcome.map_err(|(code, message)| Refusal { code, message: message.to_owned() });
        DryRun { warnings: vec!["log: not ready".to_owned()], outcome }
    }

    #[test]
    fn only_an_answer_about_the_pod_speaks_against_the_installation() {
        let pod = |injected: &str| json!({"metadata": {"annotations": {"sidecarpolicy.dev/injected": injected}}});
        for (outcome, state, words) in [
            (Ok(pod(r#"{"shop/log": "0123"}"#)), State::Ok, "gets its sidecars"),
            (Ok(pod(r#"{"shop/other": "0123"}"#)), State::Failed, "without its sidecars"),
            (Ok(json!({})), State::Failed, "not ready"),
            (
                Err((
                    403,
                    "pods is forbidden: User \"a\" cannot create resource \"pods\" in API group",
                )),
                State::Warning,
                "no pod was tried",
            ),
            (
                Err((403, "pods \"a\" is forbidden: exceeded quota: few")),
                State::Failed,
                "is refused in the namespace shop: pods \"a\" is forbidden: exceeded quota",
            ),
        ] {
            let found = judge(&id(), &answer(outcome), &facts(StoredPolicies::default(), &[]));
            assert_eq!(found.state, state, "{found:?}");
            assert!(found.message.contains(words), "{found:?}");
        }
    }

    #[test]
    fn without_a_look_at_the_installation_the_namespace_may_be_excluded() {
        let facts = Facts { is_installation_seen: false, ..facts(StoredPolicies::default(), &[]) };
        let found = judge(&id(), &answer(Ok(json!({}))), &facts);
        assert_eq!(found.state, State::Warning, "{found:?}");
    }

    fn facts(policies: StoredPolicies, excluded: &[&str]) -> Facts {
        let excluded: Vec<String> = excluded.iter().map(ToString::to_string).collect();
        Facts {
            namespace: Namespace { name: "shop".to_owned(), ..Namespace::default() },
            exclusions: Exclusions::new("system", &excluded),
            is_installation_seen: true,
            policies,
        }
    }

    fn tried(spec: &Value, excluded: &[&str]) -> Trial {
        let mut whole = json!({"sidecars": [{"name": "log", "image": "log:1"}]});
        for (key, value) in spec.as_object().expect("an object") {
            whole[key] = value.clone();
        }
        let spec: PolicySpec = serde_json::from_value(whole).expect("a spec");
        let mut policies = StoredPolicies::default();
        let policy = inject::compile(id(), "", 0, &spec).expect("it compiles");
        policies.set.insert(Arc::new(policy));
        trial(&id(), &spec, &facts(policies, excluded))
    }

    #[test]
    fn a_policy_that_may_reach_pods_is_tried_or_told() {
        let selected = json!({"podSelector": {"matchLabels": {"app": "api"}}});
        let Trial::Pod(pod) = tried(&selected, &[]) else { panic!("a pod can be made up") };
        assert_eq!(pod["metadata"]["labels"]["app"], "api");
        assert!(matches!(tried(&json!({}), &["shop"]), Trial::NotReached));
        assert!(matches!(tried(&json!({"mode": "Audit"}), &[]), Trial::NotReached));
        let never = json!({"matchConditions": [{"name": "never", "expression": "false"}]});
        let Trial::NoPod(why) = tried(&never, &[]) else { panic!("no pod meets it") };
        assert!(why.contains("never"), "{why}");
    }

    #[test]
    fn what_was_not_read_may_put_something_in() {
        let message = |all_read| nothing_tried("shop", all_read).message;
        assert!(message(true).starts_with("no policy puts"));
        assert!(message(false).starts_with("no policy that could be read puts"));
        assert_eq!(left_out("policies of the cluster kind are left out").state, State::Warning);
    }
}
