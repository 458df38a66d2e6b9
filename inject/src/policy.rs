//! A compiled policy: everything that a request needs, worked out when the policy changes.

use crds::{Activation, ContainersIncluded, FailurePolicy, HostNetwork, OperatingSystem, OptOut};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{PolicyId, Selector, canonical::Canonical};

/// A compiled policy. Made by [`compile`](crate::compile).
#[derive(Debug)]
pub struct Policy {
    /// Which policy.
    pub id: PolicyId,
    /// `metadata.uid` of the policy.
    pub uid: String,
    /// `metadata.generation` that was compiled.
    pub generation: i64,
    /// Content hash of what goes in.
    pub revision: String,
    /// Order among policies: higher goes first.
    pub priority: i32,
    /// False in mode `Audit`: what would happen is computed, nothing is patched or denied.
    pub enforced: bool,
    /// What an absent webhook means.
    pub failure_policy: FailurePolicy,
    /// Labels of the pods that are reached.
    pub pod_selector: Selector,
    /// Labels of the namespaces that are reached.
    pub namespace_selector: Selector,
    pub(crate) activation: Activation,
    pub(crate) opt_out: OptOut,
    pub(crate) operating_system: OperatingSystem,
    pub(crate) host_network: HostNetwork,
    pub(crate) denies_conflicts: bool,
    pub(crate) sidecars: Vec<Sidecar>,
    pub(crate) volumes: Vec<Volume>,
    pub(crate) app_containers: Vec<AppContainers>,
}

impl Policy {
    /// The containers that the policy puts in: name and list.
    pub fn containers(&self) -> impl Iterator<Item = (&str, ContainerList)> {
        self.sidecars.iter().map(|sidecar| (sidecar.name.as_str(), sidecar.list))
    }

    /// Sort key of the policy order: priority descending, cluster kind first, then name.
    pub(crate) fn order(&self) -> impl Ord + '_ {
        (std::cmp::Reverse(self.priority), self.id.namespace.is_some(), &self.id.name)
    }

    pub(crate) fn has_sidecar(&self, name: &str) -> bool {
        self.sidecars.iter().any(|sidecar| sidecar.name == name)
    }
}

/// One of the two container lists of a pod that a policy can add to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerList {
    /// `spec.initContainers`: init containers and native sidecars.
    InitContainers,
    /// `spec.containers`.
    Containers,
}

impl ContainerList {
    /// Name of the list in a pod spec.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::InitContainers => "initContainers",
            Self::Containers => "containers",
        }
    }
}

/// Which end of its list a sidecar goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    First,
    Last,
}

/// A part of a pod as a policy puts it in.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The part as JSON.
    pub(crate) json: String,
    /// The part without the fields that our Kubernetes version does not know, where there are any.
    /// An API server that does not know them either stores this.
    known: Option<String>,
}

impl Rendered {
    /// Renders a part that Kubernetes calls `T`.
    pub(crate) fn new<T: DeserializeOwned + Serialize>(part: Map<String, Value>) -> Self {
        let json = Value::Object(part).to_string();
        let known =
            serde_json::from_str::<T>(&json).and_then(|known| serde_json::to_string(&known));
        let known = known.ok().filter(|known| Canonical::read(known) != Canonical::read(&json));
        Self { json, known }
    }

    /// The forms in which an API server may have stored it.
    pub(crate) fn forms(&self) -> impl Iterator<Item = Canonical> {
        [Some(&self.json), self.known.as_ref()]
            .into_iter()
            .flatten()
            .map(|json| Canonical::read(json))
    }

    /// Whether this is what an API server stored.
    pub(crate) fn is(&self, stored: &Canonical) -> bool {
        self.forms().any(|form| form == *stored)
    }
}

/// A container that goes in, rendered.
#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) name: String,
    pub(crate) list: ContainerList,
    pub(crate) block: Block,
    pub(crate) restarts_always: bool,
    pub(crate) image: String,
    /// The container, `restartPolicy` included.
    pub(crate) rendered: Rendered,
    /// Names of the volumes it mounts.
    pub(crate) mounted_volumes: Vec<String>,
}

/// A volume that goes in, rendered.
#[derive(Debug)]
pub(crate) struct Volume {
    pub(crate) name: String,
    pub(crate) rendered: Rendered,
}

/// What is added to the app's containers, rendered.
#[derive(Debug)]
pub(crate) struct AppContainers {
    pub(crate) names: Vec<String>,
    pub(crate) include: ContainersIncluded,
    pub(crate) mounts: Vec<Mount>,
    pub(crate) env: Vec<Variable>,
    /// Each an `EnvFromSource`.
    pub(crate) env_from: Vec<Rendered>,
    pub(crate) fields: Vec<(AppField, String)>,
}

#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) path: String,
    pub(crate) volume: String,
    pub(crate) rendered: Rendered,
}

#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) json: String,
}

/// A field of an app container that is set where it is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppField {
    LivenessProbe,
    ReadinessProbe,
    StartupProbe,
    Lifecycle,
}

impl AppField {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::LivenessProbe => "livenessProbe",
            Self::ReadinessProbe => "readinessProbe",
            Self::StartupProbe => "startupProbe",
            Self::Lifecycle => "lifecycle",
        }
    }
}
