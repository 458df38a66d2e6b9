//! Strategy `InPlace`: containers really change, and the app does not notice.

use e2e::{TestNamespace, eventually, manifests, stays};
use serde_json::json;

use crate::{
    DEADLINE,
    policy::{
        app_started, deploy, image, policy, progress, restarts, status, uids, wait_for_message,
        wait_for_progress, wait_until_complete, with_image,
    },
};

#[test]
fn the_image_of_a_running_sidecar_changes_and_the_app_goes_on() {
    let namespace = TestNamespace::create("in-place");
    let first = policy(json!({"strategy": "InPlace"}));
    namespace.apply_policy(&first);
    deploy(&namespace, 3);
    wait_until_complete(&namespace, 3);
    let before = namespace.pods("api");

    namespace.apply(&with_image(&first, manifests::BUSYBOX_NEXT));
    wait_until_complete(&namespace, 3);
    let after = namespace.pods("api");
    assert_eq!(uids(&after), uids(&before), "no pod was replaced");
    let revision = status(&namespace)["revision"].clone();
    for pod in &after {
        let earlier = before.iter().find(|earlier| earlier.name() == pod.name()).expect("the pod");
        assert_eq!(image(pod), manifests::BUSYBOX_NEXT);
        assert_eq!(restarts(pod, "watcher"), restarts(earlier, "watcher") + 1);
        assert_eq!(restarts(pod, "app"), restarts(earlier, "app"));
        assert_eq!(app_started(pod), app_started(earlier));
        let injected = pod.annotation("sidecarpolicy.dev/injected").unwrap_or_default();
        assert!(injected.contains(revision.as_str().unwrap_or("?")), "{injected}");
    }
}

#[test]
fn no_more_pods_are_unavailable_than_allowed() {
    let namespace = TestNamespace::create("limit");
    let first = policy(json!({"strategy": "InPlace", "maxUnavailable": 1}));
    namespace.apply_policy(&first);
    deploy(&namespace, 3);
    wait_until_complete(&namespace, 3);
    namespace.apply(&with_image(&first, manifests::BUSYBOX_NEXT));
    eventually("all pods have changed", DEADLINE, || {
        let pods = namespace.pods("api");
        let changing = pods
            .iter()
            .filter(|pod| image(pod) == manifests::BUSYBOX_NEXT && restarts(pod, "watcher") == 0);
        assert!(changing.count() <= 1, "two pods change at once");
        let changed = pods.iter().filter(|pod| restarts(pod, "watcher") == 1).count();
        if changed == 3 { Ok(()) } else { Err(format!("{changed} of 3")) }
    });
}

#[test]
fn cpu_and_memory_change_without_a_restart() {
    let namespace = TestNamespace::create("resize");
    let mut first = policy(json!({"strategy": "InPlace"}));
    let resources = |cpu: &str| json!({"requests": {"cpu": cpu, "memory": "16Mi"}, "limits": {"memory": "64Mi"}});
    first["spec"]["sidecars"][0]["resources"] = resources("10m");
    namespace.apply_policy(&first);
    deploy(&namespace, 2);
    wait_until_complete(&namespace, 2);
    let before = namespace.pods("api");

    let mut second = first.clone();
    second["spec"]["sidecars"][0]["resources"] = resources("20m");
    namespace.apply(&second);
    wait_until_complete(&namespace, 2);
    let after = namespace.pods("api");
    assert_eq!(uids(&after), uids(&before));
    for pod in &after {
        assert_eq!(pod.container("watcher")["resources"]["requests"]["cpu"], "20m");
        assert_eq!(restarts(pod, "watcher"), 0);
    }
    eventually("the node has taken it over", DEADLINE, || {
        let pods = namespace.pods("api");
        let actual = |pod: &e2e::Pod| {
            pod.container_status("watcher")["resources"]["requests"]["cpu"].clone()
        };
        match pods.iter().map(actual).find(|cpu| cpu != "20m") {
            None => Ok(()),
            Some(cpu) => Err(cpu.to_string()),
        }
    });
}

#[test]
fn a_resize_that_the_node_cannot_give_leaves_the_pod_as_it_was() {
    let namespace = TestNamespace::create("infeasible");
    let mut first = policy(json!({"strategy": "InPlace"}));
    first["spec"]["sidecars"][0]["resources"] = json!({"requests": {"cpu": "10m"}});
    namespace.apply_policy(&first);
    deploy(&namespace, 1);
    wait_until_complete(&namespace, 1);

    let mut second = with_image(&first, manifests::BUSYBOX_NEXT);
    second["spec"]["sidecars"][0]["resources"] = json!({"requests": {"cpu": "1000"}});
    namespace.apply(&second);
    // In the words of the API server, or of the node.
    wait_for_message(&namespace, "Waiting", "cpu");
    let pod = &namespace.pods("api")[0];
    assert_eq!(image(pod), manifests::BUSYBOX, "not half of the new revision");
    assert_eq!(restarts(pod, "watcher"), 0);
    assert_eq!(status(&namespace)["pods"]["outdated"], 1);
}

#[test]
fn what_cannot_change_in_place_waits_or_restarts_as_asked() {
    let namespace = TestNamespace::create("fallback");
    let first = policy(json!({"strategy": "InPlace"}));
    namespace.apply_policy(&first);
    deploy(&namespace, 1);
    wait_until_complete(&namespace, 1);
    let before = namespace.pods("api");

    let mut second = first.clone();
    second["spec"]["sidecars"][0]["env"] = json!([{"name": "LEVEL", "value": "debug"}]);
    namespace.apply(&second);
    wait_for_message(&namespace, "Waiting", "spec.sidecars[0].env changed");
    assert_eq!(uids(&namespace.pods("api")), uids(&before));

    second["spec"]["rollout"]["fallback"] = json!("Restart");
    namespace.apply(&second);
    wait_until_complete(&namespace, 1);
    assert_ne!(uids(&namespace.pods("api")), uids(&before));
}

#[test]
fn an_image_that_does_not_exist_stops_the_rollout_and_a_better_one_goes_on() {
    let namespace = TestNamespace::create("no-image");
    let settings =
        json!({"strategy": "InPlace", "maxUnavailable": 1, "progressDeadlineSeconds": 10});
    let first = policy(settings);
    namespace.apply_policy(&first);
    deploy(&namespace, 3);
    wait_until_complete(&namespace, 3);

    namespace.apply(&with_image(&first, "docker.io/library/busybox:does-not-exist"));
    let message = wait_for_progress(&namespace, "ProgressDeadlineExceeded");
    let broken: Vec<_> = namespace
        .pods("api")
        .into_iter()
        .filter(|pod| image(pod).ends_with("does-not-exist"))
        .collect();
    assert_eq!(broken.len(), 1, "one pod and no more");
    assert!(message.contains(broken[0].name()), "{message}");
    stays("the rollout is stopped", std::time::Duration::from_secs(8), || {
        match progress(&namespace) {
            Some((reason, _)) if reason == "ProgressDeadlineExceeded" => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });

    // The kubelet waits between its tries to pull, and longer on a busy machine.
    let mut better = with_image(&first, manifests::BUSYBOX_NEXT);
    better["spec"]["rollout"]["progressDeadlineSeconds"] = json!(120);
    namespace.apply(&better);
    wait_until_complete(&namespace, 3);
}

#[test]
fn a_paused_rollout_goes_on_when_it_is_resumed() {
    let namespace = TestNamespace::create("paused");
    let first = policy(json!({"strategy": "InPlace"}));
    namespace.apply_policy(&first);
    deploy(&namespace, 1);
    wait_until_complete(&namespace, 1);
    let mut second = with_image(&first, manifests::BUSYBOX_NEXT);
    second["spec"]["rollout"]["paused"] = json!(true);
    namespace.apply(&second);
    wait_for_progress(&namespace, "Paused");
    assert_eq!(image(&namespace.pods("api")[0]), manifests::BUSYBOX);
    second["spec"]["rollout"]["paused"] = json!(false);
    namespace.apply(&second);
    wait_until_complete(&namespace, 1);
}

#[test]
fn without_a_strategy_running_pods_stay_as_they_are() {
    let namespace = TestNamespace::create("on-recreate");
    let mut first = policy(json!({}));
    first["spec"]["rollout"].take();
    namespace.apply_policy(&first);
    deploy(&namespace, 1);
    let second = with_image(&first, manifests::BUSYBOX_NEXT);
    namespace.apply_policy(&second);
    wait_for_progress(&namespace, "OnRecreate");
    stays("the pod is as it was", std::time::Duration::from_secs(5), || {
        let pods = namespace.pods("api");
        let same = pods.len() == 1 && image(&pods[0]) == manifests::BUSYBOX;
        if same { Ok(()) } else { Err(format!("{pods:?}")) }
    });
    assert_eq!(status(&namespace)["pods"]["outdated"], 1);
}
