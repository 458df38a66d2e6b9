//! What a policy claims of the pods it reaches, as far as another policy can claim it too.

use crds::{
    Activation, ContainersIncluded, Mode, OperatingSystem, PolicySpec, Sidecar, SidecarType,
};
use serde_json::{Map, Value};

use crate::{
    Namespace, PolicyId, Selector,
    content::Placement,
    policy::policy_order,
    render::placement,
    validation::{has_expression, is_ordinary, placement_target},
};

/// Label that every namespace has, with its name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// What a policy claims of the pods it reaches.
#[derive(Clone, Debug)]
pub struct Footprint {
    /// Which policy.
    pub id: PolicyId,
    priority: i32,
    pub(super) is_enforced: bool,
    pub(super) is_on_request: bool,
    pub(super) operating_system: OperatingSystem,
    pub(super) conditions: Vec<String>,
    pub(super) pods: Selector,
    pub(super) namespaces: Selector,
    pub(super) containers: Vec<Container>,
    pub(super) volumes: Vec<Volume>,
    pub(super) mounts: Vec<Mount>,
    pub(super) host_ports: Vec<HostPort>,
    pub(super) labels: Vec<String>,
}

/// A container that goes in.
#[derive(Clone, Debug)]
pub(super) struct Container {
    pub(super) path: String,
    pub(super) name: String,
    /// Whether it stands among the ordinary containers.
    pub(super) is_ordinary: bool,
    pub(super) json: Box<str>,
    /// Fields to which more is added when the pod is known.
    pub(super) grows: Vec<&'static str>,
    pub(super) placement: Placement,
    /// The container beside which it is placed.
    pub(super) target: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Volume {
    pub(super) path: String,
    pub(super) name: String,
    pub(super) json: Box<str>,
}

/// A mount in containers of the app's.
#[derive(Clone, Debug)]
pub(super) struct Mount {
    pub(super) path: String,
    /// Where it is mounted, without a slash at the end.
    pub(super) place: String,
    pub(super) patterns: Vec<String>,
    pub(super) include: ContainersIncluded,
    pub(super) json: Box<str>,
}

/// A port of the node that an ordinary container takes.
#[derive(Clone, Debug)]
pub(super) struct HostPort {
    pub(super) path: String,
    pub(super) container: String,
    pub(super) protocol: String,
    pub(super) address: String,
    pub(super) number: i64,
}

impl Footprint {
    /// The footprint of a policy. The selectors are those that its compiled form has.
    #[must_use]
    pub fn of(
        id: PolicyId,
        spec: &PolicySpec,
        pod_selector: &Selector,
        namespace_selector: &Selector,
    ) -> Self {
        let namespaces = match &id.namespace {
            Some(name) => Selector::of_value(NAMESPACE_NAME, name),
            None => namespace_selector.clone(),
        };
        let conditions = spec.match_conditions.iter();
        Self {
            id,
            priority: spec.priority,
            is_enforced: spec.mode == Mode::Enforce,
            is_on_request: spec.activation == Activation::OnRequest,
            operating_system: spec.os,
            conditions: conditions.map(|condition| condition.expression.clone()).collect(),
            pods: pod_selector.clone(),
            namespaces,
            containers: spec
                .sidecars
                .iter()
                .enumerate()
                .map(|(index, sidecar)| container(spec, index, sidecar))
                .collect(),
            volumes: spec
                .volumes
                .iter()
                .enumerate()
                .map(|(index, volume)| Volume {
                    path: format!("spec.volumes[{index}]"),
                    name: volume.name.clone(),
                    json: named(&volume.name, &volume.source),
                })
                .collect(),
            mounts: mounts(spec),
            host_ports: host_ports(spec),
            labels: spec.pod.iter().flat_map(|pod| pod.labels.keys().cloned()).collect(),
        }
    }

    /// Sort key by which of two policies that clash the later one is told to give way: the cluster
    /// kind first, then the policy order. Priority alone does not count, or the owner of a namespace
    /// could have a policy of the cluster refused.
    #[must_use]
    pub fn precedence(&self) -> impl Ord + '_ {
        (self.id.namespace.is_some(), policy_order(self.priority, &self.id), &self.id.namespace)
    }

    /// Whether it goes into pods before the other, as the policy order says.
    #[must_use]
    pub fn goes_before(&self, other: &Self) -> bool {
        policy_order(self.priority, &self.id) < policy_order(other.priority, &other.id)
    }

    /// Whether it reaches pods of a namespace.
    #[must_use]
    pub fn reaches(&self, namespace: &Namespace) -> bool {
        self.namespaces.matches(&namespace.labels)
    }

    pub(super) fn has_container(&self, name: &str) -> bool {
        self.container(name).is_some()
    }

    pub(super) fn container(&self, name: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The namespaces that the policy can reach, if they are known by name.
    pub(super) fn namespace_names(&self) -> Option<&[String]> {
        self.namespaces.equality().filter(|(key, _)| *key == NAMESPACE_NAME).map(|(_, names)| names)
    }
}

fn container(spec: &PolicySpec, index: usize, sidecar: &Sidecar) -> Container {
    let mut fields = sidecar.container.clone();
    if sidecar.kind == SidecarType::Sidecar {
        fields.insert("restartPolicy".to_owned(), "Always".into());
    }
    let mut grows = Vec::new();
    if sidecar.copy_from_app.is_some() {
        grows.extend(["volumeMounts", "env"]);
    }
    let gets =
        |file: &crds::File| file.containers.is_empty() || file.containers.contains(&sidecar.name);
    if spec.files.iter().any(gets) {
        grows.push("volumeMounts");
    }
    if sidecar.resources_from_app.is_some() {
        grows.push("resources");
    }
    Container {
        path: format!("spec.sidecars[{index}]"),
        name: sidecar.name.clone(),
        is_ordinary: is_ordinary(sidecar.kind),
        json: named(&sidecar.name, &fields),
        grows,
        placement: placement(sidecar),
        target: placement_target(sidecar).map(str::to_owned),
    }
}

fn mounts(spec: &PolicySpec) -> Vec<Mount> {
    let mut mounts = Vec::new();
    for (index, entry) in spec.app_containers.iter().enumerate() {
        if entry.containers.iter().any(|pattern| has_expression(pattern)) {
            continue;
        }
        for (position, mount) in entry.volume_mounts.iter().enumerate() {
            let mount_path = mount.get("mountPath").and_then(Value::as_str).unwrap_or_default();
            if has_expression(mount_path) {
                continue;
            }
            let trimmed = mount_path.trim_end_matches('/');
            mounts.push(Mount {
                path: format!("spec.appContainers[{index}].volumeMounts[{position}]"),
                place: if trimmed.is_empty() { mount_path } else { trimmed }.to_owned(),
                patterns: entry.containers.clone(),
                include: entry.include,
                json: Value::Object(mount.clone()).to_string().into(),
            });
        }
    }
    mounts
}

fn host_ports(spec: &PolicySpec) -> Vec<HostPort> {
    let mut host_ports = Vec::new();
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let ports = sidecar.container.get("ports").and_then(Value::as_array);
        for (position, port) in ports.into_iter().flatten().enumerate() {
            let number = port.get("hostPort").and_then(Value::as_i64).filter(|port| *port != 0);
            let text = |field: &str| port.get(field).and_then(Value::as_str).unwrap_or_default();
            let is_known = !["protocol", "hostIP"].iter().any(|field| has_expression(text(field)));
            if let Some(number) = number.filter(|_| is_ordinary(sidecar.kind) && is_known) {
                let protocol = text("protocol");
                host_ports.push(HostPort {
                    path: format!("spec.sidecars[{index}].ports[{position}].hostPort"),
                    container: sidecar.name.clone(),
                    protocol: if protocol.is_empty() { "TCP" } else { protocol }.to_owned(),
                    address: text("hostIP").to_owned(),
                    number,
                });
            }
        }
    }
    host_ports
}

fn named(name: &str, fields: &Map<String, Value>) -> Box<str> {
    let mut fields = fields.clone();
    fields.insert("name".to_owned(), name.into());
    Value::Object(fields).to_string().into()
}
