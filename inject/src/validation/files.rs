//! Files that a policy carries itself.

use std::collections::{HashMap, HashSet};

use crds::{File, Sidecar};
use serde_json::Value;

use crate::problem::Problems;

use super::{
    mounts,
    object::{Stage, has_expression},
};

/// Most bytes of files and annotations of one policy. A pod holds 256 KiB of annotations, which is
/// where files travel; the app and other policies need some of it.
pub(crate) const ANNOTATION_BYTES: usize = 192 * 1024;

/// Where the API server mounts the token of a pod's service account, which no file can be put into.
const TOKEN_FOLDER: &str = "/var/run/secrets/kubernetes.io/serviceaccount/";

/// Checks the files against the sidecars that get them.
pub(crate) fn check(
    files: &[File],
    sidecars: &[Sidecar],
    path: &str,
    stage: Stage,
    problems: &mut Problems,
) {
    let mut mounted = mount_paths(sidecars);
    for (index, file) in files.iter().enumerate() {
        let path = format!("{path}[{index}]");
        let file_path = format!("{path}.path");
        if sidecars.is_empty() {
            problems.add(&path, "reaches no container; the policy has no sidecars");
        }
        for (position, name) in file.containers.iter().enumerate() {
            let path = format!("{path}.containers[{position}]");
            if file.containers[..position].contains(name) {
                problems.add(path, format!("{name:?} is named twice"));
            } else if !sidecars.is_empty() && !sidecars.iter().any(|sidecar| sidecar.name == *name)
            {
                problems.add(path, format!("{name:?} is not a sidecar of this policy"));
            }
        }
        if stage == Stage::Written && has_expression(&file.path) {
            continue;
        }
        if let Some(message) = what_is_wrong(&file.path) {
            problems.add(file_path, message);
            continue;
        }
        let reached = sidecars.iter().map(|sidecar| sidecar.name.as_str()).filter(|name| {
            file.containers.is_empty() || file.containers.iter().any(|own| own == name)
        });
        for name in reached {
            let taken = mounted.entry(name).or_default();
            let other = taken.iter().find(|other| {
                is_inside(&file.path, other) && files.iter().any(|file| file.path == **other)
                    || is_inside(other, &file.path)
            });
            if let Some(other) = other {
                let message = format!("{} and {other} cannot both be files", file.path);
                problems.add(&file_path, message);
            }
            if !taken.insert(file.path.as_str()) {
                let message = format!(
                    "{} is taken in container {name:?} by another file or mount",
                    file.path
                );
                problems.add(&file_path, message);
            }
        }
    }
}

fn is_inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn mount_paths(sidecars: &[Sidecar]) -> HashMap<&str, HashSet<&str>> {
    sidecars
        .iter()
        .map(|sidecar| {
            let mounts = sidecar.container.get("volumeMounts").and_then(Value::as_array);
            let paths =
                mounts.into_iter().flatten().filter_map(|mount| mount.get("mountPath")?.as_str());
            (sidecar.name.as_str(), paths.collect())
        })
        .collect()
}

fn what_is_wrong(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        Some("must be absolute")
    } else if path.ends_with('/') {
        Some("must name a file, so not end with '/'")
    } else if mounts::has_parent(path) {
        Some("must not contain '..'")
    } else if path.split('/').skip(1).any(|part| part.is_empty() || part == ".") {
        Some("must not contain '//' or '/./'")
    } else if path.starts_with(TOKEN_FOLDER) {
        Some("must not be beside the token of the service account, which is mounted read-only")
    } else {
        None
    }
}
