//! What the operator's account may do to workloads: what the operator does, and nothing else that
//! its RBAC would allow.

use e2e::{
    TestNamespace,
    command::{Answer, kubectl_with},
    eventually, installation, manifests,
};
use serde_json::{Value, json};

use crate::DEADLINE;

const INJECT: &str = "sidecarpolicy.dev/inject";

/// What a patch of the operator's account would do.
fn patch(namespace: &TestNamespace, workload: &str, patch: &Value) -> Answer {
    let (operator, patch) = (operator(), patch.to_string());
    namespace.ask(&[
        "patch",
        workload,
        "--type=merge",
        "--patch",
        &patch,
        "--dry-run=server",
        "--as",
        &operator,
    ])
}

fn operator() -> String {
    format!("system:serviceaccount:{}:sidecar-policy-operator", installation::NAMESPACE)
}

fn template_annotations(annotations: &Value) -> Value {
    json!({"spec": {"template": {"metadata": {"annotations": annotations}}}})
}

/// A Deployment whose owner asks for a policy, a `StatefulSet` and a `DaemonSet`.
fn workloads(topic: &str) -> TestNamespace {
    let namespace = TestNamespace::create(topic);
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    let mut deployment = manifests::deployment("api");
    deployment["metadata"]["annotations"] = json!({INJECT: "watcher", "team": "shop"});
    namespace.apply(&deployment);
    let mut stateful_set = manifests::deployment("data");
    stateful_set["kind"] = json!("StatefulSet");
    stateful_set["spec"]["serviceName"] = json!("data");
    namespace.apply(&stateful_set);
    let mut daemon_set = manifests::deployment("node");
    daemon_set["kind"] = json!("DaemonSet");
    daemon_set["spec"]["replicas"].take();
    namespace.apply(&daemon_set);
    namespace
}

#[test]
fn a_workload_cannot_be_changed_in_the_name_of_the_operator() {
    let namespace = workloads("limits");
    let container = |image: &str| json!([{"name": "app", "image": image}]);
    for (what, wanted) in [
        ("image", json!({"spec": {"template": {"spec": {"containers": container("evil:1")}}}})),
        ("account", json!({"spec": {"template": {"spec": {"serviceAccountName": "admin"}}}})),
        ("new field", json!({"spec": {"template": {"spec": {"nodeName": "here"}}}})),
        (
            "removed field",
            json!({"spec": {"template": {"spec": {"automountServiceAccountToken": null}}}}),
        ),
        ("replicas", json!({"spec": {"replicas": 5}})),
        ("pod label", json!({"spec": {"template": {"metadata": {"labels": {"team": "shop"}}}}})),
        ("label", json!({"metadata": {"labels": {"team": "shop"}}})),
        ("finalizer", json!({"metadata": {"finalizers": ["example.com/never"]}})),
        ("annotation", json!({"metadata": {"annotations": {"example.com/update": "true"}}})),
        ("removed annotation", json!({"metadata": {"annotations": {"team": null}}})),
        ("what its owner asks for", json!({"metadata": {"annotations": {INJECT: "other"}}})),
        ("pod annotation", template_annotations(&json!({"example.com/inject": "true"}))),
        ("something else asked for", template_annotations(&json!({INJECT: "other"}))),
        (
            "what nobody asks for",
            template_annotations(&json!({"sidecarpolicy.dev/skip": "watcher"})),
        ),
    ] {
        let answer = patch(&namespace, "deployment/api", &wanted);
        assert!(!answer.succeeded, "{what}: {}", answer.output);
        assert!(
            answer.errors.contains("sidecar-policy-operator may not change"),
            "{what}: {}",
            answer.errors
        );
    }
    let image = json!({"spec": {"template": {"spec": {"containers": container("evil:1")}}}});
    let refusal = patch(&namespace, "statefulset/data", &image).expect_failure();
    assert!(refusal.contains("may not change the spec of a workload"), "{refusal}");
}

/// Their template is deeper, and the operator may not read them by name.
#[test]
fn a_cron_job_cannot_be_changed_either() {
    let namespace = TestNamespace::create("limits-cron");
    let cron_job = manifests::cron_job("nightly", "true");
    let (operator, name) = (operator(), namespace.name());
    let create = ["create", "-f", "-", "-n", name];
    let _ = kubectl_with(&create, &cron_job.to_string()).expect_success();
    let apply = |changed: &Value| {
        let arguments = ["apply", "--server-side", "--force-conflicts", "--dry-run=server"];
        let whose = ["-f", "-", "-n", name, "--as", &operator];
        kubectl_with(&[&arguments[..], &whose].concat(), &changed.to_string())
    };
    let mut image = cron_job.clone();
    image["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["image"] =
        json!("evil:1");
    let mut schedule = cron_job.clone();
    schedule["spec"]["schedule"] = json!("* * * * *");
    let mut attempts = cron_job.clone();
    attempts["spec"]["jobTemplate"]["spec"]["backoffLimit"] = json!(5);
    for changed in [image, schedule, attempts] {
        let refusal = apply(&changed).expect_failure();
        assert!(refusal.contains("may not change the spec of a workload"), "{refusal}");
    }
    let same = apply(&cron_job);
    assert!(same.succeeded, "{}", same.errors);
}

#[test]
fn the_operator_may_restart_a_workload_and_write_it_as_it_is() {
    let namespace = workloads("allowed");
    for workload in ["deployment/api", "statefulset/data", "daemonset/node"] {
        let restart = template_annotations(&json!({"sidecarpolicy.dev/restarted-for": "{}"}));
        for wanted in [json!({}), restart] {
            let answer = patch(&namespace, workload, &wanted);
            assert!(answer.succeeded, "{workload}, {wanted}: {}", answer.errors);
        }
    }
}

#[test]
fn revisions_of_others_are_out_of_reach() {
    let namespace = workloads("revisions-of-others");
    let revision = eventually("the StatefulSet has a revision", DEADLINE, || {
        let found =
            namespace.kubectl(&["get", "controllerrevisions", "-l", "app=data", "-o", "name"]);
        if found.is_empty() { Err("none".to_owned()) } else { Ok(found.trim().to_owned()) }
    });
    let operator = operator();
    let delete = |revision: &str| {
        namespace.ask(&["delete", revision, "--dry-run=server", "--as", &operator])
    };
    let refusal = delete(&revision).expect_failure();
    assert!(refusal.contains("without the label sidecarpolicy.dev/policy"), "{refusal}");
    let own = namespace.kubectl(&[
        "get",
        "controllerrevisions",
        "-l",
        "sidecarpolicy.dev/policy=watcher",
        "-o",
        "name",
    ]);
    let _ = delete(own.trim()).expect_success();
}
