//! Files that a policy carries: each becomes an annotation of the pod and, by a downward API
//! volume, a file in the sidecars. No ConfigMap has to exist in any namespace.

use crds::{File, PolicySpec, Sidecar, Volume, keys};
use serde_json::{Map, Value, json};

use crate::{PolicyId, problem::Problems};

/// The annotation that carries the file of this position.
pub(crate) fn annotation(id: &PolicyId, position: usize) -> String {
    let prefix = if id.namespace.is_some() { keys::FILE_PREFIX } else { keys::CLUSTER_FILE_PREFIX };
    format!("{prefix}{}.{position}", id.name)
}

/// The volume that holds the files of a policy, if it has any.
pub(crate) fn volume(id: &PolicyId, spec: &PolicySpec) -> Option<Volume> {
    if spec.files.is_empty() {
        return None;
    }
    let items = (0..spec.files.len()).map(|position| {
        let path = format!("metadata.annotations['{}']", annotation(id, position));
        json!({"path": position.to_string(), "fieldRef": {"apiVersion": "v1", "fieldPath": path}})
    });
    let mut source = Map::new();
    source.insert("downwardAPI".to_owned(), json!({"items": items.collect::<Value>()}));
    Some(Volume { name: volume_name(id), source })
}

/// Refuses a volume with the name of the one that holds the files.
pub(crate) fn check_name(id: &PolicyId, spec: &PolicySpec, problems: &mut Problems) {
    let name = volume_name(id);
    let taken = spec.volumes.iter().position(|volume| volume.name == name);
    if let Some(index) = taken.filter(|_| !spec.files.is_empty()) {
        problems.add(
            format!("spec.volumes[{index}].name"),
            format!("{name:?} is the volume of spec.files; choose another name"),
        );
    }
}

/// The sidecar with the mounts of its files. A file is mounted alone, so that nothing else in its
/// folder is hidden.
pub(crate) fn mounted(id: &PolicyId, spec: &PolicySpec, sidecar: &Sidecar) -> Sidecar {
    let mut sidecar = sidecar.clone();
    let meant = |file: &File| file.containers.is_empty() || file.containers.contains(&sidecar.name);
    let mounts: Vec<Value> = spec
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| meant(file))
        .map(|(position, file)| {
            json!({
                "name": volume_name(id),
                "mountPath": file.path,
                "subPath": position.to_string(),
                "readOnly": true,
            })
        })
        .collect();
    if mounts.is_empty() {
        return sidecar;
    }
    let list = sidecar.container.entry("volumeMounts").or_insert(Value::Null);
    match list {
        Value::Array(list) => list.extend(mounts),
        other => *other = mounts.into(),
    }
    sidecar
}

/// Name of the volume that holds the files of a policy. The kinds cannot meet in one name: a policy's name
/// has at most 40 characters.
#[must_use]
pub fn volume_name(id: &PolicyId) -> String {
    let prefix = if id.namespace.is_some() { "sidecar-files" } else { "sidecar-cluster-files" };
    format!("{prefix}-{}", id.name)
}
