//! What the API server would refuse in a pod made from a policy, refused in the policy itself.

mod fields;

use std::collections::HashSet;

use crds::{AppContainers, Sidecar, SidecarType, Volume};
use k8s_openapi::api::core::v1 as core;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::{problem::Problems, quantity::Quantity};

type Fields = Map<String, Value>;

/// Longest policy name: it appears in annotation keys.
const POLICY_NAME_LENGTH: usize = 40;
/// Longest container or volume name: a DNS label.
const LABEL_LENGTH: usize = 63;
const PROBES: [&str; 3] = ["livenessProbe", "readinessProbe", "startupProbe"];
const HANDLERS: [&str; 4] = ["exec", "httpGet", "tcpSocket", "grpc"];

/// Checks the name of a policy.
pub(crate) fn policy_name(name: &str, problems: &mut Problems) {
    if !is_dns_label(name) || name.len() > POLICY_NAME_LENGTH {
        problems.add(
            "metadata.name",
            format!(
                "{name:?} must be a DNS label (lower-case letters, digits, '-') of at most {POLICY_NAME_LENGTH} characters"
            ),
        );
    }
}

pub(crate) fn sidecar(sidecar: &Sidecar, _path: &str, problems: &mut Problems) {
    sidecars(std::slice::from_ref(sidecar), problems);
}

pub(crate) fn volume(volume: &Volume, _path: &str, problems: &mut Problems) {
    volumes(std::slice::from_ref(volume), problems);
}

pub(crate) fn app_container_entry(entry: &AppContainers, _path: &str, problems: &mut Problems) {
    app_containers(std::slice::from_ref(entry), problems);
}

pub(crate) fn pod_patch(_pod: &crds::PodPatch, _problems: &mut Problems) {}

/// Checks the containers that go in.
pub(crate) fn sidecars(sidecars: &[Sidecar], problems: &mut Problems) {
    let mut names = HashSet::new();
    for (index, sidecar) in sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        object_name(&sidecar.name, &path, problems);
        if !names.insert(&sidecar.name) {
            problems.add(format!("{path}.name"), format!("{:?} is used twice", sidecar.name));
        }
        container(&sidecar.container, &path, problems);
        if sidecar.kind == SidecarType::Init {
            for field in PROBES.iter().chain(&["lifecycle"]) {
                if is_set(&sidecar.container, field) {
                    problems.add(
                        format!("{path}.{field}"),
                        "is not allowed with type: Init, which runs to completion",
                    );
                }
            }
        }
    }
}

/// Checks the volumes that go in.
pub(crate) fn volumes(volumes: &[Volume], problems: &mut Problems) {
    let mut names = HashSet::new();
    for (index, volume) in volumes.iter().enumerate() {
        let path = format!("spec.volumes[{index}]");
        object_name(&volume.name, &path, problems);
        if !names.insert(&volume.name) {
            problems.add(format!("{path}.name"), format!("{:?} is used twice", volume.name));
        }
        if volume.source.values().filter(|source| !source.is_null()).count() != 1 {
            problems.add(&path, "must name exactly one source, such as emptyDir: {}");
        }
        let mut typed = volume.source.clone();
        typed.insert("name".to_owned(), volume.name.clone().into());
        has_type::<core::Volume>(typed, &path, problems);
        let size_limit = volume.source.get("emptyDir").and_then(|dir| dir.get("sizeLimit"));
        quantity(size_limit, &format!("{path}.emptyDir.sizeLimit"), problems);
        fields::volume(&volume.source, &path, problems);
    }
}

/// Checks what is added to the app's containers.
pub(crate) fn app_containers(entries: &[AppContainers], problems: &mut Problems) {
    for (index, entry) in entries.iter().enumerate() {
        let path = format!("spec.appContainers[{index}]");
        let mut added = Fields::new();
        let list = |list: &[Fields]| list.iter().cloned().map(Value::Object).collect::<Vec<_>>();
        added.insert("volumeMounts".to_owned(), list(&entry.volume_mounts).into());
        added.insert("envFrom".to_owned(), list(&entry.env_from).into());
        let env = entry.env.iter().map(|variable| {
            let mut fields = variable.variable.clone();
            fields.insert("name".to_owned(), variable.name.clone().into());
            Value::Object(fields)
        });
        added.insert("env".to_owned(), env.collect::<Vec<_>>().into());
        for (name, field) in [
            ("livenessProbe", &entry.liveness_probe),
            ("readinessProbe", &entry.readiness_probe),
            ("startupProbe", &entry.startup_probe),
            ("lifecycle", &entry.lifecycle),
        ] {
            if let Some(field) = field {
                added.insert(name.to_owned(), Value::Object(field.clone()));
            }
        }
        if added.values().all(|value| value.as_array().is_some_and(Vec::is_empty)) {
            problems.add(&path, "adds nothing; name at least one mount, variable, probe or hook");
        }
        container_parts(&added, &path, problems);
        let mut typed = added;
        typed.insert("name".to_owned(), "app".into());
        has_type::<core::Container>(typed, &path, problems);
    }
}

/// Checks the fields of a container of our own.
fn container(fields: &Fields, path: &str, problems: &mut Problems) {
    match fields.get("image").and_then(Value::as_str) {
        None | Some("") => problems.add(
            format!("{path}.image"),
            "is missing; name the image of the sidecar, with a tag or digest",
        ),
        Some(image) if image.trim() != image => {
            problems.add(format!("{path}.image"), "must not begin or end with white space");
        }
        Some(_) => {}
    }
    if is_set(fields, "restartPolicy") {
        problems.add(
            format!("{path}.restartPolicy"),
            "is set by the field type (Sidecar, Init or Container); leave it out",
        );
    }
    container_parts(fields, path, problems);
    ports(fields, path, problems);
    resources(fields, path, problems);
    fields::words(fields, path, problems);
    fields::privileges(fields, path, problems);
    fields::ports(fields, path, problems);
    fields::resources(fields, path, problems);
    let mut typed = fields.clone();
    typed.insert("name".to_owned(), "sidecar".into());
    has_type::<core::Container>(typed, path, problems);
}

/// Checks what containers of our own and the app's have in common.
fn container_parts(fields: &Fields, path: &str, problems: &mut Problems) {
    mounts(fields, path, problems);
    for (index, variable) in elements(fields, "env") {
        let path = format!("{path}.env[{index}]");
        match variable.get("name").and_then(Value::as_str) {
            None | Some("") => problems.add(format!("{path}.name"), "is missing"),
            Some(name) if name.contains('=') => {
                problems.add(format!("{path}.name"), "must not contain '='");
            }
            Some(name) => fields::variable(variable, name, &path, problems),
        }
        let has_value =
            variable.get("value").and_then(Value::as_str).is_some_and(|v| !v.is_empty());
        if has_value && variable.get("valueFrom").is_some_and(|from| !from.is_null()) {
            problems.add(&path, "must not have both value and valueFrom");
        }
    }
    fields::variable_sources(fields, path, problems);
    for name in PROBES {
        if let Some(Value::Object(probe)) = fields.get(name) {
            fields::probe(probe, name, &format!("{path}.{name}"), problems);
            handler(probe, &HANDLERS, &format!("{path}.{name}"), problems);
        }
    }
    for hook in ["postStart", "preStop"] {
        let found = fields.get("lifecycle").and_then(|lifecycle| lifecycle.get(hook));
        if let Some(Value::Object(hook_fields)) = found {
            let handlers = ["exec", "httpGet", "tcpSocket", "sleep"];
            handler(hook_fields, &handlers, &format!("{path}.lifecycle.{hook}"), problems);
        }
    }
}

fn mounts(fields: &Fields, path: &str, problems: &mut Problems) {
    let mut paths = HashSet::new();
    for (index, mount) in elements(fields, "volumeMounts") {
        let path = format!("{path}.volumeMounts[{index}]");
        if mount.get("name").and_then(Value::as_str).is_none_or(str::is_empty) {
            problems.add(format!("{path}.name"), "is missing; name the volume");
        }
        match mount.get("mountPath").and_then(Value::as_str) {
            None | Some("") => problems.add(format!("{path}.mountPath"), "is missing"),
            Some(mount_path) if !paths.insert(mount_path) => {
                problems.add(format!("{path}.mountPath"), format!("{mount_path} is used twice"));
            }
            Some(_) => fields::mount(mount, &path, problems),
        }
    }
}

/// Checks that a probe or hook has one handler, and does not reach for another host: with `host`
/// a policy could make the kubelet call any address.
fn handler(fields: &Fields, handlers: &[&str], path: &str, problems: &mut Problems) {
    if handlers.iter().filter(|name| is_set(fields, name)).count() != 1 {
        problems.add(path, format!("must have exactly one of {}", handlers.join(", ")));
    }
    fields::handler(fields, path, problems);
    for name in ["httpGet", "tcpSocket"] {
        let Some(action) = fields.get(name) else { continue };
        if action.get("host").and_then(Value::as_str).is_some_and(|host| !host.is_empty()) {
            problems.add(
                format!("{path}.{name}.host"),
                "is not allowed: the pod's own address is always used; leave it out",
            );
        }
        if action.get("port").is_none_or(Value::is_null) {
            problems.add(format!("{path}.{name}.port"), "is missing");
        }
    }
}

fn ports(fields: &Fields, path: &str, problems: &mut Problems) {
    for (index, port) in elements(fields, "ports") {
        let path = format!("{path}.ports[{index}].containerPort");
        match port.get("containerPort").and_then(Value::as_i64) {
            Some(1..=65535) => {}
            _ => problems.add(path, "must be a number from 1 to 65535"),
        }
    }
}

fn resources(fields: &Fields, path: &str, problems: &mut Problems) {
    for kind in ["requests", "limits"] {
        let found = fields.get("resources").and_then(|resources| resources.get(kind));
        for (name, value) in found.and_then(Value::as_object).into_iter().flatten() {
            quantity(Some(value), &format!("{path}.resources.{kind}.{name}"), problems);
        }
    }
}

fn quantity(value: Option<&Value>, path: &str, problems: &mut Problems) {
    let Some(value) = value.filter(|value| !value.is_null()) else { return };
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if Quantity::parse(&text).is_none() {
        problems.add(path, format!("{text:?} is not a quantity such as 100m or 64Mi"));
    }
}

/// Checks that the fields have the types Kubernetes gives them. Unknown fields pass.
fn has_type<T: DeserializeOwned>(fields: Fields, path: &str, problems: &mut Problems) {
    if let Err(error) = serde_json::from_value::<T>(Value::Object(fields)) {
        problems.add(path, format!("has a field of the wrong type: {error}"));
    }
}

fn object_name(name: &str, path: &str, problems: &mut Problems) {
    if !is_dns_label(name) {
        problems.add(
            format!("{path}.name"),
            format!(
                "{name:?} must be a DNS label (lower-case letters, digits, '-') of at most {LABEL_LENGTH} characters"
            ),
        );
    }
}

fn is_dns_label(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=LABEL_LENGTH).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn is_set(fields: &Fields, name: &str) -> bool {
    fields.get(name).is_some_and(|value| !value.is_null())
}

fn elements<'f>(
    fields: &'f Fields,
    name: &str,
) -> impl Iterator<Item = (usize, &'f Value)> + use<'f> {
    fields.get(name).and_then(Value::as_array).into_iter().flatten().enumerate()
}
