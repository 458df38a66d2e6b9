//! Strategy `Restart`: which workloads roll, which pods are evicted, and who waits.

use rstest::rstest;

use super::*;

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
