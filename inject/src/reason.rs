//! Why a policy did or did not go into a pod: the one list of reasons that warnings, annotations,
//! status, metrics and the command line all use.

use std::fmt;

use crate::ContainerList;

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
    /// The policy is `OnRequest`, and nobody asked.
    NotRequested,
    /// The owner opted out.
    OptedOut,
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
            Self::NotRequested => "NotRequested",
            Self::OptedOut => "OptedOut",
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
            Self::NotRequested => formatter.write_str(
                "the policy has to be asked for by the annotation sidecarpolicy.dev/inject",
            ),
            Self::OptedOut => {
                formatter.write_str("its owner opted out by the annotation sidecarpolicy.dev/skip")
            }
            Self::Conflict(conflict) => conflict.fmt(formatter),
        }
    }
}

/// Why a selected policy cannot be applied to a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// A part of the pod has the wrong type; the parser's words.
    MalformedPod(String),
    /// A container of that name is there with other content.
    ContainerName {
        /// Name of the container.
        container: String,
        /// Where it stands.
        list: ContainerList,
    },
    /// The sidecar is there, but somebody changed its command, arguments or variables.
    ContainerAltered {
        /// Name of the container.
        container: String,
    },
    /// A volume of that name is there with other content.
    VolumeName {
        /// Name of the volume.
        volume: String,
    },
    /// A container mounts a volume that neither pod nor policy has.
    VolumeMissing {
        /// Name of the container.
        container: String,
        /// Name of the volume.
        volume: String,
    },
    /// An app container mounts something else at the path.
    MountPathTaken {
        /// Name of the container.
        container: String,
        /// The path.
        path: String,
        /// The volume that is mounted there.
        volume: String,
    },
    /// A sidecar cannot have its port on the node.
    HostPort {
        /// Name of the sidecar.
        container: String,
        /// The port on the node.
        port: i64,
        /// Why not.
        why: String,
    },
}

impl Conflict {
    /// A stable word for metrics, status and scripts.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::MalformedPod(_) => "MalformedPod",
            Self::ContainerName { .. } => "ContainerNameConflict",
            Self::ContainerAltered { .. } => "ContainerAltered",
            Self::VolumeName { .. } => "VolumeNameConflict",
            Self::VolumeMissing { .. } => "VolumeMissing",
            Self::MountPathTaken { .. } => "MountPathTaken",
            Self::HostPort { .. } => "HostPortConflict",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedPod(why) => {
                write!(formatter, "the pod cannot be read, so it is left alone: {why}")
            }
            Self::ContainerName { container, list } => write!(
                formatter,
                "a container named {container:?} with other content is already in spec.{}; rename one of them",
                list.field()
            ),
            Self::ContainerAltered { container } => write!(
                formatter,
                "the container {container:?} is already there with another command, arguments or variables"
            ),
            Self::VolumeName { volume } => write!(
                formatter,
                "a volume named {volume:?} with other content is already in spec.volumes; rename one of them"
            ),
            Self::VolumeMissing { container, volume } => write!(
                formatter,
                "container {container:?} would mount the volume {volume:?}, which neither the pod nor the policy has"
            ),
            Self::MountPathTaken { container, path, volume } => write!(
                formatter,
                "container {container:?} already mounts the volume {volume:?} at {path}; change one of the paths"
            ),
            Self::HostPort { container, port, why } => write!(
                formatter,
                "container {container:?} cannot have port {port} of the node: {why}; change one of the ports"
            ),
        }
    }
}
