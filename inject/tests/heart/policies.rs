//! What is refused in a policy, with the path of the field.

use inject::PolicyId;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{log_shipper, policy, shop, side};

fn problems(id: PolicyId, spec: Value) -> Vec<String> {
    policy(id, spec)
        .err()
        .map_or_else(Vec::new, |invalid| invalid.problems.iter().map(ToString::to_string).collect())
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
#[case(side(json!({"command": "sh"})), "spec.sidecars[0].command: has the wrong type")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "readOnly": "yes"}]})), "spec.sidecars[0].volumeMounts[0].readOnly: has the wrong type")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "readOnly": [1]}]})), "spec.sidecars[0].volumeMounts[0].readOnly: has the wrong type")]
#[case(json!({"volumes": [{"name": "v"}]}), "spec.volumes[0]: must name exactly one source")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {}, "hostPath": {"path": "/"}}]}), "spec.volumes[0]: must name exactly one source")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "big"}}]}), "spec.volumes[0].emptyDir.sizeLimit: \"big\" is not a quantity")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {}}, {"name": "v", "emptyDir": {}}]}), "spec.volumes[1].name: \"v\" is used twice")]
#[case(json!({"appContainers": [{"containers": ["app"]}]}), "spec.appContainers[0]: adds nothing")]
#[case(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Is", "values": ["b"]}]}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchExpressions[0].operator: \"Is\" is not one of")]
#[case(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In"}]}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchExpressions[0].values: must name at least one value")]
#[case(json!({"podSelector": {"matchLabels": {"app": "a b"}}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchLabels.app: \"a b\" is not a label value")]
#[case(json!({"podSelector": {"matchLabels": {"Team_/app": "a"}}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchLabels: \"Team_/app\" is not a label key")]
#[case(json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "-c"]}]}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchExpressions[0].values[1]: \"-c\" is not a label value")]
#[case(json!({"podSelector": {"matchExpressions": [{"key": "sidecarpolicy.dev/injected", "operator": "DoesNotExist"}]}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.podSelector.matchExpressions[0].key: \"sidecarpolicy.dev/injected\" is written by the webhook itself")]
#[case(side(json!({"ports": [{"containerPort": 1, "name": "A_b"}]})), "spec.sidecars[0].ports[0].name: \"A_b\" is not a port name")]
#[case(side(json!({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]})), "spec.sidecars[0].ports[1].name: \"a\" is used twice")]
#[case(side(json!({"ports": [{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]})), "spec.sidecars[0].ports[1].hostPort: 5 is used twice")]
#[case(side(json!({"ports": [{"containerPort": 1, "hostPort": 70000}]})), "spec.sidecars[0].ports[0].hostPort: must be a number")]
#[case(side(json!({"ports": [{"containerPort": 1, "protocol": "tcp"}]})), "spec.sidecars[0].ports[0].protocol: \"tcp\" is not one of")]
#[case(side(json!({"livenessProbe": {"httpGet": {"port": 1}, "successThreshold": 2}})), "spec.sidecars[0].livenessProbe.successThreshold: must be")]
#[case(side(json!({"startupProbe": {"httpGet": {"port": 1}, "timeoutSeconds": -1}})), "spec.sidecars[0].startupProbe.timeoutSeconds: must be at least 0")]
#[case(side(json!({"readinessProbe": {"httpGet": {"port": 1}, "terminationGracePeriodSeconds": 5}})), "spec.sidecars[0].readinessProbe.terminationGracePeriodSeconds: is not allowed")]
#[case(side(json!({"livenessProbe": {"httpGet": {"port": 70000}}})), "spec.sidecars[0].livenessProbe.httpGet.port: must be a number")]
#[case(side(json!({"livenessProbe": {"httpGet": {"port": "Bad Name"}}})), "spec.sidecars[0].livenessProbe.httpGet.port: \"Bad Name\" is not a port name")]
#[case(side(json!({"livenessProbe": {"httpGet": {"port": 1, "scheme": "http"}}})), "spec.sidecars[0].livenessProbe.httpGet.scheme: \"http\" is not one of")]
#[case(side(json!({"livenessProbe": {"exec": {"command": []}}})), "spec.sidecars[0].livenessProbe.exec.command: is missing")]
#[case(side(json!({"livenessProbe": {"grpc": {"port": 0}}})), "spec.sidecars[0].livenessProbe.grpc.port: must be a number")]
#[case(side(json!({"resources": {"requests": {"cpu": "-1"}}})), "spec.sidecars[0].resources.requests.cpu: must not be negative")]
#[case(side(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}})), "spec.sidecars[0].resources.requests.cpu: must not be more than the limit")]
#[case(side(json!({"env": [{"name": "é"}]})), "spec.sidecars[0].env[0].name: must be of printable ASCII")]
#[case(side(json!({"env": [{"name": "A", "valueFrom": {}}]})), "spec.sidecars[0].env[0].valueFrom: must name exactly one source")]
#[case(side(json!({"envFrom": [{}]})), "spec.sidecars[0].envFrom[0]: must have exactly one of")]
#[case(side(json!({"envFrom": [{"secretRef": {"name": ""}}]})), "spec.sidecars[0].envFrom[0].secretRef.name: is missing")]
#[case(side(json!({"imagePullPolicy": "always"})), "spec.sidecars[0].imagePullPolicy: \"always\" is not one of")]
#[case(side(json!({"terminationMessagePolicy": "Log"})), "spec.sidecars[0].terminationMessagePolicy: \"Log\" is not one of")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "../b"}]})), "spec.sidecars[0].volumeMounts[0].subPath: must be relative")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "subPath": "b", "subPathExpr": "c"}]})), "spec.sidecars[0].volumeMounts[0]: must not have both")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "recursiveReadOnly": "Enabled"}]})), "spec.sidecars[0].volumeMounts[0].recursiveReadOnly: needs readOnly")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "mountPropagation": "Both"}]})), "spec.sidecars[0].volumeMounts[0].mountPropagation: \"Both\" is not one of")]
#[case(json!({"appContainers": [{"livenessProbe": {"httpGet": {"port": 1}, "successThreshold": 2}}]}), "spec.appContainers[0].livenessProbe.successThreshold: must be")]
#[case(json!({"volumes": [{"name": "v", "secret": {}}]}), "spec.volumes[0].secret.secretName: is missing")]
#[case(json!({"volumes": [{"name": "v", "secret": {"secretName": "s", "defaultMode": 5000}}]}), "spec.volumes[0].secret.defaultMode: must be a number")]
#[case(json!({"volumes": [{"name": "v", "hostPath": {"path": "/a/../b"}}]}), "spec.volumes[0].hostPath.path: must not contain")]
#[case(json!({"volumes": [{"name": "v", "hostPath": {"path": "/a", "type": "Dir"}}]}), "spec.volumes[0].hostPath.type: \"Dir\" is not one of")]
#[case(json!({"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": ""}}]}), "spec.volumes[0].persistentVolumeClaim.claimName: is missing")]
#[case(json!({"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "-1Mi"}}]}), "spec.volumes[0].emptyDir.sizeLimit: must not be negative")]
#[case(side(json!({"volumeMounts": [{"name": "v", "mountPath": "/a", "mountPropagation": "Bidirectional"}]})), "spec.sidecars[0].volumeMounts[0].mountPropagation: Bidirectional needs")]
#[case(side(json!({"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}})), "spec.sidecars[0].securityContext.allowPrivilegeEscalation: must not")]
#[case(side(json!({"securityContext": {"runAsUser": -1}})), "spec.sidecars[0].securityContext.runAsUser: must be at least 0")]
#[case(side(json!({"lifecycle": {"preStop": {"sleep": {"seconds": -1}}}})), "spec.sidecars[0].lifecycle.preStop.sleep.seconds: must be at least 0")]
#[case(json!({"rollout": {"partition": 1}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.rollout.partition: is a number of pods")]
#[case(json!({"appContainers": [{"containers": ["*".repeat(128)], "env": [{"name": "A", "value": "b"}]}]}), "spec.appContainers[0].containers[0]: ")]
#[case(json!({"namespaceSelector": {}, "volumes": [{"name": "v", "emptyDir": {}}]}), "spec.namespaceSelector: belongs to ClusterSidecarPolicy")]
fn what_cannot_work_is_refused_with_its_path(#[case] spec: Value, #[case] expected: &str) {
    let found = problems(PolicyId::namespaced("shop", "p"), spec);
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:?}");
}

#[rstest]
#[case(json!({"strategy": "OnRecreate", "partition": 0}))]
#[case(json!({"strategy": "InPlace", "maxUnavailable": 2, "partition": "10%", "fallback": "Restart"}))]
#[case(json!({"strategy": "Restart", "repair": true, "paused": true}))]
fn rollouts_are_taken(#[case] rollout: Value) {
    let mut spec = log_shipper();
    spec["rollout"] = rollout;
    spec["revisionHistoryLimit"] = json!(3);
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
