//! What a policy puts in, as parts of a pod that are ready to be written.

use std::sync::{Arc, OnceLock};

use crds::{ContainersIncluded, PolicySpec};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    canonical::Canonical, demands::Demands, pod_security::PodSecurity, policy::ContainerList,
    quantity::Quantity, validation::Stage,
};

/// What a policy puts in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) sidecars: Vec<Arc<Sidecar>>,
    pub(crate) volumes: Vec<Arc<Volume>>,
    pub(crate) app_containers: Vec<Arc<AppContainers>>,
    pub(crate) pod: Arc<PodAdditions>,
    pub(crate) safety: Arc<Safety>,
}

/// What pod and namespace have to allow, found out beforehand.
#[derive(Debug, Default)]
pub(crate) struct Safety {
    pub(crate) demands: Demands,
    pub(crate) pod_security: PodSecurity,
}

impl Safety {
    pub(crate) fn of(spec: &PolicySpec, stage: Stage) -> Self {
        Self { demands: Demands::of(spec, stage), pod_security: PodSecurity::of(spec, stage) }
    }
}

impl Content {
    pub(crate) fn has_sidecar(&self, name: &str) -> bool {
        self.sidecars.iter().any(|sidecar| sidecar.name == name)
    }

    pub(crate) fn has_volume(&self, name: &str) -> bool {
        self.volumes.iter().any(|volume| volume.name == name)
    }

    /// By variable, what stands between values that are added to one another.
    pub(crate) fn separators(&self) -> impl Iterator<Item = (&str, &str)> {
        let variables = self.app_containers.iter().flat_map(|entry| &entry.env);
        variables
            .filter_map(|variable| Some((variable.name.as_str(), variable.separator.as_deref()?)))
    }
}

/// A part of a pod as a policy puts it in.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The part as JSON.
    pub(crate) json: Arc<str>,
    /// Reads what Kubernetes calls this part.
    read_known: fn(&str) -> Option<Box<str>>,
    /// The part without the fields that our Kubernetes version does not know, where there are any.
    /// An API server that does not know them either stores this. Made when it is first asked for: most
    /// parts never meet one of their like.
    known: OnceLock<Option<Box<str>>>,
}

impl Rendered {
    /// Renders a part that Kubernetes calls `T`.
    pub(crate) fn new<T: DeserializeOwned + Serialize>(part: Map<String, Value>) -> Self {
        let json = Value::Object(part).to_string();
        Self { json: json.into(), read_known: known::<T>, known: OnceLock::new() }
    }

    /// The forms in which an API server may have stored it.
    pub(crate) fn forms(&self) -> impl Iterator<Item = Canonical> {
        let known = self.known.get_or_init(|| (self.read_known)(&self.json));
        [Some(&*self.json), known.as_deref()].into_iter().flatten().map(Canonical::read)
    }

    /// Whether this is what an API server stored.
    pub(crate) fn is(&self, stored: &Canonical) -> bool {
        self.forms().any(|form| form == *stored)
    }

    /// Whether this is the same as another part of ours.
    pub(crate) fn equals(&self, other: &Self) -> bool {
        self.json == other.json || self.is(&Canonical::read(&other.json))
    }
}

/// A part as one who knows only `T` stores it; none if that is the same.
fn known<T: DeserializeOwned + Serialize>(json: &str) -> Option<Box<str>> {
    let known = serde_json::from_str::<T>(json).and_then(|known| serde_json::to_string(&known));
    let known = known.ok().filter(|known| Canonical::read(known) != Canonical::read(json));
    known.map(Into::into)
}

/// A container that goes in, rendered.
#[derive(Debug)]
pub(crate) struct Sidecar {
    pub(crate) name: String,
    pub(crate) list: ContainerList,
    pub(crate) placement: Placement,
    pub(crate) restarts_always: bool,
    pub(crate) image: String,
    /// The container without what comes from the app, `restartPolicy` included.
    pub(crate) rendered: Rendered,
    /// Names of the volumes it uses: mounts, devices, and files with values of variables.
    pub(crate) mounted_volumes: Vec<String>,
    /// Of which kind some of them have to be.
    pub(crate) volume_kinds: Vec<(String, VolumeKind)>,
    pub(crate) ports: Vec<Port>,
    /// `requests` and `limits` as the policy writes them.
    pub(crate) resources: Resources,
    /// What comes from the app.
    pub(crate) from_app: Option<FromApp>,
}

/// A kind of volume that a use of it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VolumeKind {
    /// For a block device.
    Claim,
    /// For files with values of variables.
    EmptyDir,
}

impl VolumeKind {
    /// The sources of volumes of this kind.
    pub(crate) fn sources(self) -> &'static [&'static str] {
        match self {
            Self::Claim => &["persistentVolumeClaim", "ephemeral"],
            Self::EmptyDir => &["emptyDir"],
        }
    }

    /// What it is used for, in words.
    pub(crate) fn used(self) -> &'static str {
        match self {
            Self::Claim => "as a block device, which is for persistentVolumeClaim and ephemeral",
            Self::EmptyDir => "for values of variables, which is for emptyDir",
        }
    }
}

/// A port of a container.
#[derive(Debug, Deserialize)]
pub(crate) struct Port {
    #[serde(default, rename = "containerPort")]
    pub(crate) of_container: i64,
    #[serde(default, rename = "hostPort")]
    pub(crate) of_host: Option<i64>,
    #[serde(default, rename = "hostIP")]
    pub(crate) host_ip: Option<String>,
    #[serde(default)]
    pub(crate) protocol: Option<String>,
}

/// Where a sidecar goes in its list.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Placement {
    First,
    Last,
    Before(String),
    After(String),
}

/// What a sidecar takes over from the app's containers.
#[derive(Debug, PartialEq)]
pub(crate) struct FromApp {
    /// The fields of the container, to be completed with what is taken over.
    pub(crate) fields: Map<String, Value>,
    pub(crate) copy: Option<CopyFromApp>,
    pub(crate) resources: Option<ResourcesFromApp>,
}

/// `copyFromApp`: which mounts and variables of the app's a sidecar gets too.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct CopyFromApp {
    pub(crate) containers: Vec<String>,
    pub(crate) volume_mounts: bool,
    pub(crate) env: Vec<String>,
}

/// `resourcesFromApp`: how large a sidecar is, by the size of the app's containers.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct ResourcesFromApp {
    pub(crate) function: Function,
    #[serde(default)]
    pub(crate) requests: Shares,
    #[serde(default)]
    pub(crate) limits: Shares,
}

/// How the values of several containers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Function {
    Sum,
    Max,
}

/// Shares of the app's CPU and memory.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Shares {
    pub(crate) cpu: Option<Share>,
    pub(crate) memory: Option<Share>,
}

/// A share of what the app has, within bounds.
#[derive(Debug, PartialEq, Deserialize)]
pub(crate) struct Share {
    pub(crate) percent: u32,
    #[serde(default)]
    pub(crate) min: Option<Quantity>,
    #[serde(default)]
    pub(crate) max: Option<Quantity>,
}

/// `requests` and `limits` of a container or a pod; what is no quantity is left out.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Resources {
    pub(crate) requests: Amounts,
    pub(crate) limits: Amounts,
}

impl Resources {
    /// What is requested of a resource: the API server takes the limit where no request is set.
    pub(crate) fn requested(&self, resource: &str) -> Option<&Quantity> {
        self.requests.get(resource).or_else(|| self.limits.get(resource))
    }
}

/// Quantities by the name of their resource.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Amounts(pub(crate) Vec<(String, Quantity)>);

impl Amounts {
    pub(crate) fn get(&self, resource: &str) -> Option<&Quantity> {
        self.0.iter().find_map(|(name, amount)| (name == resource).then_some(amount))
    }
}

impl<'de> Deserialize<'de> for Amounts {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let map = Option::<Map<String, Value>>::deserialize(deserializer)?.unwrap_or_default();
        let amounts =
            map.into_iter().filter_map(|(name, value)| Some((name, Quantity::from_json(&value)?)));
        Ok(Self(amounts.collect()))
    }
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
    pub(crate) fields: Vec<(AppField, Rendered)>,
}

/// A volume mount for the app's containers.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) path: String,
    pub(crate) volume: String,
    /// What is mounted in it reaches the node, which only privileged containers may.
    pub(crate) bidirectional: bool,
    pub(crate) rendered: Rendered,
}

/// A variable for the app's containers.
#[derive(Debug)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// Its value; `None` if that comes from somewhere else.
    pub(crate) value: Option<String>,
    /// The value is added to the app's own, with this between them.
    pub(crate) separator: Option<String>,
    pub(crate) rendered: Rendered,
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

/// What is added to the pod itself.
#[derive(Debug, Default)]
pub(crate) struct PodAdditions {
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) annotations: Vec<(String, String)>,
    /// Annotations that carry files: key and content.
    pub(crate) files: Vec<(String, String)>,
    /// Each a `LocalObjectReference`, with its name.
    pub(crate) image_pull_secrets: Vec<(String, Rendered)>,
    pub(crate) host_aliases: Vec<HostAlias>,
    pub(crate) shares_process_namespace: Option<bool>,
    /// Seconds that the pod has at least to end.
    pub(crate) grace_period: Option<i64>,
    pub(crate) fs_group: Option<i64>,
    pub(crate) supplemental_groups: Vec<i64>,
}

/// A host alias for the pod.
#[derive(Debug)]
pub(crate) struct HostAlias {
    pub(crate) ip: String,
    pub(crate) hostnames: Vec<String>,
    /// All its fields.
    pub(crate) fields: Map<String, Value>,
}
