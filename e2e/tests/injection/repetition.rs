//! Applying twice is applying once, also after the API server has filled in its defaults.

use e2e::{Pod, TestNamespace, manifests};
use serde_json::{Value, json};

/// What of a live pod its owner could have written.
fn as_manifest(live: &Value) -> Value {
    let mut manifest = live.clone();
    manifest.as_object_mut().expect("a pod is an object").remove("status");
    let metadata = manifest["metadata"].as_object_mut().expect("a pod has metadata");
    for key in ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"] {
        metadata.remove(key);
    }
    manifest
}

fn rich_policy(name: &str) -> Value {
    let mut policy = manifests::policy(name, "api");
    let sidecar = &mut policy["spec"]["sidecars"][0];
    sidecar["env"] = json!([{"name": "EMPTY", "value": ""}, {"name": "SET", "value": "1"}]);
    sidecar["resources"] = json!({"requests": {"cpu": "0.1"}, "limits": {"memory": "1024Mi"}});
    sidecar["ports"] = json!([{"containerPort": 9090}]);
    sidecar["volumeMounts"] = json!([{"name": "data", "mountPath": "/data", "readOnly": false}]);
    sidecar["livenessProbe"] = json!({"exec": {"command": ["true"]}, "periodSeconds": 0});
    policy["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {"sizeLimit": "0.5Gi"}}]);
    policy["spec"]["appContainers"] = json!([{
        "env": [{"name": "ADDED", "value": "yes"}],
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "readinessProbe": {"exec": {"command": ["true"]}},
    }]);
    policy
}

#[test]
fn an_injected_and_defaulted_pod_gets_no_second_patch() {
    let namespace = TestNamespace::create("again");
    namespace.apply_policy(&rich_policy("first"));
    namespace.apply_policy(&rich_policy_beside("second"));
    let once = namespace.create_pod(&manifests::pod("api", "api"));
    assert_eq!(once.init_containers(), ["first", "second"]);

    let mut manifest = as_manifest(&once.0);
    manifest["metadata"]["name"] = json!("api-again");
    let twice = namespace.dry_run(&manifest);
    assert_eq!(twice["spec"], once.0["spec"]);
    assert_eq!(twice["metadata"]["annotations"], once.0["metadata"]["annotations"]);
    assert_eq!(twice["metadata"]["labels"], once.0["metadata"]["labels"]);
}

fn rich_policy_beside(name: &str) -> Value {
    let mut policy = rich_policy(name);
    policy["spec"]["volumes"][0]["name"] = json!("more");
    policy["spec"]["sidecars"][0]["volumeMounts"][0]["name"] = json!("more");
    policy["spec"]["sidecars"][0]["ports"][0]["containerPort"] = json!(9091);
    policy["spec"]["appContainers"] = json!([]);
    policy
}

#[test]
fn a_copied_pod_says_what_it_got_here_and_not_what_its_model_got() {
    let namespace = TestNamespace::create("copied");
    let mut manifest = manifests::pod("copy", "other");
    manifest["metadata"]["labels"]["sidecarpolicy.dev/injected"] = json!("true");
    manifest["metadata"]["annotations"] =
        json!({"sidecarpolicy.dev/injected": "{\"shop/old\":\"1\"}"});
    namespace.apply_policy(&manifests::policy("watcher", "other"));

    let pod = namespace.create_pod(&manifest);
    let injected = pod.annotation("sidecarpolicy.dev/injected").unwrap_or_default();
    assert!(injected.contains("/watcher") && !injected.contains("shop/old"), "{injected}");
}

#[test]
fn equal_pods_get_equal_patches() {
    let namespace = TestNamespace::create("equal");
    namespace.apply_policy(&rich_policy("first"));
    namespace.apply_policy(&rich_policy_beside("second"));
    let specs: Vec<String> = (0..5)
        .map(|_| Pod(namespace.dry_run(&manifests::pod("api", "api"))).0["spec"].to_string())
        .collect();
    assert!(specs.iter().all(|spec| *spec == specs[0]), "{specs:#?}");
}
