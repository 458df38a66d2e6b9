//! Workloads that roll by a strategy of their own: what a rollout needs to know of them. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ApiResource;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::workload::{RollingUpdate, Strategy, WatchedWorkload, resource};

/// The kinds of workload that can roll.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum WorkloadKind {
    /// `apps/v1` Deployment.
    Deployment,
    /// `apps/v1` StatefulSet.
    StatefulSet,
    /// `apps/v1` DaemonSet.
    DaemonSet,
}

impl WorkloadKind {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    /// This kind, if it rolls.
    pub(crate) fn of(kind: inject::WorkloadKind) -> Option<Self> {
        Self::ALL.into_iter().find(|rolling| rolling.kind() == kind)
    }

    /// The kind among all.
    pub(crate) fn kind(self) -> inject::WorkloadKind {
        match self {
            Self::Deployment => inject::WorkloadKind::Deployment,
            Self::StatefulSet => inject::WorkloadKind::StatefulSet,
            Self::DaemonSet => inject::WorkloadKind::DaemonSet,
        }
    }

    /// The name of the kind.
    pub(crate) fn name(self) -> &'static str {
        self.kind().name()
    }

    /// The resource as the API server serves it.
    pub(crate) fn resource(self) -> ApiResource {
        resource(self.kind())
    }
}

/// Which workload. Shown as `Deployment shop/api`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct WorkloadId {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Its kind.
    pub(crate) kind: WorkloadKind,
}

impl fmt::Display for WorkloadId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// A restart that a rollout asked for, as the annotation `sidecarpolicy.dev/restarted-for` says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restarted {
    /// For which revision of the policy.
    pub(crate) revision: String,
    /// When.
    pub(crate) at: Timestamp,
    /// How often for this revision.
    pub(crate) times: u32,
}

/// A workload as a rollout sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Workload {
    /// `metadata.uid`.
    pub(crate) uid: String,
    /// It replaces pods by itself when its template changes.
    pub(crate) rolls: bool,
    /// It does not act on changes for now.
    pub(crate) paused: bool,
    /// It is replacing pods.
    pub(crate) is_rolling: bool,
    /// Most pods that it takes away at once.
    pub(crate) worst_case: i64,
    /// Why it makes no new pods, by its own word.
    pub(crate) problem: Option<String>,
    /// Policy -> the last restart for it.
    pub(crate) restarted: BTreeMap<String, Restarted>,
}

/// The workloads of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    known: HashMap<WorkloadId, Workload>,
}

impl Workloads {
    /// A workload was seen. Tells whether it differs from before.
    pub(crate) fn set(&mut self, id: WorkloadId, workload: Workload) -> bool {
        if self.known.get(&id) == Some(&workload) {
            return false;
        }
        self.known.insert(id, workload);
        true
    }

    /// A workload is gone.
    pub(crate) fn remove(&mut self, id: &WorkloadId) {
        self.known.remove(id);
    }

    /// Forgets the workloads of a kind that are not listed any more.
    pub(crate) fn retain(&mut self, kind: WorkloadKind, is_listed: impl Fn(&WorkloadId) -> bool) {
        self.known.retain(|id, _| id.kind != kind || is_listed(id));
    }

    /// A workload.
    pub(crate) fn get(&self, id: &WorkloadId) -> Option<&Workload> {
        self.known.get(id)
    }
}

impl Workload {
    /// Reads a workload.
    pub(crate) fn read(kind: WorkloadKind, object: &WatchedWorkload) -> Self {
        let WatchedWorkload { spec, status, .. } = object;
        let strategy = match kind {
            WorkloadKind::Deployment => &spec.strategy,
            _ => &spec.update_strategy,
        };
        let default = RollingUpdate::default();
        let update = strategy.rolling_update.as_ref().unwrap_or(&default);
        let replicas = spec.replicas.unwrap_or(1);
        let behind = object.metadata.generation.unwrap_or_default() > status.observed_generation;
        let (worst_case, is_rolling) = match kind {
            WorkloadKind::Deployment => (
                deployment_worst_case(strategy, update, replicas),
                status.updated_replicas < replicas || status.replicas > status.updated_replicas,
            ),
            WorkloadKind::StatefulSet => (
                amount(update.max_unavailable.as_ref(), 1, replicas, Rounding::Up),
                status.current_revision != status.update_revision
                    && status.updated_replicas < replicas - update.partition.unwrap_or(0),
            ),
            WorkloadKind::DaemonSet => {
                let desired = status.desired_number_scheduled;
                let worst_case = match &update.max_surge {
                    Some(surge) if amount(Some(surge), 0, desired, Rounding::Up) > 0 => 0,
                    _ => amount(update.max_unavailable.as_ref(), 1, desired, Rounding::Up),
                };
                (worst_case, status.updated_number_scheduled < desired)
            }
        };
        let problem = status.conditions.iter().find(|condition| {
            matches!(
                (condition.kind.as_str(), condition.status.as_str()),
                ("ReplicaFailure", "True") | ("Progressing", "False")
            )
        });
        Self {
            uid: object.metadata.uid.clone().unwrap_or_default(),
            rolls: strategy.kind.as_deref() != Some("OnDelete"),
            paused: spec.paused,
            is_rolling: behind || is_rolling,
            worst_case,
            problem: problem.map(|condition| condition.message.clone()),
            restarted: restarts(object),
        }
    }
}

/// The restarts that rollouts asked for.
pub(crate) fn restarts(object: &WatchedWorkload) -> BTreeMap<String, Restarted> {
    let annotations = object.template_metadata().and_then(|metadata| metadata.annotations.as_ref());
    let text = annotations.and_then(|all| all.get(crds::keys::RESTARTED_FOR));
    text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

fn deployment_worst_case(strategy: &Strategy, update: &RollingUpdate, replicas: i64) -> i64 {
    if strategy.kind.as_deref() == Some("Recreate") {
        return replicas;
    }
    let quarter = || IntOrString::String("25%".to_owned());
    let unavailable = update.max_unavailable.clone().unwrap_or_else(quarter);
    let surge = update.max_surge.clone().unwrap_or_else(quarter);
    let unavailable = amount(Some(&unavailable), 0, replicas, Rounding::Down);
    let surge = amount(Some(&surge), 0, replicas, Rounding::Up);
    // As the Deployment controller does, or nothing could ever be replaced.
    if unavailable == 0 && surge == 0 { 1 } else { unavailable }
}

#[derive(Clone, Copy)]
enum Rounding {
    Up,
    Down,
}

fn amount(value: Option<&IntOrString>, default: i64, of: i64, rounding: Rounding) -> i64 {
    let percent = match value {
        None => return default,
        Some(IntOrString::Int(count)) => return i64::from(*count),
        Some(IntOrString::String(text)) => text.strip_suffix('%').and_then(|p| p.parse().ok()),
    };
    let Some(percent): Option<i64> = percent else { return default };
    match rounding {
        Rounding::Up => (of * percent + 99) / 100,
        Rounding::Down => of * percent / 100,
    }
}

/// The patch that restarts a workload, which holds for the workload as it was read only.
pub(crate) fn restart(object: &WatchedWorkload, policy: &str, restarted: Restarted) -> Value {
    let mut restarts = restarts(object);
    restarts.insert(policy.to_owned(), restarted);
    serde_json::json!({
        "metadata": {
            "uid": object.metadata.uid,
            "resourceVersion": object.metadata.resource_version,
        },
        "spec": { "template": { "metadata": { "annotations": {
            crds::keys::RESTARTED_FOR: serde_json::to_string(&restarts).unwrap_or_default(),
        }}}},
    })
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn read(kind: WorkloadKind, spec: &Value, status: &Value) -> Workload {
        Workload::read(kind, &object(spec, status))
    }

    fn object(spec: &Value, status: &Value) -> WatchedWorkload {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Any",
            "metadata": { "name": "api", "namespace": "shop", "uid": "u", "generation": 3, "resourceVersion": "9" },
            "spec": spec, "status": status,
        }))
        .unwrap()
    }

    #[rstest]
    #[case(json!({ "replicas": 10 }), 2)]
    #[case(json!({ "replicas": 3 }), 0)]
    #[case(json!({ "replicas": 3, "strategy": { "type": "Recreate" } }), 3)]
    #[case(rolling(10, &json!(0), &json!(0)), 1)]
    #[case(rolling(10, &json!("30%"), &json!(1)), 3)]
    #[case(rolling(10, &json!(4), &json!("0%")), 4)]
    fn what_a_deployment_takes_away_at_once(#[case] spec: Value, #[case] expected: i64) {
        assert_eq!(read(WorkloadKind::Deployment, &spec, &json!({})).worst_case, expected);
    }

    fn rolling(replicas: i64, unavailable: &Value, surge: &Value) -> Value {
        json!({ "replicas": replicas, "strategy": { "type": "RollingUpdate", "rollingUpdate": {
            "maxUnavailable": unavailable, "maxSurge": surge,
        }}})
    }

    #[rstest]
    #[case(json!({}), 1)]
    #[case(json!({ "updateStrategy": { "rollingUpdate": { "maxUnavailable": "10%" } } }), 3)]
    #[case(json!({ "updateStrategy": { "rollingUpdate": { "maxSurge": 1 } } }), 0)]
    fn what_a_daemon_set_takes_away_at_once(#[case] spec: Value, #[case] expected: i64) {
        let status = json!({ "desiredNumberScheduled": 25 });
        assert_eq!(read(WorkloadKind::DaemonSet, &spec, &status).worst_case, expected);
    }

    #[rstest]
    #[case::not_seen_yet(WorkloadKind::Deployment, json!({ "observedGeneration": 2, "replicas": 2, "updatedReplicas": 2 }), true)]
    #[case::old_pods_left(WorkloadKind::Deployment, json!({ "observedGeneration": 3, "replicas": 3, "updatedReplicas": 2 }), true)]
    #[case::few_new_pods(WorkloadKind::Deployment, json!({ "observedGeneration": 3, "replicas": 1, "updatedReplicas": 1 }), true)]
    #[case::done(WorkloadKind::Deployment, json!({ "observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 0 }), false)]
    #[case::stateful(WorkloadKind::StatefulSet, json!({ "observedGeneration": 3, "currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1 }), true)]
    #[case::stateful_done(WorkloadKind::StatefulSet, json!({ "observedGeneration": 3, "currentRevision": "b", "updateRevision": "b" }), false)]
    #[case::daemons(WorkloadKind::DaemonSet, json!({ "observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 1 }), true)]
    #[case::daemons_done(WorkloadKind::DaemonSet, json!({ "observedGeneration": 3, "desiredNumberScheduled": 2, "updatedNumberScheduled": 2 }), false)]
    fn who_is_rolling(#[case] kind: WorkloadKind, #[case] status: Value, #[case] expected: bool) {
        assert_eq!(read(kind, &json!({ "replicas": 2 }), &status).is_rolling, expected);
    }

    #[test]
    fn a_partition_of_a_stateful_set_is_no_rolling() {
        let spec =
            json!({ "replicas": 3, "updateStrategy": { "rollingUpdate": { "partition": 2 } } });
        let status = json!({ "observedGeneration": 3, "currentRevision": "a", "updateRevision": "b", "updatedReplicas": 1 });
        assert!(!read(WorkloadKind::StatefulSet, &spec, &status).is_rolling);
    }

    #[test]
    fn on_delete_does_not_roll() {
        let spec = json!({ "updateStrategy": { "type": "OnDelete" } });
        assert!(!read(WorkloadKind::DaemonSet, &spec, &json!({})).rolls);
        assert!(read(WorkloadKind::StatefulSet, &json!({}), &json!({})).rolls);
    }

    #[test]
    fn a_quota_is_told_by_the_workload() {
        let conditions = json!({ "conditions": [
            { "type": "Available", "status": "True", "message": "fine" },
            { "type": "ReplicaFailure", "status": "True", "message": "exceeded quota" },
        ]});
        let found = read(WorkloadKind::Deployment, &json!({}), &conditions);
        assert_eq!(found.problem.as_deref(), Some("exceeded quota"));
    }

    #[test]
    fn a_restart_is_recorded_beside_those_of_other_policies() {
        let at = "2026-11-21T01:02:03Z".parse().unwrap();
        let mut object = object(&json!({}), &json!({}));
        for policy in ["shop/log", "cluster/mesh"] {
            let restarted = Restarted { revision: "r".to_owned(), at, times: 1 };
            let patch = restart(&object, policy, restarted);
            assert_eq!(patch["metadata"], json!({ "uid": "u", "resourceVersion": "9" }));
            object.spec = serde_json::from_value(patch["spec"].clone()).unwrap();
        }
        let workload = Workload::read(WorkloadKind::Deployment, &object);
        assert_eq!(workload.restarted.len(), 2);
        assert_eq!(workload.restarted["shop/log"].at, at);
    }
}
