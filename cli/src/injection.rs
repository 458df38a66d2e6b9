//! Asks the heart about the pods of an object, and changes the object as admission would.

use inject::{
    Namespace, Operation, Outcome, Pod, Policy, PolicyId, Reason, Request, Workload, WorkloadKind,
};

use crate::{
    document::{Node, PatchError},
    facts::Facts,
    manifests,
    objects::{Identity, PodTemplate},
};

/// What became of an object that describes pods.
#[derive(Debug)]
pub(crate) struct Report {
    /// The object, in its namespace.
    pub(crate) object: Identity,
    /// What was decided about each policy, by the identity of the policy.
    pub(crate) decisions: Vec<(PolicyId, Reason)>,
    /// Why there are no decisions, if the pods cannot be read.
    pub(crate) unreadable: Option<String>,
    /// What the person who creates the object would be told.
    pub(crate) warnings: Vec<String>,
    /// Why admission would refuse the pods, if it would; the object is not changed then.
    pub(crate) denied: Option<String>,
    /// Whether the object was changed.
    pub(crate) changed: bool,
}

/// Why an object could not be changed as the heart says; a fault of this program.
#[derive(Debug, thiserror::Error)]
#[error("{object}: {source}; please report this")]
pub(crate) struct Error {
    object: String,
    source: PatchError,
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
    let Some(pod_node) = object.descend_mut(template.path) else {
        report.unreadable = Some(format!("there is no {}", template.path.join(".")));
        return Ok(false);
    };
    let json = pod_node.to_json();
    let pod: Pod<'_> = match serde_json::from_str(&json) {
        Ok(pod) => pod,
        Err(error) => {
            report.unreadable = Some(manifests::without_position(&error));
            return Ok(false);
        }
    };
    let request =
        Request { namespace, exclusions: &facts.exclusions, requester_is_node: false, uid: "" };
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
    pod_node.apply(&patch)?;
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
    let carried =
        inject::carry(kind, Operation::Create, &workload, &namespace.name, &facts.policies);
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
) -> Vec<(PolicyId, Reason)> {
    let mut decisions = Vec::with_capacity(facts.policies.len());
    for policy in facts.policies.iter() {
        let decided = outcome.decisions.iter().find(|decision| decision.policy.id == policy.id);
        let reason = match decided {
            Some(decision) => Some(decision.reason.clone()),
            None => reason_not_selected(policy, pod, request),
        };
        decisions.extend(reason.map(|reason| (policy.id.clone(), reason)));
    }
    decisions.sort_by(|(one, _), (other, _)| one.cmp(other));
    decisions
}

/// Why a policy that the heart did not have to look at does not apply.
fn reason_not_selected(policy: &Policy, pod: &Pod<'_>, request: &Request<'_>) -> Option<Reason> {
    if request.exclusions.contains(&request.namespace.name) {
        return Some(Reason::NamespaceExcluded);
    }
    inject::select(policy, pod, request.namespace).refused
}
