//! Whether the pod template of a workload lacks what its owner wrote on the workload. Pure: `inject`
//! decides, as it does in the webhook.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
};

use inject::{Exclusions, Operation, PolicySet, Workload, WorkloadKind, carry, is_carried_key};
use k8s_openapi::api::core::v1::ObjectReference;
use serde_json::{Value, json};

use crate::workload::{WatchedWorkload, resource};

/// Which workload, of which making. Shown as `Deployment shop/api`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct WorkloadId {
    pub(super) kind: WorkloadKind,
    pub(super) namespace: String,
    pub(super) name: String,
    /// `metadata.uid`.
    pub(super) uid: String,
}

/// A workload whose annotations were not carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    pub(super) id: WorkloadId,
    /// Hash of what its owner asks for.
    pub(super) asked: u64,
    /// The version of the workload that it was seen in.
    pub(super) resource_version: String,
    /// Keys of the pod template that have to change; none if only the record does.
    pub(super) keys: Vec<String>,
    pub(super) remedy: Remedy,
}

/// What can be done about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// Having it carried.
    Carry,
    /// Nothing but telling: the template of a Job cannot change.
    Tell,
}

impl WorkloadId {
    pub(super) fn of(kind: WorkloadKind, workload: &WatchedWorkload) -> Self {
        let metadata = &workload.metadata;
        Self {
            kind,
            namespace: metadata.namespace.clone().unwrap_or_default(),
            name: metadata.name.clone().unwrap_or_default(),
            uid: metadata.uid.clone().unwrap_or_default(),
        }
    }

    /// The workload as events refer to it.
    pub(super) fn reference(&self) -> ObjectReference {
        let resource = resource(self.kind);
        ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            name: Some(self.name.clone()),
            namespace: Some(self.namespace.clone()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// What a workload lacks; `None` for one that is as it has to be, or is none of ours.
pub(super) fn missed(
    kind: WorkloadKind,
    workload: &WatchedWorkload,
    exclusions: &Exclusions,
) -> Option<Missed> {
    let metadata = &workload.metadata;
    let is_ours = |key: &str| is_carried_key(key) || key == crds::keys::CARRIED;
    if !metadata.annotations.iter().flatten().any(|(key, _)| is_ours(key)) {
        return None;
    }
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    let is_finished = kind == WorkloadKind::Job && has_finished(workload);
    if exclusions.contains(namespace) || metadata.deletion_timestamp.is_some() || is_finished {
        return None;
    }
    // Warnings are for who writes; the set of policies has no say in anything else.
    let (operation, policies) = match kind {
        WorkloadKind::Job => (Operation::Create, PolicySet::default()),
        _ => (Operation::Update(None), PolicySet::default()),
    };
    let text = in_short(kind, workload, is_ours).to_string();
    let read: Workload<'_> = inject::read(&text).ok()?;
    let carried = carry(kind, operation, &read, namespace, &policies);
    let remedy = match kind {
        WorkloadKind::Job if carried.keys.is_empty() => return None,
        WorkloadKind::Job => Remedy::Tell,
        _ if carried.edits.is_empty() => return None,
        _ => Remedy::Carry,
    };
    Some(Missed {
        id: WorkloadId::of(kind, workload),
        asked: asked(workload),
        resource_version: metadata.resource_version.clone().unwrap_or_default(),
        keys: carried.keys,
        remedy,
    })
}

fn asked(workload: &WatchedWorkload) -> u64 {
    let mut hasher = DefaultHasher::new();
    let annotations = workload.metadata.annotations.iter().flatten();
    for annotation in annotations.filter(|(key, _)| is_carried_key(key)) {
        annotation.hash(&mut hasher);
    }
    hasher.finish()
}

fn has_finished(job: &WatchedWorkload) -> bool {
    job.status.conditions.iter().any(|condition| {
        matches!(condition.kind.as_str(), "Complete" | "Failed") && condition.status == "True"
    })
}

/// The workload as far as `carry` reads it.
fn in_short(
    kind: WorkloadKind,
    workload: &WatchedWorkload,
    is_ours: impl Fn(&str) -> bool,
) -> Value {
    let ours = |all: &Option<BTreeMap<String, String>>| {
        all.as_ref().map(|all| {
            let ours = all.iter().filter(|(key, _)| is_ours(key));
            ours.map(|(key, value)| (key.clone(), value.clone())).collect::<BTreeMap<_, _>>()
        })
    };
    let template = match workload.template_metadata() {
        Some(metadata) => json!({ "metadata": { "annotations": ours(&metadata.annotations) } }),
        None => json!({}),
    };
    let spec = match kind {
        WorkloadKind::CronJob => json!({ "jobTemplate": { "spec": { "template": template } } }),
        _ => json!({ "template": template }),
    };
    json!({
        "metadata": {
            "annotations": ours(&workload.metadata.annotations),
            "ownerReferences": workload.metadata.owner_references,
        },
        "spec": spec,
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const INJECT: &str = "sidecarpolicy.dev/inject";

    fn object(annotations: &Value, template: &Value) -> Value {
        json!({
            "metadata": {
                "name": "api", "namespace": "shop", "uid": "u", "resourceVersion": "9",
                "annotations": annotations,
            },
            "spec": { "replicas": 2, "template": { "metadata": template, "spec": {} } },
        })
    }

    fn seen(kind: WorkloadKind, object: &Value) -> Option<Missed> {
        let workload = serde_json::from_value(object.clone()).unwrap();
        missed(kind, &workload, &Exclusions::new("own", &["lab".to_owned()]))
    }

    /// The object as the webhook leaves it when it is asked once more.
    fn mended(kind: WorkloadKind, object: &Value) -> Value {
        assert_eq!(seen(kind, object).unwrap().remedy, Remedy::Carry);
        let text = object.to_string();
        let read: Workload<'_> = inject::read(&text).unwrap();
        let operation = Operation::Update(None);
        let mut patch = String::new();
        carry(kind, operation, &read, "shop", &PolicySet::default()).edits.write(&mut patch);
        let mut mended = object.clone();
        let patch: json_patch::Patch = serde_json::from_str(&patch).unwrap();
        json_patch::patch(&mut mended, &patch).unwrap();
        mended
    }

    #[rstest]
    #[case::no_metadata(Value::Null)]
    #[case::empty_metadata(json!({}))]
    #[case::no_annotations(json!({ "labels": { "app": "api" } }))]
    #[case::annotations_of_others(json!({ "annotations": { "example.com/owner": "me" } }))]
    #[case::old_value(json!({ "annotations": { "example.com/owner": "me", INJECT: "old" } }))]
    fn what_was_missed_is_mended_once_for_all(#[case] template: Value) {
        let record = json!({ INJECT: "old" }).to_string();
        let annotations =
            json!({ INJECT: "log", "example.com/a": "b", "sidecarpolicy.dev/carried": record });
        let mut object = object(&annotations, &template);
        if template.is_null() {
            object["spec"]["template"].as_object_mut().unwrap().remove("metadata");
        }
        let mended = mended(WorkloadKind::Deployment, &object);
        let annotations = &mended["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations[INJECT], "log");
        assert_eq!(annotations["example.com/owner"], template["annotations"]["example.com/owner"]);
        assert_eq!(mended["metadata"]["annotations"]["example.com/a"], "b");
        assert_eq!(mended["spec"]["replicas"], 2);
        assert_eq!(seen(WorkloadKind::Deployment, &mended), None, "there is nothing left to do");
    }

    #[test]
    fn what_was_taken_away_is_taken_out() {
        let record = json!({ INJECT: "log" }).to_string();
        let annotations = json!({ "sidecarpolicy.dev/carried": record });
        let object = object(&annotations, &json!({ "annotations": { INJECT: "log" } }));
        assert_eq!(seen(WorkloadKind::StatefulSet, &object).unwrap().keys, [INJECT]);
        let mended = mended(WorkloadKind::StatefulSet, &object);
        assert_eq!(mended["spec"]["template"]["metadata"]["annotations"], json!({}));
        assert_eq!(mended["metadata"]["annotations"], json!({}));
    }

    #[test]
    fn a_cron_job_is_mended_in_the_template_of_its_jobs() {
        let mut object = object(&json!({ INJECT: "log" }), &json!({}));
        let template = object["spec"]["template"].take();
        object["spec"] = json!({ "jobTemplate": { "spec": { "template": template } } });
        let mended = mended(WorkloadKind::CronJob, &object);
        let template = &mended["spec"]["jobTemplate"]["spec"]["template"];
        assert_eq!(template["metadata"]["annotations"], json!({ INJECT: "log" }));
        assert_eq!(seen(WorkloadKind::CronJob, &mended), None);
    }

    #[rstest]
    #[case::nothing_of_ours("/metadata/annotations", json!({ "example.com/a": "b" }))]
    #[case::excluded("/metadata/namespace", json!("kube-system"))]
    #[case::excluded_by_the_chart("/metadata/namespace", json!("lab"))]
    #[case::of_a_controller("/metadata/ownerReferences", json!([{
        "apiVersion": "apps/v1", "kind": "Deployment", "name": "api", "uid": "o", "controller": true,
    }]))]
    #[case::on_its_way_out("/metadata/deletionTimestamp", json!("2026-11-21T01:02:03Z"))]
    #[case::an_own_value_in_the_template("/spec/template/metadata/annotations", json!({ INJECT: "mine" }))]
    fn what_is_none_of_ours_is_left_alone(#[case] pointer: &str, #[case] value: Value) {
        let mut object = object(&json!({ INJECT: "log" }), &json!({}));
        assert!(seen(WorkloadKind::ReplicaSet, &object).is_some());
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[field] = value;
        assert_eq!(seen(WorkloadKind::ReplicaSet, &object), None);
    }

    #[test]
    fn of_a_job_it_is_told_until_the_job_is_over() {
        let mut object = object(&json!({ INJECT: "log" }), &json!({}));
        assert_eq!(seen(WorkloadKind::Job, &object).unwrap().remedy, Remedy::Tell);
        object["status"] = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
        assert_eq!(seen(WorkloadKind::Job, &object), None);
    }
}
