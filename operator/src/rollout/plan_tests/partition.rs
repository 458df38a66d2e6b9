//! A partition keeps its share of the pods back.

use rstest::rstest;

use super::*;

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
