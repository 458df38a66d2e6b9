//! From the parts of a policy's spec to what is written into a pod.

use crds::{EnvMerge, PlacementBlock, PodPatch, RelativePlacement, SidecarType};
use k8s_openapi::api::core::v1 as core;
use serde_json::{Map, Value};

use crate::{
    PolicyId,
    content::{
        AppContainers, AppField, FromApp, HostAlias, Mount, Placement, PodAdditions, Rendered,
        Resources, Sidecar, Variable, Volume, VolumeKind,
    },
    files,
    policy::ContainerList,
};

/// What stands between two values where a policy does not say.
const SEPARATOR: &str = " ";

/// The list that a sidecar stands in.
pub(crate) fn list(kind: SidecarType) -> ContainerList {
    match kind {
        SidecarType::Sidecar | SidecarType::Init => ContainerList::InitContainers,
        SidecarType::Container => ContainerList::Containers,
    }
}

/// A container that goes in. What has a wrong type is left out: the validation of the policy, which
/// comes first, reports it.
pub(crate) fn sidecar(sidecar: &crds::Sidecar) -> Sidecar {
    let container = &sidecar.container;
    let restarts_always = sidecar.kind == SidecarType::Sidecar;
    let mut fields = named(&sidecar.name, container);
    if restarts_always {
        fields.insert("restartPolicy".to_owned(), "Always".into());
    }
    let copy = read(sidecar.copy_from_app.as_ref());
    let resources = read(sidecar.resources_from_app.as_ref());
    let from_app = (copy.is_some() || resources.is_some()).then(|| FromApp {
        fields: fields.clone(),
        copy,
        resources,
    });
    let elements =
        |field: &str| container.get(field).and_then(Value::as_array).into_iter().flatten();
    let name = |found: Option<&Value>| found?.as_str().map(str::to_owned);
    let mounts = elements("volumeMounts").filter_map(|mount| name(mount.get("name")));
    let devices = elements("volumeDevices").filter_map(|device| name(device.get("name")));
    let files = elements("env")
        .filter_map(|variable| name(variable.pointer("/valueFrom/fileKeyRef/volumeName")));
    let volume_kinds: Vec<(String, VolumeKind)> = devices
        .map(|name| (name, VolumeKind::Claim))
        .chain(files.map(|name| (name, VolumeKind::EmptyDir)))
        .collect();
    Sidecar {
        name: sidecar.name.clone(),
        list: list(sidecar.kind),
        placement: placement(sidecar),
        restarts_always,
        image: text(container, "image"),
        mounted_volumes: mounts.chain(volume_kinds.iter().map(|(name, _)| name.clone())).collect(),
        volume_kinds,
        ports: read(container.get("ports")).unwrap_or_default(),
        resources: read::<Resources>(container.get("resources")).unwrap_or_default(),
        rendered: Rendered::new::<core::Container>(fields),
        from_app,
    }
}

/// Where a sidecar goes; by its type where the policy does not say.
pub(crate) fn placement(sidecar: &crds::Sidecar) -> Placement {
    match &sidecar.placement {
        Some(crds::Placement::Relative(RelativePlacement::Before(target))) => {
            Placement::Before(target.clone())
        }
        Some(crds::Placement::Relative(RelativePlacement::After(target))) => {
            Placement::After(target.clone())
        }
        Some(crds::Placement::Block(PlacementBlock::First)) => Placement::First,
        Some(crds::Placement::Block(PlacementBlock::Last)) => Placement::Last,
        // The first ordinary container is the one whose log people see by default.
        None => match sidecar.kind {
            SidecarType::Container => Placement::Last,
            SidecarType::Sidecar | SidecarType::Init => Placement::First,
        },
    }
}

/// A volume that goes in.
pub(crate) fn volume(volume: &crds::Volume) -> Volume {
    Volume {
        name: volume.name.clone(),
        rendered: Rendered::new::<core::Volume>(named(&volume.name, &volume.source)),
    }
}

/// What is added to the app's containers.
pub(crate) fn app_containers(app: &crds::AppContainers) -> AppContainers {
    let fields = [
        (AppField::LivenessProbe, app.liveness_probe.as_ref()),
        (AppField::ReadinessProbe, app.readiness_probe.as_ref()),
        (AppField::StartupProbe, app.startup_probe.as_ref()),
        (AppField::Lifecycle, app.lifecycle.as_ref()),
    ];
    let rendered = |field: AppField, fields: &Map<String, Value>| match field {
        AppField::Lifecycle => Rendered::new::<core::Lifecycle>(fields.clone()),
        _ => Rendered::new::<core::Probe>(fields.clone()),
    };
    AppContainers {
        names: app.containers.clone(),
        include: app.include,
        mounts: app.volume_mounts.iter().map(mount).collect(),
        env: app.env.iter().map(variable).collect(),
        env_from: app
            .env_from
            .iter()
            .map(|source| Rendered::new::<core::EnvFromSource>(source.clone()))
            .collect(),
        fields: fields
            .into_iter()
            .filter_map(|(field, value)| Some((field, rendered(field, value?))))
            .collect(),
    }
}

fn mount(mount: &Map<String, Value>) -> Mount {
    Mount {
        path: text(mount, "mountPath"),
        volume: text(mount, "name"),
        bidirectional: text(mount, "mountPropagation") == "Bidirectional",
        rendered: Rendered::new::<core::VolumeMount>(mount.clone()),
    }
}

fn variable(variable: &crds::AppEnv) -> Variable {
    let comes_from = variable.variable.get("valueFrom").is_some_and(|from| !from.is_null());
    let separator = variable.separator.clone().unwrap_or_else(|| SEPARATOR.to_owned());
    Variable {
        name: variable.name.clone(),
        value: (!comes_from).then(|| text(&variable.variable, "value")),
        separator: (variable.merge == Some(EnvMerge::Append)).then_some(separator),
        rendered: Rendered::new::<core::EnvVar>(named(&variable.name, &variable.variable)),
    }
}

/// What is added to the pod itself; `files` are the contents of the policy's files.
pub(crate) fn pod_additions(id: &PolicyId, pod: &PodPatch, files: &[String]) -> PodAdditions {
    let entries = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let files = files.iter().enumerate();
    let group = |name: &str| pod.security_context.as_ref().and_then(|context| context.get(name));
    PodAdditions {
        labels: entries(&pod.labels),
        annotations: entries(&pod.annotations),
        files: files
            .map(|(position, file)| (files::annotation(id, position), file.clone()))
            .collect(),
        image_pull_secrets: pod
            .image_pull_secrets
            .iter()
            .map(|secret| {
                let rendered = Rendered::new::<core::LocalObjectReference>(secret.clone());
                (text(secret, "name"), rendered)
            })
            .collect(),
        host_aliases: pod.host_aliases.iter().map(host_alias).collect(),
        shares_process_namespace: pod.share_process_namespace,
        grace_period: pod.termination_grace_period_seconds,
        fs_group: group("fsGroup").and_then(Value::as_i64),
        supplemental_groups: group("supplementalGroups")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_i64)
            .collect(),
    }
}

fn host_alias(alias: &Map<String, Value>) -> HostAlias {
    HostAlias {
        ip: text(alias, "ip"),
        hostnames: read(alias.get("hostnames")).unwrap_or_default(),
        fields: alias.clone(),
    }
}

/// The fields of an object with its name in front, where people look for it.
fn named(name: &str, fields: &Map<String, Value>) -> Map<String, Value> {
    let mut object = Map::with_capacity(fields.len() + 2);
    object.insert("name".to_owned(), name.into());
    object.extend(fields.iter().map(|(key, value)| (key.clone(), value.clone())));
    object
}

fn read<T: serde::de::DeserializeOwned>(value: Option<&Value>) -> Option<T> {
    serde_json::from_value(value?.clone()).ok()
}

fn text(fields: &Map<String, Value>, name: &str) -> String {
    fields.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}
