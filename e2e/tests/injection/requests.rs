//! What workload owners ask for by annotation: in, out, and by namespace.

use std::time::Duration;

use e2e::{Pod, TestNamespace, eventually, manifests, stays};
use serde_json::{Value, json};

use crate::DEADLINE;

fn on_request(name: &str, app: &str) -> Value {
    let mut policy = manifests::policy(name, app);
    policy["spec"]["activation"] = json!("OnRequest");
    policy
}

fn annotate(manifest: &mut Value, key: &str, value: &str) {
    manifest["metadata"]["annotations"] = json!({ key: value });
}

/// The one pod that is left when the pods of earlier templates have gone.
fn only_pod(namespace: &TestNamespace, app: &str) -> Pod {
    namespace.wait_for_rollout(&format!("deployment/{app}"));
    eventually("one pod is left", DEADLINE, || {
        let mut pods = namespace.pods(app);
        if pods.len() == 1 { Ok(pods.remove(0)) } else { Err(format!("{} pods", pods.len())) }
    })
}

#[test]
fn an_on_request_policy_waits_for_the_annotation_on_the_pod_template() {
    let namespace = TestNamespace::create("ask-template");
    namespace.apply_policy(&on_request("watcher", "api"));
    assert!(namespace.create_pod(&manifests::pod("silent", "api")).init_containers().is_empty());

    let mut deployment = manifests::deployment("api");
    annotate(&mut deployment["spec"]["template"], "sidecarpolicy.dev/inject", "watcher");
    deployment["spec"]["template"]["metadata"]["labels"] = json!({"app": "api"});
    namespace.apply(&deployment);
    namespace.wait_for_rollout("deployment/api");

    let asking = namespace.pods("api").into_iter().find(|pod| pod.name() != "silent");
    assert_eq!(asking.expect("the Deployment has a pod").init_containers(), ["watcher"]);
}

#[test]
fn annotating_a_running_deployment_rolls_its_pods_in_and_out_again() {
    let namespace = TestNamespace::create("ask-running");
    namespace.apply_policy(&on_request("watcher", "api"));
    namespace.apply(&manifests::deployment("api"));
    let before = only_pod(&namespace, "api");
    assert!(before.init_containers().is_empty() && !before.is_marked(), "{}", before.0);

    namespace.kubectl(&["annotate", "deployment/api", "sidecarpolicy.dev/inject=watcher"]);
    let asked = only_pod(&namespace, "api");
    assert_ne!(asked.name(), before.name(), "the pod was replaced");
    assert_eq!(asked.init_containers(), ["watcher"]);
    assert_eq!(namespace.list("replicasets", "api").len(), 2);

    namespace.kubectl(&["annotate", "deployment/api", "sidecarpolicy.dev/inject-"]);
    let after = only_pod(&namespace, "api");
    assert!(after.init_containers().is_empty() && !after.is_marked(), "{}", after.0);
    // The template is what it was to the byte, so the Deployment went back to its first ReplicaSet.
    assert_eq!(namespace.list("replicasets", "api").len(), 2);
    let deployment = namespace.get("deployment/api");
    assert!(
        deployment["spec"]["template"]["metadata"]["annotations"]
            .as_object()
            .is_none_or(serde_json::Map::is_empty),
        "nothing of ours is left in the template: {deployment}"
    );
}

#[test]
fn an_annotated_deployment_makes_one_replica_set_and_no_more() {
    let namespace = TestNamespace::create("one-replicaset");
    namespace.apply_policy(&on_request("watcher", "api"));
    let mut deployment = manifests::deployment("api");
    annotate(&mut deployment, "sidecarpolicy.dev/inject", "watcher");
    namespace.apply(&deployment);
    assert_eq!(only_pod(&namespace, "api").init_containers(), ["watcher"]);

    stays("there is one ReplicaSet", Duration::from_secs(4), || {
        match namespace.list("replicasets", "api").len() {
            1 => Ok(()),
            count => Err(format!("{count} ReplicaSets")),
        }
    });
}

#[test]
fn an_owner_opts_out_of_an_automatic_policy() {
    let namespace = TestNamespace::create("opt-out");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    for (name, skipped) in [("by-name", "watcher"), ("of-all", "*")] {
        let mut pod = manifests::pod(name, "api");
        annotate(&mut pod, "sidecarpolicy.dev/skip", skipped);
        let pod = namespace.create_pod(&pod);
        assert!(pod.init_containers().is_empty(), "{}", pod.0);
        assert_eq!(pod.label("sidecarpolicy.dev/injected"), None);
    }
}

#[test]
fn a_running_deployment_opts_out_and_in_again() {
    let namespace = TestNamespace::create("out-running");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    namespace.apply(&manifests::deployment("api"));
    assert_eq!(only_pod(&namespace, "api").init_containers(), ["watcher"]);

    namespace.kubectl(&["annotate", "deployment/api", "sidecarpolicy.dev/skip=watcher"]);
    assert!(only_pod(&namespace, "api").init_containers().is_empty());
    namespace.kubectl(&["annotate", "deployment/api", "sidecarpolicy.dev/skip-"]);
    assert_eq!(only_pod(&namespace, "api").init_containers(), ["watcher"]);
}

#[test]
fn a_policy_that_denies_opting_out_goes_in_and_warns() {
    let namespace = TestNamespace::create("no-opt-out");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["optOut"] = json!("Denied");
    namespace.apply_policy(&policy);
    let mut pod = manifests::pod("api", "api");
    annotate(&mut pod, "sidecarpolicy.dev/skip", "watcher");

    let printed = namespace.apply(&pod);
    assert!(printed.contains("Warning: ") && printed.contains("watcher"), "{printed}");
    assert_eq!(namespace.pod("api").init_containers(), ["watcher"]);
}

#[test]
fn a_namespace_asks_for_all_its_pods_and_a_pod_template_decides_otherwise() {
    let namespace = TestNamespace::create("ask-namespace");
    namespace.apply_policy(&on_request("watcher", "api"));
    namespace.kubectl(&[
        "annotate",
        &format!("namespace/{}", namespace.name()),
        "sidecarpolicy.dev/inject=watcher",
    ]);
    // The webhook hears of the annotation through its watch.
    eventually("the namespace's default counts", DEADLINE, || {
        let pod = Pod(namespace.dry_run(&manifests::pod("api", "api")));
        if pod.init_containers() == ["watcher"] { Ok(()) } else { Err(pod.0.to_string()) }
    });

    let mut pod = manifests::pod("out", "api");
    annotate(&mut pod, "sidecarpolicy.dev/skip", "watcher");
    assert!(namespace.create_pod(&pod).init_containers().is_empty());
}

#[test]
fn a_name_that_no_policy_has_is_warned_about_at_once() {
    let namespace = TestNamespace::create("unknown-name");
    let mut pod = manifests::pod("api", "api");
    annotate(&mut pod, "sidecarpolicy.dev/inject", "no-such-policy");
    let printed = namespace.apply(&pod);
    assert!(printed.contains("Warning: ") && printed.contains("no-such-policy"), "{printed}");
}
