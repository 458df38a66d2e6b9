//! The objects of the corpus, and the pods that their controllers make of them.

use std::{fs, path::Path, sync::Arc};

use inject::{Operation, Policy, PolicySet, Workload, WorkloadKind, carry};
use serde_json::{Value, json};

use crate::patch_laws::document::Document;

/// A file of the corpus.
pub(crate) struct Object {
    /// Folder and file, without the extension.
    pub(crate) name: String,
    /// The object as JSON: as it stands in a JSON file, else made of the YAML.
    text: String,
}

/// A workload with the annotations carried into its template.
pub(crate) struct CarriedWorkload {
    /// What its author is told.
    pub(crate) warnings: Vec<String>,
    /// Whether anything was carried.
    pub(crate) changed: bool,
    /// The workload afterwards.
    pub(crate) object: Document,
}

/// Something of an object that the webhook sees.
pub(crate) enum Part {
    /// A pod, as JSON.
    Pod(String),
    /// A workload, and the pod that its controller makes of it, as JSON.
    Workload(CarriedWorkload, String),
    /// Nothing that the webhook sees.
    Other,
}

/// Every object, by name.
pub(crate) fn read() -> Vec<Object> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut objects = Vec::new();
    for folder in ["pods", "workloads", "refused"] {
        for entry in fs::read_dir(corpus.join(folder)).expect("a folder of the corpus") {
            let path = entry.unwrap().path();
            let mut text = fs::read_to_string(&path).unwrap();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                let value: Value = serde_saphyr::from_str(&text)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                text = value.to_string();
            }
            let stem = path.file_stem().unwrap().to_str().unwrap();
            objects.push(Object { name: format!("{folder}/{stem}"), text });
        }
    }
    objects.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    objects
}

impl Object {
    /// Whether an API server would accept it.
    pub(crate) fn is_valid(&self) -> bool {
        !self.name.starts_with("refused/")
    }

    /// What the webhook sees of it.
    pub(crate) fn parts(&self, policies: &[Arc<Policy>]) -> Vec<Part> {
        // A pod is taken as it is written: a value does not keep every literal, nor any depth.
        let object = match serde_json::from_str::<Value>(&self.text) {
            Ok(object) if object["kind"] != "Pod" => object,
            _ => return vec![Part::Pod(self.text.clone())],
        };
        match object["items"].as_array() {
            Some(items) => items.iter().map(|item| part(item, policies)).collect(),
            None => vec![part(&object, policies)],
        }
    }

    /// The pods among them, as JSON.
    pub(crate) fn pods(&self, policies: &[Arc<Policy>]) -> Vec<String> {
        let pods = self.parts(policies).into_iter().filter_map(|part| match part {
            Part::Pod(pod) | Part::Workload(_, pod) => Some(pod),
            Part::Other => None,
        });
        pods.collect()
    }
}

fn part(object: &Value, policies: &[Arc<Policy>]) -> Part {
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind == "Pod" {
        return Part::Pod(object.to_string());
    }
    if object.pointer(&template_pointer(kind)).is_none() {
        return Part::Other;
    }
    let carried = carried(kind, object, policies);
    let workload = serde_json::from_str(&carried.object.to_string()).unwrap();
    let pod = pod_of(kind, &workload);
    Part::Workload(carried, pod.to_string())
}

fn carried(kind: &str, object: &Value, policies: &[Arc<Policy>]) -> CarriedWorkload {
    let text = object.to_string();
    let mut document = Document::parse(&text).unwrap();
    let Some(workload_kind) = WorkloadKind::parse(kind) else {
        return CarriedWorkload { warnings: Vec::new(), changed: false, object: document };
    };
    let mut set = PolicySet::default();
    for policy in policies {
        set.insert(Arc::clone(policy));
    }
    let call = |text: &str| {
        let workload: Workload<'_> = serde_json::from_str(text).unwrap();
        let carried = carry(workload_kind, Operation::Create, &workload, "shop", &set);
        let mut patch = String::new();
        carried.edits.write(&mut patch);
        (patch, carried.warnings)
    };
    let (patch, warnings) = call(&text);
    let mut patched: Value = object.clone();
    let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
    json_patch::patch(&mut patched, &operations).unwrap();
    let (again, _) = call(&patched.to_string());
    assert_eq!(again, "[]", "carrying twice is carrying once: {patch}");
    if patch != "[]" {
        document = Document::parse(&patched.to_string()).unwrap();
    }
    CarriedWorkload { warnings, changed: patch != "[]", object: document }
}

fn template_pointer(kind: &str) -> String {
    let folder = if kind == "CronJob" { "/spec/jobTemplate/spec" } else { "/spec" };
    format!("{folder}/template")
}

/// The pod that the controller of a workload creates.
fn pod_of(kind: &str, workload: &Value) -> Value {
    let template = workload.pointer(&template_pointer(kind)).expect("a workload has a template");
    let metadata = &workload["metadata"];
    let given = metadata["name"].as_str().or(metadata["generateName"].as_str()).unwrap_or_default();
    let mut owner_kind = kind;
    let mut owner = given.to_owned();
    let mut labels = template["metadata"]["labels"].clone();
    match kind {
        "Deployment" => {
            owner_kind = "ReplicaSet";
            owner = format!("{given}-6b8f9c5d4f");
            labels["pod-template-hash"] = json!("6b8f9c5d4f");
        }
        "CronJob" => {
            owner_kind = "Job";
            owner = format!("{given}-29384775");
        }
        "Job" if metadata["name"].is_null() => owner = format!("{given}x7k2p"),
        _ => {}
    }
    if owner_kind == "Job" {
        labels["batch.kubernetes.io/job-name"] = json!(owner);
    }
    let api_version = match owner_kind {
        "Job" => "batch/v1",
        "ReplicationController" => "v1",
        _ => "apps/v1",
    };
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {
        "labels": labels,
        "ownerReferences": [{"apiVersion": api_version, "kind": owner_kind, "name": owner,
            "uid": "2f6b1c6e-8a55-4a1e-9c76-5d1a3f9b7e21", "controller": true, "blockOwnerDeletion": true}],
    }, "spec": template["spec"]});
    if kind == "StatefulSet" {
        pod["metadata"]["name"] = json!(format!("{owner}-0"));
        let claims = workload["spec"]["volumeClaimTemplates"].as_array().into_iter().flatten();
        for claim in claims {
            let name = &claim["metadata"]["name"];
            let claim = format!("{}-{owner}-0", name.as_str().unwrap());
            let volume = json!({"name": name, "persistentVolumeClaim": {"claimName": claim}});
            match pod["spec"]["volumes"].as_array_mut() {
                Some(volumes) => volumes.push(volume),
                None => pod["spec"]["volumes"] = json!([volume]),
            }
        }
    } else {
        pod["metadata"]["generateName"] = json!(format!("{owner}-"));
    }
    if !template["metadata"]["annotations"].is_null() {
        pod["metadata"]["annotations"] = template["metadata"]["annotations"].clone();
    }
    pod
}
