//! `rollout.partition`: a share of the pods stays on the previous revision, new pods included.

use e2e::second_webhook::{self, ADDED_CONTAINER, Mutation, Turn};
use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::{
    DEADLINE,
    policy::{
        SIDECAR, deploy, image, policy, status, uids, wait_for_message, wait_until_complete,
        with_image,
    },
};

/// So many pods that all of them having one revision of two, at a half each, is as good as impossible.
const MANY: u32 = 16;

/// The policy with another image, and so many pods kept at the one before.
fn partitioned(policy: &Value, image: &str, partition: &str) -> Value {
    let mut policy = with_image(policy, image);
    policy["spec"]["rollout"]["partition"] = json!(partition);
    policy
}

/// Has a policy go from one image to the next with a partition of a half.
#[track_caller]
fn half_way(namespace: &TestNamespace, rollout: Value) -> Value {
    let first = policy(rollout);
    namespace.apply_policy(&first);
    wait_for_stored_revision(namespace);
    namespace.apply_policy(&partitioned(&first, manifests::BUSYBOX_NEXT, "50%"));
    first
}

/// A partition rests on the stored content.
#[track_caller]
fn wait_for_stored_revision(namespace: &TestNamespace) {
    eventually("the current revision is stored", DEADLINE, || {
        let revision = status(namespace)["revision"].as_str().unwrap_or("none").to_owned();
        let name = format!("controllerrevision/{SIDECAR}-{revision}");
        let answer = namespace.ask(&["get", &name]);
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
}

/// Pods of no name of their own, as the API server would admit them.
#[track_caller]
fn admitted(namespace: &TestNamespace, count: u32) -> Vec<Pod> {
    let mut pod = manifests::pod("api", "api");
    pod["metadata"] = json!({"generateName": "api-", "labels": {"app": "api"}});
    (0..count).map(|_| Pod(namespace.dry_run(&pod))).collect()
}

/// Whether a pod has the current revision; it has one of the two, and says which.
#[track_caller]
fn is_new(namespace: &TestNamespace, pod: &Pod) -> bool {
    let sidecars = pod.init_containers().into_iter().filter(|name| *name == SIDECAR).count();
    assert_eq!(sidecars, 1, "{}", pod.0);
    assert_eq!(pod.annotation("sidecarpolicy.dev/skipped"), None, "{}", pod.0);
    let is_new = image(pod) == manifests::BUSYBOX_NEXT;
    let status = status(namespace);
    let revision = if is_new { &status["revision"] } else { &status["previousRevision"] };
    let injected = pod.annotation("sidecarpolicy.dev/injected").unwrap_or_default();
    assert!(injected.contains(revision.as_str().unwrap_or("?")), "{injected}, not {revision}");
    is_new
}

#[track_caller]
fn assert_some_of_both(namespace: &TestNamespace, pods: &[Pod]) {
    let new = pods.iter().filter(|pod| is_new(namespace, pod)).count();
    assert!(0 < new && new < pods.len(), "{new} of {} are new", pods.len());
}

#[test]
fn new_pods_of_a_deployment_are_kept_back_in_part_and_without_a_partition_all_are_new() {
    let namespace = TestNamespace::create("partition");
    let first = half_way(&namespace, json!({}));
    deploy(&namespace, MANY);
    let pods = namespace.pods("api");
    assert_eq!(pods.len(), usize::try_from(MANY).expect("a small number"));
    assert_some_of_both(&namespace, &pods);
    let new = pods.iter().filter(|pod| is_new(&namespace, pod)).count();
    eventually("the status counts both", DEADLINE, || {
        let counts = status(&namespace)["pods"].clone();
        let found = (counts["current"] == new, counts["outdated"] == pods.len() - new);
        if found == (true, true) { Ok(()) } else { Err(counts.to_string()) }
    });

    namespace.apply_policy(&partitioned(&first, manifests::BUSYBOX_NEXT, "0%"));
    for pod in admitted(&namespace, 10) {
        assert_eq!(image(&pod), manifests::BUSYBOX_NEXT);
    }
    assert_eq!(uids(&namespace.pods("api")), uids(&pods), "running pods stay as they are");
}

#[test]
fn a_pod_has_one_revision_however_often_the_webhook_is_called() {
    let namespace = TestNamespace::create("partition-again");
    half_way(&namespace, json!({}));
    second_webhook::start(&namespace, Turn::After, Mutation::AddContainer);
    eventually("the other webhook is called", DEADLINE, || {
        let pod = admitted(&namespace, 1).remove(0);
        let is_called = pod.containers().contains(&ADDED_CONTAINER);
        if is_called { Ok(()) } else { Err(pod.0["spec"].to_string()) }
    });
    assert_some_of_both(&namespace, &admitted(&namespace, MANY));
}

#[test]
fn a_named_pod_comes_back_with_the_revision_that_it_had() {
    let namespace = TestNamespace::create("partition-named");
    half_way(&namespace, json!({}));
    let images = || -> Vec<String> {
        let named = |number: u32| manifests::pod(&format!("web-{number}"), "api");
        let pods: Vec<Pod> = (0..MANY).map(|n| Pod(namespace.dry_run(&named(n)))).collect();
        assert_some_of_both(&namespace, &pods);
        pods.iter().map(|pod| image(pod).to_owned()).collect()
    };
    assert_eq!(images(), images());
}

#[test]
fn going_back_while_the_partition_holds_leaves_nothing_of_the_later_revision() {
    let namespace = TestNamespace::create("partition-back");
    let first = half_way(&namespace, json!({}));
    // A further change takes the place of the current revision only.
    let mut third = partitioned(&first, manifests::BUSYBOX_NEXT, "100%");
    third["spec"]["sidecars"][0]["env"] = json!([{"name": "THIRD", "value": "1"}]);
    namespace.apply_policy(&third);
    for pod in admitted(&namespace, 5) {
        assert_eq!(image(&pod), manifests::BUSYBOX);
    }
    namespace.apply_policy(&partitioned(&first, manifests::BUSYBOX, "50%"));
    for pod in admitted(&namespace, 10) {
        assert_eq!(image(&pod), manifests::BUSYBOX);
    }
}

#[test]
fn running_pods_follow_as_far_as_the_partition_goes() {
    let namespace = TestNamespace::create("partition-running");
    let first = policy(json!({"strategy": "InPlace", "maxUnavailable": "100%"}));
    namespace.apply_policy(&first);
    deploy(&namespace, 6);
    wait_until_complete(&namespace, 6);
    let second = |partition| partitioned(&first, manifests::BUSYBOX_NEXT, partition);
    namespace.apply_policy(&second("100%"));
    let kept = "the others stay as they are by spec.rollout.partition";
    wait_for_message(&namespace, "Complete", &format!("0 of 6 pods are current; {kept}"));
    namespace.apply_policy(&second("0%"));
    wait_until_complete(&namespace, 6);
}

#[test]
fn restarted_pods_are_kept_back_in_part_and_restarted_no_more() {
    let namespace = TestNamespace::create("partition-restart");
    let first = policy(json!({"strategy": "Restart", "maxUnavailable": "100%"}));
    namespace.apply_policy(&first);
    deploy(&namespace, MANY);
    wait_until_complete(&namespace, MANY);
    namespace.apply_policy(&partitioned(&first, manifests::BUSYBOX_NEXT, "50%"));
    wait_for_message(&namespace, "Complete", "stay as they are by spec.rollout.partition");
    namespace.wait_for_rollout("deployment/api");
    assert_some_of_both(&namespace, &namespace.pods("api"));
    assert_eq!(crate::policy::restarts_of(&namespace, "deployment/api"), 1);
}
