//! What happens to a pod: which policies reach it, what goes in, and what people are told.

use std::{collections::BTreeMap, fmt::Write as _};

use crds::keys;

use crate::{
    Conflict, Exclusions, Namespace, Policy, PolicySet, Reason,
    journal::{Journal, MapEdits, MetadataEdits},
    json,
    merge::{Additions, Merge},
    pod::{Pod, Spec},
    requests,
    select::{self, Lookup},
};

/// What a decision needs to know beside the pod itself.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The namespace of the request, never one written in the pod.
    pub namespace: &'a Namespace,
    /// Namespaces that no policy reaches.
    pub exclusions: &'a Exclusions,
    /// Whether a kubelet asks: the requester is in the group `system:nodes`.
    pub requester_is_node: bool,
}

/// What happens to a pod.
#[derive(Debug, Default)]
pub struct Outcome<'a> {
    /// One for each policy whose selectors match, in policy order.
    pub decisions: Vec<Decision<'a>>,
    /// What the person who creates the pod is told.
    pub warnings: Vec<String>,
    /// Why the pod is refused, if it is; then there are no edits.
    pub denied: Option<String>,
    /// What changes in the pod.
    pub edits: Journal<'a>,
}

/// What was decided about one policy.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Why it went in, or did not.
    pub reason: Reason,
}

/// Decides what happens to a pod that is being created.
///
/// `policies` are asked through their index; a pod that no policy can match costs one look-up.
/// A pod with a part of the wrong type is left alone and said to be: refusing it is the API
/// server's to do.
#[must_use]
pub fn inject<'a>(pod: &Pod<'_>, request: &Request<'_>, policies: &'a PolicySet) -> Outcome<'a> {
    let mut outcome = Outcome::default();
    if request.exclusions.contains(&request.namespace.name) || is_mirror_pod(pod, request) {
        return outcome;
    }
    warn_of_unknown_names(pod, request, policies, &mut outcome);
    let selected = select_by_metadata(pod, request, policies, &mut outcome);
    if selected.is_empty() {
        return outcome;
    }
    match read_spec(pod) {
        Ok(spec) => apply(pod, &spec, selected, &mut outcome),
        Err(conflict) => {
            for policy in selected {
                refuse(policy, conflict.clone(), &mut outcome);
            }
            finish(pod, Journal::default(), &mut outcome);
        }
    }
    outcome
}

/// A mirror pod stands for a pod the kubelet runs from a file. Anyone can write the annotation, so
/// the requester and the owner have to agree with it.
fn is_mirror_pod(pod: &Pod<'_>, request: &Request<'_>) -> bool {
    let owned_by_node = || {
        let owners = pod.metadata.owner_references.iter().flatten();
        owners
            .into_iter()
            .any(|owner| owner.kind.as_ref().is_some_and(|kind| kind.as_str() == "Node"))
    };
    request.requester_is_node
        && pod.metadata.annotations.value("kubernetes.io/config.mirror").is_some()
        && owned_by_node()
}

fn warn_of_unknown_names(
    pod: &Pod<'_>,
    request: &Request<'_>,
    policies: &PolicySet,
    outcome: &mut Outcome<'_>,
) {
    let namespace = &request.namespace.name;
    for (key, name) in requests::unknown_names(&pod.metadata.annotations, namespace, policies) {
        outcome.warnings.push(unknown_name_warning(key, &name, namespace));
    }
}

pub(crate) fn unknown_name_warning(key: &str, name: &str, namespace: &str) -> String {
    format!("annotation {key}: no policy named {name:?} reaches namespace {namespace:?}")
}

/// The policies that apply as far as metadata tells, in policy order.
fn select_by_metadata<'a>(
    pod: &Pod<'_>,
    request: &Request<'_>,
    policies: &'a PolicySet,
    outcome: &mut Outcome<'a>,
) -> Vec<&'a Policy> {
    let metadata = &pod.metadata;
    let mut candidates = policies.candidates(&request.namespace.name, &metadata.labels);
    candidates.retain(|policy| {
        policy.pod_selector.matches(&metadata.labels)
            && policy.namespace_selector.matches(&request.namespace.labels)
    });
    candidates.sort_unstable_by(|left, right| left.order().cmp(&right.order()));
    candidates.retain(|policy| {
        let selection = select::select_by_metadata(
            policy,
            &metadata.labels,
            &metadata.annotations,
            request.namespace,
        );
        if selection.opt_out_denied {
            outcome.warnings.push(format!("{} does not allow to opt out", named(policy)));
        }
        match selection.refused {
            None => true,
            Some(reason) => {
                outcome.decisions.push(Decision { policy, reason });
                false
            }
        }
    });
    candidates
}

fn read_spec<'p>(pod: &Pod<'p>) -> Result<Spec<'p>, Conflict> {
    if pod.spec.is_none() {
        return Err(Conflict::MalformedPod("spec is missing".to_owned()));
    }
    Spec::read(pod).map_err(|error| Conflict::MalformedPod(format!("spec: {error}")))
}

fn apply<'a>(
    pod: &Pod<'_>,
    spec: &Spec<'_>,
    mut selected: Vec<&'a Policy>,
    outcome: &mut Outcome<'a>,
) {
    let host_network = spec.host_network.unwrap_or_default();
    selected.retain(|policy| {
        match select::refused_by_spec(policy, host_network, spec.operating_system()) {
            None => true,
            Some(reason) => {
                outcome.decisions.push(Decision { policy, reason });
                false
            }
        }
    });
    let is_sidecar = |name: &str| selected.iter().any(|policy| policy.has_sidecar(name));
    let mut merge = match Merge::new(spec, is_sidecar) {
        Ok(merge) => merge,
        Err(conflict) => {
            for policy in selected {
                refuse(policy, conflict.clone(), outcome);
            }
            return finish(pod, Journal::default(), outcome);
        }
    };
    let mut waiting = selected;
    loop {
        let before = waiting.len();
        waiting.retain(|policy| match merge.attempt(policy) {
            // A policy after this one may bring the volume; a second call would find it there.
            Err(Conflict::VolumeMissing { .. }) => true,
            attempt => {
                settle(policy, attempt, &mut merge, outcome);
                false
            }
        });
        if waiting.is_empty() || waiting.len() == before {
            break;
        }
    }
    for policy in waiting {
        let attempt = merge.attempt(policy);
        settle(policy, attempt, &mut merge, outcome);
    }
    finish(pod, merge.into_journal(), outcome);
}

/// Takes an attempt over, or says why not.
fn settle<'a>(
    policy: &'a Policy,
    attempt: Result<Additions<'a>, Conflict>,
    merge: &mut Merge<'_, 'a>,
    outcome: &mut Outcome<'a>,
) {
    match attempt {
        Err(conflict) => refuse(policy, conflict, outcome),
        Ok(_) if !policy.enforced => {
            outcome.warnings.push(format!("{}: {}", named(policy), Reason::WouldInject));
            outcome.decisions.push(Decision { policy, reason: Reason::WouldInject });
        }
        Ok(additions) => {
            for kept in &additions.kept {
                outcome.warnings.push(format!("{}: {kept}", named(policy)));
            }
            let reason =
                if additions.nothing_new { Reason::AlreadyInjected } else { Reason::Injected };
            outcome.decisions.push(Decision { policy, reason });
            merge.take(additions);
        }
    }
}

fn refuse<'a>(policy: &'a Policy, conflict: Conflict, outcome: &mut Outcome<'a>) {
    let what = if policy.enforced { "was not applied" } else { "would not be applied" };
    let message = format!("{} {what}: {conflict}", named(policy));
    if policy.denies_conflicts {
        match &mut outcome.denied {
            Some(denied) => {
                let _ = write!(denied, "; {message}");
            }
            None => outcome.denied = Some(message),
        }
    } else {
        outcome.warnings.push(message);
    }
    outcome.decisions.push(Decision { policy, reason: Reason::Conflict(conflict) });
}

/// Adds what the pod itself says of the outcome, unless it is refused or cannot be patched.
fn finish<'a>(pod: &Pod<'_>, mut journal: Journal<'a>, outcome: &mut Outcome<'a>) {
    outcome.decisions.sort_by(|left, right| left.policy.order().cmp(&right.policy.order()));
    let malformed = outcome
        .decisions
        .iter()
        .any(|decision| matches!(decision.reason, Reason::Conflict(Conflict::MalformedPod(_))));
    if outcome.denied.is_some() || malformed {
        return;
    }
    journal.metadata.push(metadata_edits(pod, &outcome.decisions));
    outcome.edits = journal;
}

/// The label and annotations that say on the pod what was decided.
fn metadata_edits<'a>(pod: &Pod<'_>, decisions: &[Decision<'_>]) -> MetadataEdits<'a> {
    let metadata = &pod.metadata;
    let mut labels = MapEdits { present: metadata.labels.is_present(), ..Default::default() };
    let mut annotations =
        MapEdits { present: metadata.annotations.is_present(), ..Default::default() };
    let injected = policy_map(decisions, |decision| match decision.reason {
        Reason::Injected | Reason::AlreadyInjected => Some(decision.policy.revision.clone()),
        _ => None,
    });
    let recorded = recorded_skips(metadata.annotations.value(keys::SKIPPED));
    let skipped = policy_map(decisions, |decision| match &decision.reason {
        Reason::Conflict(conflict) if decision.policy.enforced => {
            let recorded = recorded.get(&decision.policy.id.to_string()).cloned();
            Some(recorded.unwrap_or_else(|| format!("{}: {conflict}", conflict.as_str())))
        }
        _ => None,
    });
    let label = metadata.labels.value(keys::INJECTED);
    match &injected {
        Some(_) => labels.set(keys::INJECTED, label, "true".to_owned()),
        None => labels.remove(keys::INJECTED, label),
    }
    for (key, wanted) in [(keys::INJECTED, injected), (keys::SKIPPED, skipped)] {
        let found = metadata.annotations.value(key);
        match wanted {
            Some(wanted) => annotations.set(key, found, wanted),
            None => annotations.remove(key, found),
        }
    }
    MetadataEdits { pointer: "/metadata", present: metadata.present, labels, annotations }
}

/// The reasons of an earlier call. They stay while their policies are in conflict: a later call also
/// meets what other policies have put in since, and would name that instead.
fn recorded_skips(annotation: Option<&str>) -> BTreeMap<String, String> {
    annotation.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// `{"<policy>": "<value>"}` over the decisions that have a value, by policy; `None` without any.
fn policy_map(
    decisions: &[Decision<'_>],
    value: impl Fn(&Decision<'_>) -> Option<String>,
) -> Option<String> {
    let mut entries: Vec<(String, String)> = decisions
        .iter()
        .filter_map(|decision| Some((decision.policy.id.to_string(), value(decision)?)))
        .collect();
    if entries.is_empty() {
        return None;
    }
    entries.sort_unstable();
    let mut map = String::from("{");
    for (position, (policy, value)) in entries.iter().enumerate() {
        if position > 0 {
            map.push(',');
        }
        json::push_string(&mut map, policy);
        map.push(':');
        json::push_string(&mut map, value);
    }
    map.push('}');
    Some(map)
}

fn named(policy: &Policy) -> String {
    format!("{} {}", policy.id.kind(), policy.id)
}
