//! API server and etcd killed, an API server that stands still, and changes that nobody sees happen.

use std::time::{Duration, Instant};

use e2e::command::{kubectl, kubectl_with};
use e2e::installation::{self, OPERATOR, WEBHOOK, kubectl_here};
use e2e::process::{self, Stopped};
use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::{DEADLINE, processes, report, wait_for_counts};

/// Pods that are created before and after.
const PODS: usize = 100;
/// How long the API server stands still: longer than any request waits.
const STILLNESS: Duration = Duration::from_secs(20);

#[test]
fn a_killed_api_server_costs_no_injection_and_no_status() {
    killed("kube-apiserver", "api-server");
}

#[test]
fn a_killed_etcd_costs_no_injection_and_no_status() {
    killed("etcd", "etcd");
}

#[track_caller]
fn create_pods(namespace: &TestNamespace, app: &str) {
    let pods = manifests::list(&vec![manifests::held_pod(app); PODS]).to_string();
    let _ = kubectl_with(&["create", "-f", "-", "-n", namespace.name()], &pods).expect_success();
}

/// Restarts of the webhook's containers, by pod.
fn restarts() -> String {
    let path = "jsonpath={range .items[*]}{.metadata.name} {.status.containerStatuses[0].restartCount},{end}";
    kubectl_here(&["get", "pods", "-l", "app.kubernetes.io/component=webhook", "-o", path])
}

/// Waits until the control plane answers; says how long it took.
#[track_caller]
fn wait_for_the_api_server() -> Duration {
    let started = Instant::now();
    eventually("the API server is ready", DEADLINE, || {
        let answer = kubectl(&["get", "--raw", "/readyz", "--request-timeout=2s"]);
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
    started.elapsed()
}

fn killed(component: &str, topic: &str) {
    let namespace = TestNamespace::create(topic);
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    create_pods(&namespace, "api");
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": PODS, "injected": PODS}));
    let before = restarts();

    let selector = format!("component={component}");
    let victims = process::of_pods("kube-system", &selector);
    assert!(!victims.is_empty(), "{component} does not run as a pod here");
    for victim in victims {
        victim.signal("KILL");
        eventually(&format!("{component} is gone"), DEADLINE, || {
            if victim.has_ended() { Ok(()) } else { Err(format!("{victim:?}")) }
        });
    }
    let back = wait_for_the_api_server();
    create_pods(&namespace, "api");
    let counts = json!({"matched": 2 * PODS, "injected": 2 * PODS, "missing": 0});
    let counted = wait_for_counts(&namespace, "scp/watcher", &counts);
    // A change after it is seen as ever.
    let second = manifests::policy("second", "second");
    namespace.apply_policy(&second);
    let pod = Pod(namespace.dry_run(&manifests::pod("second", "second")));
    assert_eq!(pod.init_containers(), ["second"], "{}", pod.0);
    assert_eq!(restarts(), before, "the webhook went on");
    installation::wait_for_rollout(OPERATOR);
    report(
        &format!("{component} killed"),
        &format!(
            "back after {:.1} s; {PODS} pods created at once, 0 bare; status right {:.1} s later",
            back.as_secs_f64(),
            counted.as_secs_f64()
        ),
    );
}

/// A review of a pod as the API server would send it.
fn review(namespace: &str, pod: &Value) -> String {
    json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "6b2a3c0e-0a52-4d3c-9a5a-0d5cbd8b6a11", "operation": "CREATE",
            "namespace": namespace, "kind": {"group": "", "version": "v1", "kind": "Pod"},
            "resource": {"group": "", "version": "v1", "resource": "pods"},
            "userInfo": {"username": "e2e"}, "object": pod, "oldObject": null, "dryRun": true,
        },
    })
    .to_string()
}

#[test]
fn the_webhook_answers_while_the_api_server_stands_still() {
    let namespace = TestNamespace::create("stillness");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let replicas = processes("webhook");
    let before = restarts();
    let review = review(namespace.name(), &manifests::pod("api", "api"));

    let stopped = Stopped::stop(process::of_pods("kube-system", "component=kube-apiserver"));
    let (still, mut asked) = (Instant::now(), 0);
    while still.elapsed() < STILLNESS {
        for replica in &replicas {
            let answer = replica.ask("https", ":8443/mutate/pods", Some(&review)).expect_success();
            let answer: Value = serde_json::from_str(&answer).expect("a review is JSON");
            assert!(answer["response"]["patch"].is_string(), "no patch: {answer}");
            let _ = replica.ask("http", ":8080/readyz", None).expect_success();
            asked += 1;
        }
    }
    stopped.resume();
    wait_for_the_api_server();
    create_pods(&namespace, "api");
    let counts = json!({"matched": PODS, "injected": PODS, "missing": 0});
    let counted = wait_for_counts(&namespace, "scp/watcher", &counts);
    assert_eq!(restarts(), before, "the webhook went on");
    installation::wait_for_rollout(WEBHOOK);
    installation::wait_for_rollout(OPERATOR);
    report(
        "the API server stopped for 20 s",
        &format!(
            "{asked} reviews asked of the replicas, all patched; status right {:.1} s after the return",
            counted.as_secs_f64()
        ),
    );
}

#[test]
fn what_changed_while_the_operator_could_not_see_is_made_good() {
    let namespace = TestNamespace::create("unseen");
    for name in ["changed", "deleted", "kept"] {
        namespace.apply_policy(&manifests::policy(name, name));
    }
    create_pods(&namespace, "changed");
    wait_for_counts(&namespace, "scp/changed", &json!({"injected": PODS}));

    let stopped = Stopped::stop(processes("operator"));
    let mut changed = manifests::policy("changed", "changed");
    changed["spec"]["sidecars"][0]["env"] = json!([{"name": "CHANGED", "value": "yes"}]);
    namespace.apply(&changed);
    namespace.kubectl(&["delete", "scp/deleted"]);
    namespace.apply(&manifests::policy("created", "created"));
    namespace.kubectl(&["delete", "pods", "-l", "app=changed", "--wait=false", "--now"]);
    create_pods(&namespace, "kept");
    eventually("the webhook, which sees them, serves the changes", DEADLINE, || {
        let pod = Pod(namespace.dry_run(&manifests::pod("created", "created")));
        if pod.init_containers() == ["created"] { Ok(()) } else { Err(pod.0.to_string()) }
    });
    stopped.resume();
    let resumed = Instant::now();
    wait_for_counts(&namespace, "scp/changed", &json!({"matched": 0, "injected": 0}));
    wait_for_counts(&namespace, "scp/kept", &json!({"matched": PODS, "current": PODS}));
    namespace.wait_for_policy("scp/changed");
    namespace.wait_for_policy("scp/created");
    report(
        "changes that the operator could not see",
        &format!("all made good {:.1} s after its return", resumed.elapsed().as_secs_f64()),
    );
    installation::wait_for_rollout(OPERATOR);
}
