//! What a rollout is told of pods.

use super::*;

#[test]
fn a_rollout_sees_the_pods_that_should_have_the_policy() {
    let mut index = index();
    let created = of("db", "2026-11-21T00:00:00Z", true);
    index.set_pod(pod("current", &together(&[created.clone(), injected(&revision(), true)])));
    index.set_pod(pod("outdated", &injected("0123", true)));
    index.set_pod(pod("missing", &json!({})));
    index.set_pod(pod("out", &opted_out()));
    index.set_pod(pod("other", &json!({ "metadata": { "labels": { "app": "web" } } })));
    let ending = json!({ "metadata": { "deletionTimestamp": "2026-11-21T00:00:00Z" } });
    index.set_pod(pod("ending", &together(&[injected(&revision(), true), ending])));
    let pods = index.rollout_pods(&log());
    let names: Vec<_> = pods.iter().map(|pod| pod.name).collect();
    assert_eq!(names, ["current", "ending", "missing", "outdated"]);
    assert_eq!(pods[0].state, PodState::Current { ready: true });
    assert!(pods[0].available && !pods[0].ending && pods[1].ending);
    assert_eq!(pods[0].owner.unwrap().name, "db");
    assert_eq!(pods[0].changed - pods[0].created, 60);
    assert_eq!(pods[2].state, PodState::Missing);
    assert!(matches!(pods[3].state, PodState::Outdated { revision } if **revision == *"0123"));
    assert_eq!(index.running(&log()).unwrap().len(), 2);
    assert_eq!(counts(&index).matched, 3, "one that is being deleted does not count");
}

fn updated(uid: &str, restarts_before: i64, restarts: i64) -> Value {
    let annotation = json!({ "uid": uid, "at": "2026-11-21T00:02:00Z", "restarts": { "shipper": restarts_before } });
    together(&[
        of("db", "2026-11-21T00:00:00Z", true),
        injected(&revision(), true),
        json!({
            "metadata": { "annotations": { "sidecarpolicy.dev/updated": annotation.to_string() } },
            "status": { "initContainerStatuses": [
                { "name": "shipper", "ready": true, "restartCount": restarts },
            ]},
        }),
    ])
}

#[test]
fn a_container_that_was_changed_is_ready_when_it_has_been_restarted() {
    let uid = "0f2d7c1e-5b1d-4f0e-9a51-0d5cbd8b6a11";
    for (changes, ready) in [
        (updated(uid, 0, 0), false),
        (updated(uid, 0, 1), true),
        (updated(uid, 2, 2), false),
        (updated("another pod, whose template was copied", 0, 0), true),
    ] {
        let mut index = index();
        index.set_pod(pod("a", &changes));
        assert_eq!(counts(&index).ready, i64::from(ready), "{changes}");
        assert_eq!(index.rollout_pods(&log())[0].available, ready, "{changes}");
    }
}
