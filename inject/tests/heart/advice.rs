//! What is legal and likely to hurt: each rule where it speaks, and where it is silent.

use inject::advice;
use rstest::rstest;
use serde_json::{Value, json};

fn rules(spec: Value) -> Vec<&'static str> {
    let spec = serde_json::from_value(spec).unwrap();
    advice(&spec).iter().map(|advice| advice.rule).collect()
}

/// A policy against which nothing can be said, with other fields in its sidecar.
fn side(more: Value) -> Value {
    let amounts = json!({"cpu": "10m", "memory": "32Mi"});
    let mut sidecar = json!({"name": "side", "image": "s:1", "resources": {"requests": amounts, "limits": amounts}});
    sidecar.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"sidecars": [sidecar]})
}

fn with_volume(mut spec: Value) -> Value {
    spec["volumes"] = json!([{"name": "v", "emptyDir": {}}]);
    spec
}

#[rstest]
#[case::nothing_to_say(side(json!({})), &[])]
#[case(side(json!({"image": "s"})), &["image-tag-latest"])]
#[case(side(json!({"image": "s:latest"})), &["image-tag-latest"])]
#[case(side(json!({"image": "registry.example:5000/s"})), &["image-tag-latest"])]
#[case::digest(side(json!({"image": "s@sha256:0"})), &[])]
#[case::expression(side(json!({"image": "${params.image}"})), &[])]
#[case(side(json!({"resources": null})), &["no-cpu-request", "no-memory-request", "no-memory-limit"])]
#[case::a_limit_is_a_request(side(json!({"resources": {"limits": {"cpu": 1, "memory": "1Gi"}}})), &[])]
#[case(side(json!({"resources": {"requests": {"cpu": 1, "memory": "1Gi"}}})), &["no-memory-limit", "lowers-qos-class"])]
#[case(side(json!({"resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"cpu": "10m", "memory": "32Mi"}}})), &["lowers-qos-class"])]
#[case::equal_by_value(side(json!({"resources": {"requests": {"cpu": "1000m", "memory": "1Gi"}, "limits": {"cpu": 1, "memory": "1024Mi"}}})), &[])]
#[case::sized_from_the_app(side(json!({"resources": null, "resourcesFromApp": {"function": "Sum", "requests": {"cpu": {"percent": 5}, "memory": {"percent": 5}}, "limits": {"memory": {"percent": 5}}}})), &[])]
#[case::init(side(json!({"type": "Init", "resources": null})), &[])]
#[case(side(json!({"type": "Container"})), &["keeps-jobs-running"])]
#[case(side(json!({"ports": [{"containerPort": 1}]})), &["no-startup-probe"])]
#[case::waits(side(json!({"ports": [{"containerPort": 1}], "startupProbe": {"httpGet": {"port": 1}}})), &[])]
#[case::waits_for_a_hook(side(json!({"ports": [{"containerPort": 1}], "lifecycle": {"postStart": {"sleep": {"seconds": 1}}}})), &[])]
#[case(side(json!({"securityContext": {"privileged": true}})), &["privileged"])]
#[case(json!({"volumes": [{"name": "v", "hostPath": {"path": "/a"}}]}), &["host-path"])]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {}}], "appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/a"}]}]}), &["empty-dir-without-size-limit"])]
#[case::bounded(json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}], "appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/a"}]}]}), &[])]
#[case::read_only(json!({"volumes": [{"name": "v", "emptyDir": {}}], "appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/a", "readOnly": true}]}]}), &[])]
#[case(json!({"failurePolicy": "Fail", "volumes": [{"name": "v", "emptyDir": {}}]}), &["fails-closed-for-all-pods"])]
#[case(json!({"failurePolicy": "Fail", "namespaceSelector": {}, "podSelector": {}, "volumes": [{"name": "v", "emptyDir": {}}]}), &["fails-closed-for-all-pods"])]
#[case::narrow(json!({"failurePolicy": "Fail", "podSelector": {"matchLabels": {"a": "b"}}, "volumes": [{"name": "v", "emptyDir": {}}]}), &[])]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}]})), &["volume-of-others"])]
#[case(side(json!({"volumeDevices": [{"name": "v", "devicePath": "/a"}]})), &["volume-of-others"])]
#[case(json!({"appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/a"}]}]}), &["volume-of-others"])]
#[case::its_own(with_volume(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}]}))), &[])]
#[case::by_expression(side(json!({"volumeMounts": [{"name": "${params.v}", "mountPath": "/a"}]})), &[])]
fn each_rule_speaks_where_it_can_be_told(#[case] spec: Value, #[case] expected: &[&str]) {
    assert_eq!(rules(spec), expected);
}

#[test]
fn a_sidecar_that_another_is_placed_after_is_waited_for() {
    let mut spec = side(json!({}));
    let mut second = spec["sidecars"][0].clone();
    second["name"] = json!("second");
    second["placement"] = json!({"after": "side"});
    spec["sidecars"].as_array_mut().unwrap().push(second);
    assert_eq!(rules(spec), ["no-startup-probe"]);
}

#[test]
fn advice_reads_as_a_sentence() {
    let spec = serde_json::from_value(side(json!({"image": "s"}))).unwrap();
    assert_eq!(
        advice(&spec)[0].to_string(),
        "spec.sidecars[0].image: an image without a tag is the latest of the day the node pulled it; name a version or a digest (image-tag-latest)"
    );
}

#[rstest]
#[case::misspelt(
    "lgos",
    "spec.sidecars[0].volumeMounts[1].name: the volume \"lgos\" is not in spec.volumes (which has \"logs\"): pods that get it from neither the app nor another policy go without this policy; add the volume, or correct the name, unless others bring it (volume-of-others)"
)]
#[case::unlike(
    "data",
    "spec.sidecars[0].volumeMounts[1].name: the volume \"data\" is not in spec.volumes: pods that get it from neither the app nor another policy go without this policy; add the volume, or correct the name, unless others bring it (volume-of-others)"
)]
fn a_volume_that_is_misspelt_is_named(#[case] name: &str, #[case] expected: &str) {
    let mut spec = side(json!({"volumeMounts": [
        {"name": "logs", "mountPath": "/logs"}, {"name": name, "mountPath": "/other"}]}));
    spec["volumes"] = json!([{"name": "logs", "emptyDir": {}}, {"name": "spool", "emptyDir": {}}]);
    let told: Vec<String> =
        advice(&serde_json::from_value(spec).unwrap()).iter().map(ToString::to_string).collect();
    assert_eq!(told, [expected]);
}
