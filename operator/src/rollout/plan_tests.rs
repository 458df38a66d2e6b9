//! What a rollout does next, by what is known. Without a cluster.

use std::sync::Arc;

use inject::Place;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::{
    super::{
        PlacedBy, RolloutPermissions, Settings, Workloads,
        difference::{ContainerChange, Difference},
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

// ---- InPlace

#[test]
fn first_the_revisions_are_compared() {
    let mut world = world(in_place(), some(20, State::Outdated));
    assert_eq!(world.steps(), ["compare old"]);
    world.stored = false;
    world.assert_rests("RollingOut", "until the revision is stored");
}

#[test]
fn as_many_pods_change_as_may_be_unavailable() {
    let changing = world(in_place(), some(20, State::Outdated)).with_difference(Ok(change()));
    assert_eq!(changing.steps(), ["change pod-0", "change pod-1"]);
    assert_eq!(changing.plan().progress.reason, "RollingOut");
    let wide = json!({ "strategy": "InPlace", "maxUnavailable": 3 });
    let wide = world(wide, some(20, State::Outdated)).with_difference(Ok(change()));
    assert_eq!(wide.steps().len(), 3);
}

#[test]
fn whatever_is_unavailable_takes_room() {
    let mut pods = some(20, State::Outdated);
    pods[5].state = State::Unready;
    pods[5].available = false;
    pods[5].changed = NOW;
    let mut world = world(in_place(), pods).with_difference(Ok(change()));
    assert_eq!(world.steps(), ["change pod-0"]);
    world.memory.begin(Subject::Pod(Uid::of("pod-7")));
    let plan = world.plan();
    assert_eq!(plan.steps, []);
    assert!(plan.progress.message.contains("shop/pod-5, shop/pod-7"), "{:?}", plan.progress);
}

#[test]
fn pods_that_are_down_change_first_and_take_no_room() {
    let mut pods = some(20, State::Outdated);
    for pod in &mut pods[10..15] {
        pod.available = false;
    }
    let world = world(in_place(), pods).with_difference(Ok(change()));
    let expected: Vec<String> = (10..15).map(|number| format!("change pod-{number}")).collect();
    assert_eq!(world.steps(), expected, "a revision that mends must go in");
    let mut many = some(100, State::Outdated);
    many[99].available = false;
    let wide = json!({ "strategy": "InPlace", "maxUnavailable": "100%" });
    let steps = self::world(wide, many).with_difference(Ok(change())).steps();
    assert_eq!((steps.len(), steps[0].as_str()), (STEPS, "change pod-99"));
}

#[test]
fn a_pod_that_waits_for_its_node_keeps_its_room() {
    let mut world = world(in_place(), some(10, State::Outdated)).with_difference(Ok(change()));
    let waits = Outcome::Waits("the node defers its resize".to_owned());
    world.memory.end(Subject::Pod(Uid::of("pod-0")), "new", waits, NOW);
    assert_eq!(world.steps(), Vec::<String>::new());
    world.now += 2;
    assert_eq!(world.steps(), ["change pod-0"], "it is asked again");
}

#[rstest]
#[case::wait("Wait", &[])]
#[case::restart("Restart", &["restart api"])]
fn what_cannot_change_in_place_falls_back(#[case] fallback: &str, #[case] steps: &[&str]) {
    let rollout = json!({ "strategy": "InPlace", "fallback": fallback });
    let world = world(rollout, deployed("api", 3, State::Outdated))
        .with_difference(Err("spec.volumes changed".to_owned()))
        .with_workload(id(WorkloadKind::Deployment, "api"), workload());
    assert_eq!(world.steps(), steps);
    if steps.is_empty() {
        world.assert_rests("Waiting", "wait for the next pod: spec.volumes changed");
    }
}

#[test]
fn one_pod_that_refuses_stops_no_other() {
    let mut world = world(in_place(), some(10, State::Outdated)).with_difference(Ok(change()));
    let refused = Outcome::Refused("Pod QOS Class may not change".to_owned());
    world.memory.end(Subject::Pod(Uid::of("pod-0")), "new", refused, NOW);
    assert_eq!(world.steps(), ["change pod-1"]);
    assert!(world.plan().progress.message.contains("QOS"));
}

#[test]
fn windows_pods_take_images_but_no_resize() {
    let mut pods = some(1, State::Outdated);
    pods[0].is_windows = true;
    assert_eq!(world(in_place(), pods.clone()).with_difference(Ok(change())).steps().len(), 1);
    let mut resize = (*change()).clone();
    resize.containers[0].resources =
        Some(super::super::difference::ResourceChange { from: json!({}), to: json!({}) });
    let world = world(in_place(), pods).with_difference(Ok(Arc::new(resize)));
    world.assert_rests("Waiting", "Windows");
}

// ---- Restart

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

#[test]
fn one_workload_after_another() {
    let mut world = three();
    assert_eq!(world.steps(), ["restart a"], "10% of 30 pods");
    let a = id(WorkloadKind::Deployment, "a");
    let rolling = Workload { is_rolling: true, worst_case: 2, ..restarted(NOW, 1) };
    world = world.with_workload(a.clone(), rolling);
    assert_eq!(world.steps(), Vec::<String>::new());
    world.pods.iter_mut().take(10).for_each(|pod| pod.state = State::Current);
    world = world.with_workload(a, restarted(NOW, 1));
    assert_eq!(world.steps(), ["restart b"]);
}

#[test]
fn a_workload_above_the_limit_goes_alone() {
    let mut world = three();
    world.pods.drain(..20);
    world.rollout = json!({ "strategy": "Restart", "maxUnavailable": 1 });
    assert_eq!(world.steps(), ["restart c"]);
    let mut other = made("other", State::Skipped);
    other.available = false;
    world.pods.push(other);
    assert_eq!(world.steps(), Vec::<String>::new());
}

#[test]
fn workloads_that_surge_do_not_all_roll_at_once() {
    let pods: Vec<Made> =
        (0..20).flat_map(|n| deployed(&format!("d{n:02}"), 1, State::Outdated)).collect();
    let mut world = world(restart(), pods);
    for number in 0..20 {
        let surges = Workload { worst_case: 0, ..workload() };
        world = world.with_workload(id(WorkloadKind::Deployment, &format!("d{number:02}")), surges);
    }
    assert_eq!(world.steps(), ["restart d00", "restart d01"]);
}

#[test]
fn a_workload_whose_pods_are_all_down_is_helped_at_once() {
    let mut world = three();
    for pod in &mut world.pods {
        pod.available = false;
    }
    assert_eq!(world.steps(), ["restart a", "restart b", "restart c"]);
}

#[test]
fn a_workload_that_hangs_with_an_earlier_revision_is_helped() {
    let rolling = Workload { is_rolling: true, ..workload() };
    let deployment = id(WorkloadKind::Deployment, "api");
    let mut world =
        world(restart(), deployed("api", 3, State::Outdated)).with_workload(deployment, rolling);
    world.assert_rests("RollingOut", "is rolling already");
    world.pods[2].available = false;
    assert_eq!(world.steps(), ["restart api"]);
}

#[test]
fn pods_are_evicted_where_nothing_rolls_them() {
    let pods = vec![
        owned("a", State::Outdated, "ReplicaSet", "plain"),
        owned("b", State::Outdated, "StatefulSet", "on-delete"),
        owned("c", State::Outdated, "Custom", "database"),
        owned("d", State::Outdated, "Deployment", "not-there"),
    ];
    let rollout = json!({ "strategy": "Restart", "maxUnavailable": 10 });
    let on_delete = Workload { rolls: false, ..workload() };
    let world =
        world(rollout, pods).with_workload(id(WorkloadKind::StatefulSet, "on-delete"), on_delete);
    assert_eq!(world.steps(), ["evict a", "evict b", "evict c", "evict d"]);
}

#[test]
fn evictions_wait_for_each_other() {
    let owned = |number| owned(&format!("pod-{number}"), State::Outdated, "StatefulSet", "db");
    let on_delete = Workload { rolls: false, ..workload() };
    let mut world = world(restart(), (0..3).map(owned).collect())
        .with_workload(id(WorkloadKind::StatefulSet, "db"), on_delete);
    assert_eq!(world.steps(), ["evict pod-0"]);
    world.pods[0].ending = true;
    assert_eq!(world.steps(), Vec::<String>::new(), "its successor is not there yet");
    let last = World { pods: vec![world.pods[0].clone()], ..three() };
    last.assert_rests("RollingOut", "0 of 0 pods");
    world.pods[0] = Made { ending: false, ..made("pod-0", State::Current) };
    assert_eq!(world.steps(), ["evict pod-1"]);
}

#[test]
fn bare_pods_and_jobs_are_reported_and_never_restarted() {
    let pods = vec![made("bare", State::Outdated), owned("job", State::Outdated, "Job", "once")];
    let world = world(restart(), pods);
    world.assert_rests("Waiting", "have no owner that would replace them (shop/bare)");
    world.assert_rests("Waiting", "belong to a Job and are not restarted (shop/job)");
}

#[rstest]
#[case::paused(Workload { paused: true, ..workload() }, "Waiting", "is paused (Deployment shop/api)")]
#[case::quota(
    Workload { is_rolling: true, problem: Some("exceeded quota".to_owned()), ..restarted(NOW - 601, 1) },
    "Waiting",
    "made no new pod within 600 seconds of its restart: exceeded quota"
)]
#[case::under_way(Workload { is_rolling: true, ..restarted(NOW - 10, 1) }, "RollingOut", "0 of 3")]
#[case::left_some(restarted(NOW - 601, 1), "Waiting", "did not replace all of its pods")]
fn a_workload_that_cannot_go_on(
    #[case] workload: Workload,
    #[case] reason: &str,
    #[case] message: &str,
) {
    let world = world(restart(), deployed("api", 3, State::Outdated))
        .with_workload(id(WorkloadKind::Deployment, "api"), workload);
    world.assert_rests(reason, message);
}

#[test]
fn a_workload_that_cannot_go_on_stops_no_other() {
    let paused = Workload { paused: true, ..workload() };
    let world = three().with_workload(id(WorkloadKind::Deployment, "a"), paused);
    assert_eq!(world.steps(), ["restart b"]);
}

#[test]
fn a_stateful_pod_that_is_down_is_taken_out_of_the_way() {
    let mut pods: Vec<Made> = (0..3)
        .map(|number| owned(&format!("db-{number}"), State::Outdated, "StatefulSet", "db"))
        .collect();
    pods[2].available = false;
    let rolling = Workload { is_rolling: true, ..restarted(NOW - 10, 1) };
    let world = world(restart(), pods).with_workload(id(WorkloadKind::StatefulSet, "db"), rolling);
    assert_eq!(world.steps(), ["evict db-2"]);
}

#[test]
fn nothing_is_restarted_before_new_pods_get_the_revision() {
    let mut world = three();
    world.serving = false;
    world.assert_rests("RollingOut", "until every webhook replica serves");
}

#[test]
fn nothing_is_restarted_before_the_workloads_are_known() {
    let mut world = three();
    world.workloads = None;
    assert_eq!(world.steps(), Vec::<String>::new());
    assert_eq!(world.plan().progress.reason, "RollingOut");
}

// ---- repair

fn repair() -> Value {
    json!({ "repair": true })
}

#[test]
fn missing_pods_are_restarted_on_request_only() {
    let deployment = || id(WorkloadKind::Deployment, "api");
    let pods = deployed("api", 3, State::Missing);
    let repaired = world(repair(), pods.clone()).with_workload(deployment(), workload());
    assert_eq!(repaired.steps(), ["restart api"]);
    let left = world(restart(), pods).with_workload(deployment(), workload());
    assert_eq!(left.steps(), Vec::<String>::new());
}

#[test]
fn outdated_pods_are_not_repaired() {
    let world = world(repair(), deployed("api", 3, State::Outdated));
    world.assert_rests("OnRecreate", "next created");
}

#[test]
fn a_repair_that_does_not_help_is_not_repeated_without_end() {
    let mut pods = deployed("api", 1, State::Missing);
    pods[0].created = NOW - 100;
    let deployment = || id(WorkloadKind::Deployment, "api");
    let mut world = world(repair(), pods).with_workload(deployment(), restarted(NOW - 599, 1));
    world.assert_rests("Waiting", "was restarted 1 times");
    assert_eq!(world.plan().look_at, Some(NOW + 1));
    world.now += 1;
    let plan = world.plan();
    assert!(matches!(plan.steps[..], [Step::Restart { times: 1, .. }]), "{plan:?}");
    let mut often = world.with_workload(deployment(), restarted(NOW - 5000, 3));
    often.assert_rests("Waiting", "was restarted 3 times");
    often.now += DAY_SECONDS;
    assert!(matches!(often.plan().steps[..], [Step::Restart { times: 0, .. }]));
}

#[test]
fn a_new_pod_that_misses_the_policy_is_not_evicted_at_once() {
    let mut pod = owned("a", State::Missing, "Custom", "database");
    pod.created = NOW - 10;
    let mut world = world(repair(), vec![pod]);
    world.assert_rests("Waiting", "though they are new");
    assert_eq!(world.plan().look_at, Some(NOW + 590));
    world.now += 590;
    assert_eq!(world.steps(), ["evict a"]);
    world.now = NOW;
    world.pods[0].created = LONG_AGO;
    assert_eq!(world.steps(), ["evict a"], "it is older than the policy");
}

// ---- how it goes and ends

#[test]
fn a_rollout_is_complete_when_all_are_current_and_ready() {
    let mut pods = some(3, State::Current);
    world(in_place(), pods.clone()).assert_rests("Complete", "all 3 pods");
    pods[0].state = State::Unready;
    pods[0].changed = NOW - 10;
    let mut unready = world(in_place(), pods);
    unready.assert_rests("RollingOut", "the sidecars of 1 of them are not ready yet");
    unready.before = Some(("Complete", ""));
    unready.assert_rests("Complete", "all 3 pods");
}

#[test]
fn sidecars_that_do_not_become_ready_stop_it() {
    let mut pods = some(20, State::Outdated);
    pods[0] = made("pod-0", State::Unready);
    pods[0].changed = NOW - 600;
    let mut world = world(in_place(), pods).with_difference(Ok(change()));
    assert_eq!(world.steps(), ["change pod-1"]);
    world.now += 1;
    world.assert_rests("ProgressDeadlineExceeded", "the sidecars of shop/pod-0 did not");
    assert!(!world.plan().progress.holds);
    // And it stays stopped, whoever looks at it, until the policy changes.
    world.pods[0].state = State::Current;
    world.before = Some(("ProgressDeadlineExceeded", "stopped: as it was"));
    world.assert_rests("ProgressDeadlineExceeded", "stopped: as it was");
    world.before = None;
    assert!(!world.steps().is_empty());
}

#[test]
fn a_paused_rollout_rests() {
    let paused = json!({ "strategy": "InPlace", "paused": true });
    let world = world(paused, some(3, State::Outdated)).with_difference(Ok(change()));
    world.assert_rests("Paused", "0 of 3 pods");
}

#[rstest]
#[case(in_place(), "rollout.inPlace")]
#[case(restart(), "rollout.restart")]
fn what_the_chart_does_not_permit_is_said(#[case] rollout: Value, #[case] value: &str) {
    let mut world =
        world(rollout, deployed("api", 3, State::Outdated)).with_difference(Ok(change()));
    world.permissions = RolloutPermissions { in_place: false, restart: false };
    world.assert_rests("NotPermitted", &format!("the chart's value {value} is off"));
    assert!(!world.plan().progress.holds);
}

#[test]
fn a_failure_is_told_and_tried_again() {
    let deployment = id(WorkloadKind::Deployment, "a");
    let mut world = three();
    let failed = Outcome::Failed("PodDisruptionBudget api allows no disruption now".to_owned());
    world.memory.end(Subject::Workload(deployment), "new", failed, NOW);
    assert_eq!(world.steps(), ["restart b"]);
    assert!(world.plan().progress.message.contains("allows no disruption"));
    assert_eq!(world.plan().look_at, Some(NOW + 5));
    world.now += 5;
    assert_eq!(world.steps(), ["restart a"]);
}

#[test]
fn a_partition_keeps_its_share_and_moves_nothing_back() {
    let partition = json!({ "strategy": "InPlace", "partition": "50%", "maxUnavailable": "100%" });
    let mut world = world(partition, some(20, State::Outdated)).with_difference(Ok(change()));
    let moved = world.steps();
    assert!((5..=15).contains(&moved.len()), "{moved:?}");
    for pod in &mut world.pods {
        if moved.contains(&format!("change {}", pod.name)) {
            pod.state = State::Current;
        }
    }
    world.assert_rests("Complete", "the others stay as they are by spec.rollout.partition");
    world.pods.iter_mut().for_each(|pod| pod.state = State::Current);
    world.assert_rests("Complete", "all 20 pods");
}

/// Place of a pod that was admitted with this one written on it.
fn drawn(percent: &str) -> PlacedBy {
    let places = Place::recorded(&json!({ "shop/log": percent }).to_string());
    PlacedBy::Itself(places["shop/log"])
}

#[rstest]
#[case("49.99%", true)]
#[case("50.00%", false)]
fn a_pod_that_was_drawn_when_it_was_created_is_not_drawn_again(
    #[case] place: &str,
    #[case] stays: bool,
) {
    let rollout = json!({ "strategy": "Restart", "partition": "50%", "maxUnavailable": "100%" });
    let mut pods = deployed("api", 20, State::Outdated);
    for pod in &mut pods {
        pod.placed_by = drawn(place);
    }
    let api = id(WorkloadKind::Deployment, "api");
    let world = world(rollout, pods).with_workload(api, workload());
    if stays {
        world.assert_rests("Complete", "0 of 20 pods are current; the others stay as they are");
    } else {
        assert_eq!(world.steps(), ["restart api"]);
    }
}

#[test]
fn what_a_named_pod_was_admitted_by_decides_about_it_while_it_runs() {
    let rollout = json!({ "strategy": "InPlace", "partition": "50%", "maxUnavailable": "100%" });
    let mut pods = some(20, State::Outdated);
    for pod in &mut pods {
        pod.placed_by = PlacedBy::Name;
    }
    let world = world(rollout, pods).with_difference(Ok(change()));
    let half = inject::Share::read(&json!("50%"));
    let moves = |pod: &&Made| !half.keeps(Place::of_name("policy", "shop", &pod.name));
    let expected: Vec<String> =
        world.pods.iter().filter(moves).map(|pod| format!("change {}", pod.name)).collect();
    assert_eq!(world.steps(), expected);
}

#[test]
fn a_smaller_partition_moves_some_more() {
    let moved = |partition: &str| {
        let rollout =
            json!({ "strategy": "InPlace", "partition": partition, "maxUnavailable": "100%" });
        world(rollout, some(20, State::Outdated)).with_difference(Ok(change())).steps()
    };
    let (few, many) = (moved("80%"), moved("40%"));
    assert!(few.len() < many.len() && few.iter().all(|step| many.contains(step)));
}

#[test]
fn steps_are_bounded() {
    let wide = json!({ "strategy": "InPlace", "maxUnavailable": "100%" });
    let world = world(wide, some(1000, State::Outdated)).with_difference(Ok(change()));
    assert_eq!(world.steps().len(), STEPS);
}

proptest! {
    /// Whatever pods do meanwhile: no more are made unavailable than the limit allows, and in the end
    /// all are current.
    #[test]
    fn a_rollout_in_place_keeps_to_its_limit_and_ends(
        count in 1..40_usize,
        percent in 1..=100_i64,
        slowness in prop::collection::vec(0..4_u8, 40),
    ) {
        let rollout = json!({ "strategy": "InPlace", "maxUnavailable": format!("{percent}%") });
        let mut world = world(rollout, some(count, State::Outdated)).with_difference(Ok(change()));
        let limit = (count * usize::try_from(percent).unwrap() / 100).max(1);
        let mut waits = vec![0; count];
        for _ in 0..count * 6 + 10 {
            for step in world.plan().steps {
                let Step::ChangeInPlace { pod, .. } = step else { panic!("{step:?}") };
                let number = world.pods.iter().position(|made| made.name == pod.name).unwrap();
                prop_assert_eq!(&world.pods[number].state, &State::Outdated);
                world.pods[number].state = State::Unready;
                world.pods[number].available = false;
                world.pods[number].changed = NOW;
                waits[number] = slowness[number];
            }
            let unavailable = world.pods.iter().filter(|pod| !pod.available).count();
            prop_assert!(unavailable <= limit, "{} of {}", unavailable, limit);
            for (pod, wait) in world.pods.iter_mut().zip(&mut waits) {
                if pod.state == State::Unready && *wait == 0 {
                    pod.state = State::Current;
                    pod.available = true;
                }
                *wait = wait.saturating_sub(1);
            }
        }
        prop_assert_eq!(world.plan().progress.reason, "Complete");
    }
}
