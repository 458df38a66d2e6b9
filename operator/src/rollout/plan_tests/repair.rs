//! Pods that miss the policy are restarted on request.

use super::*;

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
