//! Pods made up for policies: each goes into its own.

use inject::{PolicyId, sample};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{log_shipper, names, side, with};

/// The sample of a policy, with the policy in it.
fn sampled(id: &PolicyId, spec: Value) -> Result<Value, String> {
    let spec = serde_json::from_value(spec).unwrap();
    let sample = sample(id, &spec)?;
    let mut pod: Value = serde_json::from_str(&sample.pod).unwrap();
    let operations: json_patch::Patch = serde_json::from_str(&sample.patch).unwrap();
    json_patch::patch(&mut pod, &operations).unwrap();
    Ok(pod)
}

fn parameter(more: Value) -> Value {
    let mut parameter = json!({"name": "x", "required": true});
    parameter.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    with(side(json!({"args": ["--x=${params.x}"]})), json!({"parameters": [parameter]}))
}

#[rstest]
#[case::smallest(log_shipper())]
#[case::audit(with(log_shipper(), json!({"mode": "Audit"})))]
#[case::on_request(with(log_shipper(), json!({"activation": "OnRequest"})))]
#[case::condition(with(log_shipper(), json!({"matchConditions": [{"name": "never", "expression": "false"}]})))]
#[case::windows(with(side(json!({"securityContext": {"windowsOptions": {"runAsUserName": "u"}}})), json!({"os": "Windows"})))]
#[case::windows_options_in_any(with(side(json!({"securityContext": {"windowsOptions": {"runAsUserName": "u"}}})), json!({"os": "Any"})))]
#[case::host_process(with(side(json!({"securityContext": {"windowsOptions": {"hostProcess": true, "runAsUserName": "u"}}})), json!({"os": "Windows"})))]
#[case::linux_signal(side(json!({"lifecycle": {"stopSignal": "SIGUSR1"}})))]
#[case::sleeps_long(side(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 90}}}})))]
#[case::proc_mount(side(json!({"securityContext": {"procMount": "Unmasked"}})))]
#[case::claim(side(json!({"resources": {"claims": [{"name": "gpu"}]}})))]
#[case::volume_of_the_pod(side(json!({"volumeMounts": [{"name": "theirs", "mountPath": "/x"}]})))]
#[case::device_of_the_pod(side(json!({"volumeDevices": [{"name": "theirs", "devicePath": "/dev/x"}]})))]
#[case::init_target(side(json!({"placement": {"before": "prepare"}})))]
#[case::ordinary_target(side(json!({"type": "Container", "placement": {"after": "main"}})))]
#[case::init_containers(json!({"appContainers": [{"include": "InitContainers", "env": [{"name": "A", "value": "b"}]}]}))]
#[case::globs(json!({"appContainers": [{"containers": ["web-*", "*-x"], "env": [{"name": "A", "value": "b"}]}]}))]
#[case::sidecar_named_app(with(side(json!({"name": "app"})), json!({"appContainers": [{"env": [{"name": "A", "value": "b"}]}]})))]
#[case::mounts_to_node(json!({"appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]}]}))]
#[case::from_app(side(json!({"copyFromApp": {"containers": ["api"], "volumeMounts": true}, "resourcesFromApp": {"function": "Sum", "requests": {"cpu": {"percent": 10}}}})))]
#[case::label_in_brackets(side(json!({"args": ["${pod.metadata.labels[\"example.org/team\"]}"]})))]
#[case::label_by_name(side(json!({"args": ["${pod.metadata.labels.team}"]})))]
#[case::annotation(side(json!({"args": ["${pod.metadata.annotations['team']}"]})))]
#[case::namespace_label(side(json!({"args": ["${namespace.labels.team}"]})))]
#[case::workload(side(json!({"args": ["${workload.kind}/${workload.name}"]})))]
#[case::required(parameter(json!({})))]
#[case::required_choice(parameter(json!({"enum": ["one", "two"]})))]
#[case::required_number(parameter(json!({"type": "Integer", "minimum": 7, "maximum": 9})))]
#[case::required_boolean(parameter(json!({"type": "Boolean"})))]
#[case::required_quantity(parameter(json!({"type": "Quantity", "minimum": "64Mi"})))]
#[case::required_duration(parameter(json!({"type": "Duration"})))]
#[case::required_list(with(side(json!({"args": ["${params.x}"]})), json!({"parameters": [{"name": "x", "required": true, "type": "StringList", "enum": ["one"]}]})))]
#[case::required_pattern(parameter(json!({"pattern": "^https://[a-z.]+$"})))]
fn a_policy_goes_into_its_sample(#[case] spec: Value) {
    for id in [PolicyId::namespaced("shop", "one"), PolicyId::cluster("one")] {
        let pod = sampled(&id, spec.clone()).unwrap_or_else(|why| panic!("{id}: {why}"));
        assert_eq!(pod["metadata"]["labels"]["sidecarpolicy.dev/injected"], "true");
        assert!(!names(&pod, "containers").is_empty());
        let sidecars = spec["sidecars"].as_array().into_iter().flatten();
        for sidecar in sidecars {
            let name = sidecar["name"].as_str().unwrap().to_owned();
            let lists = [names(&pod, "initContainers"), names(&pod, "containers")];
            assert!(lists.concat().contains(&name), "{pod:#}");
        }
    }
}

#[test]
fn a_namespace_that_is_selected_by_its_level_refuses_nothing() {
    let spec = with(
        side(json!({"securityContext": {"privileged": true}})),
        json!({"namespaceSelector": {"matchLabels": {"pod-security.kubernetes.io/enforce": "restricted"}}}),
    );
    sampled(&PolicyId::cluster("one"), spec).unwrap();
}

#[rstest]
#[case(
    parameter(json!({"pattern": "^[0-9]{12}$"})),
    "parameter x is required, and no value is known that is text that matches the pattern ^[0-9]{12}$"
)]
#[case(side(json!({"args": ["${string(int(pod.metadata.labels.a) / (int(pod.metadata.labels.a) - 1))}"]})), "spec.sidecars[0].args[0]")]
fn what_no_pod_can_be_made_up_for_is_said(#[case] spec: Value, #[case] expected: &str) {
    let why = sampled(&PolicyId::cluster("one"), spec).unwrap_err();
    assert!(why.contains(expected), "{why}");
}

#[test]
fn the_ready_made_policies_go_into_their_samples() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("policy.yaml");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let policy: Value = serde_saphyr::from_str(&text).unwrap();
        let name = policy["metadata"]["name"].as_str().unwrap();
        let id = match policy["kind"].as_str().unwrap() {
            "SidecarPolicy" => PolicyId::namespaced("shop", name),
            _ => PolicyId::cluster(name),
        };
        sampled(&id, policy["spec"].clone()).unwrap_or_else(|why| panic!("{name}: {why}"));
        seen += 1;
    }
    assert!(seen >= 2, "{seen} policies");
}
