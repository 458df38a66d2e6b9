//! What a rollout does next, by what is known. Without a cluster.

mod in_place;
mod partition;
mod progress;
mod repair;
mod restart;

use std::sync::Arc;

use inject::Place;
use serde_json::{Value, json};

use super::{
    super::{
        PlacedBy, RolloutPermissions, Settings, Workloads,
        difference::{ContainerChange, Difference, ResourceChange},
        memory::{Memory, Outcome},
    },
    *,
};
use crate::owner::{Owner, Uid};

const NOW: i64 = 1_000_000;
const LONG_AGO: i64 = NOW - 5000;

/// A pod that a test owns.
#[derive(Clone, Debug)]
struct Made {
    name: String,
    owner: Option<Owner>,
    state: State,
    available: bool,
    ending: bool,
    created: i64,
    changed: i64,
    is_windows: bool,
    placed_by: PlacedBy,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Current,
    Unready,
    Outdated,
    Missing,
    Skipped,
}

fn made(name: &str, state: State) -> Made {
    Made {
        name: name.to_owned(),
        owner: None,
        available: state != State::Unready,
        state,
        ending: false,
        created: LONG_AGO,
        changed: LONG_AGO,
        is_windows: false,
        placed_by: PlacedBy::Uid,
    }
}

fn owned(name: &str, state: State, kind: &str, owner: &str) -> Made {
    let group = if kind == "Job" { "batch/v1" } else { "apps/v1" };
    let deployment = (kind == "Deployment").then(|| owner.to_owned());
    let owner = Owner {
        api_version: group.to_owned(),
        kind: if kind == "Deployment" { "ReplicaSet" } else { kind }.to_owned(),
        name: owner.to_owned(),
        uid: format!("uid-of-{owner}"),
        deployment,
    };
    Made { owner: Some(owner), ..made(name, state) }
}

/// Pods `api-0` … of one Deployment.
fn deployed(deployment: &str, count: usize, state: State) -> Vec<Made> {
    let pod = |number| owned(&format!("{deployment}-{number}"), state, "Deployment", deployment);
    (0..count).map(pod).collect()
}

fn id(kind: WorkloadKind, name: &str) -> WorkloadId {
    WorkloadId { namespace: "shop".to_owned(), name: name.to_owned(), kind }
}

fn workload() -> Workload {
    Workload {
        uid: "uid".to_owned(),
        rolls: true,
        paused: false,
        is_rolling: false,
        worst_case: 1,
        problem: None,
        restarted: BTreeMap::new(),
    }
}

fn restarted(at: i64, times: u32) -> Workload {
    let restarted = Restarted {
        revision: "new".to_owned(),
        at: jiff::Timestamp::from_second(at).unwrap(),
        times,
    };
    Workload { restarted: [("shop/log".to_owned(), restarted)].into(), ..workload() }
}

struct World {
    rollout: Value,
    pods: Vec<Made>,
    workloads: Option<Workloads>,
    memory: Memory,
    serving: bool,
    stored: bool,
    permissions: RolloutPermissions,
    before: Option<(&'static str, &'static str)>,
    now: i64,
}

fn world(rollout: Value, pods: Vec<Made>) -> World {
    let mut memory = Memory::default();
    memory.aim("policy", "new", 1, NOW);
    World {
        rollout,
        pods,
        workloads: Some(Workloads::default()),
        memory,
        serving: true,
        stored: true,
        permissions: RolloutPermissions { in_place: true, restart: true },
        before: None,
        now: NOW,
    }
}

fn change() -> Arc<Difference> {
    Arc::new(Difference {
        containers: vec![ContainerChange {
            name: "shipper".to_owned(),
            list: "initContainers",
            image: Some("a:2".to_owned()),
            resources: None,
        }],
    })
}

impl World {
    fn with_workload(mut self, id: WorkloadId, workload: Workload) -> Self {
        self.workloads.get_or_insert_default().set(id, workload);
        self
    }

    fn with_difference(mut self, difference: Result<Arc<Difference>, String>) -> Self {
        let from = Subject::Revision("old".into());
        self.memory.end(from, "new", Outcome::Compared(difference), NOW);
        self
    }

    fn plan(&self) -> Plan {
        let old: Arc<str> = "old".into();
        let pods: Vec<RolloutPod<'_>> = self
            .pods
            .iter()
            .map(|made| RolloutPod {
                namespace: "shop",
                name: &made.name,
                uid: Uid::of(&made.name),
                placed_by: made.placed_by,
                owner: made.owner.as_ref(),
                state: match made.state {
                    State::Current => PodState::Current { ready: true },
                    State::Unready => PodState::Current { ready: false },
                    State::Outdated => PodState::Outdated { revision: &old },
                    State::Missing => PodState::Missing,
                    State::Skipped => PodState::Skipped,
                },
                available: made.available,
                ending: made.ending,
                created: made.created,
                changed: made.changed,
                is_windows: made.is_windows,
            })
            .collect();
        plan(&Facts {
            policy: "shop/log",
            uid: "policy",
            created: LONG_AGO + 1000,
            revision: "new",
            settings: &Settings::read(Some(&serde_json::from_value(self.rollout.clone()).unwrap())),
            serving: self.serving,
            stored: self.stored,
            before: self.before,
            permissions: self.permissions,
            pods: &pods,
            workloads: self.workloads.as_ref(),
            memory: &self.memory,
            now: self.now,
        })
    }

    /// What the steps are about: names of pods and workloads.
    fn steps(&self) -> Vec<String> {
        self.plan().steps.iter().map(describe).collect()
    }

    #[track_caller]
    fn assert_rests(&self, reason: &str, message: &str) {
        let plan = self.plan();
        assert_eq!(plan.steps, [], "{:?}", plan.progress);
        assert_eq!(plan.progress.reason, reason, "{:?}", plan.progress);
        assert!(plan.progress.message.contains(message), "{:?}", plan.progress);
    }
}

fn describe(step: &Step) -> String {
    match step {
        Step::Compare(from) => format!("compare {from}"),
        Step::ChangeInPlace { pod, .. } => format!("change {}", pod.name),
        Step::Restart { workload, .. } => format!("restart {}", workload.name),
        Step::Evict(pod) => format!("evict {}", pod.name),
    }
}

fn in_place() -> Value {
    json!({ "strategy": "InPlace" })
}

fn restart() -> Value {
    json!({ "strategy": "Restart" })
}

fn some(count: usize, state: State) -> Vec<Made> {
    (0..count).map(|number| made(&format!("pod-{number}"), state)).collect()
}

/// Three Deployments of ten pods, of which the last takes more away than the others.
fn three() -> World {
    let pods = ["a", "b", "c"].map(|name| deployed(name, 10, State::Outdated)).concat();
    let mut world = world(restart(), pods);
    for name in ["a", "b", "c"] {
        let worst_case = if name == "c" { 4 } else { 2 };
        let workload = Workload { worst_case, ..workload() };
        world = world.with_workload(id(WorkloadKind::Deployment, name), workload);
    }
    world
}
