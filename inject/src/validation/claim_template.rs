//! The claim that an ephemeral volume makes.

use crate::problem::Problems;

use super::{metadata, object::Object, variables};

const ACCESS_MODES: [&str; 4] =
    ["ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"];

/// Checks a `volumeClaimTemplate`.
pub(super) fn check(template: &Object<'_>, problems: &mut Problems) {
    if let Some(fields) = template.object("metadata") {
        for (name, _) in fields.fields().iter().filter(|(_, value)| !value.is_null()) {
            if !["labels", "annotations"].contains(&name.as_str()) {
                problems.add(fields.at(name), "is not allowed; only labels and annotations are");
            }
        }
        metadata::labels(&fields, problems);
        metadata::annotation_keys(&fields, problems);
    }
    let Some(spec) = template.object("spec") else {
        return template.require("spec", problems);
    };
    access_modes(&spec, problems);
    storage(&spec, problems);
    spec.word("volumeMode", &["Filesystem", "Block"], problems);
    for class in ["storageClassName", "volumeAttributesClassName"] {
        variables::object_name(&spec, class, problems);
    }
    if let Some(selector) = spec.object("selector") {
        for (key, value) in selector.entries("matchLabels") {
            metadata::label(&selector.at("matchLabels"), key, value, problems);
        }
        for expression in selector.objects("matchExpressions") {
            expression.require("operator", problems);
            let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
            expression.word("operator", &operators, problems);
        }
    }
    for field in ["dataSource", "dataSourceRef"] {
        if let Some(source) = spec.object(field) {
            source.require("kind", problems);
            source.require("name", problems);
            if source.filled("apiGroup").is_none()
                && source.text("kind").is_some_and(|kind| kind != "PersistentVolumeClaim")
            {
                problems.add(source.at("apiGroup"), "is missing");
            }
        }
    }
}

fn access_modes(spec: &Object<'_>, problems: &mut Problems) {
    if spec.length("accessModes") == 0 {
        problems.add(spec.at("accessModes"), "is missing");
    }
    let modes = spec.texts("accessModes");
    for (path, mode) in &modes {
        if !ACCESS_MODES.contains(mode) {
            let message = format!("{mode:?} is not one of {}", ACCESS_MODES.join(", "));
            problems.add(path.clone(), message);
        }
    }
    let alone = |mode: &str| mode == "ReadWriteOncePod";
    if modes.iter().any(|(_, mode)| alone(mode))
        && modes.iter().any(|(_, mode)| !alone(mode) && ACCESS_MODES.contains(mode))
    {
        problems.add(spec.at("accessModes"), "must have ReadWriteOncePod alone");
    }
}

fn storage(spec: &Object<'_>, problems: &mut Problems) {
    let requests = spec.object("resources").and_then(|resources| resources.object("requests"));
    let Some(requests) = requests.filter(|requests| requests.has("storage")) else {
        return problems.add(spec.at("resources.requests.storage"), "is missing");
    };
    if requests
        .quantity("storage", problems)
        .is_some_and(|size| size.is_zero() || size.is_negative())
    {
        problems.add(requests.at("storage"), "must be more than 0");
    }
}
