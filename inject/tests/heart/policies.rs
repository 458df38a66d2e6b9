//! What is refused in a policy, with the path of the field.

use inject::PolicyId;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{log_shipper, policy, shop};

fn problems(id: PolicyId, spec: Value) -> Vec<String> {
    policy(id, spec)
        .err()
        .map_or_else(Vec::new, |invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

fn side(more: Value) -> Value {
    let mut sidecar = json!({"name": "side", "image": "s:1"});
    sidecar.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"sidecars": [sidecar]})
}

#[rstest]
#[case(json!({}), "spec: puts nothing in")]
#[case(side(json!({"image": ""})), "spec.sidecars[0].image: is missing")]
#[case(side(json!({"name": "Side"})), "spec.sidecars[0].name: \"Side\" must be a DNS label")]
#[case(side(json!({"restartPolicy": "Always"})), "spec.sidecars[0].restartPolicy: is set by the field type")]
#[case(side(json!({"type": "Init", "livenessProbe": {"exec": {"command": ["x"]}}})), "spec.sidecars[0].livenessProbe: is not allowed")]
#[case(side(json!({"livenessProbe": {"httpGet": {"port": 1, "host": "1.2.3.4"}}})), "spec.sidecars[0].livenessProbe.httpGet.host: is not allowed")]
#[case(side(json!({"livenessProbe": {"periodSeconds": 3}})), "spec.sidecars[0].livenessProbe: must have exactly one of")]
#[case(side(json!({"lifecycle": {"preStop": {"httpGet": {"port": 1, "host": "x"}}}})), "spec.sidecars[0].lifecycle.preStop.httpGet.host: is not allowed")]
#[case(side(json!({"ports": [{"containerPort": 0}]})), "spec.sidecars[0].ports[0].containerPort: must be a number")]
#[case(side(json!({"ports": [{"containerPort": 70000}]})), "spec.sidecars[0].ports[0].containerPort: must be a number")]
#[case(side(json!({"volumeMounts": [{"name": "v"}]})), "spec.sidecars[0].volumeMounts[0].mountPath: is missing")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}, {"name": "w", "mountPath": "/a"}]})), "spec.sidecars[0].volumeMounts[1].mountPath: /a is used twice")]
#[case(side(json!({"env": [{"value": "x"}]})), "spec.sidecars[0].env[0].name: is missing")]
#[case(side(json!({"resources": {"limits": {"memory": "64 MB"}}})), "spec.sidecars[0].resources.limits.memory: \"64 MB\" is not a quantity")]
#[case(side(json!({"command": "sh"})), "spec.sidecars[0]: has a field of the wrong type")]
#[case(json!({"volumes": [{"name": "v"}]}), "spec.volumes[0]: must name exactly one source")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]}), "spec.volumes[0]: must name exactly one source")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "big"}}]}), "spec.volumes[0].emptyDir.sizeLimit: \"big\" is not a quantity")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}), "spec.volumes[1].name: \"v\" is used twice")]
#[case(json!({"appContainers": [{"containers": ["app"]}]}), "spec.appContainers[0]: adds nothing")]
#[case(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchExpressions[0].operator: \"Is\" is not one of")]
#[case(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchExpressions[0].values: must name at least one value")]
#[case(json!({"namespaceSelector": {}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.namespaceSelector: belongs to ClusterSidecarPolicy")]
fn what_cannot_work_is_refused_with_its_path(#[case] spec: Value, #[case] expected: &str) {
    let found = problems(PolicyId::namespaced("shop", "p"), spec);
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:?}");
}

#[rstest]
#[case(json!({"matchConditions": [{"name": "x", "expression": "true"}]}), "spec.matchConditions")]
#[case(json!({"parameters": [{"name": "level"}]}), "spec.parameters")]
#[case(json!({"files": [{"path": "/a", "content": "b"}]}), "spec.files")]
#[case(json!({"pod": {"labels": {"a": "b"}}}), "spec.pod")]
#[case(json!({"rollout": {"strategy": "Restart"}}), "spec.rollout")]
#[case(json!({"revisionHistoryLimit": 3}), "spec.revisionHistoryLimit")]
#[case(side(json!({"placement": {"before": "app"}})), "spec.sidecars[0].placement")]
#[case(side(json!({"copyFromApp": {"volumeMounts": true}})), "spec.sidecars[0].copyFromApp")]
#[case(side(json!({"resourcesFromApp": {"function": "Sum"}})), "spec.sidecars[0].resourcesFromApp")]
#[case(side(json!({"args": ["--level=${params.level}"]})), "spec.sidecars[0].args[0]")]
#[case(json!({"appContainers": [{"env": [{"name": "A", "value": "b", "merge": "Append"}]}]}), "spec.appContainers[0].env[0].merge")]
fn what_is_not_carried_out_yet_is_refused(#[case] more: Value, #[case] path: &str) {
    let mut spec = log_shipper();
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let found = problems(PolicyId::namespaced("shop", "p"), spec);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(&format!("{path}: ")), "{found:?}");
    assert!(found[0].contains("not supported yet"), "{found:?}");
}

#[test]
fn a_rollout_of_defaults_is_what_happens_anyway() {
    let mut spec = log_shipper();
    spec["rollout"] = json!({"strategy": "OnRecreate"});
    assert_eq!(problems(PolicyId::namespaced("shop", "p"), spec), Vec::<String>::new());
}

#[test]
fn a_cluster_policy_that_fails_closed_is_bounded() {
    let mut spec = log_shipper();
    spec["failurePolicy"] = json!("Fail");
    let found = problems(PolicyId::cluster("p"), spec.clone());
    assert!(found[0].starts_with("spec.namespaceSelector: is required"), "{found:?}");
    spec["namespaceSelector"] = json!({});
    assert_eq!(problems(PolicyId::cluster("p"), spec), Vec::<String>::new());
}

#[test]
fn a_long_policy_name_is_refused() {
    let found = problems(PolicyId::cluster("p".repeat(41)), log_shipper());
    assert!(found[0].starts_with("metadata.name: "), "{found:?}");
}

#[test]
fn every_problem_is_told_at_once() {
    let found = problems(
        PolicyId::namespaced("shop", "p"),
        json!({
        "sidecars": [{"name": "A", "image": ""}], "volumes": [{"name": "v"}]}),
    );
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn the_revision_follows_the_content_only() {
    let base = shop("p", log_shipper()).revision;
    let mut selected_elsewhere = log_shipper();
    selected_elsewhere["podSelector"] = json!({});
    selected_elsewhere["mode"] = json!("Audit");
    assert_eq!(shop("other-name", selected_elsewhere).revision, base);
    let mut reordered: Value = serde_json::from_str(
        r#"{"appContainers":[{"volumeMounts":[{"mountPath":"/var/log/app","name":"logs"}]}]}"#,
    )
    .unwrap();
    for field in ["volumes", "sidecars"] {
        reordered[field] = log_shipper()[field].clone();
    }
    assert_eq!(shop("p", reordered).revision, base);
    let mut changed = log_shipper();
    changed["sidecars"][0]["image"] = json!("docker.io/otel/collector:2");
    assert_ne!(shop("p", changed).revision, base);
}
