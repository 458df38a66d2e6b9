//! Volume mounts and block devices of a container.

use std::collections::{HashMap, HashSet};

use crate::problem::Problems;

use super::object::Object;

/// Checks the mounts and devices of a container. That a volume exists is found out pod by pod: the
/// pod may have it.
pub(super) fn check(container: &Object<'_>, problems: &mut Problems) {
    let devices = container.objects("volumeDevices");
    let device_names: HashSet<_> =
        devices.iter().filter_map(|device| device.filled("name")).collect();
    let device_paths: HashSet<_> =
        devices.iter().filter_map(|device| device.filled("devicePath")).collect();
    let mut paths = HashSet::new();
    for mount in container.objects("volumeMounts") {
        mount.require("name", problems);
        mount.require("mountPath", problems);
        if let Some(path) = mount.filled("mountPath") {
            if !paths.insert(path) {
                problems.add(mount.at("mountPath"), format!("{path} is used twice"));
            }
            if device_paths.contains(path) {
                let message = format!("{path} is the path of a block device too");
                problems.add(mount.at("mountPath"), message);
            }
        }
        if let Some(name) = mount.filled("name").filter(|name| device_names.contains(name)) {
            let message = format!("{name:?} is a block device of the container too");
            problems.add(mount.at("name"), message);
        }
        how(&mount, problems);
    }
    block_devices(&devices, problems);
}

/// Checks how a volume is mounted.
fn how(mount: &Object<'_>, problems: &mut Problems) {
    let modes = ["None", "HostToContainer", "Bidirectional"];
    mount.strict_word("mountPropagation", &modes, problems);
    mount.strict_word("recursiveReadOnly", &["Disabled", "IfPossible", "Enabled"], problems);
    for field in ["subPath", "subPathExpr"] {
        if let Some(path) = mount.text(field)
            && (path.starts_with('/') || has_parent(path))
        {
            problems.add(mount.at(field), "must be relative and without '..'");
        }
    }
    if mount.filled("subPath").is_some() && mount.filled("subPathExpr").is_some() {
        problems.add(mount.path(), "must not have both subPath and subPathExpr");
    }
    if matches!(mount.text("recursiveReadOnly"), Some("Enabled" | "IfPossible")) {
        if mount.flag("readOnly") != Some(true) {
            problems.add(mount.at("recursiveReadOnly"), "needs readOnly: true");
        }
        if matches!(mount.text("mountPropagation"), Some("HostToContainer" | "Bidirectional")) {
            problems.add(mount.at("recursiveReadOnly"), "needs mountPropagation: None");
        }
    }
}

fn block_devices(devices: &[Object<'_>], problems: &mut Problems) {
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for device in devices {
        device.require("name", problems);
        device.require("devicePath", problems);
        if let Some(name) = device.filled("name").filter(|name| !names.insert(*name)) {
            problems.add(device.at("name"), format!("{name:?} is used twice"));
        }
        let Some(path) = device.filled("devicePath") else { continue };
        if !paths.insert(path) {
            problems.add(device.at("devicePath"), format!("{path} is used twice"));
        }
        if has_parent(path) {
            problems.add(device.at("devicePath"), "must not contain '..'");
        }
    }
}

/// Checks mounts that need a certain kind of volume against the volumes of the policy itself.
pub(super) fn check_kinds(
    container: &Object<'_>,
    volumes: &HashMap<&str, &Object<'_>>,
    problems: &mut Problems,
) {
    for device in container.objects("volumeDevices") {
        let volume = device.filled("name").and_then(|name| volumes.get(name));
        if volume
            .is_some_and(|volume| !volume.has("persistentVolumeClaim") && !volume.has("ephemeral"))
        {
            let message = "must be a persistentVolumeClaim or an ephemeral volume";
            problems.add(device.at("name"), message);
        }
    }
    for variable in container.objects("env") {
        let source = variable.object("valueFrom").and_then(|from| from.object("fileKeyRef"));
        let Some(reference) = source else { continue };
        let volume = reference.filled("volumeName").and_then(|name| volumes.get(name));
        if volume.is_some_and(|volume| !volume.has("emptyDir")) {
            problems.add(reference.at("volumeName"), "must be an emptyDir volume");
        }
    }
}

/// Whether a path goes up.
pub(super) fn has_parent(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}
