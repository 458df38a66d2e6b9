//! A pod as the operator keeps it: a few fields, and what pods of one template share kept once.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use inject::Place;
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time},
};
use serde::{Deserialize, Serialize};

use super::overhead::{ContainerResources, Resources};
use crate::{
    owner::{Owner, Uid},
    rollout::{PlacedBy, Updated},
    shorten::shortened,
};

/// Annotation of mirror pods; it counts only with an owner of kind `Node`.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Characters that the API server adds to a `generateName`.
const GENERATED: usize = 5;
/// The characters that it takes for that: no vowels, so that no words come out.
const GENERATED_FROM: &str = "bcdfghjklmnpqrstvwxz2456789";
/// Longest `generateName` of which nothing is cut off for them.
const LONGEST_PREFIX: usize = 58;
/// Longest reason that is kept of a pod's annotation, in bytes.
const REASON_LENGTH: usize = 256;
/// Longest text that is kept of what a pod's containers ask for, in bytes.
const RESOURCES_LENGTH: usize = 8 << 10;
/// Longest annotation with a pod's places that is read, in bytes.
const PLACES_LENGTH: usize = 4 << 10;

/// A pod as it is watched: what is not named here is passed over while reading.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct WatchedPod {
    /// Standard object metadata.
    #[serde(default)]
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

impl kube::Resource for WatchedPod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

/// What pods of one template have in common, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Template {
    /// What selection reads of the pod, as JSON: of annotations ours only, and no name that the API
    /// server made up, which it does after the webhook was asked.
    pub(super) selected: String,
    operating_system: Option<String>,
    /// Policy -> revision, by the pod's own word.
    pub(super) injected: BTreeMap<String, Arc<str>>,
    /// Policy -> reason, by the pod's own word.
    pub(super) skipped: BTreeMap<String, Arc<str>>,
    /// Names of the containers that have a status, sorted.
    containers: Vec<String>,
    /// What its running containers ask for by name, as JSON: a short text, since each pod of a
    /// StatefulSet has a template of its own. Empty if no policy went in.
    resources: String,
    /// Its controller.
    pub(super) owner: Option<Owner>,
}

/// A pod that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pod {
    /// Shared by all pods that look alike.
    pub(super) template: Arc<Template>,
    /// `metadata.uid`.
    pub(super) uid: Uid,
    /// When it was created, as Unix time.
    pub(super) created: i64,
    /// Since when it has been as available as it is: its creation, a change in place, or the last
    /// change of its readiness. Unix time.
    pub(super) changed: i64,
    /// It is ready, and every change in place has been carried out.
    pub(super) available: bool,
    /// It is being deleted, and no longer counts.
    pub(super) ending: bool,
    /// Whoever made it named it.
    is_named: bool,
    /// Policy -> place in the order of its pods, by the pod's own word. Few pods have any.
    places: BTreeMap<String, Place>,
    /// Whether each of the template's containers is ready or has done its work.
    ready: Box<[bool]>,
}

impl WatchedPod {
    /// The pod as it is kept; `None` for one that has ended or mirrors a static pod.
    pub(super) fn into_pod(self) -> Option<Pod> {
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
        let labels = self.metadata.labels.unwrap_or_default();
        let created = seconds(self.metadata.creation_timestamp);
        let readiness_changed = readiness
            .as_ref()
            .map_or(0, |condition| seconds(condition.last_transition_time.clone()));
        let injected = read(annotations.remove(crds::keys::INJECTED));
        let skipped = read(annotations.remove(crds::keys::SKIPPED));
        let resources = if injected.is_empty() { String::new() } else { self.spec.resources() };
        annotations.retain(|key, _| is_ours(key));
        let owner = Owner::of_pod(self.metadata.owner_references.clone(), &labels);
        let is_named = owner.as_ref().is_some_and(names_its_pods)
            || !looks_generated(
                self.metadata.name.as_deref().unwrap_or_default(),
                self.metadata.generate_name.as_deref(),
            );
        let selected = serde_json::json!({
            "metadata": {
                "name": self.metadata.name.as_ref().filter(|_| is_named),
                "generateName": self.metadata.generate_name,
                "labels": labels,
                "annotations": annotations,
                "ownerReferences": self.metadata.owner_references.as_ref().map(|owners| {
                    let controllers = owners.iter().filter(|owner| owner.controller == Some(true));
                    controllers
                        .map(|owner| {
                            serde_json::json!({
                                "kind": owner.kind, "name": owner.name, "controller": true,
                            })
                        })
                        .collect::<Vec<_>>()
                }),
            },
            "spec": self.spec,
        })
        .to_string();
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
        Some(Pod {
            template: Arc::new(template),
            uid: Uid::of(uid),
            created,
            changed: created
                .max(readiness_changed)
                .max(updated.as_ref().map_or(0, |updated| updated.at.as_second())),
            available: settled && readiness.is_some_and(|condition| condition.status == "True"),
            ending: self.metadata.deletion_timestamp.is_some(),
            is_named,
            places,
            ready: ready.into(),
        })
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

impl Pod {
    /// Whether the kubelet has written a status of any container.
    pub(super) fn has_started(&self) -> bool {
        !self.template.containers.is_empty()
    }

    /// What its place in the order of a policy is found by.
    pub(super) fn placed_by(&self, policy: &str) -> PlacedBy {
        match self.places.get(policy) {
            Some(place) => PlacedBy::Itself(*place),
            None if self.is_named => PlacedBy::Name,
            None => PlacedBy::Uid,
        }
    }

    /// Whether the container is ready; `None` when the pod has no status of it.
    pub(super) fn is_ready(&self, container: &str) -> Option<bool> {
        let containers = &self.template.containers;
        let position = containers.binary_search_by(|name| name.as_str().cmp(container)).ok()?;
        self.ready.get(position).copied()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// Whether this controller names its pods and gives them a `generateName` as well, which a StatefulSet
/// does. The name of its pod 24567 looks like one that was made up.
fn names_its_pods(controller: &Owner) -> bool {
    controller.kind == "StatefulSet" && controller.api_version.starts_with("apps/")
}

/// Whether the API server made the name of a pod up. It keeps no word of that, so it is told by what
/// it would have made: the `generateName`, cut to leave room, and its characters. Who gives a pod both,
/// and a name of this very form, is taken for one who gave none.
fn looks_generated(name: &str, generate_name: Option<&str>) -> bool {
    let Some(prefix) = generate_name.filter(|prefix| !prefix.is_empty()) else { return false };
    let prefix = prefix.get(..LONGEST_PREFIX).unwrap_or(prefix);
    name.strip_prefix(prefix).is_some_and(|rest| {
        rest.len() == GENERATED && rest.chars().all(|character| GENERATED_FROM.contains(character))
    })
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

fn seconds(time: Option<Time>) -> i64 {
    time.map_or(0, |time| time.0.as_second())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn pod(name: &str, generate_name: Option<&str>, controller: Option<&str>) -> Pod {
        let owners = controller.map(|kind| {
            json!([{
                "apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "o", "controller": true,
            }])
        });
        let metadata = json!({
            "name": name, "generateName": generate_name, "uid": "u", "ownerReferences": owners,
        });
        let pod: WatchedPod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        pod.into_pod().unwrap()
    }

    #[rstest]
    #[case::bare("api", None, None, true)]
    #[case::empty_prefix("x2vzk", Some(""), None, true)]
    #[case::of_a_stateful_set("web-0", Some("web-"), Some("StatefulSet"), true)]
    #[case::with_a_high_ordinal("web-10000", Some("web-"), Some("StatefulSet"), true)]
    #[case::with_an_ordinal_of_those_characters(
        "web-24567",
        Some("web-"),
        Some("StatefulSet"),
        true
    )]
    #[case::of_a_replica_set(
        "api-5d8f7c9b6-x2vzk",
        Some("api-5d8f7c9b6-"),
        Some("ReplicaSet"),
        false
    )]
    #[case::of_nobody("api-x2vzk", Some("api-"), None, false)]
    #[case::with_other_characters("api-first", Some("api-"), None, true)]
    #[case::longer("api-x2vzk2", Some("api-"), None, true)]
    #[case::another("web-x2vzk", Some("api-"), None, true)]
    fn a_pod_has_the_name_that_it_came_with(
        #[case] name: &str,
        #[case] generate_name: Option<&str>,
        #[case] controller: Option<&str>,
        #[case] named: bool,
    ) {
        let pod = pod(name, generate_name, controller);
        let selected: serde_json::Value = serde_json::from_str(&pod.template.selected).unwrap();
        assert_eq!(selected["metadata"]["name"], json!(named.then_some(name)));
        let by_name = pod.placed_by("shop/log") == PlacedBy::Name;
        assert_eq!(by_name, named, "its place is found by what its name is known by");
    }

    #[test]
    fn a_long_generate_name_is_cut_for_what_is_added() {
        let name = format!("{}x2vzk", "a".repeat(58));
        assert!(looks_generated(&name, Some(&"a".repeat(62))));
    }

    #[test]
    fn what_thousands_of_resources_take_is_not_kept() {
        let kept = |count: u32| {
            let requests: BTreeMap<String, &str> =
                (0..count).map(|number| (format!("a.example/{number}"), "1")).collect();
            let injected = json!({ "shop/log": "1" }).to_string();
            let pod: WatchedPod = serde_json::from_value(json!({
                "metadata": { "name": "api", "annotations": { crds::keys::INJECTED: injected } },
                "spec": { "containers": [{ "name": "a", "resources": { "requests": requests } }] },
            }))
            .unwrap();
            pod.into_pod().unwrap().template.resources.len()
        };
        assert!(kept(100) > 1_000);
        assert_eq!(kept(1_000), 0);
    }

    #[test]
    fn a_place_is_no_part_of_what_pods_share() {
        let pod = |place: &str| {
            let annotations =
                json!({ crds::keys::PLACE: json!({ "shop/log": place }).to_string() });
            let metadata = json!({ "name": "api", "uid": "u", "annotations": annotations });
            let pod: WatchedPod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
            pod.into_pod().unwrap()
        };
        let (one, other) = (pod("12.34%"), pod("56.78%"));
        assert_eq!(one.template, other.template);
        assert_ne!(one.placed_by("shop/log"), other.placed_by("shop/log"));
        assert_eq!(one.placed_by("shop/other"), PlacedBy::Name);
    }

    #[test]
    fn thousands_of_places_are_not_kept() {
        let kept = |count: u32| {
            let places: BTreeMap<String, &str> =
                (0..count).map(|number| (format!("shop/log-{number}"), "12.34%")).collect();
            let annotations = json!({ crds::keys::PLACE: json!(places).to_string() });
            let metadata = json!({ "name": "api", "annotations": annotations });
            let pod: WatchedPod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
            pod.into_pod().unwrap().places.len()
        };
        assert_eq!(kept(100), 100);
        assert_eq!(kept(1_000), 0);
    }
}
