//! The kinds of workload: what their pods get, and how annotations on the workload get there.

use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::json;

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
