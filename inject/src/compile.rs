//! Turns the spec of a policy into what a request needs, or says everything that is wrong with it.

use crds::{ConflictAction, FailurePolicy, Mode, PolicySpec};

use crate::{
    Invalid, Policy, PolicyId, Selector, Share, body::Body, expression::Expression, files,
    parameters::Parameters, policy::MatchCondition, problem::Problems, revision::revision,
    validation,
};

/// Compiles a policy.
///
/// `uid` and `generation` are those of its metadata; `spec` is read and nothing else, so a policy
/// compiles alike in webhook, operator and command line.
pub fn compile(
    id: PolicyId,
    uid: &str,
    generation: i64,
    spec: &PolicySpec,
) -> Result<Policy, Invalid> {
    let mut problems = Problems::default();
    validation::policy_name(&id.name, &mut problems);
    let pod_selector =
        Selector::compile(spec.pod_selector.as_ref(), "spec.podSelector", &mut problems);
    let namespace_selector = namespace_selector(&id, spec, &mut problems);
    validation::spec(spec, &mut problems);
    files::check_name(&id, spec, &mut problems);
    if puts_nothing_in(spec) {
        problems.add(
            "spec",
            "puts nothing in; name at least one of sidecars, volumes, files, appContainers, pod",
        );
    }
    let parameters = Parameters::compile(&id, &spec.parameters, &mut problems);
    let match_conditions = match_conditions(spec, &parameters, &mut problems);
    let body = Body::compile(&id, spec, &parameters, &mut problems);
    let on_conflict = spec.on_conflict.unwrap_or(match spec.failure_policy {
        FailurePolicy::Fail => ConflictAction::Deny,
        FailurePolicy::Ignore => ConflictAction::Skip,
    });
    let enforced = spec.mode == Mode::Enforce;
    problems.or_ok(Policy {
        id,
        uid: uid.to_owned(),
        generation,
        revision: revision(spec),
        priority: spec.priority,
        enforced,
        failure_policy: spec.failure_policy,
        pod_selector,
        namespace_selector,
        partition: Share::partition(spec.rollout.as_ref()),
        activation: spec.activation,
        opt_out: spec.opt_out,
        operating_system: spec.os,
        host_network: spec.host_network,
        denies_conflicts: enforced && on_conflict == ConflictAction::Deny,
        parameters,
        match_conditions,
        body,
        previous: None,
    })
}

fn namespace_selector(id: &PolicyId, spec: &PolicySpec, problems: &mut Problems) -> Selector {
    let path = "spec.namespaceSelector";
    let selector = spec.namespace_selector.as_ref();
    if id.namespace.is_some() && selector.is_some() {
        problems.add(
            path,
            "belongs to ClusterSidecarPolicy; a SidecarPolicy reaches its own namespace",
        );
    }
    if id.namespace.is_none() && selector.is_none() && spec.failure_policy == FailurePolicy::Fail {
        problems.add(path, "is required with failurePolicy: Fail, so that a failure stays bounded");
    }
    Selector::compile(selector, path, problems)
}

fn match_conditions(
    spec: &PolicySpec,
    parameters: &Parameters,
    problems: &mut Problems,
) -> Vec<MatchCondition> {
    let mut conditions: Vec<MatchCondition> = Vec::with_capacity(spec.match_conditions.len());
    for (position, condition) in spec.match_conditions.iter().enumerate() {
        let path = format!("spec.matchConditions[{position}]");
        if conditions.iter().any(|other| other.name == condition.name) {
            problems.add(format!("{path}.name"), format!("{:?} is used twice", condition.name));
        }
        match Expression::condition(&condition.expression, parameters) {
            Ok(expression) => {
                conditions.push(MatchCondition {
                    name: condition.name.clone(),
                    expression,
                    // At most too often true: the word may also stand in a text.
                    reads_what_varies: ["annotations", "hostname", "nodeName"]
                        .iter()
                        .any(|word| condition.expression.contains(word)),
                });
            }
            Err(message) => problems.add(format!("{path}.expression"), message),
        }
    }
    conditions
}

fn puts_nothing_in(spec: &PolicySpec) -> bool {
    spec.sidecars.is_empty()
        && spec.volumes.is_empty()
        && spec.files.is_empty()
        && spec.app_containers.is_empty()
        && spec.pod.as_ref().is_none_or(|pod| *pod == crds::PodPatch::default())
}
