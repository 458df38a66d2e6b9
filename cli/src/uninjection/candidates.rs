//! Where a policy may have put something into a pod. More than it did put there: what stays is found by
//! injecting again.

use std::collections::BTreeSet;

use crds::{EnvMerge, PolicySpec, SidecarType, keys};
use inject::{PolicyId, files_volume_name};
use serde_json::{Map, Value};

use super::place::{Place, Step, behind, element_name, fields, find, trimmed};
use crate::document::Node;

/// What the separator of `merge: Append` is where the policy does not say.
const SEPARATOR: &str = " ";

/// Something that a policy may have put in.
#[derive(Debug)]
pub(super) enum Candidate {
    /// A container or volume, which the heart has compared with the policy's.
    Compared(Place),
    /// Something that has to come back as it is.
    Plain(Place),
    /// A variable that may have been made longer, and what may stand before the addition.
    Appended(Place, String),
    /// The grace period.
    GracePeriod(Place),
}

impl Candidate {
    /// Where it is.
    pub(super) fn place(&self) -> &Place {
        match self {
            Self::Compared(place)
            | Self::Plain(place)
            | Self::Appended(place, _)
            | Self::GracePeriod(place) => place,
        }
    }
}

/// A pod, or a template of pods, in an object.
#[derive(Clone, Copy)]
pub(super) struct Pod<'a> {
    pub(super) object: &'a Node,
    /// Where in the object it is.
    pub(super) root: &'a [Step],
    /// Names of the containers that are no app's.
    pub(super) sidecars: &'a BTreeSet<&'a str>,
}

impl Pod<'_> {
    /// Where a policy may have put something in.
    pub(super) fn candidates(self, id: &PolicyId, spec: &PolicySpec) -> Vec<Candidate> {
        let Self { object, root, sidecars } = self;
        let mut found = Vec::new();
        for sidecar in &spec.sidecars {
            let is_ordinary = sidecar.kind == SidecarType::Container;
            let list = if is_ordinary { "containers" } else { "initContainers" };
            found.push(Candidate::Compared(element(root, &["spec", list], &sidecar.name)));
        }
        for volume in &spec.volumes {
            found.push(Candidate::Compared(element(root, &["spec", "volumes"], &volume.name)));
        }
        if !spec.files.is_empty() {
            let name = files_volume_name(id);
            found.push(Candidate::Compared(element(root, &["spec", "volumes"], &name)));
            files(id, object, root, &mut found);
        }
        for list in ["containers", "initContainers"] {
            let list = behind(root, fields(&["spec", list]));
            for container in find(object, &list).map(Node::items).unwrap_or_default() {
                let Some(name) = container.text_of("name") else { continue };
                if !sidecars.contains(name) {
                    let place = behind(&list, [Step::Element(name.to_owned())]);
                    app_container(spec, container, &place, &mut found);
                }
            }
        }
        pod(spec, root, &mut found);
        found
    }
}

fn element(root: &[Step], list: &[&str], name: &str) -> Place {
    behind(root, fields(list).chain([Step::Element(name.to_owned())]))
}

/// The annotations that carry the files of a policy.
fn files(id: &PolicyId, object: &Node, root: &[Step], found: &mut Vec<Candidate>) {
    let prefix = if id.namespace.is_some() { keys::FILE_PREFIX } else { keys::CLUSTER_FILE_PREFIX };
    let prefix = format!("{prefix}{}.", id.name);
    let annotations = behind(root, fields(&["metadata", "annotations"]));
    for (key, _) in find(object, &annotations).map(Node::entries).unwrap_or_default() {
        if key.starts_with(&prefix) {
            found.push(Candidate::Compared(behind(&annotations, [Step::Field(key.clone())])));
        }
    }
}

fn app_container(spec: &PolicySpec, container: &Node, place: &[Step], found: &mut Vec<Candidate>) {
    let each = |list: &'static str, keep: &dyn Fn(&Node) -> bool| {
        let items = container.get(list).map(Node::items).unwrap_or_default();
        let names =
            items.iter().filter(|item| keep(item)).filter_map(|item| element_name(list, item));
        let places = names.map(|name| behind(place, fields(&[list]).chain([Step::Element(name)])));
        places.collect::<Vec<Place>>()
    };
    for entry in &spec.app_containers {
        for mount in &entry.volume_mounts {
            let places = each("volumeMounts", &|found| {
                is_text(mount, "mountPath", found.text_of("mountPath").map(trimmed))
                    && is_text(mount, "name", found.text_of("name"))
            });
            found.extend(places.into_iter().map(Candidate::Plain));
        }
        for variable in &entry.env {
            let is_it = |found: &Node| {
                has_expression(&variable.name) || found.text_of("name") == Some(&variable.name)
            };
            let separator = variable.separator.as_deref().unwrap_or(SEPARATOR);
            found.extend(each("env", &is_it).into_iter().map(|place| match variable.merge {
                Some(EnvMerge::Append) => Candidate::Appended(place, separator.to_owned()),
                None => Candidate::Plain(place),
            }));
        }
        if !entry.env_from.is_empty() {
            found.extend(each("envFrom", &|_| true).into_iter().map(Candidate::Plain));
        }
        for (field, is_set) in [
            ("livenessProbe", entry.liveness_probe.is_some()),
            ("readinessProbe", entry.readiness_probe.is_some()),
            ("startupProbe", entry.startup_probe.is_some()),
            ("lifecycle", entry.lifecycle.is_some()),
        ] {
            if is_set && container.get(field).is_some() {
                found.push(Candidate::Plain(behind(place, fields(&[field]))));
            }
        }
    }
}

/// Whether a field of a policy may stand for this text.
fn is_text(written: &Map<String, Value>, field: &str, found: Option<&str>) -> bool {
    let written = written.get(field).and_then(Value::as_str).unwrap_or_default();
    has_expression(written) || found == Some(trimmed(written))
}

fn has_expression(text: &str) -> bool {
    text.contains("${")
}

fn pod(spec: &PolicySpec, root: &[Step], found: &mut Vec<Candidate>) {
    let Some(pod) = &spec.pod else { return };
    let mut plain = |keys: &[&str], last: Option<Step>| {
        found.push(Candidate::Plain(behind(root, fields(keys).chain(last))));
    };
    for key in pod.labels.keys() {
        plain(&["metadata", "labels", key], None);
    }
    for key in pod.annotations.keys() {
        plain(&["metadata", "annotations", key], None);
    }
    for secret in &pod.image_pull_secrets {
        if let Some(name) = secret.get("name").and_then(Value::as_str) {
            plain(&["spec", "imagePullSecrets"], Some(Step::Element(name.to_owned())));
        }
    }
    if pod.share_process_namespace.is_some() {
        plain(&["spec", "shareProcessNamespace"], None);
    }
    let context = pod.security_context.as_ref();
    if context.is_some_and(|context| context.contains_key("fsGroup")) {
        plain(&["spec", "securityContext", "fsGroup"], None);
    }
    let groups = context.and_then(|context| context.get("supplementalGroups")?.as_array());
    for group in groups.into_iter().flatten() {
        let group = Step::Element(group.to_string());
        plain(&["spec", "securityContext", "supplementalGroups"], Some(group));
    }
    for alias in &pod.host_aliases {
        let Some(ip) = alias.get("ip").and_then(Value::as_str) else { continue };
        let alias_place = element(root, &["spec", "hostAliases"], ip);
        let hostnames = alias.get("hostnames").and_then(Value::as_array);
        for name in hostnames.into_iter().flatten() {
            let name = Step::Element(name.to_string());
            found
                .push(Candidate::Plain(behind(&alias_place, fields(&["hostnames"]).chain([name]))));
        }
    }
    if pod.termination_grace_period_seconds.is_some() {
        let place = behind(root, fields(&["spec", "terminationGracePeriodSeconds"]));
        found.push(Candidate::GracePeriod(place));
    }
}
