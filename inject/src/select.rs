//! Does a policy apply to a pod, and why (not).

use std::collections::BTreeMap;

use crds::{Activation, HostNetwork, OperatingSystem, OptOut};

use crate::{
    Policy, Reason,
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

/// What selection needs to know of a pod.
#[derive(Debug)]
pub struct Subject<'a, L> {
    /// Labels of the pod.
    pub labels: &'a L,
    /// Annotations of the pod.
    pub annotations: &'a L,
    /// `spec.hostNetwork`.
    pub host_network: bool,
    /// `spec.os.name`, else the node selector `kubernetes.io/os`.
    pub operating_system: Option<&'a str>,
}

/// Whether a policy applies to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// Why it does not apply; `None` when it does.
    pub refused: Option<Reason>,
    /// The owner tried to opt out of a policy that does not allow it.
    pub opt_out_denied: bool,
}

/// Whether a policy applies to a pod of a namespace that is not excluded.
#[must_use]
pub fn select<L: Lookup>(
    policy: &Policy,
    subject: &Subject<'_, L>,
    namespace: &Namespace,
) -> Selection {
    let mut selection = select_by_metadata(policy, subject.labels, subject.annotations, namespace);
    if selection.refused.is_none() {
        selection.refused = refused_by_spec(policy, subject.host_network, subject.operating_system);
    }
    selection
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
    match requests::wish(policy, [annotations, &namespace.annotations]) {
        Some(Wish::Skip) if policy.opt_out == OptOut::Allowed => {
            Selection { refused: Some(Reason::OptedOut), opt_out_denied: false }
        }
        None if policy.activation == Activation::OnRequest => {
            Selection { refused: Some(Reason::NotRequested), opt_out_denied: false }
        }
        Some(Wish::Skip) => Selection { refused: None, opt_out_denied: true },
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
