//! Pods of unusual shape get the sidecar like any other, and keep all that was theirs.

use e2e::{Pod, TestNamespace, manifests};
use serde_json::{Value, json};

fn shapes() -> Vec<(&'static str, Value)> {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut pod = manifests::pod("shaped", "api");
        change(&mut pod);
        pod
    };
    vec![
        (
            "null where a map or list may stand",
            with(&|pod| {
                pod["metadata"]["annotations"] = Value::Null;
                pod["spec"]["volumes"] = Value::Null;
                pod["spec"]["initContainers"] = Value::Null;
                pod["spec"]["containers"][0]["env"] = Value::Null;
            }),
        ),
        (
            "a generated name",
            with(&|pod| {
                pod["metadata"]["name"].take();
                pod["metadata"]["generateName"] = json!("shaped-");
            }),
        ),
        ("the host's network", with(&|pod| pod["spec"]["hostNetwork"] = json!(true))),
        (
            "1500 variables, two of the same name",
            with(&|pod| {
                let variable =
                    |index| json!({"name": format!("VARIABLE_{}", index % 1499), "value": "x"});
                pod["spec"]["containers"][0]["env"] = (0..1500).map(variable).collect();
            }),
        ),
        (
            "annotations with anything in them",
            with(&|pod| {
                pod["metadata"]["annotations"] = json!({
                    "example.com/sub.part_x": "slash",
                    "text": "Grüße \u{1F600} \" \\ \r\n\t </script>",
                    "number": "18446744073709551617",
                });
            }),
        ),
        (
            "init containers and a sidecar of its own",
            with(&|pod| {
                let mut own = manifests::container("own-sidecar");
                own["restartPolicy"] = json!("Always");
                pod["spec"]["initContainers"] = json!([manifests::container("own-init"), own]);
            }),
        ),
    ]
}

#[test]
fn pods_of_any_shape_get_the_sidecar_and_lose_nothing() {
    let namespace = TestNamespace::create("shapes");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["volumes"] = json!([{"name": "shared", "emptyDir": {}}]);
    policy["spec"]["appContainers"] = json!([{
        "env": [{"name": "ADDED", "value": "yes"}],
        "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
    }]);
    namespace.apply_policy(&policy);

    for (shape, manifest) in shapes() {
        let pod = Pod(namespace.dry_run(&manifest));
        assert_eq!(pod.init_containers().first(), Some(&"watcher"), "{shape}: {}", pod.0);
        assert_eq!(pod.volumes(), ["shared"], "{shape}");
        let env = |pod: &Value| {
            pod["spec"]["containers"][0]["env"].as_array().cloned().unwrap_or_default()
        };
        let (asked, got) = (env(&manifest), env(&pod.0));
        assert_eq!(got.len(), asked.len() + 1, "{shape}");
        for (before, after) in asked.iter().zip(&got) {
            assert_eq!(before, after, "{shape}: order and values of the app's variables");
        }
        for (key, value) in manifest["metadata"]["annotations"].as_object().into_iter().flatten() {
            assert_eq!(pod.annotation(key), value.as_str(), "{shape}: {key}");
        }
    }
}

#[test]
fn every_pod_of_a_list_gets_it() {
    let namespace = TestNamespace::create("list");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    namespace.apply(&json!({
        "apiVersion": "v1",
        "kind": "List",
        "items": [manifests::pod("one", "api"), manifests::pod("two", "api")],
    }));
    for name in ["one", "two"] {
        assert_eq!(namespace.pod(name).init_containers(), ["watcher"]);
    }
}
