//! What the API server would refuse in a pod made from a policy, refused in the policy itself.
//!
//! [`spec`] checks a policy as it is written, where text with an expression passes; the parts it is
//! made of can be checked again when every expression has its value. What depends on the pod, such
//! as a volume that only the pod has, is not checked here.

mod app_containers;
mod claim_template;
mod files;
mod from_app;
mod handlers;
mod metadata;
mod mounts;
mod names;
mod network_volumes;
mod object;
mod placement;
mod pod_patch;
mod ports;
mod resources;
mod restart;
mod rollout;
mod security;
mod typed;
mod variables;
mod volumes;

use std::collections::{HashMap, HashSet};

use crds::{OperatingSystem, PolicySpec, Sidecar, SidecarType, Volume};
use k8s_openapi::api::core::v1 as core;

use crate::problem::Problems;

pub(crate) use app_containers::check as app_containers;
pub(crate) use files::{ANNOTATION_BYTES, check as files};
pub(crate) use handlers::{HOOKS, WINDOWS_SIGNALS};
pub(crate) use names::{LABEL_KEY, LABEL_VALUE, is_dns_label, is_label_key, is_label_value};
pub(crate) use object::{Stage, has_expression};
pub(crate) use placement::{is_ordinary, target as placement_target};
pub(crate) use pod_patch::check as pod_patch;
pub(crate) use security::LINUX_ONLY;
pub(crate) use typed::known;

use object::Object;

/// Longest policy name: it appears in annotation keys.
const POLICY_NAME_LENGTH: usize = 40;

/// Checks the name of a policy.
pub(crate) fn policy_name(name: &str, problems: &mut Problems) {
    if !names::is_dns_label(name) || name.len() > POLICY_NAME_LENGTH {
        problems.add(
            "metadata.name",
            format!(
                "{name:?} must be a DNS label (lower-case letters, digits, '-') of at most {POLICY_NAME_LENGTH} characters"
            ),
        );
    }
}

/// Checks everything that a policy puts in, as it is written.
pub(crate) fn spec(spec: &PolicySpec, problems: &mut Problems) {
    let stage = Stage::Written;
    let mut names = HashSet::new();
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        self::sidecar(sidecar, spec.os, &path, stage, problems);
        if !names.insert(&sidecar.name) {
            problems.add(format!("{path}.name"), format!("{:?} is used twice", sidecar.name));
        }
    }
    host_ports(&spec.sidecars, stage, problems);
    placement::check(&spec.sidecars, problems);
    let mut names = HashSet::new();
    for (index, volume) in spec.volumes.iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        self::volume(volume, &path, stage, problems);
        if !names.insert(&volume.name) {
            problems.add(format!("{path}.name"), format!("{:?} is used twice", volume.name));
        }
    }
    for (index, entry) in spec.app_containers.iter().enumerate() {
        app_containers(entry, spec.os, &format!("spec.appContainers[{index}]"), stage, problems);
    }
    volume_kinds(spec, stage, problems);
    files(&spec.files, &spec.sidecars, "spec.files", stage, problems);
    if let Some(pod) = &spec.pod {
        let sidecars: Vec<&str> =
            spec.sidecars.iter().map(|sidecar| sidecar.name.as_str()).collect();
        pod_patch(pod, &sidecars, "spec.pod", stage, problems);
        labels_select_nothing(spec, problems);
    }
    annotation_bytes(spec, problems);
    match_conditions(spec, problems);
    rollout::check(spec, problems);
}

/// Checks a container that goes in.
pub(crate) fn sidecar(
    sidecar: &Sidecar,
    os: OperatingSystem,
    path: &str,
    stage: Stage,
    problems: &mut Problems,
) {
    object_name(&sidecar.name, path, problems);
    let container = Object::new(&sidecar.container, path, stage);
    image(&container, problems);
    container.word("imagePullPolicy", &["Always", "IfNotPresent", "Never"], problems);
    let policies = ["File", "FallbackToLogsOnError"];
    container.word("terminationMessagePolicy", &policies, problems);
    restart::check(&container, sidecar.kind, problems);
    ports::check(&container, problems);
    resources::check(&container, sidecar.kind, problems);
    variables::check(&container, problems);
    mounts::check(&container, problems);
    security::check(&container, os, problems);
    handlers::check(&container, os, problems);
    if sidecar.kind == SidecarType::Init {
        for field in handlers::PROBES.iter().chain(&["lifecycle"]) {
            if container.has(field) {
                let message = "is not allowed with type: Init, which runs to completion";
                problems.add(container.at(field), message);
            }
        }
    }
    from_app::check(sidecar, path, stage, problems);
    typed::check::<core::Container>(&container, problems);
}

/// Checks a volume that goes in.
pub(crate) fn volume(volume: &Volume, path: &str, stage: Stage, problems: &mut Problems) {
    object_name(&volume.name, path, problems);
    let mut fields = volume.source.clone();
    fields.insert("name".to_owned(), volume.name.clone().into());
    volumes::check(&Object::new(&fields, path, stage), problems);
}

/// Paths of the fields that our version of Kubernetes does not know. They are put in all the same: the
/// API server may be newer, and drops them if it is not.
#[must_use]
pub fn unknown_fields(spec: &PolicySpec) -> Vec<String> {
    let mut unknown = Vec::new();
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        typed::unknown::<core::Container>(&sidecar.container, &path, &mut unknown);
    }
    for (index, volume) in spec.volumes.iter().enumerate() {
        typed::unknown::<core::Volume>(
            &volume.source,
            &format!("spec.volumes[{index}]"),
            &mut unknown,
        );
    }
    for (index, entry) in spec.app_containers.iter().enumerate() {
        let added = app_containers::added(entry);
        let path = format!("spec.appContainers[{index}]");
        typed::unknown::<core::Container>(&added, &path, &mut unknown);
    }
    for (index, alias) in spec.pod.iter().flat_map(|pod| &pod.host_aliases).enumerate() {
        let path = format!("spec.pod.hostAliases[{index}]");
        typed::unknown::<core::HostAlias>(alias, &path, &mut unknown);
    }
    unknown
}

fn image(container: &Object<'_>, problems: &mut Problems) {
    if !container.has("image") || container.text("image") == Some("") {
        problems.add(
            container.at("image"),
            "is missing; name the image of the sidecar, with a tag or digest",
        );
    } else if container.text("image").is_some_and(|image| image.trim() != image) {
        problems.add(container.at("image"), "must not begin or end with white space");
    }
}

/// Checks that no two ordinary containers of the policy take the same port of the node. Init
/// containers are compared with no others by the API server.
fn host_ports(sidecars: &[Sidecar], stage: Stage, problems: &mut Problems) {
    let ordinary =
        sidecars.iter().enumerate().filter(|(_, sidecar)| placement::is_ordinary(sidecar.kind));
    let containers: Vec<(&str, Object<'_>)> = ordinary
        .map(|(index, sidecar)| {
            let path = format!("spec.sidecars[{index}]");
            (sidecar.name.as_str(), Object::new(&sidecar.container, path, stage))
        })
        .collect();
    ports::check_between(&containers, problems);
}

/// Checks devices and variables that need a certain kind of volume, where the policy has the volume.
fn volume_kinds(spec: &PolicySpec, stage: Stage, problems: &mut Problems) {
    let sources: Vec<(&str, Object<'_>)> = spec
        .volumes
        .iter()
        .map(|volume| (volume.name.as_str(), Object::new(&volume.source, "", stage)))
        .collect();
    let volumes: HashMap<&str, &Object<'_>> =
        sources.iter().map(|(name, source)| (*name, source)).collect();
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        let container = Object::new(&sidecar.container, path, stage);
        mounts::check_kinds(&container, &volumes, problems);
    }
    for (index, entry) in spec.app_containers.iter().enumerate() {
        let added = app_containers::added(entry);
        let container = Object::new(&added, format!("spec.appContainers[{index}]"), stage);
        mounts::check_kinds(&container, &volumes, problems);
    }
}

fn match_conditions(spec: &PolicySpec, problems: &mut Problems) {
    for (index, condition) in spec.match_conditions.iter().enumerate() {
        object_name(&condition.name, &format!("spec.matchConditions[{index}]"), problems);
    }
}

/// A policy may not set a label that it selects by: a second call would select otherwise.
fn labels_select_nothing(spec: &PolicySpec, problems: &mut Problems) {
    let Some(selector) = &spec.pod_selector else { return };
    let by_value = selector.match_labels.iter().flatten().map(|(key, _)| key);
    let by_rule = selector.match_expressions.iter().flatten().map(|rule| &rule.key);
    let selected: HashSet<&String> = by_value.chain(by_rule).collect();
    for key in spec.pod.iter().flat_map(|pod| pod.labels.keys()) {
        if selected.contains(key) {
            let message = "is a label that the policy selects by; it cannot set it too";
            problems.add(format!("spec.pod.labels.{key}"), message);
        }
    }
}

fn annotation_bytes(spec: &PolicySpec, problems: &mut Problems) {
    let files = spec.files.iter().map(|file| file.path.len() + file.content.len());
    let annotations = spec.pod.iter().flat_map(|pod| &pod.annotations);
    let annotations = annotations.map(|(key, value)| key.len() + value.len());
    let bytes: usize = files.chain(annotations).sum();
    if bytes > ANNOTATION_BYTES {
        let path = if spec.files.is_empty() { "spec.pod.annotations" } else { "spec.files" };
        let message = format!(
            "{bytes} bytes of files and annotations; at most {ANNOTATION_BYTES} fit into a pod beside the app's own. Move some into a ConfigMap"
        );
        problems.add(path, message);
    }
}

fn object_name(name: &str, path: &str, problems: &mut Problems) {
    if !names::is_dns_label(name) {
        problems.add(format!("{path}.name"), format!("{name:?} {}", names::DNS_LABEL));
    }
}
