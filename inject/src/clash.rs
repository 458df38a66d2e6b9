//! Policies that can meet on one pod and cannot both go in.
//!
//! A clash is only told where it is certain: some pod can be reached by both, and on every such pod
//! the one would be in the other's way. What cannot be known beforehand (conditions, expressions,
//! what is copied from the app) is taken to be no clash; the merge finds it out pod by pod.

mod content;
mod footprint;
mod glob;
mod index;

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use crds::{ContainersIncluded, OperatingSystem};

use crate::PolicyId;

pub use footprint::Footprint;
pub use index::ClashIndex;

use content::{Kind, difference};
use footprint::Mount;
use glob::shortest_common;

/// Longest common name of two globs for which there are surely names enough: names have 63
/// characters.
const GLOB_LENGTH: usize = 40;
/// Most pairs of globs that two policies are compared by. What is left is taken to be no clash, so that
/// nobody keeps the operator busy with policies of many globs.
const GLOB_PAIRS: usize = 1024;

/// Two policies that can meet on one pod and cannot both go in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash {
    /// The policy that was asked about.
    pub policy: PolicyId,
    /// The policy that it meets.
    pub other: PolicyId,
    /// What they collide in.
    pub collision: Collision,
    /// Path of the field, in the policy that was asked about.
    pub path: String,
    /// Path of the field in the other policy.
    pub other_path: String,
    /// Labels of a pod that both can reach; none if any pod will do.
    pub pod_labels: BTreeMap<String, String>,
}

/// What two policies collide in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Collision {
    /// Both have a container of this name, with another content.
    Container {
        /// Its name.
        name: String,
        /// The field that differs.
        field: String,
    },
    /// Both have a volume of this name, with another content.
    Volume {
        /// Its name.
        name: String,
        /// The field that differs.
        field: String,
    },
    /// Both mount at the same path of the same app containers, and differently.
    Mount {
        /// The path.
        path: String,
        /// The field that differs.
        field: String,
    },
    /// Each places a container beside the other's.
    PlacementCycle {
        /// The other's container.
        target: String,
    },
    /// A container is placed beside one that stands in the other list.
    PlacementList {
        /// The container in the other list.
        target: String,
    },
    /// Ordinary containers of both take the same port of the node.
    HostPort {
        /// The port.
        port: i64,
    },
    /// One sets a label that the other selects by.
    Label {
        /// Key of the label.
        key: String,
    },
}

impl fmt::Display for Clash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, other, collision, path, other_path, pod_labels } = self;
        let named = |id: &PolicyId| format!("{} {id}", id.kind());
        write!(formatter, "{path}: clashes with {other_path} of {}", named(other))?;
        match collision {
            Collision::Container { name, field } => write!(
                formatter,
                ": both have a container {name:?}, with another {field}; rename one, make them equal"
            ),
            Collision::Volume { name, field } => write!(
                formatter,
                ": both have a volume {name:?}, with another {field}; rename one, make them equal"
            ),
            Collision::Mount { path, field } => write!(
                formatter,
                ": both mount at {path} of the same containers, with another {field}; use another path, or make them equal"
            ),
            Collision::PlacementCycle { target } => write!(
                formatter,
                ": each waits for the place of the other's container, here of {target:?}; use First or Last in one"
            ),
            Collision::PlacementList { target } => write!(
                formatter,
                ": {target:?} stands in the other list of containers; place it beside another"
            ),
            Collision::HostPort { port } => {
                write!(formatter, ": both take the host port {port}; use another")
            }
            Collision::Label { key } => write!(
                formatter,
                ": the label {key} is set by one, and the other selects by it; select by another label"
            ),
        }?;
        write!(formatter, ", or let {policy} and {other} select different pods")?;
        let mut labels = pod_labels.iter();
        if let Some((key, value)) = labels.next() {
            write!(formatter, " (both reach pods with {key}={value}")?;
            for (key, value) in labels {
                write!(formatter, ",{key}={value}")?;
            }
            formatter.write_str(")")?;
        }
        Ok(())
    }
}

/// The first thing in which two policies are sure to collide on a pod that both can reach.
#[must_use]
pub fn clash(policy: &Footprint, other: &Footprint) -> Option<Clash> {
    if policy.id == other.id || !can_meet(policy, other) {
        return None;
    }
    let told = |(collision, path, other_path): Found, pod_labels| Clash {
        policy: policy.id.clone(),
        other: other.id.clone(),
        collision,
        path,
        other_path,
        pod_labels,
    };
    if let Some(found) = label(policy, other) {
        return Some(told(found, BTreeMap::new()));
    }
    let pod_labels = policy.pods.overlap(&other.pods)?;
    let found = containers(policy, other)
        .or_else(|| volumes(policy, other))
        .or_else(|| mounts(policy, other))
        .or_else(|| placements(policy, other))
        .or_else(|| host_ports(policy, other))?;
    Some(told(found, pod_labels))
}

/// A collision and the paths of its two sides.
type Found = (Collision, String, String);

/// Whether some pod can be reached by both, the labels of pods aside.
fn can_meet(policy: &Footprint, other: &Footprint) -> bool {
    let systems = [policy.operating_system, other.operating_system];
    let one_system = systems[0] == systems[1] || systems.contains(&OperatingSystem::Any);
    // Of policies on request an owner chooses one: they may be meant as alternatives.
    let are_chosen = policy.is_on_request && other.is_on_request;
    // Conditions are not looked into: different ones may exclude one another.
    policy.is_enforced
        && other.is_enforced
        && !are_chosen
        && one_system
        && policy.conditions == other.conditions
        && policy.namespaces.overlap(&other.namespaces).is_some()
}

/// A label that one sets and the other selects by: a second call would select otherwise.
fn label(policy: &Footprint, other: &Footprint) -> Option<Found> {
    let selected = |setter: &Footprint, selecting: &Footprint| {
        setter.labels.iter().find_map(|key| {
            let selects = selecting.pods.keys().any(|selected| selected == key);
            let meets = || setter.pods.overlap(&selecting.pods.without(key)).is_some();
            (selects && meets()).then(|| key.clone())
        })
    };
    let set_path = |key: &str| format!("spec.pod.labels.{key}");
    let selector_path = || "spec.podSelector".to_owned();
    if let Some(key) = selected(policy, other) {
        let path = set_path(&key);
        return Some((Collision::Label { key }, path, selector_path()));
    }
    let key = selected(other, policy)?;
    let other_path = set_path(&key);
    Some((Collision::Label { key }, selector_path(), other_path))
}

fn containers(policy: &Footprint, other: &Footprint) -> Option<Found> {
    policy.containers.iter().find_map(|container| {
        let found = other.container(&container.name)?;
        let field = if container.is_ordinary == found.is_ordinary {
            let grows: Vec<&str> = container.grows.iter().chain(&found.grows).copied().collect();
            let differs =
                || (container.placement != found.placement).then(|| "placement".to_owned());
            difference(Kind::Container, &container.json, &found.json, &grows).or_else(differs)?
        } else {
            "type".to_owned()
        };
        // The type is ours; Kubernetes says it by this field.
        let field = if field == "restartPolicy" { "type".to_owned() } else { field };
        let path = format!("{}.{field}", container.path);
        let other_path = format!("{}.{field}", found.path);
        Some((Collision::Container { name: container.name.clone(), field }, path, other_path))
    })
}

fn volumes(policy: &Footprint, other: &Footprint) -> Option<Found> {
    policy.volumes.iter().find_map(|volume| {
        let found = other.volumes.iter().find(|found| found.name == volume.name)?;
        let field = difference(Kind::Volume, &volume.json, &found.json, &[])?;
        let collision = Collision::Volume { name: volume.name.clone(), field };
        Some((collision, volume.path.clone(), found.path.clone()))
    })
}

fn mounts(policy: &Footprint, other: &Footprint) -> Option<Found> {
    let mut by_place: HashMap<&str, Vec<&Mount>> = HashMap::new();
    for found in &other.mounts {
        by_place.entry(&found.place).or_default().push(found);
    }
    let mut pairs_left = GLOB_PAIRS;
    policy.mounts.iter().find_map(|mount| {
        by_place.get(mount.place.as_str())?.iter().find_map(|found| {
            let pairs = mount.patterns.len().max(1) * found.patterns.len().max(1);
            pairs_left = pairs_left.checked_sub(pairs)?;
            let field = difference(Kind::Mount, &mount.json, &found.json, &[])?;
            let is_app = |name: &str| !policy.has_container(name) && !other.has_container(name);
            if !share_a_container(mount, found, is_app) {
                return None;
            }
            let collision = Collision::Mount { path: mount.place.clone(), field };
            Some((collision, mount.path.clone(), found.path.clone()))
        })
    })
}

/// Whether a container of the app's can get both mounts.
fn share_a_container(left: &Mount, right: &Mount, is_app: impl Fn(&str) -> bool) -> bool {
    use ContainersIncluded::{Containers, InitContainers};
    if matches!(
        (left.include, right.include),
        (Containers, InitContainers) | (InitContainers, Containers)
    ) {
        return false;
    }
    let patterns = |mount: &Mount| {
        if mount.patterns.is_empty() { vec!["*".to_owned()] } else { mount.patterns.clone() }
    };
    let right = patterns(right);
    patterns(left).iter().any(|one| {
        right.iter().any(|two| match shortest_common(one, two) {
            None => false,
            Some(_) if !one.contains('*') => is_app(one),
            Some(_) if !two.contains('*') => is_app(two),
            Some(length) => length <= GLOB_LENGTH,
        })
    })
}

fn placements(policy: &Footprint, other: &Footprint) -> Option<Found> {
    other_list(policy, other)
        .or_else(|| {
            let (collision, other_path, path) = other_list(other, policy)?;
            Some((collision, path, other_path))
        })
        .or_else(|| cycle(policy, other))
}

/// A container that is placed beside one of the other policy which stands in the other list. Names
/// are unique in a pod, so there is no second one.
fn other_list(policy: &Footprint, other: &Footprint) -> Option<Found> {
    policy.containers.iter().find_map(|container| {
        let target = container.target.as_ref().filter(|target| !policy.has_container(target))?;
        let found = other.container(target)?;
        (found.is_ordinary != container.is_ordinary).then(|| {
            let path = format!("{}.placement", container.path);
            let other_path = format!("{}.type", found.path);
            (Collision::PlacementList { target: target.clone() }, path, other_path)
        })
    })
}

/// Placements of both that lead in a circle.
fn cycle(policy: &Footprint, other: &Footprint) -> Option<Found> {
    // One that both have goes in once, and both place it alike.
    let of = |name: &str| match (policy.container(name), other.container(name)) {
        (Some(container), None) => Some((container, true)),
        (None, Some(container)) => Some((container, false)),
        _ => None,
    };
    policy.containers.iter().find_map(|start| {
        of(&start.name)?;
        let mut next = of(start.target.as_deref()?);
        let mut first_of_other = None;
        for _ in 0..policy.containers.len() + other.containers.len() {
            let (container, is_ours) = next?;
            if container.name == start.name {
                let found: &footprint::Container = first_of_other?;
                let path = format!("{}.placement", start.path);
                let other_path = format!("{}.placement", found.path);
                let target = found.name.clone();
                return Some((Collision::PlacementCycle { target }, path, other_path));
            }
            if !is_ours && first_of_other.is_none() {
                first_of_other = Some(container);
            }
            next = of(container.target.as_deref()?);
        }
        None
    })
}

fn host_ports(policy: &Footprint, other: &Footprint) -> Option<Found> {
    policy.host_ports.iter().find_map(|port| {
        let found = other.host_ports.iter().find(|found| {
            found.number == port.number
                && found.protocol == port.protocol
                && found.address == port.address
                // One that both have goes in once.
                && !policy.has_container(&found.container)
                && !other.has_container(&port.container)
        })?;
        Some((Collision::HostPort { port: port.number }, port.path.clone(), found.path.clone()))
    })
}
