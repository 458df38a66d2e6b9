//! What goes in: native sidecars, init and ordinary containers, probes, volumes, and what the app's
//! own containers get.

use std::time::Duration;

use e2e::{TestNamespace, eventually, manifests, stays};
use serde_json::{Value, json};

use crate::DEADLINE;

fn ready(pod: &e2e::Pod, container: &str) -> bool {
    pod.container_status(container)["ready"] == true
}

#[test]
fn an_injected_readiness_probe_decides_when_the_app_is_ready() {
    let namespace = TestNamespace::create("readiness");
    let mut policy = manifests::policy("gate", "api");
    policy["spec"]["sidecars"] = json!([]);
    policy["spec"]["appContainers"] = json!([{
        "readinessProbe": {
            "exec": {"command": ["test", "-e", "/tmp/open"]},
            "periodSeconds": 1,
        },
    }]);
    namespace.apply_policy(&policy);
    namespace.create_pod(&manifests::pod("api", "api"));
    namespace.kubectl(&[
        "wait",
        "pod/api",
        "--for=jsonpath={.status.phase}=Running",
        "--timeout=60s",
    ]);

    stays("the app is not ready while the file is missing", Duration::from_secs(3), || {
        let pod = namespace.pod("api");
        if ready(&pod, "app") { Err(pod.0["status"].to_string()) } else { Ok(()) }
    });
    namespace.kubectl(&["exec", "pod/api", "-c", "app", "--", "touch", "/tmp/open"]);
    namespace.wait_for("pod/api", "Ready");
}

#[test]
fn a_probe_of_the_app_stays_as_the_app_wrote_it() {
    let namespace = TestNamespace::create("own-probe");
    let mut policy = manifests::policy("gate", "api");
    policy["spec"]["appContainers"] =
        json!([{"readinessProbe": {"exec": {"command": ["false"]}, "periodSeconds": 1}}]);
    namespace.apply_policy(&policy);
    let mut pod = manifests::pod("api", "api");
    pod["spec"]["containers"][0]["readinessProbe"] =
        json!({"exec": {"command": ["true"]}, "periodSeconds": 7});

    let pod = namespace.create_pod(&pod);
    assert_eq!(pod.init_containers(), ["gate"]);
    assert_eq!(pod.container("app")["readinessProbe"]["exec"]["command"], json!(["true"]));
    assert_eq!(pod.container("app")["readinessProbe"]["periodSeconds"], 7);
}

#[test]
fn a_liveness_probe_of_a_sidecar_restarts_it_and_not_the_app() {
    let namespace = TestNamespace::create("liveness");
    let mut policy = manifests::policy("fragile", "api");
    policy["spec"]["sidecars"][0]["livenessProbe"] = json!({
        "exec": {"command": ["test", "!", "-e", "/tmp/broken"]},
        "periodSeconds": 1,
        "failureThreshold": 1,
        "terminationGracePeriodSeconds": 1,
    });
    namespace.apply_policy(&policy);
    namespace.create_pod(&manifests::pod("api", "api"));
    namespace.wait_for("pod/api", "Ready");
    assert_eq!(namespace.pod("api").container_status("fragile")["restartCount"], 0);

    namespace.kubectl(&["exec", "pod/api", "-c", "fragile", "--", "touch", "/tmp/broken"]);
    let pod = eventually("the sidecar was restarted", DEADLINE, || {
        let pod = namespace.pod("api");
        let restarts = pod.container_status("fragile")["restartCount"].as_u64();
        if restarts >= Some(1) { Ok(pod) } else { Err(pod.0["status"].to_string()) }
    });
    assert_eq!(pod.container_status("app")["restartCount"], 0);
}

#[test]
fn a_startup_probe_of_a_sidecar_holds_the_app_back() {
    let namespace = TestNamespace::create("startup");
    let mut policy = manifests::policy("slow", "api");
    policy["spec"]["sidecars"][0]["startupProbe"] = json!({
        "exec": {"command": ["test", "-e", "/tmp/started"]},
        "periodSeconds": 1,
        "failureThreshold": 90,
    });
    namespace.apply_policy(&policy);
    namespace.create_pod(&manifests::pod("api", "api"));
    eventually("the sidecar runs", DEADLINE, || {
        let pod = namespace.pod("api");
        let state = &pod.container_status("slow")["state"];
        if state["running"].is_object() { Ok(()) } else { Err(state.to_string()) }
    });
    let state = namespace.pod("api").container_status("app")["state"].clone();
    assert!(state["waiting"].is_object(), "the app waits: {state}");

    namespace.kubectl(&["exec", "pod/api", "-c", "slow", "--", "touch", "/tmp/started"]);
    namespace.wait_for("pod/api", "Ready");
}

#[test]
fn an_init_container_has_ended_before_the_app_starts() {
    let namespace = TestNamespace::create("init");
    let mut policy = manifests::policy("prepare", "api");
    policy["spec"]["sidecars"][0]["type"] = json!("Init");
    policy["spec"]["sidecars"][0]["command"] = json!(["sh", "-c", "echo prepared > /shared/file"]);
    policy["spec"]["sidecars"][0]["volumeMounts"] =
        json!([{"name": "shared", "mountPath": "/shared"}]);
    policy["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {"sizeLimit": "1Mi"}}]);
    policy["spec"]["appContainers"] =
        json!([{"volumeMounts": [{"name": "shared", "mountPath": "/shared", "readOnly": true}]}]);
    namespace.apply_policy(&policy);

    let pod = namespace.create_pod(&manifests::pod("api", "api"));
    assert_eq!(pod.init_containers(), ["prepare"]);
    assert_eq!(pod.container("prepare")["restartPolicy"], Value::Null);
    namespace.wait_for("pod/api", "Ready");
    let read = namespace.kubectl(&["exec", "pod/api", "-c", "app", "--", "cat", "/shared/file"]);
    assert_eq!(read, "prepared\n");
}

#[test]
fn an_ordinary_container_goes_last_so_that_logs_still_show_the_app() {
    let namespace = TestNamespace::create("container");
    let mut policy = manifests::policy("beside", "api");
    policy["spec"]["sidecars"][0]["type"] = json!("Container");
    namespace.apply_policy(&policy);

    let pod = namespace.create_pod(&manifests::pod("api", "api"));
    assert_eq!(pod.containers(), ["app", "beside"]);
    assert!(pod.init_containers().is_empty());
    namespace.wait_for("pod/api", "Ready");
}

#[test]
fn the_app_gets_variables_where_it_has_none_of_that_name() {
    let namespace = TestNamespace::create("variables");
    let mut policy = manifests::policy("settings", "api");
    policy["spec"]["appContainers"] = json!([{
        "env": [{"name": "LEVEL", "value": "ours"}, {"name": "ADDED", "value": "ours"}],
        "envFrom": [{"configMapRef": {"name": "settings", "optional": true}}],
    }]);
    namespace.apply_policy(&policy);
    let mut pod = manifests::pod("api", "api");
    pod["spec"]["containers"][0]["env"] = json!([{"name": "LEVEL", "value": "own"}]);

    let pod = namespace.create_pod(&pod);
    assert_eq!(
        pod.container("app")["env"],
        json!([{"name": "LEVEL", "value": "own"}, {"name": "ADDED", "value": "ours"}])
    );
    assert_eq!(
        pod.container("app")["envFrom"],
        json!([{"configMapRef": {"name": "settings", "optional": true}}])
    );
}

#[test]
fn two_policies_go_in_by_priority_whatever_the_order_they_were_created_in() {
    let namespace = TestNamespace::create("two");
    let mut specs = Vec::new();
    for order in [["low", "high"], ["high", "low"]] {
        for name in order {
            let mut policy = manifests::policy(name, "api");
            policy["spec"]["priority"] = json!(if name == "high" { 10 } else { 0 });
            namespace.apply_policy(&policy);
        }
        specs.push(namespace.dry_run(&manifests::pod("api", "api")));
        namespace.kubectl(&["delete", "scp", "--all"]);
    }
    assert_eq!(e2e::Pod(specs[0].clone()).init_containers(), ["high", "low"]);
    assert_eq!(specs[0]["spec"].to_string(), specs[1]["spec"].to_string());
}
