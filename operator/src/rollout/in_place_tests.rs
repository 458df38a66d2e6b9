//! What is asked of a running pod, and when it is believed to have followed.

use rstest::rstest;

use super::*;

const UID: &str = "0f2d7c1e-5b1d-4f0e-9a51-0d5cbd8b6a11";

fn now() -> Timestamp {
    "2026-11-21T01:02:03Z".parse().unwrap()
}

fn target() -> Target<'static> {
    Target { policy: "shop/log", from: "old", to: "new" }
}

fn change(image: Option<&str>, cpu: Option<(&str, &str)>) -> Difference {
    let resources = cpu.map(|(from, to)| super::super::difference::ResourceChange {
        from: json!({ "limits": { "cpu": from } }),
        to: json!({ "limits": { "cpu": to } }),
    });
    let image = image.map(str::to_owned);
    let name = "shipper".to_owned();
    Difference {
        containers: vec![ContainerChange { name, list: "initContainers", image, resources }],
    }
}

fn pod() -> Value {
    json!({
        "metadata": {
            "uid": UID, "resourceVersion": "7", "generation": 2,
            "annotations": {
                keys::INJECTED: "{\"cluster/mesh\":\"m\",\"shop/log\":\"old\"}",
            },
        },
        "spec": {
            "initContainers": [{
                "name": "shipper", "image": "a:1", "resources": { "limits": { "cpu": "200m" } },
            }],
        },
        "status": {
            "observedGeneration": 1,
            "initContainerStatuses": [{
                "name": "shipper", "restartCount": 3, "containerID": "containerd://1",
                "resources": { "limits": { "cpu": "100m" } },
            }],
        },
    })
}

#[test]
fn image_and_annotations_change_in_one_patch() {
    let patch = images(&pod(), &target(), &change(Some("a:2"), None), now()).unwrap();
    assert_eq!(patch["spec"], json!({ "initContainers": [{ "name": "shipper", "image": "a:2" }] }));
    assert_eq!(
        (&patch["metadata"]["uid"], &patch["metadata"]["resourceVersion"]),
        (&json!(UID), &json!("7"))
    );
    let annotations = &patch["metadata"]["annotations"];
    assert_eq!(annotations[keys::INJECTED], "{\"cluster/mesh\":\"m\",\"shop/log\":\"new\"}");
    let updated = Updated::read(annotations[keys::UPDATED].as_str().unwrap()).unwrap();
    let expected =
        Updated { uid: UID.to_owned(), at: now(), restarts: [("shipper".to_owned(), 3)].into() };
    assert_eq!(updated, expected);
}

#[test]
fn a_patch_of_resources_alone_sets_no_image() {
    let patch = images(&pod(), &target(), &change(None, Some(("1", "2"))), now()).unwrap();
    assert!(patch.get("spec").is_none());
}

fn restarts_after(alter: impl FnOnce(&mut Value)) -> BTreeMap<String, i64> {
    let mut pod = pod();
    alter(&mut pod);
    let patch = images(&pod, &target(), &change(Some("a:2"), None), now()).unwrap();
    let text = patch["metadata"]["annotations"][keys::UPDATED].as_str().unwrap();
    Updated::read(text).unwrap().restarts
}

#[test]
fn no_restart_is_awaited_where_none_will_be_seen() {
    let never_ran = |pod: &mut Value| {
        pod["status"]["initContainerStatuses"][0]["containerID"] = json!("");
    };
    assert!(restarts_after(never_ran).is_empty());
    let has_it = |pod: &mut Value| pod["spec"]["initContainers"][0]["image"] = json!("a:2");
    assert!(restarts_after(has_it).is_empty());
}

#[test]
fn what_other_policies_changed_in_this_pod_is_kept_and_a_copy_is_not() {
    let with = |uid: &str| {
        let annotation = json!({ "uid": uid, "at": now(), "restarts": { "proxy": 1 } }).to_string();
        restarts_after(|pod| pod["metadata"]["annotations"][keys::UPDATED] = json!(annotation))
    };
    assert_eq!(with(UID).len(), 2);
    assert_eq!(with("of another pod").len(), 1);
}

#[rstest]
#[case("{\"shop/log\":\"new\"}")]
#[case("{\"cluster/log\":\"old\"}")]
#[case("nonsense")]
fn a_pod_of_another_revision_is_left_alone(#[case] annotation: &str) {
    let mut pod = pod();
    pod["metadata"]["annotations"][keys::INJECTED] = json!(annotation);
    let found = images(&pod, &target(), &change(Some("a:2"), None), now());
    assert_eq!(found, Err(Obstacle::Outdated));
}

#[test]
fn a_container_that_is_gone_cannot_change() {
    let mut pod = pod();
    pod["spec"]["initContainers"][0]["name"] = json!("renamed");
    let found = images(&pod, &target(), &change(Some("a:2"), None), now());
    assert!(matches!(found, Err(Obstacle::Cannot(why)) if why.contains("\"shipper\"")));
}

#[test]
fn a_resize_names_what_changes_and_can_be_taken_back() {
    let difference = change(Some("a:2"), Some(("100m", "200m")));
    let body = |cpu: &str| {
        json!({ "spec": { "initContainers": [
            { "resources": { "limits": { "cpu": cpu } }, "name": "shipper" },
        ]}})
    };
    assert_eq!(resize(&difference), Some(body("200m")));
    assert_eq!(resize_back(&difference), Some(body("100m")));
    assert_eq!(resize(&change(Some("a:2"), None)), None);
}

fn pending(reason: &str, since: &str) -> Value {
    json!({ "status": { "conditions": [{
        "type": "PodResizePending", "status": "True", "reason": reason,
        "message": "not enough cpu", "lastTransitionTime": since,
    }]}})
}

#[rstest]
#[case::nothing_heard(json!({}), Err("has not reached the node"))]
#[case::observed(json!({ "status": { "observedGeneration": 2 } }), Ok(()))]
#[case::in_progress(
    json!({ "status": { "conditions": [{ "type": "PodResizeInProgress", "status": "True" }] } }),
    Ok(())
)]
#[case::done(
    json!({ "status": { "initContainerStatuses": [
        { "name": "shipper", "resources": { "limits": { "cpu": "200m" } } },
    ]}}),
    Ok(())
)]
#[case::infeasible(
    pending("Infeasible", "2026-11-21T01:02:03Z"),
    Err("cannot resize it: not enough")
)]
#[case::deferred(pending("Deferred", "2026-11-21T01:02:00Z"), Err("defers its resize"))]
#[case::deferred_too_long(pending("Deferred", "2026-11-21T01:00:00Z"), Err("had no room"))]
fn the_node_has_the_last_word_on_a_resize(
    #[case] changes: Value,
    #[case] expected: Result<(), &str>,
) {
    let mut pod = pod();
    merge(&mut pod, &changes);
    let found = resized(&pod, &change(None, Some(("100m", "200m"))), 60, now());
    match (found, expected) {
        (Ok(()), Ok(())) => {}
        (Err(Obstacle::Wait(why) | Obstacle::Cannot(why)), Err(expected)) => {
            assert!(why.contains(expected), "{why}");
        }
        (found, expected) => panic!("{found:?} instead of {expected:?}"),
    }
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}
