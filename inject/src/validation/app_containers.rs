//! What is added to the app's containers.

use crds::{AppContainers, EnvMerge, OperatingSystem};
use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use crate::problem::Problems;

use super::{
    handlers, mounts, names,
    object::{Fields, Object, Stage},
    typed, variables,
};

/// Checks an entry.
pub(crate) fn check(
    entry: &AppContainers,
    os: OperatingSystem,
    path: &str,
    stage: Stage,
    problems: &mut Problems,
) {
    let added = added(entry);
    let object = Object::new(&added, path, stage);
    if added.values().all(|value| value.as_array().is_some_and(Vec::is_empty)) {
        problems.add(path, "adds nothing; name at least one mount, variable, probe or hook");
    }
    let names: Value = entry.containers.clone().into();
    let selected = [("containers".to_owned(), names)].into_iter().collect();
    // They take no expressions.
    patterns(&Object::new(&selected, path, Stage::Rendered), problems);
    variables::check(&object, problems);
    appended(entry, path, stage, problems);
    mounts::check(&object, problems);
    handlers::check(&object, os, problems);
    typed::check::<core::Container>(&object, problems);
}

/// The fields of a container that the entry adds to.
pub(super) fn added(entry: &AppContainers) -> Fields {
    let list = |list: &[Fields]| list.iter().cloned().map(Value::Object).collect::<Vec<_>>();
    let mut added = Fields::new();
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
    added
}

/// Checks `merge: Append` and its separator.
fn appended(entry: &AppContainers, path: &str, stage: Stage, problems: &mut Problems) {
    for (index, variable) in entry.env.iter().enumerate() {
        let path = format!("{path}.env[{index}]");
        let fields = Object::new(&variable.variable, &path, stage);
        match variable.merge {
            Some(EnvMerge::Append) => {
                fields.require("value", problems);
                if fields.has("valueFrom") {
                    let message = "cannot be appended; give a value with merge: Append";
                    problems.add(fields.at("valueFrom"), message);
                }
            }
            None => {
                if variable.separator.is_some() {
                    problems.add(fields.at("separator"), "belongs to merge: Append");
                }
            }
        }
    }
}

/// Checks names and globs of containers: what no container can be called, matches none.
pub(super) fn patterns(object: &Object<'_>, problems: &mut Problems) {
    for (path, pattern) in object.texts("containers") {
        let fits =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-*".contains(&byte);
        let length = pattern.bytes().filter(|byte| *byte != b'*').count();
        let matches_some = !pattern.is_empty()
            && pattern.bytes().all(fits)
            && length <= names::LABEL_LENGTH
            // A star before, between and after the characters of a name; more say nothing more.
            && pattern.len() <= 2 * names::LABEL_LENGTH + 1
            && !pattern.starts_with('-')
            && !pattern.ends_with('-');
        if !matches_some {
            let message = format!(
                "{pattern:?} matches no container; use a name, or a glob such as web-* of lower-case letters, digits, '-' and '*'"
            );
            problems.add(path, message);
        }
    }
}
