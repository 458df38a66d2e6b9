//! What happens to a pod: which policies reach it, what goes in, and what people are told.

mod cause;
mod settlement;

use std::{borrow::Cow, collections::BTreeMap, fmt::Write as _, mem};

use crds::keys;

use crate::{
    Conflict, Exclusions, Namespace, Notice, Policy, PolicySet, Reason,
    content::Content,
    facts::{Added, Facts, PodFacts},
    journal::{Journal, MapEdits, MetadataEdits},
    json,
    merge::ANNOTATIONS,
    partition::{self, Places},
    pod::{Metadata, Pod, Spec},
    pod_security::Enforced,
    record, requests,
    select::{self, Lookup},
};

use settlement::{Edits, Settled, settle};

/// Most bytes of the reasons why policies were left out; as many are kept free for other keys of ours.
const SKIPPED_ROOM: usize = 16 << 10;

/// What a decision needs to know beside the pod itself.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The namespace of the request, never one written in the pod.
    pub namespace: &'a Namespace,
    /// Namespaces that no policy reaches.
    pub exclusions: &'a Exclusions,
    /// Whether a kubelet asks: the requester is in the group `system:nodes`.
    pub requester_is_node: bool,
    /// `uid` of the admission request, by which a pod without a name is drawn for a partition.
    pub uid: &'a str,
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
    pub edits: Journal,
    places: Places,
}

/// What was decided about one policy.
#[derive(Debug)]
pub struct Decision<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Why it went in, or did not.
    pub reason: Reason,
    /// What people should know where it went in, or would.
    pub notices: Vec<Notice>,
}

impl<'a> Decision<'a> {
    fn new(policy: &'a Policy, reason: Reason) -> Self {
        Self { policy, reason, notices: Vec::new() }
    }
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
    let mut selected = select_by_metadata(pod, request, policies, &mut outcome);
    if selected.is_empty() {
        return outcome;
    }
    outcome.places = partition::draw(pod, request, &mut selected);
    match read_spec(pod) {
        Ok(spec) => apply(pod, &spec, request.namespace, policies, selected, &mut outcome),
        Err(conflict) => {
            for policy in selected {
                refuse(policy, conflict.clone(), &mut outcome);
            }
            finish(pod, None, &mut outcome);
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
        outcome.warnings.push(format!("annotation {key}: {}", unknown_name(&name, namespace)));
    }
    let annotations = &pod.metadata.annotations;
    for (key, wrong) in requests::unknown_parameters(annotations, namespace, policies) {
        outcome.warnings.push(format!("annotation {key}: {wrong}"));
    }
}

pub(crate) fn unknown_name(name: &str, namespace: &str) -> String {
    format!("no policy named {name:?} reaches namespace {namespace:?}")
}

/// The policies that apply as far as metadata tells, in policy order.
fn select_by_metadata<'a>(
    pod: &Pod<'_>,
    request: &Request<'_>,
    policies: &'a PolicySet,
    outcome: &mut Outcome<'a>,
) -> Vec<&'a Policy> {
    let metadata = &pod.metadata;
    let mut candidates = policies.candidates(metadata, request.namespace);
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
                outcome.decisions.push(Decision::new(policy, reason));
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

/// A policy that may go in.
struct Candidate<'a> {
    policy: &'a Policy,
    content: Cow<'a, Content>,
}

fn apply<'a>(
    pod: &Pod<'_>,
    spec: &Spec<'_>,
    namespace: &Namespace,
    policies: &PolicySet,
    selected: Vec<&'a Policy>,
    outcome: &mut Outcome<'a>,
) {
    let host_network = spec.host_network.unwrap_or_default();
    let mut added = Added::default();
    for policy in selected.iter().filter(|policy| policy.enforced) {
        policy.body.collect_added(&mut added);
    }
    let facts = PodFacts::new(pod, namespace, added);
    let mut candidates = Vec::with_capacity(selected.len());
    for policy in selected {
        let refused = select::refused_by_spec(policy, host_network, spec.operating_system());
        let rendered = refused.map_or_else(|| render(policy, &facts), Err);
        match rendered
            .and_then(|content| without_selected_labels(content, &namespace.name, policies))
        {
            Ok(content) => candidates.push(Candidate { policy, content }),
            Err(Reason::Conflict(conflict)) => refuse(policy, conflict, outcome),
            Err(reason) => outcome.decisions.push(Decision::new(policy, reason)),
        }
    }
    match settle(pod, spec, Enforced::of(&namespace.labels), &candidates) {
        Ok((mut decisions, edits)) => {
            let circumstances = cause::Circumstances {
                pod,
                spec,
                namespace,
                policies,
                candidates: &candidates,
                refused: &outcome.decisions,
            };
            circumstances.name_causes(&mut decisions);
            for (candidate, settled) in candidates.iter().zip(decisions) {
                match settled {
                    Settled::In { reason, notices } => accept(candidate, reason, notices, outcome),
                    Settled::Out(conflict) => refuse(candidate.policy, conflict, outcome),
                }
            }
            finish(pod, edits, outcome);
        }
        Err(conflict) => {
            for candidate in candidates {
                refuse(candidate.policy, conflict.clone(), outcome);
            }
            finish(pod, None, outcome);
        }
    }
}

/// What a policy puts into this pod, or why it does not: by its parameters, its match conditions,
/// and expressions that give nothing usable.
fn render<'a>(policy: &'a Policy, pod: &PodFacts<'_>) -> Result<Cow<'a, Content>, Reason> {
    let values = select::parameters(policy, pod)?;
    let facts = Facts::new(pod, &policy.id.name, &policy.revision, &values);
    match select::refused_by_conditions(policy, &facts) {
        Some(reason) => Err(reason),
        None => policy.body.render(&facts).map_err(Reason::Conflict),
    }
}

/// Refuses content with a label by which a policy selects: another call would select otherwise.
fn without_selected_labels<'a>(
    content: Cow<'a, Content>,
    namespace: &str,
    policies: &PolicySet,
) -> Result<Cow<'a, Content>, Reason> {
    let labels = content.pod.labels.iter();
    match labels.map(|(key, _)| key).find(|key| policies.selects_by(namespace, key)) {
        Some(label) => Err(Reason::Conflict(Conflict::SelectedLabel { label: label.clone() })),
        None => Ok(content),
    }
}

fn accept<'a>(
    candidate: &Candidate<'a>,
    reason: Reason,
    notices: Vec<Notice>,
    outcome: &mut Outcome<'a>,
) {
    let policy = candidate.policy;
    if policy.enforced {
        outcome
            .warnings
            .extend(notices.iter().map(|notice| format!("{}: {notice}", named(policy))));
    } else {
        outcome.warnings.push(format!("{}: {reason}", named(policy)));
    }
    outcome.decisions.push(Decision { policy, reason, notices });
}

fn refuse<'a>(policy: &'a Policy, conflict: Conflict, outcome: &mut Outcome<'a>) {
    let what = if policy.enforced { "was not applied" } else { "would not be applied" };
    let mut message = format!("{} {what}: {conflict}", named(policy));
    if policy.denies_conflicts {
        message.push_str(" (the policy has onConflict: Deny)");
        match &mut outcome.denied {
            Some(denied) => {
                let _ = write!(denied, "; {message}");
            }
            None => outcome.denied = Some(message),
        }
    } else {
        outcome.warnings.push(message);
    }
    outcome.decisions.push(Decision::new(policy, Reason::Conflict(conflict)));
}

/// Adds what the pod itself says of the outcome, unless it is refused or cannot be patched.
fn finish(pod: &Pod<'_>, edits: Edits<'_>, outcome: &mut Outcome<'_>) {
    outcome.decisions.sort_by(|left, right| left.policy.order().cmp(&right.policy.order()));
    let malformed = outcome
        .decisions
        .iter()
        .any(|decision| matches!(decision.reason, Reason::Conflict(Conflict::MalformedPod(_))));
    if outcome.denied.is_some() || malformed {
        return;
    }
    let places = partition::annotation(mem::take(&mut outcome.places));
    let mut metadata = metadata_edits(pod, &outcome.decisions, places);
    if let Some((journal, of_pod)) = edits {
        outcome.edits = journal;
        of_pod.set_metadata(
            &mut metadata.labels,
            &mut metadata.annotations,
            &pod.metadata.annotations,
        );
    }
    outcome.edits.metadata.push(metadata);
}

/// The label and annotations that say on the pod what was decided.
fn metadata_edits(
    pod: &Pod<'_>,
    decisions: &[Decision<'_>],
    places: Option<String>,
) -> MetadataEdits {
    let metadata = &pod.metadata;
    let mut labels = MapEdits { present: metadata.labels.is_present(), ..Default::default() };
    let mut annotations =
        MapEdits { present: metadata.annotations.is_present(), ..Default::default() };
    let injected = policy_map(decisions, |decision| match decision.reason {
        Reason::Injected | Reason::AlreadyInjected => Some(decision.policy.revision.clone()),
        _ => None,
    });
    let recorded = recorded_skips(metadata);
    let room = room_for_skipped(metadata, [&injected, &places]);
    let skipped = policy_map(decisions, |decision| match &decision.reason {
        Reason::Conflict(conflict) if decision.policy.enforced => {
            let recorded = recorded.get(&decision.policy.id.to_string()).cloned();
            Some(recorded.unwrap_or_else(|| format!("{}: {conflict}", conflict.as_str())))
        }
        _ => None,
    })
    .filter(|skipped| skipped.len() <= room);
    let label = metadata.labels.value(keys::INJECTED);
    match &injected {
        Some(_) => labels.set(keys::INJECTED, label, "true".to_owned()),
        None => labels.remove(keys::INJECTED, label),
    }
    for (key, wanted) in
        [(keys::INJECTED, injected), (keys::SKIPPED, skipped), (keys::PLACE, places)]
    {
        let found = metadata.annotations.value(key);
        match wanted {
            Some(wanted) => annotations.set(key, found, wanted),
            None => annotations.remove(key, found),
        }
    }
    MetadataEdits { pointer: "/metadata", present: metadata.present, labels, annotations }
}

/// Bytes that the reasons may take: the pod of an app must not be refused for what is written about it.
fn room_for_skipped(metadata: &Metadata<'_>, ours: [&Option<String>; 2]) -> usize {
    let others = metadata.annotations.iter().filter(|(key, _)| !key.starts_with(keys::PREFIX));
    let others: usize = others.map(|(key, value)| key.len() + value.len()).sum();
    let ours: usize = ours.into_iter().flatten().map(String::len).sum();
    let taken = others + ours + SKIPPED_ROOM;
    ANNOTATIONS.saturating_sub(taken).min(SKIPPED_ROOM)
}

/// The reasons of an earlier call. They stay while their policies are in conflict: a later call also
/// meets what other policies have put in since, and would name that instead.
fn recorded_skips(metadata: &Metadata<'_>) -> BTreeMap<String, String> {
    record::read(&metadata.annotations, keys::SKIPPED).unwrap_or_default()
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
    Some(json::text_map(entries.iter().map(|(policy, value)| (policy.as_str(), value.clone()))))
}

fn named(policy: &Policy) -> String {
    format!("{} {}", policy.id.kind(), policy.id)
}
