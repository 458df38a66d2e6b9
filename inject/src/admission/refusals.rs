//! What a `MutatingAdmissionPolicy` cannot do, or would do otherwise: every field of it, and why.

use crds::{EnvMerge, Mode, OperatingSystem, PolicySpec, Rollout, RolloutStrategy, SidecarType};
use serde_json::{Map, Value};

use crate::{
    Exclusions, Policy,
    content::{AppContainers, Placement, Sidecar},
    merge::{names_match, trimmed},
    policy::ContainerList,
    problem::Problems,
    validation::{has_expression, unknown_fields},
};

/// Stands for any characters in the names of containers.
const GLOB: char = '*';
/// Integers above this are not exact in the API server's patches.
const LARGEST_EXACT: i64 = 1 << 53;

pub(super) fn find(
    policy: &Policy,
    spec: &PolicySpec,
    exclusions: &Exclusions,
    problems: &mut Problems,
) {
    if let Some(namespace) = &policy.id.namespace
        && exclusions.contains(namespace)
    {
        problems.add("metadata.namespace", format!("no policy reaches the namespace {namespace}"));
    }
    if spec.mode == Mode::Audit {
        problems
            .add("spec.mode", "Audit reports what would happen; the API server has no such mode");
    }
    if spec.os != OperatingSystem::Linux {
        problems.add("spec.os", "has to be Linux: what Windows pods demand is not expressed");
    }
    if !spec.parameters.is_empty() {
        problems.add(
            "spec.parameters",
            "are values of annotations, which the API server cannot check by their types; write the values into the policy",
        );
    }
    if !spec.files.is_empty() {
        problems.add(
            "spec.files",
            "are kept up to date by the webhook; use a volume with a ConfigMap of the namespace",
        );
    }
    if let Some(rollout) = &spec.rollout {
        find_in_rollout(rollout, problems);
    }
    for path in unknown_fields(spec) {
        problems.add(path, "is not known to this version, so that it cannot be compared");
    }
    find_in_sidecars(spec, problems);
    find_in_app_containers(spec, problems);
    if spec.pod.as_ref().is_some_and(|pod| !pod.host_aliases.is_empty()) {
        problems.add(
            "spec.pod.hostAliases",
            "are joined with those of the app, which is not expressed",
        );
    }
    find_values(spec, problems);
    // Where an expression decides, it is refused already.
    if policy.body.is_constant() {
        find_same_additions(policy, problems);
        find_targets(policy, problems);
    }
}

fn find_in_rollout(rollout: &Rollout, problems: &mut Problems) {
    let why = "the API server changes pods only when they are created";
    if rollout.strategy != RolloutStrategy::OnRecreate {
        problems.add("spec.rollout.strategy", why);
    }
    if rollout.repair {
        problems.add("spec.rollout.repair", why);
    }
    let none = |partition: &Value| *partition == 0 || *partition == "0%" || *partition == "0";
    if rollout.partition.as_ref().is_some_and(|partition| !none(partition)) {
        let why = "an earlier revision is known to the webhook only";
        problems.add("spec.rollout.partition", why);
    }
}

fn find_in_sidecars(spec: &PolicySpec, problems: &mut Problems) {
    for (index, sidecar) in spec.sidecars.iter().enumerate() {
        let path = format!("spec.sidecars[{index}]");
        let from_app = [
            ("copyFromApp", sidecar.copy_from_app.is_some()),
            ("resourcesFromApp", sidecar.resources_from_app.is_some()),
        ];
        for (field, _) in from_app.into_iter().filter(|(_, is_set)| *is_set) {
            let why = "is worked out from several containers of the pod, which CEL cannot do";
            problems.add(format!("{path}.{field}"), why);
        }
        let ports = sidecar.container.get("ports").and_then(Value::as_array);
        for (position, port) in ports.into_iter().flatten().enumerate() {
            if port.get("hostPort").and_then(Value::as_i64).is_some_and(|port| port != 0) {
                let path = format!("{path}.ports[{position}].hostPort");
                problems.add(
                    path,
                    "is compared with the ports of other containers by the webhook only",
                );
            }
        }
        if sidecar.kind == SidecarType::Container
            && ports.is_some_and(|ports| !ports.is_empty())
            && spec.host_network == crds::HostNetwork::Allow
        {
            problems.add(
                format!("{path}.ports"),
                "of an ordinary container may be taken on the host network; set spec.hostNetwork to Deny",
            );
        }
    }
}

fn find_in_app_containers(spec: &PolicySpec, problems: &mut Problems) {
    for (index, entry) in spec.app_containers.iter().enumerate() {
        let path = format!("spec.appContainers[{index}]");
        for (position, variable) in entry.env.iter().enumerate() {
            if variable.merge == Some(EnvMerge::Append) {
                let path = format!("{path}.env[{position}].merge");
                problems.add(path, "Append changes a value of the app's, which is not expressed");
            }
        }
        for (position, mount) in entry.volume_mounts.iter().enumerate() {
            if mount.get("mountPropagation").is_some_and(|kind| kind == "Bidirectional") {
                let path = format!("{path}.volumeMounts[{position}].mountPropagation");
                problems.add(
                    path,
                    "Bidirectional is for privileged containers, which is not looked at",
                );
            }
        }
        let lifecycle = entry.lifecycle.iter().flatten();
        for (hook, action) in lifecycle {
            if hook == "stopSignal" || action.get("sleep").is_some() {
                let path = format!("{path}.lifecycle.{hook}");
                problems.add(path, "demands something of the pod that is not expressed");
            }
        }
    }
}

/// Looks for expressions, and for numbers that the API server's patches would change.
fn find_values(spec: &PolicySpec, problems: &mut Problems) {
    let Ok(Value::Object(fields)) = serde_json::to_value(spec) else { return };
    let content = ["sidecars", "volumes", "appContainers", "pod"];
    for (field, value) in fields.iter().filter(|(field, _)| content.contains(&field.as_str())) {
        find_in_value(value, &format!("spec.{field}"), problems);
    }
}

fn find_in_value(value: &Value, path: &str, problems: &mut Problems) {
    match value {
        Value::String(text) if has_expression(text) => problems.add(
            path,
            format!("{text:?} has an expression, whose value is put in by the webhook only"),
        ),
        Value::Number(number)
            if number.as_i64().is_none_or(|number| number.abs() > LARGEST_EXACT)
                && !number.is_f64() =>
        {
            problems.add(path, format!("{number} is too large a number for a patch in CEL"));
        }
        Value::Array(list) => {
            for (index, element) in list.iter().enumerate() {
                find_in_value(element, &format!("{path}[{index}]"), problems);
            }
        }
        Value::Object(map) => {
            for (key, element) in map {
                find_in_value(element, &format!("{path}.{key}"), problems);
            }
        }
        _ => {}
    }
}

/// Two entries that add the same to one container: how they meet depends on the container.
fn find_same_additions(policy: &Policy, problems: &mut Problems) {
    let entries = &policy.body.constant().app_containers;
    for (index, entry) in entries.iter().enumerate() {
        let others = entries.iter().take(index).filter(|other| may_mean_one(entry, other));
        for other in others {
            if let Some(what) = same_addition(entry, other) {
                problems.add(
                    format!("spec.appContainers[{index}]"),
                    format!("{what} is in an earlier entry too; name the containers of each, or write one entry"),
                );
            }
        }
    }
}

/// Whether a container of the app's may be meant by both.
fn may_mean_one(entry: &AppContainers, other: &AppContainers) -> bool {
    use crds::ContainersIncluded::{Containers, InitContainers};
    let lists = [entry.include, other.include];
    if lists == [Containers, InitContainers] || lists == [InitContainers, Containers] {
        return false;
    }
    let named = |entry: &AppContainers, other: &AppContainers| {
        let exact = !entry.names.is_empty() && entry.names.iter().all(|name| !name.contains(GLOB));
        exact.then(|| entry.names.iter().any(|name| names_match(&other.names, name)))
    };
    named(entry, other).or_else(|| named(other, entry)).unwrap_or(true)
}

fn same_addition(entry: &AppContainers, other: &AppContainers) -> Option<String> {
    let mount = entry.mounts.iter().find(|mount| {
        other.mounts.iter().any(|found| trimmed(&found.path) == trimmed(&mount.path))
    });
    let variable =
        entry.env.iter().find(|env| other.env.iter().any(|found| found.name == env.name));
    let field =
        entry.fields.iter().find(|(field, _)| other.fields.iter().any(|(found, _)| found == field));
    let source = entry
        .env_from
        .iter()
        .find(|source| other.env_from.iter().any(|found| source.equals(found)));
    mount
        .map(|mount| format!("the mount at {}", mount.path))
        .or_else(|| variable.map(|variable| format!("the variable {}", variable.name)))
        .or_else(|| field.map(|(field, _)| field.name().to_owned()))
        .or_else(|| source.map(|_| "a source of variables".to_owned()))
}

/// Places beside several containers of the app's: their order among one another is the pod's.
fn find_targets(policy: &Policy, problems: &mut Problems) {
    let sidecars = &policy.body.constant().sidecars;
    for list in [ContainerList::InitContainers, ContainerList::Containers] {
        let mut first: Option<&str> = None;
        for (index, sidecar) in sidecars.iter().enumerate() {
            let Some(target) = app_target(sidecar, sidecars.iter().map(|found| &**found)) else {
                continue;
            };
            if sidecar.list != list {
                continue;
            }
            match first {
                Some(first) if first != target => problems.add(
                    format!("spec.sidecars[{index}].placement"),
                    format!("stands beside {target:?}, and another beside {first:?}; only one container of the app's can be named"),
                ),
                _ => first = Some(target),
            }
        }
    }
}

/// The container of the app's beside which a sidecar goes.
pub(super) fn app_target<'s>(
    sidecar: &'s Sidecar,
    mut ours: impl Iterator<Item = &'s Sidecar>,
) -> Option<&'s str> {
    match &sidecar.placement {
        Placement::First | Placement::Last => None,
        Placement::Before(target) | Placement::After(target) => {
            let is_ours = ours.any(|other| other.list == sidecar.list && other.name == *target);
            (!is_ours).then_some(target.as_str())
        }
    }
}

/// The fields of a rendered part.
pub(super) fn fields(json: &str) -> Map<String, Value> {
    serde_json::from_str(json).unwrap_or_default()
}
