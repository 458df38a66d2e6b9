//! Why a policy did or did not go into a pod: the one list of reasons that warnings, annotations,
//! status, metrics and the command line all use.

use std::fmt;

use crate::Conflict;

/// Where an annotation of the owner's stands that decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// On the pod, or on its template or workload, from where it came to the pod.
    Pod,
    /// On the namespace, as a default for its pods.
    Namespace,
}

/// Why a policy did or did not go into a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was put in.
    Injected,
    /// All of it was there already.
    AlreadyInjected,
    /// It would be put in; its mode is `Audit`.
    WouldInject,
    /// No policy reaches this namespace.
    NamespaceExcluded,
    /// Mirror pods of the kubelet are left alone.
    MirrorPod,
    /// The namespace selector does not match; the requirement that failed.
    NamespaceNotSelected(String),
    /// The pod selector does not match; the requirement that failed.
    PodNotSelected(String),
    /// The policy is for pods of another operating system; the pod's.
    OperatingSystem(String),
    /// The policy leaves host-network pods out.
    HostNetwork,
    /// A match condition of the policy is false; its name.
    ConditionNotMet(String),
    /// The policy is `OnRequest`, and nobody asked.
    NotRequested,
    /// The owner opted out; where.
    OptedOut(Level),
    /// It cannot be applied to this pod.
    Conflict(Conflict),
}

impl Reason {
    /// A stable word for metrics, status and scripts.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Injected => "Injected",
            Self::AlreadyInjected => "AlreadyInjected",
            Self::WouldInject => "WouldInject",
            Self::NamespaceExcluded => "NamespaceExcluded",
            Self::MirrorPod => "MirrorPod",
            Self::NamespaceNotSelected(_) => "NamespaceNotSelected",
            Self::PodNotSelected(_) => "PodNotSelected",
            Self::OperatingSystem(_) => "OperatingSystem",
            Self::HostNetwork => "HostNetwork",
            Self::ConditionNotMet(_) => "ConditionNotMet",
            Self::NotRequested => "NotRequested",
            Self::OptedOut(_) => "OptedOut",
            Self::Conflict(conflict) => conflict.as_str(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Injected => formatter.write_str("injected"),
            Self::AlreadyInjected => formatter.write_str("everything is there already"),
            Self::WouldInject => formatter.write_str("would be injected, but its mode is Audit"),
            Self::NamespaceExcluded => {
                formatter.write_str("the namespace is excluded from injection")
            }
            Self::MirrorPod => formatter.write_str("mirror pods of the kubelet are left alone"),
            Self::NamespaceNotSelected(why) => {
                write!(formatter, "the namespace is not selected: {why}")
            }
            Self::PodNotSelected(why) => write!(formatter, "the pod is not selected: {why}"),
            Self::OperatingSystem(found) => {
                write!(formatter, "the policy is for another operating system than {found}")
            }
            Self::HostNetwork => {
                formatter.write_str("the policy leaves pods on the host network out")
            }
            Self::ConditionNotMet(condition) => {
                write!(formatter, "its match condition {condition:?} is false for this pod")
            }
            Self::NotRequested => formatter.write_str(
                "the policy has to be asked for by the annotation sidecarpolicy.dev/inject",
            ),
            Self::OptedOut(Level::Pod) => {
                formatter.write_str("its owner opted out by the annotation sidecarpolicy.dev/skip")
            }
            Self::OptedOut(Level::Namespace) => formatter
                .write_str("its namespace opted out by its annotation sidecarpolicy.dev/skip"),
            Self::Conflict(conflict) => conflict.fmt(formatter),
        }
    }
}
