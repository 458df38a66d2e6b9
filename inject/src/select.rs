//! Does a policy apply to a pod, and why (not).

use std::collections::BTreeMap;

use crds::{Activation, HostNetwork, OperatingSystem, OptOut};

use crate::{
    Conflict, Metadata, Pod, Policy, Reason,
    facts::{Added, Facts, PodFacts},
    parameters::Values,
    pod::Spec,
    requests::{self, Wish},
};

/// Looks up a value by key: labels and annotations, however they are kept.
pub trait Lookup {
    /// The value of a key.
    fn value(&self, key: &str) -> Option<&str>;
}

impl Lookup for BTreeMap<String, String> {
    fn value(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

/// What decisions need to know of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Labels, `kubernetes.io/metadata.name` included.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
}

/// Whether a policy applies to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Why it does not apply; `None` when it does.
    pub refused: Option<Reason>,
    /// The owner tried to opt out of a policy that does not allow it.
    pub opt_out_denied: bool,
}

/// Whether a policy applies to a pod of a namespace that is not excluded: all but whether it can be
/// put in.
#[must_use]
pub fn select(policy: &Policy, pod: &Pod<'_>, namespace: &Namespace) -> Selection {
    let Metadata { labels, annotations, .. } = &pod.metadata;
    let mut selection = select_by_metadata(policy, labels, annotations, namespace);
    if selection.refused.is_none() {
        selection.refused = refused_by_pod(policy, pod, namespace).err();
    }
    selection
}

fn refused_by_pod(policy: &Policy, pod: &Pod<'_>, namespace: &Namespace) -> Result<(), Reason> {
    let spec = Spec::read(pod)
        .map_err(|error| Reason::Conflict(Conflict::MalformedPod(format!("spec: {error}"))))?;
    let host_network = spec.host_network.unwrap_or_default();
    if let Some(reason) = refused_by_spec(policy, host_network, spec.operating_system()) {
        return Err(reason);
    }
    let mut added = Added::default();
    policy.body.collect_added(&mut added);
    let facts = PodFacts::new(pod, namespace, added);
    let values = parameters(policy, &facts)?;
    let facts = Facts::new(&facts, &policy.id.name, &policy.revision, &values);
    refused_by_conditions(policy, &facts).map_or(Ok(()), Err)
}

/// The values of a policy's parameters for a pod.
pub(crate) fn parameters<'p>(policy: &'p Policy, pod: &PodFacts<'_>) -> Result<Values<'p>, Reason> {
    let levels: [&dyn Lookup; 2] = [&pod.metadata.annotations, &pod.namespace.annotations];
    policy.parameters.values(levels).map_err(|bad| {
        Reason::Conflict(Conflict::Parameter { annotation: bad.annotation, why: bad.message })
    })
}

/// The part of [`select`] that match conditions decide.
pub(crate) fn refused_by_conditions(policy: &Policy, facts: &Facts<'_, '_>) -> Option<Reason> {
    policy.match_conditions.iter().find_map(|condition| {
        let name = condition.name.clone();
        match condition.expression.is_true(facts) {
            Ok(true) => None,
            Ok(false) => Some(Reason::ConditionNotMet(name)),
            Err(why) => Some(Reason::Conflict(Conflict::MatchCondition { condition: name, why })),
        }
    })
}

/// The part of [`select`] that needs no pod spec.
pub(crate) fn select_by_metadata<L: Lookup>(
    policy: &Policy,
    labels: &L,
    annotations: &L,
    namespace: &Namespace,
) -> Selection {
    let not_selected = if policy.id.namespace.as_ref().is_some_and(|own| *own != namespace.name) {
        Some(Reason::NamespaceNotSelected("the policy reaches its own namespace only".to_owned()))
    } else {
        let namespace_unmet = policy.namespace_selector.unmet(&namespace.labels);
        namespace_unmet
            .map(Reason::NamespaceNotSelected)
            .or_else(|| policy.pod_selector.unmet(labels).map(Reason::PodNotSelected))
    };
    if not_selected.is_some() {
        return Selection { refused: not_selected, opt_out_denied: false };
    }
    match requests::wish(policy, annotations, &namespace.annotations) {
        Some(Wish::Skip(level)) if policy.opt_out == OptOut::Allowed => {
            Selection { refused: Some(Reason::OptedOut(level)), opt_out_denied: false }
        }
        None | Some(Wish::Skip(_)) if policy.activation == Activation::OnRequest => {
            Selection { refused: Some(Reason::NotRequested), opt_out_denied: false }
        }
        Some(Wish::Skip(_)) => Selection { refused: None, opt_out_denied: true },
        Some(Wish::Inject) | None => Selection { refused: None, opt_out_denied: false },
    }
}

/// The part of [`select`] that the pod spec decides.
pub(crate) fn refused_by_spec(
    policy: &Policy,
    host_network: bool,
    operating_system: Option<&str>,
) -> Option<Reason> {
    let found = operating_system.unwrap_or("linux");
    let reached = match policy.operating_system {
        OperatingSystem::Any => true,
        OperatingSystem::Linux => found != "windows",
        OperatingSystem::Windows => found == "windows",
    };
    if !reached {
        return Some(Reason::OperatingSystem(found.to_owned()));
    }
    (host_network && policy.host_network == HostNetwork::Deny).then_some(Reason::HostNetwork)
}
