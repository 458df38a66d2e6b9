//! Why a selected policy cannot be applied to a pod: every kind of conflict, in words for a person.

use std::fmt;

use crate::ContainerList;

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
        /// Kind and name of the policy that brings it; `None`: the app or another webhook does.
        policy: Option<String>,
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
        /// Kind and name of the policy that brings it; `None`: the app or another webhook does.
        policy: Option<String>,
    },
    /// A container mounts a volume that neither pod nor policy has.
    VolumeMissing {
        /// Name of the container.
        container: String,
        /// Name of the volume.
        volume: String,
        /// A policy that would bring it.
        left_out: Option<LeftOut>,
    },
    /// A container cannot use a volume as it would.
    VolumeUse {
        /// Name of the container.
        container: String,
        /// How it would use which, and what to do.
        what: String,
    },
    /// An app container has something else at the path.
    MountPathTaken {
        /// Name of the container.
        container: String,
        /// The path.
        path: String,
        /// The volume that is mounted there, or the claim of a device.
        volume: String,
        /// Kind and name of the policy that mounts it; `None`: the app or another webhook does.
        policy: Option<String>,
        /// What differs, in words, where it is the same volume.
        differences: Option<String>,
    },
    /// A sidecar cannot have its port on the node.
    HostPort {
        /// Name of the sidecar.
        container: String,
        /// The port on the node.
        port: i64,
        /// Name of the container that has it; `None`: on the host network it would have to equal the
        /// container port.
        other: Option<String>,
        /// Kind and name of the policy that brings that container, if one does.
        policy: Option<String>,
    },
    /// The container that a sidecar is placed beside is not in its list.
    PlacementTarget {
        /// Name of the sidecar.
        container: String,
        /// Name of the container beside which it belongs.
        target: String,
        /// The list in which it was looked for.
        list: ContainerList,
        /// A policy that would bring it.
        left_out: Option<LeftOut>,
    },
    /// Sidecars are placed beside one another in a circle.
    PlacementCycle {
        /// Name of the sidecar.
        container: String,
        /// Name of the container beside which it belongs.
        target: String,
    },
    /// The pod lacks what a field of the policy demands of it.
    Demand {
        /// Which kind of demand, as a stable word.
        reason: &'static str,
        /// Path of the field in the policy.
        field: String,
        /// What the pod would need.
        why: String,
    },
    /// The containers together would exceed the pod's own resources.
    PodResources {
        /// `requests` or `limits`.
        kind: &'static str,
        /// Name of the resource.
        resource: String,
        /// What exceeds it.
        what: String,
    },
    /// The pod lacks a right that a container needs.
    Privilege {
        /// Name of the container.
        container: String,
        /// What it has and what that needs.
        what: String,
    },
    /// The namespace enforces a Pod Security level that the policy does not keep.
    PodSecurity {
        /// The enforced level.
        level: String,
        /// What breaks it.
        why: String,
    },
    /// The pod would have more annotations than the API server takes.
    Annotations {
        /// Bytes of all of them.
        bytes: usize,
        /// Most bytes.
        most: usize,
    },
    /// The policy sets a label by which a policy selects pods.
    SelectedLabel {
        /// The key.
        label: String,
    },
    /// A parameter has no usable value.
    Parameter {
        /// The annotation that sets it.
        annotation: String,
        /// What is wrong.
        why: String,
    },
    /// A match condition could not be evaluated.
    MatchCondition {
        /// Its name.
        condition: String,
        /// What is wrong.
        why: String,
    },
    /// An expression could not be evaluated, or gave what the field cannot hold.
    Expression {
        /// Path of the field in the policy.
        path: String,
        /// What is wrong.
        why: String,
    },
}

/// A policy that would bring what another one needs, and is not in the pod itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// Its kind and name.
    pub policy: String,
    /// Why it is not in the pod.
    pub why: String,
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
            Self::VolumeUse { .. } => "VolumeUseConflict",
            Self::MountPathTaken { .. } => "MountPathTaken",
            Self::HostPort { .. } => "HostPortConflict",
            Self::PlacementTarget { .. } => "PlacementTargetMissing",
            Self::PlacementCycle { .. } => "PlacementCycle",
            Self::Demand { reason, .. } => reason,
            Self::PodResources { .. } => "PodResourcesExceeded",
            Self::Privilege { .. } => "PrivilegeMissing",
            Self::PodSecurity { .. } => "PodSecurity",
            Self::Annotations { .. } => "AnnotationsTooLarge",
            Self::SelectedLabel { .. } => "LabelIsSelected",
            Self::Parameter { .. } => "BadParameter",
            Self::MatchCondition { .. } => "MatchConditionFailed",
            Self::Expression { .. } => "ExpressionFailed",
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MalformedPod(why) => {
                write!(formatter, "the pod cannot be read, so it is left alone: {why}")
            }
            Self::ContainerName { container, list, policy } => write!(
                formatter,
                "{} a container named {container:?} with other content{} into spec.{}; rename one of them",
                brings(policy.as_deref()),
                // Where the pod has it, it may stand anywhere.
                if policy.is_some() { " or another placement" } else { "" },
                list.field()
            ),
            Self::ContainerAltered { container } => write!(
                formatter,
                "the container {container:?} is already there with another command, arguments or variables"
            ),
            Self::VolumeName { volume, policy } => write!(
                formatter,
                "{} a volume named {volume:?} with other content; rename one of them",
                brings(policy.as_deref())
            ),
            Self::VolumeMissing { container, volume, left_out: None } => write!(
                formatter,
                "container {container:?} would mount the volume {volume:?}, which neither the pod nor the policy has"
            ),
            Self::VolumeMissing { container, volume, left_out: Some(other) } => write!(
                formatter,
                "container {container:?} would mount the volume {volume:?} of {other}; bring that policy in, or add the volume"
            ),
            Self::MountPathTaken { container, path, volume, policy, differences } => {
                let (already, of) = match policy {
                    None => ("already ", String::new()),
                    Some(policy) => ("", format!(" of {policy}")),
                };
                write!(
                    formatter,
                    "container {container:?} {already}mounts the volume {volume:?}{of} at {path}"
                )?;
                match differences {
                    None => formatter.write_str("; change one of the paths"),
                    Some(differences) => write!(
                        formatter,
                        " in another way: {differences}; mount it alike, or change one of the paths"
                    ),
                }
            }
            Self::HostPort { container, port, other: None, .. } => write!(
                formatter,
                "container {container:?} cannot have port {port} of the node: on the host network it must equal the container port; change one of the ports"
            ),
            Self::HostPort { container, port, other: Some(other), policy } => {
                let of = policy.as_ref().map_or_else(String::new, |policy| format!(" of {policy}"));
                write!(
                    formatter,
                    "container {container:?} cannot have port {port} of the node: container {other:?}{of} has it already; change one of the ports"
                )
            }
            Self::PlacementTarget { container, target, list, left_out: None } => write!(
                formatter,
                "container {container:?} is placed beside {target:?}, which is not in spec.{}; name a container that is, or use First or Last",
                list.field()
            ),
            Self::PlacementTarget { container, target, left_out: Some(other), .. } => write!(
                formatter,
                "container {container:?} is placed beside {target:?} of {other}; bring that policy in, or use First or Last"
            ),
            Self::PlacementCycle { container, target } => write!(
                formatter,
                "container {container:?} is placed beside {target:?}, which in turn is placed beside it; remove one of the placements"
            ),
            Self::Demand { field, why, .. } => write!(formatter, "{field} of the policy {why}"),
            Self::PodResources { kind, resource, what } => write!(
                formatter,
                "{what} exceeds the pod's own spec.resources.{kind}.{resource}; raise that, or lower the sidecar's"
            ),
            Self::Privilege { container, what } | Self::VolumeUse { container, what } => {
                write!(formatter, "container {container:?} {what}")
            }
            Self::PodSecurity { level, why } => write!(
                formatter,
                "the namespace enforces the Pod Security level {level}, which the policy does not keep: {why}"
            ),
            Self::Annotations { bytes, most } => write!(
                formatter,
                "with its files and annotations the pod would have {bytes} bytes of annotations, of which the API server takes {most}; shorten the files"
            ),
            Self::SelectedLabel { label } => write!(
                formatter,
                "it would set the label {label}, by which a policy selects pods; set another label"
            ),
            Self::Parameter { annotation, why } => {
                write!(formatter, "annotation {annotation} {why}")
            }
            Self::MatchCondition { condition, why } => {
                write!(formatter, "match condition {condition:?} cannot be evaluated: {why}")
            }
            Self::Expression { path, why } => write!(formatter, "{path}: {why}"),
        }
    }
}

impl fmt::Display for LeftOut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, which is not in this pod: {}", self.policy, self.why)
    }
}

/// Who brings what is in the way.
fn brings(policy: Option<&str>) -> String {
    policy.map_or_else(
        || "the app, or another webhook, brings".to_owned(),
        |policy| format!("{policy} brings"),
    )
}
