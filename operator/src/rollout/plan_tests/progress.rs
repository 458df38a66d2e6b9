//! How a rollout goes and ends.

use rstest::rstest;

use super::*;

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
