//! A pod as the operator keeps it: a few fields, and what pods of one template share kept once.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use inject::Place;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::overhead::{ContainerResources, Resources};
use crate::{
    metadata,
    owner::{Owner, Uid},
    rollout::{PlacedBy, Updated},
    shorten::shortened,
};

/// Annotation of mirror pods; it counts only with an owner of kind `Node`.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Longest reason that is kept of a pod's annotation, in bytes.
const REASON_LENGTH: usize = 256;
/// Longest text that is kept of what a pod's containers ask for, in bytes.
const RESOURCES_LENGTH: usize = 8 << 10;
/// Longest annotation with a pod's places that is read, in bytes.
const PLACES_LENGTH: usize = 4 << 10;

/// Labels of which every pod of a workload has its own value. They are kept beside what pods share.
const OWN_LABELS: [&str; 3] = [
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/job-completion-index",
    "statefulset.kubernetes.io/pod-name",
];
/// How [`Template::selected`] begins; the pod's own name goes in behind it.
const METADATA: &str = r#"{"metadata":{"#;
/// What follows; own labels go in behind that.
const LABELS: &str = r#""labels":{"#;

/// A pod as it is watched: what is not named here is passed over while reading.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WatchedPod {
    /// Standard object metadata, without what nobody here asks for.
    #[serde(default, deserialize_with = "metadata::read")]
    pub(super) metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

/// The fields of a pod spec that selection reads, and its containers. `nodeName`, which the scheduler
/// sets, and `hostname`, which every pod of a StatefulSet has its own of, are left out.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    #[serde(rename = "hostIPC", skip_serializing_if = "is_false")]
    host_ipc: bool,
    #[serde(skip_serializing_if = "is_false")]
    host_network: bool,
    #[serde(rename = "hostPID", skip_serializing_if = "is_false")]
    host_pid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    os: Option<Os>,
    #[serde(skip_serializing_if = "Option::is_none")]
    node_selector: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    priority_class_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_policy: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime_class_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_account_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subdomain: Option<String>,
    #[serde(skip_serializing)]
    init_containers: Option<Vec<Container>>,
    #[serde(skip_serializing)]
    containers: Option<Vec<Container>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    restart_policy: Option<String>,
    resources: Option<ContainerResources>,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
struct Os {
    name: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    phase: Option<String>,
    conditions: Option<Vec<PodCondition>>,
    init_container_statuses: Option<Vec<ContainerStatus>>,
    container_statuses: Option<Vec<ContainerStatus>>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PodCondition {
    #[serde(rename = "type")]
    kind: String,
    status: String,
    last_transition_time: Option<Time>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ContainerStatus {
    name: String,
    ready: bool,
    restart_count: i64,
    state: Option<State>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct State {
    terminated: Option<Terminated>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Terminated {
    exit_code: i32,
}

runtime::object!(WatchedPod);

/// What selection reads of a pod. Labels come first, so that what is the pod's own can be put in.
#[derive(Serialize)]
struct Selected<'p> {
    metadata: SelectedMetadata<'p>,
    spec: &'p Spec,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SelectedMetadata<'p> {
    labels: &'p BTreeMap<String, String>,
    annotations: &'p BTreeMap<String, String>,
    generate_name: Option<&'p String>,
    owner_references: Vec<SelectedOwner<'p>>,
}

#[derive(Serialize)]
struct SelectedOwner<'p> {
    kind: &'p str,
    name: &'p str,
    controller: bool,
}

/// What pods of one template have in common, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Template {
    /// What selection reads of the pod, as JSON: of annotations ours only, no name, and no label that
    /// every pod has its own value of.
    selected: String,
    operating_system: Option<String>,
    /// Policy -> revision, by the pod's own word.
    pub(super) injected: BTreeMap<String, Arc<str>>,
    /// Policy -> reason, by the pod's own word.
    pub(super) skipped: BTreeMap<String, Arc<str>>,
    /// Names of the containers that have a status, sorted.
    containers: Vec<String>,
    /// What its running containers ask for by name, as JSON. Empty if no policy went in.
    resources: String,
    /// Its controller.
    pub(super) owner: Option<Owner>,
}

/// All that decides how a pod stands to policies, shared by all pods of which it is the same. The
/// template has to be the one that all pods share: it is told from others by its address.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    /// What pods of one template have in common.
    pub(super) template: Arc<Template>,
    /// The name that it came with; empty if the API server made one up, which it does after the webhook
    /// was asked.
    own_name: Box<str>,
    /// Labels of which every pod has its own value, as members of a JSON object. Few pods have any.
    own_labels: Box<str>,
    /// Whether each of the template's containers is ready or has done its work.
    ready: Box<[bool]>,
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.template, &other.template)
            && self.own_name == other.own_name
            && self.own_labels == other.own_labels
            && self.ready == other.ready
    }
}

impl Eq for Shape {}

impl Hash for Shape {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.template).hash(state);
        self.own_name.hash(state);
        self.own_labels.hash(state);
        self.ready.hash(state);
    }
}

/// A pod that is kept: what no other pod has, in few bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    /// `metadata.uid`.
    pub(super) uid: Uid,
    /// When it was created, as Unix time until 2106.
    pub(super) created: u32,
    /// Since when it has been as available as it is: its creation, a change in place, or the last
    /// change of its readiness. Unix time until 2106.
    pub(super) changed: u32,
    /// It is ready, and every change in place has been carried out.
    pub(super) available: bool,
    /// It is being deleted, and no longer counts.
    pub(super) ending: bool,
    /// Whoever made it named it.
    is_named: bool,
    /// Policy -> place in the order of its pods, by the pod's own word. Few pods have any.
    #[expect(
        clippy::box_collection,
        reason = "8 bytes for each of the pods that have none, not 24"
    )]
    places: Option<Box<BTreeMap<String, Place>>>,
}

impl WatchedPod {
    /// The pod as it is kept, and its shape; `None` for one that has ended or mirrors a static pod.
    pub(super) fn into_pod(self) -> Option<(Pod, Shape)> {
        let phase = self.status.phase.as_deref();
        if matches!(phase, Some("Succeeded" | "Failed")) || self.is_mirror() {
            return None;
        }
        let uid = self.metadata.uid.as_deref().unwrap_or_default();
        let mut annotations = self.metadata.annotations.unwrap_or_default();
        // A template copied from a live pod carries another pod's.
        let updated = annotations
            .remove(crds::keys::UPDATED)
            .and_then(|text| Updated::read(&text))
            .filter(|updated| updated.uid == uid);
        annotations.remove(crds::keys::RESTARTED_FOR);
        let places = places(annotations.remove(crds::keys::PLACE));
        let awaits_restart = |status: &ContainerStatus| {
            let before = updated.as_ref().and_then(|updated| updated.restarts.get(&status.name));
            before.is_some_and(|before| status.restart_count <= *before)
        };
        let is_ready = |status: &PodCondition| status.kind == "Ready";
        let readiness = self.status.conditions.into_iter().flatten().find(is_ready);
        let statuses = [self.status.init_container_statuses, self.status.container_statuses];
        let mut settled = true;
        let mut containers: Vec<(String, bool)> = statuses
            .into_iter()
            .flatten()
            .flatten()
            .map(|status| {
                let awaits_restart = awaits_restart(&status);
                settled &= !awaits_restart;
                let ready = status.is_ready() && !awaits_restart;
                (status.name, ready)
            })
            .collect();
        containers.sort_unstable();
        let (containers, ready): (Vec<_>, Vec<_>) = containers.into_iter().unzip();
        let operating_system = self
            .spec
            .os
            .as_ref()
            .map(|os| os.name.clone())
            .or_else(|| self.spec.node_selector.as_ref()?.get("kubernetes.io/os").cloned());
        let mut labels = self.metadata.labels.unwrap_or_default();
        let own_labels = take_own(&mut labels);
        let created = seconds(self.metadata.creation_timestamp);
        let readiness_changed = readiness
            .as_ref()
            .map_or(0, |condition| seconds(condition.last_transition_time.clone()));
        let injected = read(annotations.remove(crds::keys::INJECTED));
        let skipped = read(annotations.remove(crds::keys::SKIPPED));
        let resources = if injected.is_empty() { String::new() } else { self.spec.resources() };
        annotations.retain(|key, _| is_ours(key));
        let owner = Owner::of_pod(self.metadata.owner_references.clone(), &labels);
        let name = self.metadata.name.unwrap_or_default();
        let generate_name = self.metadata.generate_name.as_deref();
        let is_named = is_named(&name, generate_name, owner.as_ref());
        let own_name = if is_named { name } else { String::new() };
        let owners = self.metadata.owner_references.iter().flatten();
        let controllers = owners.filter(|owner| owner.controller == Some(true));
        let selected = Selected {
            metadata: SelectedMetadata {
                labels: &labels,
                annotations: &annotations,
                generate_name: self.metadata.generate_name.as_ref(),
                owner_references: controllers
                    .map(|owner| SelectedOwner {
                        kind: &owner.kind,
                        name: &owner.name,
                        controller: true,
                    })
                    .collect(),
            },
            spec: &self.spec,
        };
        let selected = serde_json::to_string(&selected).unwrap_or_default();
        let template = Template {
            injected,
            skipped: skipped
                .into_iter()
                .map(|(policy, reason): (String, String)| {
                    (policy, shortened(&reason, REASON_LENGTH).into())
                })
                .collect(),
            selected,
            owner,
            operating_system,
            containers,
            resources,
        };
        let pod = Pod {
            uid: Uid::of(uid),
            created,
            changed: created
                .max(readiness_changed)
                .max(updated.as_ref().map_or(0, |updated| within_32_bits(updated.at.as_second()))),
            available: settled && readiness.is_some_and(|condition| condition.status == "True"),
            ending: self.metadata.deletion_timestamp.is_some(),
            is_named,
            places: (!places.is_empty()).then(|| Box::new(places)),
        };
        let (template, own_name) = (Arc::new(template), own_name.into());
        let shape = Shape { template, own_name, own_labels, ready: ready.into() };
        Some((pod, shape))
    }

    fn is_mirror(&self) -> bool {
        let annotated =
            self.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MIRROR));
        let owners = self.metadata.owner_references.as_deref().unwrap_or_default();
        annotated && owners.iter().any(|owner| owner.kind == "Node")
    }
}

impl Spec {
    /// What the containers ask for that run as long as the pod does, as JSON; empty if it is too long.
    /// Init containers are gone when the app runs; native sidecars are not.
    fn resources(&self) -> String {
        let is_native_sidecar =
            |container: &&Container| container.restart_policy.as_deref() == Some("Always");
        let sidecars = self.init_containers.iter().flatten().filter(is_native_sidecar);
        let running = sidecars.chain(self.containers.iter().flatten());
        let resources: BTreeMap<&str, &ContainerResources> = running
            .filter_map(|container| Some((container.name.as_str(), container.resources.as_ref()?)))
            .filter(|(_, resources)| !resources.is_empty())
            .collect();
        let text = serde_json::to_string(&resources).unwrap_or_default();
        if text.len() > RESOURCES_LENGTH { String::new() } else { text }
    }
}

impl ContainerStatus {
    fn is_ready(&self) -> bool {
        let terminated = self.state.as_ref().and_then(|state| state.terminated.as_ref());
        self.ready || terminated.is_some_and(|terminated| terminated.exit_code == 0)
    }
}

impl Template {
    /// Whether it is a Windows pod, as far as it says.
    pub(super) fn is_windows(&self) -> bool {
        self.operating_system.as_deref() == Some("windows")
    }

    /// What the containers of these names ask for while the app runs.
    pub(super) fn resources<'n>(&self, containers: impl Iterator<Item = &'n str>) -> Resources {
        let all = serde_json::from_str(&self.resources).unwrap_or_default();
        Resources::sum(&all, containers)
    }
}

impl Shape {
    /// What selection reads of the pod, as JSON.
    pub(super) fn selected(&self) -> Cow<'_, str> {
        let text = &self.template.selected;
        if self.own_name.is_empty() && self.own_labels.is_empty() {
            return text.into();
        }
        let after_metadata = text.strip_prefix(METADATA);
        let Some(rest) = after_metadata.and_then(|text| text.strip_prefix(LABELS)) else {
            return text.into();
        };
        let is_last = self.own_labels.is_empty() || rest.starts_with('}');
        let comma = if is_last { "" } else { "," };
        let name = match &*self.own_name {
            "" => String::new(),
            name => format!(r#""name":{},"#, Value::from(name)),
        };
        [METADATA, &name, LABELS, &self.own_labels, comma, rest].concat().into()
    }

    /// Whether the kubelet has written a status of any container.
    pub(super) fn has_started(&self) -> bool {
        !self.template.containers.is_empty()
    }

    /// Whether the container is ready; `None` when the pod has no status of it.
    pub(super) fn is_ready(&self, container: &str) -> Option<bool> {
        let containers = &self.template.containers;
        let position = containers.binary_search_by(|name| name.as_str().cmp(container)).ok()?;
        self.ready.get(position).copied()
    }
}

impl Pod {
    /// What its place in the order of a policy is found by.
    pub(super) fn placed_by(&self, policy: &str) -> PlacedBy {
        match self.places.as_ref().and_then(|places| places.get(policy)) {
            Some(place) => PlacedBy::Itself(*place),
            None if self.is_named => PlacedBy::Name,
            None => PlacedBy::Uid,
        }
    }
}

/// Takes the labels out that every pod has its own value of, as members of a JSON object.
fn take_own(labels: &mut BTreeMap<String, String>) -> Box<str> {
    let own = OWN_LABELS.iter().filter_map(|key| Some((*key, labels.remove(*key)?)));
    let own: BTreeMap<&str, String> = own.collect();
    let text = serde_json::to_string(&own).unwrap_or_default();
    text.trim_start_matches('{').strip_suffix('}').unwrap_or_default().into()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Whether a pod came with its name.
fn is_named(name: &str, generate_name: Option<&str>, owner: Option<&Owner>) -> bool {
    let controller = owner.map(|owner| (owner.api_version.as_str(), owner.kind.as_str()));
    inject::came_with_name(name, generate_name, controller)
}

fn is_ours(key: &str) -> bool {
    [crds::keys::PREFIX, crds::keys::PARAMETER_PREFIX, crds::keys::CLUSTER_PARAMETER_PREFIX]
        .iter()
        .any(|prefix| key.starts_with(prefix))
}

/// What a pod says of itself is for reading only; anything else than a map of texts says nothing.
fn read<T: From<String>>(annotation: Option<String>) -> BTreeMap<String, T> {
    let map: Option<BTreeMap<String, String>> =
        annotation.and_then(|text| serde_json::from_str(&text).ok());
    map.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into())).collect()
}

fn places(annotation: Option<String>) -> BTreeMap<String, Place> {
    let annotation = annotation.filter(|text| text.len() <= PLACES_LENGTH);
    annotation.map(|text| Place::recorded(&text)).unwrap_or_default()
}

fn seconds(time: Option<Time>) -> u32 {
    time.map_or(0, |time| within_32_bits(time.0.as_second()))
}

fn within_32_bits(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "pod_tests.rs"]
mod tests;
