//! Asks the heart about the pods of an object, and changes the object as admission would.

use inject::{
    ContainerList, Namespace, Notice, Operation, Outcome, Pod, Policy, PolicyId, Reason, Request,
    Workload, WorkloadKind,
};

use crate::{
    controllers::MadePod,
    document::{Node, PatchError},
    facts::Facts,
    manifests,
    objects::{self, Identity, PodTemplate},
};

/// What became of an object that describes pods.
#[derive(Debug)]
pub(crate) struct Report {
    /// The object, in its namespace.
    pub(crate) object: Identity,
    /// What was decided about each policy, by the identity of the policy.
    pub(crate) decisions: Vec<Decided>,
    /// Why there are no decisions, if the pods cannot be read.
    pub(crate) unreadable: Option<String>,
    /// What the person who creates the object would be told.
    pub(crate) warnings: Vec<String>,
    /// Why admission would refuse the pods, if it would; the object is not changed then.
    pub(crate) denied: Option<String>,
    /// Whether the object was changed.
    pub(crate) changed: bool,
}

/// What was decided about one policy.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) policy: PolicyId,
    /// The revision that the policy is at.
    pub(crate) revision: String,
    pub(crate) reason: Reason,
    /// Whether pods get the policy; else it only looks at what it would do.
    pub(crate) is_enforced: bool,
    /// Whether of a running pod only its record counts.
    pub(crate) is_decided_at_admission: bool,
    /// What people should know where it went in, or would.
    pub(crate) notices: Vec<Notice>,
    /// The containers that it brings: name and list.
    pub(crate) containers: Vec<(String, ContainerList)>,
}

impl Decided {
    /// Whether the pods have the policy now.
    pub(crate) fn is_injected(&self) -> bool {
        matches!(self.reason, Reason::Injected | Reason::AlreadyInjected)
    }
}

impl Report {
    /// What was not injected and why, and what else people should know.
    pub(crate) fn messages(&self) -> Vec<String> {
        let mut messages = Vec::new();
        if let Some(why) = &self.unreadable {
            messages.push(format!("left as it is, for its pods cannot be read: {why}"));
        }
        for Decided { policy, reason, .. } in &self.decisions {
            match reason {
                // The warnings and the refusal tell of the last two.
                Reason::Injected
                | Reason::AlreadyInjected
                | Reason::WouldInject
                | Reason::Conflict(_) => {}
                reason => {
                    messages.push(format!("{} {policy}: not injected: {reason}", policy.kind()));
                }
            }
        }
        messages.extend(self.warnings.iter().map(|warning| format!("warning: {warning}")));
        messages.extend(self.denied.iter().map(|denied| format!("denied: {denied}")));
        messages
    }
}

/// Why an object could not be changed as the heart says; a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {source}; please report this")]
pub(crate) struct Error {
    object: String,
    source: PatchError,
}

/// Injects into an object, or into each of a `List`.
pub(crate) fn inject_into_each(
    root: Option<&mut Node>,
    facts: &Facts,
) -> Result<Vec<Report>, Error> {
    let mut reports = Vec::new();
    if let Some(root) = root {
        objects::visit_mut(root, &mut |object| reports.push(inject_into(object, facts)));
    }
    reports.into_iter().filter_map(Result::transpose).collect()
}

/// Injects what the policies say into the pods of an object. `None` for an object that describes
/// no pods, which stays as it is.
pub(crate) fn inject_into(object: &mut Node, facts: &Facts) -> Result<Option<Report>, Error> {
    let Some(identity) = Identity::of(object) else { return Ok(None) };
    let Some(template) = identity.pod_template() else { return Ok(None) };
    let mut report = Report {
        object: identity.or_namespace(&facts.default_namespace),
        decisions: Vec::new(),
        unreadable: None,
        warnings: Vec::new(),
        denied: None,
        changed: false,
    };
    let namespace = facts.namespace(report.object.namespace.as_deref().unwrap_or_default());
    let mut admitted = object.clone();
    report.changed = admit(&mut admitted, template, &namespace, facts, &mut report)
        .map_err(|source| Error { object: report.object.to_string(), source })?;
    if report.changed {
        *object = admitted;
    }
    Ok(Some(report))
}

/// Does to an object what both webhooks would do. Whether its pods were changed.
fn admit(
    object: &mut Node,
    template: PodTemplate,
    namespace: &Namespace,
    facts: &Facts,
    report: &mut Report,
) -> Result<bool, PatchError> {
    if let Some(kind) = template.carries {
        report.warnings = carry_annotations(object, kind, namespace, facts)?;
    }
    let Some(pod_node) = object.descend(template.path) else {
        report.unreadable = Some(format!("there is no {}", template.path.join(".")));
        return Ok(false);
    };
    let made = (!template.path.is_empty()).then(|| MadePod::of(&report.object, object, pod_node));
    let made = made.flatten();
    let json = made.as_ref().map_or(pod_node, |made| &made.pod).to_json();
    let pod: Pod<'_> = match serde_json::from_str(&json) {
        Ok(pod) => pod,
        Err(error) => {
            report.unreadable = Some(manifests::without_position(&error));
            return Ok(false);
        }
    };
    let request = Request {
        namespace,
        exclusions: &facts.exclusions,
        requester_is_node: facts.are_stored,
        uid: "",
    };
    let outcome = inject::inject(&pod, &request, &facts.policies);
    report.decisions = decisions(&pod, &request, facts, &outcome);
    // A name that no policy has is warned of on the workload already.
    let new = outcome.warnings.into_iter().filter(|warning| !report.warnings.contains(warning));
    let new: Vec<String> = new.collect();
    report.warnings.extend(new);
    report.denied = outcome.denied;
    if outcome.edits.is_empty() {
        return Ok(false);
    }
    let mut patch = String::new();
    outcome.edits.write(&mut patch);
    let Some(pod_node) = object.descend_mut(template.path) else { return Ok(false) };
    match made {
        None => pod_node.apply(&patch)?,
        Some(mut made) => {
            made.pod.apply(&patch)?;
            *pod_node = made.into_template();
        }
    }
    Ok(true)
}

/// Carries the annotations of a workload into its pod template; gives the warnings.
fn carry_annotations(
    object: &mut Node,
    kind: WorkloadKind,
    namespace: &Namespace,
    facts: &Facts,
) -> Result<Vec<String>, PatchError> {
    let json = object.to_json();
    // What cannot be read of a workload the API server refuses; its pods may be fine.
    let Ok(workload) = serde_json::from_str::<Workload<'_>>(&json) else { return Ok(Vec::new()) };
    // What is stored was created before; a Job, for one, takes nothing new from its annotations.
    let operation = if facts.are_stored { Operation::Update(None) } else { Operation::Create };
    let carried = inject::carry(kind, operation, &workload, &namespace.name, &facts.policies);
    let mut patch = String::new();
    carried.edits.write(&mut patch);
    object.apply(&patch)?;
    Ok(carried.warnings)
}

fn decisions(
    pod: &Pod<'_>,
    request: &Request<'_>,
    facts: &Facts,
    outcome: &Outcome<'_>,
) -> Vec<Decided> {
    let mut decisions = Vec::with_capacity(facts.policies.len());
    for policy in facts.policies.iter() {
        let decided = outcome.decisions.iter().find(|decision| decision.policy.id == policy.id);
        let (reason, notices) = match decided {
            Some(decision) => (decision.reason.clone(), decision.notices.clone()),
            None => match reason_not_selected(policy, pod, request) {
                Some(reason) => (reason, Vec::new()),
                // Otherwise the heart would have decided.
                None if request.requester_is_node => (Reason::MirrorPod, Vec::new()),
                None => continue,
            },
        };
        let refused = inject::select(policy, pod, request.namespace).refused;
        let containers = policy.containers().map(|(name, list)| (name.to_owned(), list));
        decisions.push(Decided {
            policy: policy.id.clone(),
            revision: policy.revision.clone(),
            reason,
            is_enforced: policy.enforced,
            is_decided_at_admission: policy.is_decided_at_admission(refused.as_ref()),
            notices,
            containers: containers.collect(),
        });
    }
    decisions.sort_by(|one, other| one.policy.cmp(&other.policy));
    decisions
}

/// Why a policy that the heart did not have to look at does not apply.
fn reason_not_selected(policy: &Policy, pod: &Pod<'_>, request: &Request<'_>) -> Option<Reason> {
    if request.exclusions.contains(&request.namespace.name) {
        return Some(Reason::NamespaceExcluded);
    }
    inject::select(policy, pod, request.namespace).refused
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::policies;

    #[test]
    fn a_stored_mirror_pod_is_one_by_its_own_word() {
        let policy = manifests::of_value(&json!({
            "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
            "metadata": {"name": "log", "namespace": "shop"},
            "spec": {"sidecars": [{"name": "shipper", "image": "shipper:1"}]},
        }));
        let policies = policies::compile(&[policy], "shop").expect("the policy is right");
        let facts = Facts::new(policies.set, "shop", &[]);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": "proxy-node-1", "annotations": {"kubernetes.io/config.mirror": "hash"},
                "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "controller": true}],
            },
            "spec": {"containers": [{"name": "proxy", "image": "proxy:1"}]},
        });
        let decided = |facts: &Facts| {
            let mut pod = Node::from_json(&pod.to_string(), 1).expect("it is JSON");
            let report = inject_into(&mut pod, facts).expect("it can be decided");
            let decisions = report.expect("it is a pod").decisions;
            decisions.iter().map(|decided| decided.reason.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(decided(&facts), ["Injected"]);
        assert_eq!(decided(&facts.of_stored_objects()), ["MirrorPod"]);
    }
}
