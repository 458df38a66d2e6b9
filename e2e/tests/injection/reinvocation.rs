//! Other mutators beside us: a webhook that adds a container, one that rewrites images, and the
//! defaults of a LimitRange. The API server calls us again after them, and nothing goes in twice.

use e2e::second_webhook::{self, ADDED_CONTAINER, MIRROR, Mutation, Turn};
use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

/// A policy with something for every place that could be filled twice.
fn policy(name: &str) -> Value {
    let mut policy = manifests::policy(name, "api");
    let sidecar = &mut policy["spec"]["sidecars"][0];
    sidecar["env"] = json!([{"name": "OURS", "value": "1"}]);
    sidecar["ports"] = json!([{"name": "ours", "containerPort": 9090}]);
    sidecar["volumeMounts"] = json!([{"name": "shared", "mountPath": "/shared", "readOnly": true}]);
    policy["spec"]["sidecars"].as_array_mut().expect("a policy has sidecars").extend([
        json!({"name": format!("{name}-init"), "type": "Init", "image": manifests::BUSYBOX, "command": ["true"]}),
        json!({"name": format!("{name}-beside"), "type": "Container", "image": manifests::BUSYBOX, "command": ["true"]}),
    ]);
    policy["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {"sizeLimit": "0.5Gi"}}]);
    policy["spec"]["appContainers"] = json!([{
        "env": [{"name": "ADDED", "value": "yes"}, {"name": "EMPTY", "value": ""}],
        "envFrom": [{"configMapRef": {"name": "settings", "optional": true}}],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
        "readinessProbe": {"exec": {"command": ["true"]}},
    }]);
    policy
}

/// What ours is to do, with nobody else around.
fn alone(namespace: &TestNamespace) -> Pod {
    namespace.apply_policy(&policy("watcher"));
    let pod = Pod(namespace.dry_run(&manifests::pod("api", "api")));
    assert_eq!(pod.init_containers(), ["watcher", "watcher-init"]);
    assert_eq!(pod.containers(), ["app", "watcher-beside"]);
    pod
}

/// A pod as it is once the other webhook is called.
fn with_the_other(namespace: &TestNamespace, is_there: impl Fn(&Pod) -> bool) -> Pod {
    eventually("the other webhook is called", DEADLINE, || {
        let answer = namespace.try_dry_run(&manifests::pod("api", "api"));
        let pod = serde_json::from_str(&answer.output).map(Pod).map_err(|_| answer.errors)?;
        if is_there(&pod) { Ok(pod) } else { Err(pod.0["spec"].to_string()) }
    })
}

/// What of a pod does not depend on the token that the API server adds, under another name each time.
fn spec(pod: &Pod) -> Value {
    let mut spec = pod.0["spec"].clone();
    let is_token = |element: &Value| {
        element["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"))
    };
    if let Some(volumes) = spec["volumes"].as_array_mut() {
        volumes.retain(|volume| !is_token(volume));
    }
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            if let Some(mounts) = container["volumeMounts"].as_array_mut() {
                mounts.retain(|mount| !is_token(mount));
            }
        }
    }
    spec
}

fn without_mirror(mut spec: Value) -> Value {
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            container["image"] = json!(image.strip_prefix(MIRROR).unwrap_or_else(|| {
                panic!("{image} does not come from the mirror");
            }));
        }
    }
    spec
}

fn without_added(mut spec: Value) -> Value {
    let containers = spec["containers"].as_array_mut().expect("a pod has containers");
    let before = containers.len();
    containers.retain(|container| container["name"] != ADDED_CONTAINER);
    assert_eq!(containers.len(), before - 1, "it was added once");
    spec
}

fn assert_nothing_was_skipped(pod: &Pod) {
    assert_eq!(pod.annotation("sidecarpolicy.dev/skipped"), None, "{}", pod.0);
    assert_eq!(pod.label("sidecarpolicy.dev/injected"), Some("true"));
}

#[test]
fn a_container_that_another_webhook_adds_after_us_is_left_alone() {
    let namespace = TestNamespace::create("again-added");
    let before = alone(&namespace);
    second_webhook::start(&namespace, Turn::After, Mutation::AddContainer);

    let pod = with_the_other(&namespace, |pod| pod.containers().contains(&ADDED_CONTAINER));

    assert_nothing_was_skipped(&pod);
    assert_eq!(without_added(spec(&pod)), spec(&before));
    let added = pod.container(ADDED_CONTAINER);
    assert_eq!((&added["env"], &added["readinessProbe"]), (&Value::Null, &Value::Null));
}

#[test]
fn images_that_another_webhook_rewrites_after_us_are_still_ours() {
    let namespace = TestNamespace::create("again-mirror");
    let before = alone(&namespace);
    second_webhook::start(&namespace, Turn::After, Mutation::RewriteImages);

    let pod = with_the_other(&namespace, |pod| {
        pod.container("watcher")["image"].as_str().is_some_and(|image| image.starts_with(MIRROR))
    });

    assert_nothing_was_skipped(&pod);
    assert_eq!(without_mirror(spec(&pod)), spec(&before));
}

#[test]
fn webhooks_before_and_after_us_and_a_policy_that_denies_get_along() {
    let namespace = TestNamespace::create("again-all");
    let mut strict = policy("watcher");
    strict["spec"]["failurePolicy"] = json!("Fail");
    namespace.apply_policy(&strict);
    let before = Pod(namespace.dry_run(&manifests::pod("api", "api")));
    second_webhook::start(&namespace, Turn::Before, Mutation::AddContainer);
    second_webhook::start(&namespace, Turn::After, Mutation::RewriteImages);

    let pod = with_the_other(&namespace, |pod| {
        let mirrored = |name: &str| {
            pod.container(name)["image"].as_str().is_some_and(|image| image.starts_with(MIRROR))
        };
        mirrored("watcher") && mirrored("app") && mirrored(ADDED_CONTAINER)
    });

    assert_nothing_was_skipped(&pod);
    assert_eq!(without_mirror(without_added(spec(&pod))), spec(&before));
    // What is stored meets us once more, as a copy of a live pod does.
    let stored = namespace.create_pod(&manifests::pod("api", "api"));
    let again = Pod(namespace.dry_run(&copy_of(&stored, "api-again")));
    assert_eq!(spec(&again), spec(&stored));
    assert_eq!(again.0["metadata"]["annotations"], stored.0["metadata"]["annotations"]);
}

#[test]
fn defaults_of_a_limit_range_are_no_change_of_ours() {
    let namespace = TestNamespace::create("again-limits");
    namespace.apply(&json!({
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "defaults"},
        "spec": {"limits": [{
            "type": "Container",
            "default": {"cpu": "500m", "memory": "128Mi"},
            "defaultRequest": {"cpu": "0.01", "memory": "16Mi"},
        }]},
    }));
    let mut strict = policy("watcher");
    strict["spec"]["failurePolicy"] = json!("Fail");
    namespace.apply_policy(&strict);

    let stored = namespace.create_pod(&manifests::pod("api", "api"));
    assert_nothing_was_skipped(&stored);
    assert_eq!(stored.container("watcher")["resources"]["limits"]["memory"], "128Mi");
    let again = Pod(namespace.dry_run(&copy_of(&stored, "api-again")));
    assert_eq!(spec(&again), spec(&stored));
    assert_eq!(again.0["metadata"]["annotations"], stored.0["metadata"]["annotations"]);
}

/// A manifest made of a live pod.
fn copy_of(live: &Pod, name: &str) -> Value {
    let mut metadata = json!({"name": name});
    for key in ["labels", "annotations"] {
        metadata[key] = live.0["metadata"][key].clone();
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": live.0["spec"]})
}
