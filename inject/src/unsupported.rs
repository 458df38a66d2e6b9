//! Fields that the schema has and this version does not carry out yet. They are refused: a field
//! that is accepted and ignored would promise what does not happen.

use crds::{PolicySpec, Rollout};
use serde_json::Value;

use crate::problem::Problems;

const NOT_YET: &str = "is not supported yet; leave it out";

/// Refuses what is not carried out yet.
pub(crate) fn refuse(spec: &PolicySpec, problems: &mut Problems) {
    let absent = [
        ("spec.matchConditions", spec.match_conditions.is_empty()),
        ("spec.parameters", spec.parameters.is_empty()),
        ("spec.revisionHistoryLimit", spec.revision_history_limit.is_none()),
        ("spec.rollout", spec.rollout.as_ref().is_none_or(|set| *set == Rollout::default())),
    ];
    for (path, absent) in absent {
        if !absent {
            problems.add(path, NOT_YET);
        }
    }
    for (field, value) in [
        ("sidecars", serde_json::to_value(&spec.sidecars)),
        ("volumes", serde_json::to_value(&spec.volumes)),
        ("files", serde_json::to_value(&spec.files)),
        ("appContainers", serde_json::to_value(&spec.app_containers)),
        ("pod", serde_json::to_value(&spec.pod)),
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
