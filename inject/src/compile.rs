//! Turns the spec of a policy into what a request needs, or says everything that is wrong with it.

use crds::{
    ConflictAction, FailurePolicy, Mode, Placement, PlacementBlock, PolicySpec, SidecarType,
};
use k8s_openapi::api::core::v1 as core;
use serde_json::{Map, Value};

use crate::{
    Invalid, Policy, PolicyId, Selector,
    policy::{
        AppContainers, AppField, Block, ContainerList, Mount, Rendered, Sidecar, Variable, Volume,
    },
    problem::Problems,
    revision::revision,
    unsupported, validation,
};

/// Compiles a policy.
///
/// `uid` and `generation` are those of its metadata; `spec` is read and nothing else, so a policy
/// compiles alike in webhook, operator and command line.
pub fn compile(
    id: PolicyId,
    uid: &str,
    generation: i64,
    spec: &PolicySpec,
) -> Result<Policy, Invalid> {
    let mut problems = Problems::default();
    validation::policy_name(&id.name, &mut problems);
    unsupported::refuse(spec, &mut problems);
    let pod_selector =
        Selector::compile(spec.pod_selector.as_ref(), "spec.podSelector", &mut problems);
    let namespace_selector = namespace_selector(&id, spec, &mut problems);
    validation::sidecars(&spec.sidecars, &mut problems);
    validation::volumes(&spec.volumes, &mut problems);
    validation::app_containers(&spec.app_containers, &mut problems);
    if spec.sidecars.is_empty() && spec.volumes.is_empty() && spec.app_containers.is_empty() {
        problems
            .add("spec", "puts nothing in; name at least one of sidecars, volumes, appContainers");
    }
    let on_conflict = spec.on_conflict.unwrap_or(match spec.failure_policy {
        FailurePolicy::Fail => ConflictAction::Deny,
        FailurePolicy::Ignore => ConflictAction::Skip,
    });
    let enforced = spec.mode == Mode::Enforce;
    problems.or_ok(Policy {
        id,
        uid: uid.to_owned(),
        generation,
        revision: revision(spec),
        priority: spec.priority,
        enforced,
        failure_policy: spec.failure_policy,
        pod_selector,
        namespace_selector,
        activation: spec.activation,
        opt_out: spec.opt_out,
        operating_system: spec.os,
        host_network: spec.host_network,
        denies_conflicts: enforced && on_conflict == ConflictAction::Deny,
        sidecars: spec.sidecars.iter().map(sidecar).collect(),
        volumes: spec.volumes.iter().map(volume).collect(),
        app_containers: spec.app_containers.iter().map(app_containers).collect(),
    })
}

fn namespace_selector(id: &PolicyId, spec: &PolicySpec, problems: &mut Problems) -> Selector {
    let path = "spec.namespaceSelector";
    let selector = spec.namespace_selector.as_ref();
    if id.namespace.is_some() && selector.is_some() {
        problems.add(
            path,
            "belongs to ClusterSidecarPolicy; a SidecarPolicy reaches its own namespace",
        );
    }
    if id.namespace.is_none() && selector.is_none() && spec.failure_policy == FailurePolicy::Fail {
        problems.add(path, "is required with failurePolicy: Fail, so that a failure stays bounded");
    }
    Selector::compile(selector, path, problems)
}

fn sidecar(sidecar: &crds::Sidecar) -> Sidecar {
    let list = match sidecar.kind {
        SidecarType::Sidecar | SidecarType::Init => ContainerList::InitContainers,
        SidecarType::Container => ContainerList::Containers,
    };
    let block = match (&sidecar.placement, sidecar.kind) {
        (Some(Placement::Block(PlacementBlock::First)), _) => Block::First,
        (Some(Placement::Block(PlacementBlock::Last)), _) | (_, SidecarType::Container) => {
            Block::Last
        }
        _ => Block::First,
    };
    let restarts_always = sidecar.kind == SidecarType::Sidecar;
    let mut rendered = named(&sidecar.name, &sidecar.container);
    if restarts_always {
        rendered.insert("restartPolicy".to_owned(), "Always".into());
    }
    let used = ["volumeMounts", "volumeDevices"];
    let used = used.into_iter().filter_map(|field| sidecar.container.get(field)?.as_array());
    Sidecar {
        name: sidecar.name.clone(),
        list,
        block,
        restarts_always,
        image: text(&sidecar.container, "image"),
        mounted_volumes: used
            .flatten()
            .filter_map(|mount| mount.get("name")?.as_str().map(str::to_owned))
            .collect(),
        rendered: Rendered::new::<core::Container>(rendered),
    }
}

fn volume(volume: &crds::Volume) -> Volume {
    Volume {
        name: volume.name.clone(),
        rendered: Rendered::new::<core::Volume>(named(&volume.name, &volume.source)),
    }
}

fn app_containers(app: &crds::AppContainers) -> AppContainers {
    let json = |fields: &Map<String, Value>| Value::Object(fields.clone()).to_string();
    let fields = [
        (AppField::LivenessProbe, &app.liveness_probe),
        (AppField::ReadinessProbe, &app.readiness_probe),
        (AppField::StartupProbe, &app.startup_probe),
        (AppField::Lifecycle, &app.lifecycle),
    ];
    AppContainers {
        names: app.containers.clone(),
        include: app.include,
        mounts: app
            .volume_mounts
            .iter()
            .map(|mount| Mount {
                path: text(mount, "mountPath"),
                volume: text(mount, "name"),
                rendered: Rendered::new::<core::VolumeMount>(mount.clone()),
            })
            .collect(),
        env: app
            .env
            .iter()
            .map(|variable| Variable {
                name: variable.name.clone(),
                json: Value::Object(named(&variable.name, &variable.variable)).to_string(),
            })
            .collect(),
        env_from: app
            .env_from
            .iter()
            .map(|source| Rendered::new::<core::EnvFromSource>(source.clone()))
            .collect(),
        fields: fields
            .into_iter()
            .filter_map(|(field, value)| Some((field, json(value.as_ref()?))))
            .collect(),
    }
}

/// The fields of an object with its name in front, where people look for it.
fn named(name: &str, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut object = Map::with_capacity(fields.len() + 2);
    object.insert("name".to_owned(), name.into());
    object.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    object
}

fn text(fields: &Map<String, Value>, name: &str) -> String {
    fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
