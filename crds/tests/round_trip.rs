//! Policies as people write them are read, and nothing they say is lost.

use crds::{Mode, Placement, PolicySpec, RelativePlacement, SidecarPolicy, SidecarType};
use serde_json::json;

const SMALLEST: &str = "
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata: {name: log-shipper, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  sidecars:
  - name: fluent-bit
    image: cr.fluentbit.io/fluent/fluent-bit:4.2.0
    volumeMounts: [{name: logs, mountPath: /var/log/app, readOnly: true}]
  volumes:
  - {name: logs, emptyDir: {sizeLimit: 256Mi}}
  appContainers:
  - volumeMounts: [{name: logs, mountPath: /var/log/app}]
";

const PARAMETERS: &str = r#"
parameters:
- {name: level, type: String, default: info, enum: [debug, info, warn]}
- {name: port, type: Integer, default: 8080, minimum: 1, maximum: 65535}
sidecars:
- name: proxy
  args: ["--log-level=${params.level}", "--service=${workload.name}.${namespace.name}"]
  ports: [{containerPort: "${params.port}"}]
rollout:
  strategy: OnRecreate
  maxUnavailable: 10%
  partition: 0%
  paused: false
  repair: false
  fallback: Wait
  progressDeadlineSeconds: 600
"#;

#[test]
fn smallest_policy_is_read() {
    let policy: SidecarPolicy = serde_saphyr::from_str(SMALLEST).expect("a policy");
    assert_eq!(policy.spec.mode, Mode::Enforce);
    assert_eq!(policy.spec.sidecars[0].kind, SidecarType::Sidecar);
    insta::assert_json_snapshot!(policy);
}

#[test]
fn parameters_and_rollout_are_read() {
    let spec: PolicySpec = serde_saphyr::from_str(PARAMETERS).expect("a spec");
    insta::assert_json_snapshot!(spec);
}

#[test]
fn placement_is_a_block_or_beside_a_container() {
    let spec: PolicySpec = serde_saphyr::from_str(
        "sidecars: [{name: a, placement: Last}, {name: b, placement: {before: migrate}}]",
    )
    .expect("a spec");
    assert_eq!(spec.sidecars[0].placement, Some(Placement::Block(crds::PlacementBlock::Last)));
    assert_eq!(
        spec.sidecars[1].placement,
        Some(Placement::Relative(RelativePlacement::Before("migrate".to_owned())))
    );
}

#[test]
fn fields_of_a_newer_kubernetes_survive() {
    let written = json!({
        "sidecars": [{
            "name": "proxy",
            "image": "proxy:1",
            "checkpointPolicy": { "mode": "Live" },
            "livenessProbe": { "httpGet": { "port": 80, "http3": true } },
        }],
        "volumes": [{ "name": "data", "tape": { "reel": 3 } }],
        "appContainers": [{
            "env": [{ "name": "A", "valueFrom": { "vaultRef": { "key": "k" } } }],
            "volumeMounts": [{ "name": "data", "mountPath": "/data", "lazy": true }],
        }],
    });
    let spec: PolicySpec = serde_json::from_value(written.clone()).expect("a spec");
    let read = serde_json::to_value(spec).expect("a spec is JSON");
    for path in [
        "/sidecars/0/checkpointPolicy",
        "/sidecars/0/livenessProbe",
        "/volumes/0/tape",
        "/appContainers/0/env/0/valueFrom",
        "/appContainers/0/volumeMounts/0",
    ] {
        assert_eq!(read.pointer(path), written.pointer(path), "{path}");
    }
}
