use rstest::rstest;
use serde_json::json;

use super::*;

fn pod(name: &str, generate_name: Option<&str>, controller: Option<&str>) -> (Pod, Shape) {
    let owners = controller.map(|kind| {
        json!([{
            "apiVersion": "apps/v1", "kind": kind, "name": "web", "uid": "o", "controller": true,
        }])
    });
    let metadata = json!({
        "name": name, "generateName": generate_name, "uid": "u", "ownerReferences": owners,
    });
    let pod: WatchedPod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
    pod.into_pod().unwrap()
}

#[rstest]
#[case::bare("api", None, None, true)]
#[case::empty_prefix("x2vzk", Some(""), None, true)]
#[case::of_a_stateful_set("web-0", Some("web-"), Some("StatefulSet"), true)]
#[case::with_a_high_ordinal("web-10000", Some("web-"), Some("StatefulSet"), true)]
#[case::with_an_ordinal_of_those_characters("web-24567", Some("web-"), Some("StatefulSet"), true)]
#[case::of_a_replica_set("api-5d8f7c9b6-x2vzk", Some("api-5d8f7c9b6-"), Some("ReplicaSet"), false)]
#[case::of_nobody("api-x2vzk", Some("api-"), None, false)]
#[case::with_other_characters("api-first", Some("api-"), None, true)]
#[case::longer("api-x2vzk2", Some("api-"), None, true)]
#[case::another("web-x2vzk", Some("api-"), None, true)]
fn a_pod_has_the_name_that_it_came_with(
    #[case] name: &str,
    #[case] generate_name: Option<&str>,
    #[case] controller: Option<&str>,
    #[case] named: bool,
) {
    let (pod, shape) = pod(name, generate_name, controller);
    let selected: serde_json::Value = serde_json::from_str(&shape.selected()).unwrap();
    assert_eq!(selected["metadata"]["name"], json!(named.then_some(name)));
    let by_name = pod.placed_by("shop/log") == PlacedBy::Name;
    assert_eq!(by_name, named, "its place is found by what its name is known by");
}

#[test]
fn what_thousands_of_resources_take_is_not_kept() {
    let kept = |count: u32| {
        let requests: BTreeMap<String, &str> =
            (0..count).map(|number| (format!("a.example/{number}"), "1")).collect();
        let injected = json!({ "shop/log": "1" }).to_string();
        let pod: WatchedPod = serde_json::from_value(json!({
            "metadata": { "name": "api", "annotations": { crds::keys::INJECTED: injected } },
            "spec": { "containers": [{ "name": "a", "resources": { "requests": requests } }] },
        }))
        .unwrap();
        pod.into_pod().unwrap().1.template.resources.len()
    };
    assert!(kept(100) > 1_000);
    assert_eq!(kept(1_000), 0);
}

#[test]
fn a_place_is_no_part_of_what_pods_share() {
    let pod = |place: &str| {
        let annotations = json!({ crds::keys::PLACE: json!({ "shop/log": place }).to_string() });
        let metadata = json!({ "name": "api", "uid": "u", "annotations": annotations });
        let pod: WatchedPod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        pod.into_pod().unwrap()
    };
    let ((one, shape), (other, other_shape)) = (pod("12.34%"), pod("56.78%"));
    assert_eq!(shape.template, other_shape.template);
    assert_ne!(one.placed_by("shop/log"), other.placed_by("shop/log"));
    assert_eq!(one.placed_by("shop/other"), PlacedBy::Name);
}

#[test]
fn thousands_of_places_are_not_kept() {
    let kept = |count: u32| {
        let places: BTreeMap<String, &str> =
            (0..count).map(|number| (format!("shop/log-{number}"), "12.34%")).collect();
        let annotations = json!({ crds::keys::PLACE: json!(places).to_string() });
        let metadata = json!({ "name": "api", "annotations": annotations });
        let pod: WatchedPod = serde_json::from_value(json!({ "metadata": metadata })).unwrap();
        pod.into_pod().unwrap().0.places.map_or(0, |places| places.len())
    };
    assert_eq!(kept(100), 100);
    assert_eq!(kept(1_000), 0);
}

#[rstest]
#[case::of_a_stateful_set(json!({ "app": "db", "apps.kubernetes.io/pod-index": "3" }))]
#[case::alone(json!({ "statefulset.kubernetes.io/pod-name": "db-\"3" }))]
#[case::none(json!({ "app": "db" }))]
fn labels_of_its_own_are_kept_beside_what_pods_share(#[case] labels: serde_json::Value) {
    let read = |labels: &serde_json::Value| {
        let pod = json!({ "metadata": { "name": "db-3", "labels": labels } });
        let pod: WatchedPod = serde_json::from_value(pod).unwrap();
        pod.into_pod().unwrap().1
    };
    let shape = read(&labels);
    let selected: serde_json::Value = serde_json::from_str(&shape.selected()).unwrap();
    assert_eq!(selected["metadata"]["labels"], labels);
    let mut other = labels.clone();
    for key in OWN_LABELS {
        if !other[key].is_null() {
            other[key] = json!("other");
        }
    }
    assert_eq!(read(&other).template, shape.template);
    assert_eq!(read(&other).own_labels == shape.own_labels, other == labels);
}
