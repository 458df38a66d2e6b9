//! The kinds of workload: what their pods get, and how annotations on the workload get there.

use std::time::Duration;

use e2e::{Pod, TestNamespace, command, eventually, manifests, stays};
use serde_json::{Value, json};

use crate::DEADLINE;

#[test]
fn a_job_with_a_native_sidecar_completes() {
    let namespace = TestNamespace::create("job");
    namespace.apply_policy(&manifests::policy("watcher", "batch"));
    namespace.apply(&manifests::job("batch", "true"));

    namespace.wait_for("job/batch", "Complete");
    let pods = namespace.list("pods", "batch");
    let pod = Pod(pods[0].clone());
    assert_eq!(pod.init_containers(), ["watcher"]);
    assert!(pod.container_status("watcher")["state"]["terminated"].is_object(), "{}", pod.0);
}

#[test]
fn a_job_asks_when_it_is_created() {
    let namespace = TestNamespace::create("job-asks");
    let mut policy = manifests::policy("watcher", "batch");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    let mut job = manifests::job("batch", "true");
    job["metadata"]["annotations"] = json!({"sidecarpolicy.dev/inject": "watcher"});
    namespace.apply(&job);

    namespace.wait_for("job/batch", "Complete");
    assert_eq!(Pod(namespace.list("pods", "batch")[0].clone()).init_containers(), ["watcher"]);
}

#[test]
fn annotating_a_job_later_works_and_warns_that_it_changes_nothing() {
    let namespace = TestNamespace::create("job-later");
    namespace.apply(&manifests::job("batch", "sleep 3600"));
    let answer = namespace.ask(&["annotate", "job/batch", "sidecarpolicy.dev/skip=*"]);
    assert!(answer.succeeded, "{}", answer.errors);
    assert!(answer.errors.contains("Warning: "), "{}", answer.errors);
}

#[test]
fn a_cron_job_carries_its_annotation_into_the_pods_of_its_jobs() {
    let namespace = TestNamespace::create("cronjob");
    let mut policy = manifests::policy("watcher", "nightly");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    namespace.apply(&manifests::cron_job("nightly", "true"));
    namespace.kubectl(&["annotate", "cronjob/nightly", "sidecarpolicy.dev/inject=watcher"]);

    let cron_job = namespace.get("cronjob/nightly");
    let template = &cron_job["spec"]["jobTemplate"]["spec"]["template"];
    assert_eq!(template["metadata"]["annotations"]["sidecarpolicy.dev/inject"], "watcher");
    namespace.kubectl(&["create", "job", "tonight", "--from=cronjob/nightly"]);
    namespace.wait_for("job/tonight", "Complete");
    assert_eq!(Pod(namespace.list("pods", "nightly")[0].clone()).init_containers(), ["watcher"]);
}

#[test]
fn pods_of_stateful_sets_and_daemon_sets_get_the_sidecar() {
    let namespace = TestNamespace::create("sets");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let mut stateful_set = manifests::deployment("api");
    stateful_set["kind"] = json!("StatefulSet");
    stateful_set["spec"]["serviceName"] = json!("api");
    namespace.apply(&stateful_set);
    let mut daemon_set = manifests::deployment("api");
    daemon_set["kind"] = json!("DaemonSet");
    daemon_set["spec"]["replicas"].take();
    namespace.apply(&daemon_set);

    namespace.wait_for_rollout("statefulset/api");
    namespace.wait_for_rollout("daemonset/api");
    let pods = namespace.pods("api");
    assert!(pods.len() >= 2, "{} pods", pods.len());
    for pod in pods {
        assert_eq!(pod.init_containers(), ["watcher"], "{}", pod.name());
    }
}

#[test]
fn annotations_that_users_wrote_into_a_template_stay_theirs() {
    let namespace = TestNamespace::create("users-own");
    let mut deployment = manifests::deployment("api");
    deployment["spec"]["template"]["metadata"]["annotations"] =
        json!({"sidecarpolicy.dev/skip": "mine"});
    namespace.apply(&deployment);

    namespace.kubectl(&["annotate", "deployment/api", "sidecarpolicy.dev/skip=carried"]);
    namespace.kubectl(&["annotate", "deployment/api", "sidecarpolicy.dev/skip-"]);
    let deployment = namespace.get("deployment/api");
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(annotations["sidecarpolicy.dev/skip"], "mine");
}

#[test]
fn a_replica_set_of_its_own_carries_and_warns_that_running_pods_stay() {
    let namespace = TestNamespace::create("replicaset");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    let mut replica_set = manifests::deployment("api");
    replica_set["kind"] = json!("ReplicaSet");
    namespace.apply(&replica_set);

    let answer = namespace.ask(&["annotate", "replicaset/api", "sidecarpolicy.dev/inject=watcher"]);
    assert!(answer.succeeded && answer.errors.contains("Warning: "), "{}", answer.errors);
    namespace.kubectl(&["scale", "replicaset/api", "--replicas=0"]);
    namespace.kubectl(&["wait", "pod", "-l", "app=api", "--for=delete", "--timeout=60s"]);
    namespace.kubectl(&["scale", "replicaset/api", "--replicas=1"]);
    let pod = eventually("the ReplicaSet has a pod again", DEADLINE, || {
        namespace.pods("api").pop().ok_or_else(|| "no pod".to_owned())
    });
    assert_eq!(pod.init_containers(), ["watcher"]);
}

const INJECT: &str = "sidecarpolicy.dev/inject";
const CARRIED: &str = "sidecarpolicy.dev/carried";

/// A namespace with a policy on request, and a Deployment that asked for it and has it.
fn asking(purpose: &str) -> TestNamespace {
    let namespace = TestNamespace::create(purpose);
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    let mut deployment = manifests::deployment("api");
    deployment["metadata"]["annotations"] = json!({INJECT: "watcher"});
    namespace.apply(&deployment);
    namespace.wait_for_rollout("deployment/api");
    assert_eq!(namespace.pods("api")[0].init_containers(), ["watcher"]);
    namespace
}

fn carried_into(deployment: &Value) -> &Value {
    &deployment["spec"]["template"]["metadata"]["annotations"][INJECT]
}

fn replica_sets(namespace: &TestNamespace) -> usize {
    namespace.list("replicasets", "api").len()
}

#[test]
fn a_tool_that_applies_again_and_again_rolls_nothing_and_meets_no_conflict() {
    let namespace = asking("gitops");
    let mut deployment = manifests::deployment("api");
    deployment["metadata"]["annotations"] = json!({INJECT: "watcher"});
    deployment["metadata"]["labels"] = json!({"managed": "by-git"});
    let apply =
        ["apply", "--server-side", "--field-manager=git", "-f", "-", "-n", namespace.name()];
    // The first one takes the fields over from `kubectl apply`.
    let first = [&apply[..], &["--force-conflicts"]].concat();
    let _ = command::kubectl_with(&first, &deployment.to_string()).expect_success();
    let before = namespace.get("deployment/api");
    for _ in 0..20 {
        let _ = command::kubectl_with(&apply, &deployment.to_string()).expect_success();
    }
    let found = namespace.get("deployment/api");
    assert_eq!(carried_into(&found), "watcher");
    assert_eq!(found["metadata"]["generation"], before["metadata"]["generation"]);
    assert_eq!(replica_sets(&namespace), 1);

    deployment["metadata"].as_object_mut().expect("an object").remove("annotations");
    // By hand: the manager that created the Deployment owns the annotation too.
    namespace.kubectl(&["annotate", "deployment/api", &format!("{INJECT}-")]);
    let _ = command::kubectl_with(&apply, &deployment.to_string()).expect_success();
    let found = namespace.get("deployment/api");
    assert!(carried_into(&found).is_null() && found["metadata"]["annotations"][CARRIED].is_null());
    namespace.wait_for_rollout("deployment/api");
    assert_eq!(replica_sets(&namespace), 2);
}

#[test]
fn a_helm_upgrade_that_changes_nothing_rolls_nothing() {
    let namespace = TestNamespace::create("helm-owner");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    let mut deployment = manifests::deployment("api");
    deployment["metadata"]["annotations"] = json!({INJECT: "watcher"});
    let chart = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(namespace.name());
    std::fs::create_dir_all(chart.join("templates")).expect("a folder for the chart");
    let write = |path: &str, value: &Value| {
        std::fs::write(chart.join(path), value.to_string()).expect("a file of the chart");
    };
    write("Chart.yaml", &json!({"apiVersion": "v2", "name": "owner", "version": "0.1.0"}));
    write("templates/deployment.yaml", &deployment);
    let chart = chart.to_str().expect("a path in UTF-8");
    for _ in 0..4 {
        let upgrade = ["upgrade", "--install", "owner", chart, "--namespace", namespace.name()];
        let _ = command::run("helm", &upgrade, None).expect_success();
    }
    namespace.wait_for_rollout("deployment/api");
    assert_eq!(carried_into(&namespace.get("deployment/api")), "watcher");
    assert_eq!(namespace.pods("api")[0].init_containers(), ["watcher"]);
    assert_eq!(replica_sets(&namespace), 1);
    let _ = std::fs::remove_dir_all(chart);
}

#[test]
fn a_replaced_manifest_keeps_what_was_carried_as_long_as_it_asks_for_it() {
    let namespace = asking("replaced");
    let mut deployment = manifests::deployment("api");
    deployment["metadata"]["annotations"] = json!({INJECT: "watcher"});
    let replace = |deployment: &Value| {
        let arguments = ["replace", "-f", "-", "-n", namespace.name()];
        // The Deployment's controller may write between kubectl's look and its own write.
        eventually("the Deployment is replaced", DEADLINE, || {
            let answer = command::kubectl_with(&arguments, &deployment.to_string());
            if answer.succeeded { Ok(()) } else { Err(answer.errors) }
        });
    };
    for _ in 0..5 {
        replace(&deployment);
    }
    let found = namespace.get("deployment/api");
    assert_eq!(carried_into(&found), "watcher");
    assert_eq!(replica_sets(&namespace), 1);

    // All annotations written anew, the template left as it is: nothing may be stuck there.
    let mut wiped = found;
    wiped["metadata"]["annotations"] = json!({});
    wiped["metadata"]["resourceVersion"].take();
    replace(&wiped);
    let found = namespace.get("deployment/api");
    assert!(carried_into(&found).is_null(), "{found}");
    namespace.wait_for_rollout("deployment/api");
    assert!(namespace.pods("api")[0].init_containers().is_empty());
    assert_eq!(replica_sets(&namespace), 2);
}

#[test]
fn a_record_that_is_taken_away_is_made_again_and_nothing_rolls() {
    let namespace = asking("record");
    for _ in 0..3 {
        namespace.kubectl(&["annotate", "deployment/api", &format!("{CARRIED}-")]);
        let found = namespace.get("deployment/api");
        assert_eq!(carried_into(&found), "watcher");
        assert_eq!(
            found["metadata"]["annotations"][CARRIED],
            json!({INJECT: "watcher"}).to_string()
        );
    }
    assert_eq!(replica_sets(&namespace), 1);
}

#[test]
fn replica_sets_of_deployments_are_never_carried_into() {
    let namespace = asking("owned");
    // The Deployment's controller copies its annotations down, the record too.
    let owned = &namespace.list("replicasets", "api")[0];
    assert_eq!(owned["metadata"]["annotations"][INJECT], "watcher");
    namespace.kubectl(&[
        "annotate",
        "--overwrite",
        "deployment/api",
        &format!("{INJECT}=a, watcher"),
    ]);
    namespace.wait_for_rollout("deployment/api");
    stays("there are two ReplicaSets", Duration::from_secs(12), || {
        let count = replica_sets(&namespace);
        if count == 2 { Ok(()) } else { Err(format!("{count} ReplicaSets")) }
    });
    let name = owned["metadata"]["name"].as_str().unwrap_or_default();
    let before = namespace.get(&format!("replicaset/{name}"));
    assert_eq!(before["spec"]["template"]["metadata"]["annotations"][INJECT], "watcher");
    assert!(namespace.event_reasons(name).iter().all(|reason| !reason.starts_with("Annotations")));
}
