//! Strategy `InPlace`: which pods change, and how many at once.

use proptest::prelude::*;
use rstest::rstest;

use super::*;

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
    resize.containers[0].resources = Some(ResourceChange { from: json!({}), to: json!({}) });
    let world = world(in_place(), pods).with_difference(Ok(Arc::new(resize)));
    world.assert_rests("Waiting", "Windows");
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
