//! A conflict that another policy stands behind names it, so that people know whom to talk to.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Seen, api_pod, cluster, log_shipper, run, shop};

fn beside_helper() -> Value {
    json!({"sidecars": [{"name": "side", "image": "s:1", "placement": {"after": "helper"}}]})
}

fn helper(more: Value) -> Value {
    let mut spec = json!({"sidecars": [{"name": "helper", "image": "h:1"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn warning_about<'s>(seen: &'s Seen, policy: &str) -> &'s str {
    let found = seen.warnings.iter().find(|warning| warning.contains(policy));
    found.expect("something is told of the policy")
}

fn skipped(seen: &Seen) -> &Value {
    &seen.pod["metadata"]["annotations"]["sidecarpolicy.dev/skipped"]
}

#[rstest]
#[case::not_asked_for(json!({"activation": "OnRequest"}), "the policy has to be asked for by the annotation sidecarpolicy.dev/inject")]
#[case::of_other_pods(
    json!({"podSelector": {"matchLabels": {"app": "web"}}}),
    "the pod is not selected: label app is \"api\", not \"web\"")]
#[case::audited(json!({"mode": "Audit"}), "would be injected, but its mode is Audit")]
#[case::not_this_pod(json!({"matchConditions": [{"name": "never", "expression": "false"}]}), "its match condition \"never\" is false for this pod")]
#[case::of_another_system(json!({"os": "Windows"}), "the policy is for another operating system than linux")]
#[case::in_conflict(
    json!({"appContainers": [{"volumeMounts": [{"name": "nothing", "mountPath": "/n"}]}]}),
    "it was left out too (VolumeMissing)")]
#[case::without_a_value(
    json!({"parameters": [{"name": "level", "required": true}]}), "it was left out too (BadParameter)")]
fn the_policy_that_would_bring_the_target_is_named(#[case] more: Value, #[case] why: &str) {
    let policies =
        || vec![shop("beside", beside_helper()), cluster("helping", helper(more.clone()))];
    let seen = run(policies(), &api_pod());
    assert_eq!(seen.reason("shop/beside"), "PlacementTargetMissing");
    let expected = format!(
        "SidecarPolicy shop/beside was not applied: container \"side\" is placed beside \"helper\" of \
         ClusterSidecarPolicy cluster/helping, which is not in this pod: {why}; bring that policy in, or use First or Last"
    );
    assert_eq!(warning_about(&seen, "shop/beside"), expected);
    let second = run(policies(), &seen.pod);
    assert!(second.unchanged(), "{}", second.patch);
    assert_eq!(warning_about(&second, "shop/beside"), expected);
}

#[test]
fn a_target_that_its_owner_opted_out_of_is_told_as_that() {
    let mut pod = api_pod();
    pod["metadata"]["annotations"] = json!({"sidecarpolicy.dev/skip": "helping"});
    let seen = run(vec![shop("beside", beside_helper()), shop("helping", helper(json!({})))], &pod);
    assert!(
        warning_about(&seen, "shop/beside")
            .contains("SidecarPolicy shop/helping, which is not in this pod: its owner opted out"),
        "{:?}",
        seen.warnings
    );
}

#[test]
fn a_target_of_a_policy_that_gave_way_is_told_as_that() {
    let placed = |name: &str, target: &str| {
        shop(
            name,
            json!({"sidecars": [{"name": name, "image": "s:1", "placement": {"after": target}}]}),
        )
    };
    let seen = run(vec![placed("a", "b"), placed("b", "nobody")], &api_pod());
    assert!(
        warning_about(&seen, "shop/a ").contains("\"b\" of SidecarPolicy shop/b, which is not in this pod: it was left out too (PlacementTargetMissing)"),
        "{:?}",
        seen.warnings
    );
}

#[test]
fn a_policy_that_brings_a_container_of_that_name_into_the_other_list_is_not_meant() {
    let other = json!({"activation": "OnRequest", "sidecars": [{"name": "helper", "image": "h:1", "type": "Container"}]});
    let seen = run(vec![shop("beside", beside_helper()), shop("helping", other)], &api_pod());
    assert!(
        warning_about(&seen, "shop/beside")
            .contains("beside \"helper\", which is not in spec.initContainers"),
        "{:?}",
        seen.warnings
    );
}

#[test]
fn the_policy_that_would_bring_a_missing_volume_is_named() {
    let mounting = json!({"sidecars": [{"name": "side", "image": "s:1",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]});
    let bringing =
        json!({"activation": "OnRequest", "volumes": [{"name": "data", "emptyDir": {}}]});
    let seen = run(vec![shop("a", mounting), shop("b", bringing)], &api_pod());
    assert_eq!(seen.reason("shop/a"), "VolumeMissing");
    assert_eq!(
        warning_about(&seen, "shop/a"),
        "SidecarPolicy shop/a was not applied: container \"side\" would mount the volume \"data\" of \
         SidecarPolicy shop/b, which is not in this pod: the policy has to be asked for by the annotation \
         sidecarpolicy.dev/inject; bring that policy in, or add the volume"
    );
}

fn mounting(volume: &str, path: &str) -> Value {
    json!({"volumes": [{"name": volume, "emptyDir": {}}],
        "appContainers": [{"volumeMounts": [{"name": volume, "mountPath": path}]}]})
}

#[rstest]
#[case::container(
    json!({"sidecars": [{"name": "side", "image": "s:1"}]}),
    json!({"sidecars": [{"name": "side", "image": "s:2"}]}),
    "ClusterSidecarPolicy cluster/first brings a container named \"side\" with other content or another placement into spec.initContainers; rename one of them")]
#[case::volume(
    json!({"volumes": [{"name": "data", "emptyDir": {}}]}),
    json!({"volumes": [{"name": "data", "emptyDir": {"medium": "Memory"}}]}),
    "ClusterSidecarPolicy cluster/first brings a volume named \"data\" with other content; rename one of them")]
#[case::volume_by_expression(
    json!({"volumes": [{"name": "data", "configMap": {"name": "${workload.name}"}}]}),
    json!({"volumes": [{"name": "data", "emptyDir": {}}]}),
    "ClusterSidecarPolicy cluster/first brings a volume named \"data\" with other content; rename one of them")]
#[case::mount(
    mounting("one", "/data"),
    mounting("two", "/data/"),
    "container \"app\" mounts the volume \"one\" of ClusterSidecarPolicy cluster/first at /data/; change one of the paths"
)]
#[case::host_port(
    json!({"sidecars": [{"name": "one", "image": "s:1", "type": "Container", "ports": [{"containerPort": 1, "hostPort": 80}]}]}),
    json!({"sidecars": [{"name": "two", "image": "s:1", "type": "Container", "ports": [{"containerPort": 2, "hostPort": 80}]}]}),
    "container \"two\" cannot have port 80 of the node: container \"one\" of ClusterSidecarPolicy cluster/first has it already; change one of the ports")]
fn content_of_another_policy_names_it_on_every_call(
    #[case] first: Value,
    #[case] second: Value,
    #[case] message: &str,
) {
    let policies = || vec![cluster("first", first.clone()), shop("second", second.clone())];
    let expected = format!("SidecarPolicy shop/second was not applied: {message}");
    let seen = run(policies(), &api_pod());
    assert_eq!(warning_about(&seen, "shop/second"), expected);
    assert!(skipped(&seen).as_str().unwrap().contains("cluster/first"), "{}", skipped(&seen));
    let again = run(policies(), &seen.pod);
    assert!(again.unchanged(), "{}", again.patch);
    assert_eq!(warning_about(&again, "shop/second"), expected);
}

#[test]
fn content_that_no_policy_brings_is_the_apps_or_another_webhooks() {
    let mut pod = api_pod();
    pod["spec"]["volumes"] = json!([{"name": "logs", "hostPath": {"path": "/"}}]);
    let elsewhere =
        json!({"mode": "Audit", "volumes": [{"name": "logs", "hostPath": {"path": "/"}}]});
    let seen = run(vec![shop("audited", elsewhere), shop("p", log_shipper())], &pod);
    assert_eq!(
        warning_about(&seen, "shop/p"),
        "SidecarPolicy shop/p was not applied: the app, or another webhook, brings a volume named \
         \"logs\" with other content; rename one of them"
    );
}

#[test]
fn a_mount_of_a_policy_in_another_container_is_not_meant() {
    let mut pod = api_pod();
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "own", "mountPath": "/data"}]);
    pod["spec"]["containers"].as_array_mut().unwrap().push(json!({"name": "web", "image": "w:1"}));
    pod["spec"]["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
    let mut of_web = json!({"appContainers": [{"containers": ["web"], "volumeMounts": [{"name": "own", "mountPath": "/data"}]}]});
    of_web["priority"] = json!(1);
    let seen = run(vec![shop("a", of_web), shop("b", mounting("two", "/data"))], &pod);
    assert_eq!(
        warning_about(&seen, "shop/b"),
        "SidecarPolicy shop/b was not applied: container \"app\" already mounts the volume \"own\" at /data; change one of the paths"
    );
}

#[rstest]
#[case::of_the_app(json!([{"name": "data", "mountPath": "/data", "readOnly": true}]), json!({}),
    "readOnly is true there and not set in the policy")]
#[case::several(json!([{"name": "data", "mountPath": "/data", "subPath": "a", "future": {"a": 1}}]), json!({"readOnly": true, "subPath": "b"}),
    "future is {\"a\":1} there and not set in the policy, readOnly is not set there and true in the policy, subPath is \"a\" there and \"b\" in the policy")]
#[case::long(json!([{"name": "data", "mountPath": "/data", "subPath": "x".repeat(100)}]), json!({}),
    "subPath is \"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx… there and not set in the policy")]
#[case::defaults_are_no_difference(json!([{"name": "data", "mountPath": "/data", "readOnly": false, "subPath": "a"}]), json!({}),
    "subPath is \"a\" there and not set in the policy")]
fn a_volume_that_is_mounted_in_another_way_is_told_with_the_difference(
    #[case] mounts: Value,
    #[case] more: Value,
    #[case] differences: &str,
) {
    let mut pod = api_pod();
    pod["spec"]["containers"][0]["volumeMounts"] = mounts;
    pod["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
    let mut spec = mounting("data", "/data");
    let mount = spec["appContainers"][0]["volumeMounts"][0].as_object_mut().unwrap();
    mount.extend(more.as_object().unwrap().clone());
    let seen = run(vec![shop("p", spec)], &pod);
    assert_eq!(
        warning_about(&seen, "shop/p"),
        format!(
            "SidecarPolicy shop/p was not applied: container \"app\" already mounts the volume \"data\" at /data in another way: \
             {differences}; mount it alike, or change one of the paths"
        )
    );
}

#[test]
fn a_volume_that_another_policy_mounts_in_another_way_is_told_with_the_difference() {
    let policies = || {
        let mut read_only = mounting("data", "/data");
        read_only["appContainers"][0]["volumeMounts"][0]["readOnly"] = json!(true);
        vec![cluster("first", mounting("data", "/data")), shop("second", read_only)]
    };
    let expected = "SidecarPolicy shop/second was not applied: container \"app\" mounts the volume \"data\" of ClusterSidecarPolicy \
        cluster/first at /data in another way: readOnly is not set there and true in the policy; mount it alike, or change one of the paths";
    let seen = run(policies(), &api_pod());
    assert_eq!(warning_about(&seen, "shop/second"), expected);
    let again = run(policies(), &seen.pod);
    assert!(again.unchanged(), "{}", again.patch);
    assert_eq!(warning_about(&again, "shop/second"), expected);
}

#[test]
fn causes_are_looked_for_in_the_first_conflicts_only() {
    let waiting = (0..12).map(|number| {
        let spec = mounting("absent", "/data");
        let mut spec: Value = spec;
        spec["volumes"] = json!([{"name": format!("own-{number}"), "emptyDir": {}}]);
        shop(&format!("p-{number:02}"), spec)
    });
    let mut bringing = mounting("absent", "/elsewhere");
    bringing["podSelector"] = json!({"matchLabels": {"app": "another"}});
    let seen = run(waiting.chain([shop("z-bringing", bringing)]).collect(), &api_pod());
    let named = |name: &str| warning_about(&seen, name).contains("z-bringing");
    assert!(named("shop/p-00") && named("shop/p-07"));
    assert!(!named("shop/p-08") && !named("shop/p-11"));
}
