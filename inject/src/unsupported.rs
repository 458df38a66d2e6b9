//! Fields that the schema has and this version does not carry out yet. They are refused: a field
//! that is accepted and ignored would promise what does not happen.

use crds::{EnvMerge, Placement, PolicySpec, Rollout};
use serde_json::Value;

use crate::problem::Problems;

const NOT_YET: &str = "is not supported yet; leave it out";

/// Refuses what is not carried out yet.
pub(crate) fn refuse(spec: &PolicySpec, problems: &mut Problems) {
    let absent = [
        ("spec.matchConditions", spec.match_conditions.is_empty()),
        ("spec.parameters", spec.parameters.is_empty()),
        ("spec.files", spec.files.is_empty()),
        ("spec.pod", spec.pod.is_none()),
        ("spec.revisionHistoryLimit", spec.revision_history_limit.is_none()),
        ("spec.rollout", spec.rollout.as_ref().is_none_or(|set| *set == Rollout::default())),
    ];
    for (path, absent) in absent {
        if !absent {
            problems.add(path, NOT_YET);
        }
    }
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        if matches!(sidecar.placement, Some(Placement::Relative(_))) {
            problems.add(
                format!("{path}.placement"),
                "before and after are not supported yet; use First or Last",
            );
        }
        if sidecar.copy_from_app.is_some() {
            problems.add(format!("{path}.copyFromApp"), NOT_YET);
        }
        if sidecar.resources_from_app.is_some() {
            problems.add(format!("{path}.resourcesFromApp"), NOT_YET);
        }
    }
    for (index, app) in spec.app_containers.iter().enumerate() {
        for (position, variable) in app.env.iter().enumerate() {
            let path = format!("spec.appContainers[{index}].env[{position}]");
            if variable.merge == Some(EnvMerge::Append) {
                problems.add(format!("{path}.merge"), NOT_YET);
            } else if variable.separator.is_some() {
                problems.add(format!("{path}.separator"), "belongs to merge: Append");
            }
        }
    }
    for (field, value) in [
        ("sidecars", serde_json::to_value(&spec.sidecars)),
        ("volumes", serde_json::to_value(&spec.volumes)),
        ("appContainers", serde_json::to_value(&spec.app_containers)),
    ] {
        if let Ok(value) = value {
            refuse_expressions(&format!("spec.{field}"), &value, problems);
        }
    }
}

fn refuse_expressions(path: &str, value: &Value, problems: &mut Problems) {
    match value {
        Value::String(text) if text.contains("${") => problems.add(
            path,
            "expressions (${…}, and $${ for a literal one) are not supported yet; write the value itself",
        ),
        Value::Array(list) => {
            for (index, item) in list.iter().enumerate() {
                refuse_expressions(&format!("{path}[{index}]"), item, problems);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                refuse_expressions(&format!("{path}.{key}"), item, problems);
            }
        }
        _ => {}
    }
}
