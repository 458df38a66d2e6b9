//! What people should know of a policy that goes in: what of the app's stayed in the place of ours.

use std::fmt;

/// Something that people should know of a policy that goes in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// An app container keeps its own variable.
    VariableKept {
        /// Name of the container.
        container: String,
        /// Name of the variable.
        variable: String,
    },
    /// An app container may get the variable from a source that cannot be looked into.
    SourceOverridden {
        /// Name of the container.
        container: String,
        /// Name of the variable.
        variable: String,
    },
    /// An app container keeps its own probe or hook.
    FieldKept {
        /// Name of the container.
        container: String,
        /// Name of the field.
        field: &'static str,
    },
    /// The pod keeps its own label or annotation.
    MetadataKept {
        /// `label` or `annotation`.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// The pod keeps its own field.
    PodFieldKept {
        /// Path of the field in the pod.
        field: &'static str,
    },
    /// The sidecar is there, but somebody changed its command, arguments or variables.
    SidecarAltered {
        /// Name of the container.
        container: String,
    },
    /// Two containers listen on one port, so the later one cannot.
    PortTaken {
        /// Name of the sidecar.
        container: String,
        /// The port.
        port: i64,
        /// Name of the container that has it.
        other: String,
    },
}

impl Notice {
    /// Whether something of the app's stayed in the place of ours.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        !matches!(self, Self::PortTaken { .. } | Self::SourceOverridden { .. })
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VariableKept { container, variable } => {
                write!(formatter, "container {container:?} keeps its own variable {variable}")
            }
            Self::SourceOverridden { container, variable } => write!(
                formatter,
                "container {container:?} takes variables with envFrom; if {variable} is among them, the policy's value replaces it"
            ),
            Self::FieldKept { container, field } => {
                write!(formatter, "container {container:?} keeps its own {field}")
            }
            Self::MetadataKept { kind, key } => {
                write!(formatter, "the pod keeps its own {kind} {key}")
            }
            Self::PodFieldKept { field } => write!(formatter, "the pod keeps its own {field}"),
            Self::SidecarAltered { container } => write!(
                formatter,
                "the sidecar {container:?} is there with another command, arguments or variables"
            ),
            Self::PortTaken { container, port, other } => write!(
                formatter,
                "container {container:?} has the port {port}, which container {other:?} has too; only one of them can listen on it"
            ),
        }
    }
}
