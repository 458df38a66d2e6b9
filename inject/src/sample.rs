//! A pod made up for a policy, so that the API server can be asked what it thinks of what goes in.
//!
//! It has what the policy names, mounts and demands, and nothing that another policy, a quota or the
//! policy's own selectors could object to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crds::{
    Activation, ContainersIncluded, FailurePolicy, HostNetwork, Mode, OperatingSystem, Placement,
    PolicySpec, RelativePlacement, SidecarType,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::{Map, Value, json};

use crate::{
    Exclusions, Namespace, Pod, PolicyId, PolicySet, Reason, Request, Selector, compile,
    demands::Demands,
    inject,
    problem::Problems,
    validation::{self, Stage},
};

/// Image of the containers, which none ever runs.
const IMAGE: &str = "sample";
/// Value of every label and annotation that an expression reads: text, number and quantity at once.
const VALUE: &str = "1";
/// Namespace of the pod for a policy of the cluster kind.
const NAMESPACE: &str = "sample";

/// A pod that a policy goes into.
#[derive(Debug, PartialEq, Eq)]
pub struct Sample {
    /// The pod without the policy, as JSON.
    pub pod: String,
    /// The JSON patch that puts the policy in.
    pub patch: String,
}

/// Makes up a pod for a policy that compiles. The error says why none can be: what goes in depends on
/// more of a pod than can be made up.
pub fn sample(id: &PolicyId, spec: &PolicySpec) -> Result<Sample, String> {
    let policy =
        compile(id.clone(), "", 0, &for_every_pod(spec)).map_err(|error| error.to_string())?;
    let mut read = Keys::default();
    read.read_by(&json!([spec.sidecars, spec.volumes, spec.files, spec.app_containers, spec.pod]));
    let namespace = namespace(id, spec, &read);
    let mut annotations = read.of_annotations;
    annotations.extend(policy.parameters.samples()?);
    let pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": "sample-1-1",
            "generateName": "sample-1-",
            "namespace": namespace.name,
            "labels": labels(spec, read.of_labels),
            "annotations": annotations,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "sample-1", "controller": true,
            }],
        },
        "spec": pod_spec(spec),
    })
    .to_string();
    let mut policies = PolicySet::default();
    policies.insert(Arc::new(policy));
    let patch = patch(&pod, &namespace, &policies)?;
    Ok(Sample { pod, patch })
}

fn patch(text: &str, namespace: &Namespace, policies: &PolicySet) -> Result<String, String> {
    let pod: Pod<'_> = crate::read(text).map_err(|error| error.to_string())?;
    let exclusions = Exclusions::default();
    let request = Request { namespace, exclusions: &exclusions, requester_is_node: false, uid: "" };
    let outcome = inject(&pod, &request, policies);
    match outcome.decisions.first().map(|decision| &decision.reason) {
        Some(Reason::Injected) => {
            let mut patch = String::new();
            outcome.edits.write(&mut patch);
            Ok(patch)
        }
        Some(reason) => Err(reason.to_string()),
        None => Err("the policy reaches no pod".to_owned()),
    }
}

/// The policy as it would be if it reached every pod.
fn for_every_pod(spec: &PolicySpec) -> PolicySpec {
    PolicySpec {
        pod_selector: None,
        namespace_selector: None,
        match_conditions: Vec::new(),
        host_network: HostNetwork::Allow,
        activation: Activation::Automatic,
        mode: Mode::Enforce,
        failure_policy: FailurePolicy::Ignore,
        on_conflict: None,
        rollout: None,
        ..spec.clone()
    }
}

/// Without a Pod Security level: what the API server says of that is worth hearing.
fn namespace(id: &PolicyId, spec: &PolicySpec, read: &Keys) -> Namespace {
    let name = id.namespace.clone().unwrap_or_else(|| NAMESPACE.to_owned());
    let mut labels = read.of_labels.clone();
    labels.extend(selected(spec.namespace_selector.as_ref()));
    labels.retain(|key, _| !key.starts_with("pod-security.kubernetes.io/"));
    labels.insert("kubernetes.io/metadata.name".to_owned(), name.clone());
    Namespace { name, labels, annotations: BTreeMap::new() }
}

fn labels(spec: &PolicySpec, mut labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.insert("pod-template-hash".to_owned(), VALUE.to_owned());
    labels.extend(selected(spec.pod_selector.as_ref()));
    labels.retain(|key, value| validation::is_label_key(key) && validation::is_label_value(value));
    labels
}

/// Labels that a selector matches.
fn selected(selector: Option<&LabelSelector>) -> BTreeMap<String, String> {
    let selector = Selector::compile(selector, "", &mut Problems::default());
    selector.overlap(&Selector::default()).unwrap_or_default()
}

fn pod_spec(spec: &PolicySpec) -> Map<String, Value> {
    let mut pod = Map::new();
    let os = if spec.os == OperatingSystem::Windows { "windows" } else { "linux" };
    pod.insert("os".to_owned(), json!({ "name": os }));
    Demands::of(spec, Stage::Written).meet(&mut pod);
    let security_context = security_context(spec, pod["os"]["name"] == "windows");
    let container = |name: &String| container(name, &security_context);
    let names = Names::of(spec);
    let init: Vec<Value> = names.init.iter().map(container).collect();
    if !init.is_empty() {
        pod.insert("initContainers".to_owned(), init.into());
    }
    pod.insert("containers".to_owned(), names.ordinary.iter().map(container).collect());
    let volumes = missing_volumes(spec);
    if !volumes.is_empty() {
        pod.insert("volumes".to_owned(), volumes.into());
    }
    pod
}

fn container(name: &str, security_context: &Value) -> Value {
    let amounts = json!({ "cpu": "1", "memory": "1Gi" });
    json!({
        "name": name,
        "image": IMAGE,
        "resources": { "requests": amounts, "limits": amounts },
        "securityContext": security_context,
    })
}

/// Of the app's containers, so that Pod Security has nothing to say of them at any level, unless the
/// policy mounts in them what only privileged containers may have.
fn security_context(spec: &PolicySpec, windows: bool) -> Value {
    let mut mounts = spec.app_containers.iter().flat_map(|entry| &entry.volume_mounts);
    let to_node = json!("Bidirectional");
    if mounts.any(|mount| mount.get("mountPropagation") == Some(&to_node)) {
        json!({ "privileged": true })
    } else if windows {
        json!({ "runAsNonRoot": true })
    } else {
        json!({
            "allowPrivilegeEscalation": false,
            "runAsNonRoot": true,
            "capabilities": { "drop": ["ALL"] },
            "seccompProfile": { "type": "RuntimeDefault" },
        })
    }
}

/// Names of the app's containers.
#[derive(Default)]
struct Names {
    init: BTreeSet<String>,
    ordinary: BTreeSet<String>,
}

impl Names {
    /// Those that the policy names, and at least one.
    fn of(spec: &PolicySpec) -> Self {
        let own: BTreeSet<&str> =
            spec.sidecars.iter().map(|sidecar| sidecar.name.as_str()).collect();
        let mut names = Self::default();
        for sidecar in &spec.sidecars {
            if let Some(Placement::Relative(
                RelativePlacement::Before(target) | RelativePlacement::After(target),
            )) = &sidecar.placement
            {
                match sidecar.kind {
                    SidecarType::Container => names.ordinary.insert(target.clone()),
                    SidecarType::Sidecar | SidecarType::Init => names.init.insert(target.clone()),
                };
            }
            for from in [&sidecar.copy_from_app, &sidecar.resources_from_app].into_iter().flatten()
            {
                let meant = from.get("containers").and_then(Value::as_array);
                let meant = meant.into_iter().flatten().filter_map(Value::as_str);
                names.ordinary.extend(meant.map(matching));
            }
        }
        for entry in &spec.app_containers {
            let of_any = [matching("*")];
            let meant: Vec<String> = entry.containers.iter().map(|glob| matching(glob)).collect();
            let meant = if meant.is_empty() { of_any.into() } else { meant };
            match entry.include {
                ContainersIncluded::InitContainers => {
                    names.init.extend(meant.into_iter().map(|name| {
                        if entry.containers.is_empty() { format!("init-{name}") } else { name }
                    }));
                }
                ContainersIncluded::Containers | ContainersIncluded::All => {
                    names.ordinary.extend(meant);
                }
            }
        }
        names.ordinary.retain(|name| !own.contains(name.as_str()));
        names.init.retain(|name| !own.contains(name.as_str()) && !names.ordinary.contains(name));
        if names.ordinary.is_empty() {
            let name = (0..).map(|number| format!("app-{number}"));
            let mut free =
                name.filter(|name| !own.contains(name.as_str()) && !names.init.contains(name));
            names.ordinary.extend(free.next());
        }
        names
    }
}

/// A name that a glob matches.
fn matching(glob: &str) -> String {
    let name = glob.replace('*', "app");
    if validation::is_dns_label(&name) { name } else { glob.replace('*', "") }
}

/// Volumes that are mounted and that the policy does not bring.
fn missing_volumes(spec: &PolicySpec) -> Vec<Value> {
    let elements = |fields: &Map<String, Value>, list: &str| {
        fields.get(list).and_then(Value::as_array).cloned().unwrap_or_default()
    };
    let mut missing: BTreeMap<String, Value> = BTreeMap::new();
    let mut add = |name: Option<&Value>, source: Value| {
        let Some(name) = name.and_then(Value::as_str) else { return };
        let is_there = spec.volumes.iter().any(|volume| volume.name == name);
        if !is_there && !validation::has_expression(name) {
            missing.entry(name.to_owned()).or_insert(source);
        }
    };
    for sidecar in &spec.sidecars {
        for device in elements(&sidecar.container, "volumeDevices") {
            let claim = json!({ "persistentVolumeClaim": { "claimName": "sample" } });
            add(device.get("name"), claim);
        }
        for mount in elements(&sidecar.container, "volumeMounts") {
            add(mount.get("name"), json!({ "emptyDir": {} }));
        }
        for variable in elements(&sidecar.container, "env") {
            add(variable.pointer("/valueFrom/fileKeyRef/volumeName"), json!({ "emptyDir": {} }));
        }
    }
    for entry in &spec.app_containers {
        for mount in &entry.volume_mounts {
            add(mount.get("name"), json!({ "emptyDir": {} }));
        }
    }
    let named = |(name, mut volume): (String, Value)| {
        volume["name"] = name.into();
        volume
    };
    missing.into_iter().map(named).collect()
}

/// Labels and annotations that expressions name: each is there.
#[derive(Default)]
struct Keys {
    of_labels: BTreeMap<String, String>,
    of_annotations: BTreeMap<String, String>,
}

impl Keys {
    fn read_by(&mut self, value: &Value) {
        match value {
            Value::String(text) if text.contains("${") => {
                let labels = keys_after(text, "labels");
                self.of_labels.extend(labels.map(|key| (key.to_owned(), VALUE.to_owned())));
                let annotations = keys_after(text, "annotations");
                self.of_annotations
                    .extend(annotations.map(|key| (key.to_owned(), VALUE.to_owned())));
            }
            Value::Array(list) => list.iter().for_each(|element| self.read_by(element)),
            Value::Object(fields) => fields.values().for_each(|field| self.read_by(field)),
            _ => {}
        }
    }
}

/// The keys `k` of `map.k` and `map["k"]` in an expression.
fn keys_after<'t>(text: &'t str, map: &'t str) -> impl Iterator<Item = &'t str> {
    let after = text.match_indices(map).map(|(at, found)| text[at + found.len()..].trim_start());
    after.filter_map(|rest| {
        let (is_end, rest): (fn(char) -> bool, &str) = if let Some(rest) = rest.strip_prefix('.') {
            (|character| !(character.is_ascii_alphanumeric() || character == '_'), rest)
        } else {
            let rest = rest.strip_prefix('[')?.trim_start();
            (|character| matches!(character, '"' | '\''), rest.strip_prefix(['"', '\''])?)
        };
        let key = &rest[..rest.find(is_end)?];
        (!key.is_empty()).then_some(key)
    })
}
