//! Strategy `Restart`: workloads roll by their own strategy, and what does not roll is evicted or
//! reported.

use e2e::{TestNamespace, eventually, manifests, stays};
use serde_json::{Value, json};

use crate::{
    DEADLINE,
    policy::{
        deploy, image, policy, restarts_of, status, uids, wait_for_message, wait_until_complete,
        with_image,
    },
};

const RESTARTED_FOR: &str = "sidecarpolicy.dev/restarted-for";

/// A workload of this kind, named `api`.
fn workload(kind: &str, spec: Value) -> Value {
    let mut workload = manifests::deployment("api");
    workload["kind"] = json!(kind);
    if let (Some(all), Value::Object(more)) = (workload["spec"].as_object_mut(), spec) {
        if kind == "DaemonSet" {
            all.remove("replicas");
        }
        all.extend(more);
    }
    workload
}

fn restart() -> Value {
    policy(json!({"strategy": "Restart"}))
}

#[track_caller]
fn rolls(topic: &str, workload: &Value, pods: u32) {
    let namespace = TestNamespace::create(topic);
    namespace.apply_policy(&restart());
    namespace.apply(workload);
    let object = format!("{}/api", workload["kind"].as_str().expect("a kind").to_lowercase());
    namespace.wait_for_rollout(&object);
    wait_until_complete(&namespace, pods);
    namespace.apply(&with_image(&restart(), manifests::BUSYBOX_NEXT));
    wait_until_complete(&namespace, pods);
    namespace.wait_for_rollout(&object);
    for pod in namespace.pods("api") {
        assert_eq!(image(&pod), manifests::BUSYBOX_NEXT);
    }
    assert_eq!(restarts_of(&namespace, &object), 1);
}

#[test]
fn a_deployment_rolls() {
    rolls("deployment", &workload("Deployment", json!({"replicas": 2})), 2);
}

#[test]
fn a_stateful_set_rolls() {
    rolls(
        "stateful-set",
        &workload("StatefulSet", json!({"replicas": 2, "serviceName": "api"})),
        2,
    );
}

#[test]
fn a_daemon_set_rolls() {
    let nodes = e2e::command::kubectl(&["get", "nodes", "-o", "name"]).expect_success();
    let daemon_set = workload("DaemonSet", json!({}));
    let namespace_pods = u32::try_from(nodes.lines().count()).expect("a few nodes");
    rolls("daemon-set", &daemon_set, namespace_pods);
}

#[test]
fn workloads_roll_one_after_another() {
    let namespace = TestNamespace::create("order");
    let mut first = restart();
    first["spec"]["rollout"]["maxUnavailable"] = json!(1);
    first["spec"]["podSelector"] = json!({"matchLabels": {"team": "shop"}});
    namespace.apply_policy(&first);
    let names = ["a", "b", "c"];
    for name in names {
        let mut deployment = manifests::deployment(name);
        deployment["spec"]["template"]["metadata"]["labels"]["team"] = json!("shop");
        namespace.apply(&deployment);
    }
    for name in names {
        namespace.wait_for_rollout(&format!("deployment/{name}"));
    }
    wait_until_complete(&namespace, 3);
    namespace.apply(&with_image(&first, manifests::BUSYBOX_NEXT));
    eventually("all have rolled", DEADLINE, || {
        let deployments = namespace.get("deployments");
        let deployments = deployments["items"].as_array().expect("a list");
        let is_rolling = |deployment: &&Value| {
            let status = &deployment["status"];
            status["replicas"] != 1
                || status["updatedReplicas"] != 1
                || status["observedGeneration"] != deployment["metadata"]["generation"]
        };
        assert!(deployments.iter().filter(is_rolling).count() <= 1, "two roll at once");
        let restarted = deployments.iter().filter(|deployment| {
            deployment["spec"]["template"]["metadata"]["annotations"][RESTARTED_FOR].is_string()
        });
        let restarted = restarted.count();
        if restarted == 3 { Ok(()) } else { Err(format!("{restarted} of 3")) }
    });
    wait_until_complete(&namespace, 3);
}

#[test]
fn pods_of_an_on_delete_workload_are_evicted() {
    let namespace = TestNamespace::create("on-delete");
    namespace.apply_policy(&restart());
    let on_delete = json!({
        "replicas": 2, "serviceName": "api", "updateStrategy": {"type": "OnDelete"},
    });
    namespace.apply(&workload("StatefulSet", on_delete));
    eventually("both pods run", DEADLINE, || match status(&namespace)["pods"]["ready"].as_i64() {
        Some(2) => Ok(()),
        ready => Err(format!("{ready:?}")),
    });
    let before = namespace.get("statefulset/api");
    namespace.apply(&with_image(&restart(), manifests::BUSYBOX_NEXT));
    wait_until_complete(&namespace, 2);
    let after = namespace.get("statefulset/api");
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"], "not touched");
}

#[test]
fn a_disruption_budget_is_honoured() {
    let namespace = TestNamespace::create("budget");
    namespace.apply_policy(&restart());
    deploy(&namespace, 1);
    wait_until_complete(&namespace, 1);
    namespace.apply(&json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "api"},
        "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "api"}}},
    }));
    eventually("the budget is in force", DEADLINE, || {
        match namespace.get("pdb/api")["status"]["currentHealthy"].as_i64() {
            Some(1) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    });
    let before = uids(&namespace.pods("api"));
    namespace.apply(&with_image(&restart(), manifests::BUSYBOX_NEXT));
    wait_for_message(&namespace, "Waiting", "PodDisruptionBudget api allows no disruption");
    assert_eq!(uids(&namespace.pods("api")), before);
    namespace.kubectl(&["delete", "pdb", "api"]);
    wait_until_complete(&namespace, 1);
}

#[test]
fn bare_pods_jobs_and_paused_deployments_are_named_and_left_alone() {
    let namespace = TestNamespace::create("left-alone");
    namespace.apply_policy(&restart());
    deploy(&namespace, 1);
    namespace.create_pod(&manifests::pod("bare", "api"));
    namespace.apply(&manifests::job("api", "sleep 3600"));
    eventually("all have the policy", DEADLINE, || {
        match status(&namespace)["pods"]["ready"].as_i64() {
            Some(3) => Ok(()),
            ready => Err(format!("{ready:?}")),
        }
    });
    namespace.kubectl(&["rollout", "pause", "deployment/api"]);
    let before = uids(&namespace.pods("api"));
    namespace.apply(&with_image(&restart(), manifests::BUSYBOX_NEXT));
    let message = wait_for_message(&namespace, "Waiting", "is paused");
    for part in ["have no owner", "/bare", "belong to a Job", "is paused (Deployment "] {
        assert!(message.contains(part), "{part}: {message}");
    }
    stays("nothing is restarted", std::time::Duration::from_secs(5), || {
        let found = uids(&namespace.pods("api"));
        if found == before { Ok(()) } else { Err(format!("{found:?}")) }
    });
    namespace.kubectl(&["rollout", "resume", "deployment/api"]);
    eventually("the Deployment follows", DEADLINE, || match status(&namespace)["pods"]["current"]
        .as_i64()
    {
        Some(1) => Ok(()),
        current => Err(format!("{current:?}")),
    });
}

#[test]
fn applying_the_owner_again_does_not_restart_it_again() {
    let namespace = TestNamespace::create("apply-loop");
    namespace.apply_policy(&restart());
    deploy(&namespace, 1);
    wait_until_complete(&namespace, 1);
    namespace.apply(&with_image(&restart(), manifests::BUSYBOX_NEXT));
    wait_until_complete(&namespace, 1);
    // The generation of a Deployment also follows its own annotations.
    let template = || namespace.get("deployment/api")["spec"]["template"].clone();
    let before = template();
    for _ in 0..5 {
        namespace.apply(&manifests::deployment("api"));
    }
    let manifest = manifests::deployment("api").to_string();
    let server_side =
        ["apply", "--server-side", "--force-conflicts", "-f", "-", "-n", namespace.name()];
    let _ = e2e::command::kubectl_with(&server_side, &manifest).expect_success();
    stays("nothing rolls", std::time::Duration::from_secs(5), || {
        let found = template();
        if found == before { Ok(()) } else { Err(found.to_string()) }
    });
}
