//! What is refused in a policy beside what the API server would refuse: rules of our own, and parts
//! that have to agree with one another.

use inject::{PolicyId, unknown_fields};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::policy;

fn problems(spec: Value) -> Vec<String> {
    policy(PolicyId::namespaced("shop", "p"), spec)
        .err()
        .map_or_else(Vec::new, |invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

/// A policy of two sidecars with more in the first one, and more beside them.
fn two(first: Value, more: Value) -> Value {
    let mut sidecar = json!({"name": "one", "image": "s:1"});
    sidecar.as_object_mut().unwrap().extend(first.as_object().unwrap().clone());
    let mut spec = json!({"sidecars": [sidecar, {"name": "two", "image": "s:1"}]});
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    spec
}

fn first(first: Value) -> Value {
    two(first, json!({}))
}

fn beside(more: Value) -> Value {
    two(json!({}), more)
}

#[rstest]
#[case::itself(first(json!({"placement": {"before": "one"}})), "spec.sidecars[0].placement: must name another container")]
#[case::no_name(first(json!({"placement": {"after": "Web"}})), "spec.sidecars[0].placement: \"Web\" must be a DNS label")]
#[case::other_list(first(json!({"type": "Container", "placement": {"after": "two"}})), "spec.sidecars[0].placement: \"two\" stands in the other list")]
#[case::circle(json!({"sidecars": [
    {"name": "one", "image": "s:1", "placement": {"before": "two"}},
    {"name": "two", "image": "s:1", "placement": {"after": "one"}}]}), "spec.sidecars[1].placement: goes round in circles by way of \"one\"")]
#[case::same_host_port(json!({"sidecars": [
    {"name": "one", "image": "s:1", "type": "Container", "ports": [{"containerPort": 1, "hostPort": 9}]},
    {"name": "two", "image": "s:1", "type": "Container", "ports": [{"containerPort": 2, "hostPort": 9}]}]}), "spec.sidecars[1].ports[0].hostPort: 9 is a host port of container \"one\" too")]
#[case::restart_rules(first(json!({"type": "Init", "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [1]}}]})), "spec.sidecars[0].restartPolicyRules: needs type: Sidecar")]
#[case::windows_on_linux(first(json!({"securityContext": {"windowsOptions": {}}})), "spec.sidecars[0].securityContext.windowsOptions: needs os: Windows")]
#[case::linux_on_windows(two(json!({"securityContext": {"runAsUser": 1}}), json!({"os": "Windows"})), "spec.sidecars[0].securityContext.runAsUser: is for Linux only")]
#[case::windows_signal(two(json!({"lifecycle": {"stopSignal": "SIGUSR1"}}), json!({"os": "Windows"})), "spec.sidecars[0].lifecycle.stopSignal: \"SIGUSR1\" is not a signal")]
#[case::device(two(json!({"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]}), json!({"volumes": [{"name": "v", "emptyDir": {}}]})), "spec.sidecars[0].volumeDevices[0].name: must be a persistentVolumeClaim")]
#[case::env_file(two(json!({"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "a", "key": "A"}}}]}), json!({"volumes": [{"name": "v", "configMap": {"name": "c"}}]})), "spec.sidecars[0].env[0].valueFrom.fileKeyRef.volumeName: must be an emptyDir volume")]
#[case::huge_pages(first(json!({"resources": {"limits": {"hugepages-2Mi": "3Mi", "cpu": 1}}})), "spec.sidecars[0].resources.limits.hugepages-2Mi: must be a multiple of the page size 2Mi")]
#[case::resource_name(first(json!({"resources": {"limits": {"gpu": 1}}})), "spec.sidecars[0].resources.limits.gpu: \"gpu\" is not a resource")]
#[case::half_a_gpu(first(json!({"resources": {"limits": {"example.com/gpu": "500m"}}})), "spec.sidecars[0].resources.limits.example.com/gpu: must be a whole number")]
#[case::field_path(first(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]})), "spec.sidecars[0].env[0].valueFrom.fieldRef.fieldPath: \"spec.hostname\" cannot be taken; use one of")]
#[case::token_life(beside(json!({"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 60}}]}}]})), "spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: must be a number from 600")]
#[case::copies_nothing(first(json!({"copyFromApp": {"containers": ["app"]}})), "spec.sidecars[0].copyFromApp: copies nothing")]
#[case::copies_unknown(first(json!({"copyFromApp": {"volumeMounts": true, "envs": ["A"]}})), "spec.sidecars[0].copyFromApp.envs: is unknown")]
#[case::copies_no_variable(first(json!({"copyFromApp": {"env": ["A=B"]}})), "spec.sidecars[0].copyFromApp.env[0]: must be of printable ASCII")]
#[case::copies_from_nobody(first(json!({"copyFromApp": {"volumeMounts": true, "containers": ["App_*"]}})), "spec.sidecars[0].copyFromApp.containers[0]: \"App_*\" matches no container")]
#[case::sized_by_nothing(first(json!({"resourcesFromApp": {"function": "Sum"}})), "spec.sidecars[0].resourcesFromApp: sizes nothing")]
#[case::sized_without_function(first(json!({"resourcesFromApp": {"limits": {"cpu": {"percent": 5}}}})), "spec.sidecars[0].resourcesFromApp.function: is missing")]
#[case::sized_by_unknown_function(first(json!({"resourcesFromApp": {"function": "Mean", "limits": {"cpu": {"percent": 5}}}})), "spec.sidecars[0].resourcesFromApp.function: \"Mean\" is not one of Sum, Max")]
#[case::no_percent(first(json!({"resourcesFromApp": {"function": "Sum", "limits": {"cpu": {"min": "1"}}}})), "spec.sidecars[0].resourcesFromApp.limits.cpu.percent: is missing")]
#[case::min_above_max(first(json!({"resourcesFromApp": {"function": "Sum", "limits": {"cpu": {"percent": 5, "min": "2", "max": "1500m"}}}})), "spec.sidecars[0].resourcesFromApp.limits.cpu.min: must not be more than max")]
#[case::request_above_limit(first(json!({"resourcesFromApp": {"function": "Sum", "requests": {"cpu": {"percent": 5, "min": "2"}}, "limits": {"cpu": {"percent": 5, "max": "1"}}}})), "spec.sidecars[0].resourcesFromApp.requests.cpu.min: must not be more than the limit can be")]
#[case::request_above_written_limit(first(json!({"resources": {"limits": {"memory": "64Mi"}}, "resourcesFromApp": {"function": "Max", "requests": {"memory": {"percent": 5, "min": "1Gi"}}}})), "spec.sidecars[0].resourcesFromApp.requests.memory.min: must not be more than the limit can be")]
#[case::glob(beside(json!({"appContainers": [{"containers": ["app?"], "env": [{"name": "A"}]}]})), "spec.appContainers[0].containers[0]: \"app?\" matches no container")]
#[case::appended_source(beside(json!({"appContainers": [{"env": [{"name": "A", "merge": "Append", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}]})), "spec.appContainers[0].env[0].valueFrom: cannot be appended")]
#[case::appended_nothing(beside(json!({"appContainers": [{"env": [{"name": "A", "merge": "Append"}]}]})), "spec.appContainers[0].env[0].value: is missing")]
#[case::separator_alone(beside(json!({"appContainers": [{"env": [{"name": "A", "value": "b", "separator": ","}]}]})), "spec.appContainers[0].env[0].separator: belongs to merge: Append")]
#[case::relative_file(beside(json!({"files": [{"path": "a", "content": "x"}]})), "spec.files[0].path: must be absolute")]
#[case::folder(beside(json!({"files": [{"path": "/a/", "content": "x"}]})), "spec.files[0].path: must name a file")]
#[case::file_above(beside(json!({"files": [{"path": "/a/../b", "content": "x"}]})), "spec.files[0].path: must not contain '..'")]
#[case::file_twice(beside(json!({"files": [{"path": "/a", "content": "x"}, {"path": "/a", "content": "y", "containers": ["two"]}]})), "spec.files[1].path: /a is taken in container \"two\"")]
#[case::file_over_mount(two(json!({"volumeMounts": [{"name": "v", "mountPath": "/a"}]}), json!({"files": [{"path": "/a", "content": "x"}]})), "spec.files[0].path: /a is taken in container \"one\"")]
#[case::the_volume_of_files(beside(json!({"volumes": [{"name": "sidecar-files-p", "emptyDir": {}}], "files": [{"path": "/a", "content": "x"}]})), "spec.volumes[0].name: \"sidecar-files-p\" is the volume of spec.files")]
#[case::file_for_nobody(beside(json!({"files": [{"path": "/a", "content": "x", "containers": ["three"]}]})), "spec.files[0].containers[0]: \"three\" is not a sidecar of this policy")]
#[case::file_without_sidecars(json!({"files": [{"path": "/a", "content": "x"}]}), "spec.files[0]: reaches no container")]
#[case::too_many_bytes(beside(json!({"files": [{"path": "/a", "content": "x".repeat(200_000)}]})), "spec.files: 200002 bytes of files and annotations; at most 196608")]
#[case::too_long_annotation(beside(json!({"pod": {"annotations": {"a": "x".repeat(200_000)}}})), "spec.pod.annotations: 200001 bytes")]
#[case::own_label(beside(json!({"pod": {"labels": {"sidecarpolicy.dev/injected": "false"}}})), "spec.pod.labels: \"sidecarpolicy.dev/injected\" is one of the product's own keys")]
#[case::own_annotation(beside(json!({"pod": {"annotations": {"params.cluster.sidecarpolicy.dev/p.x": "1"}}})), "spec.pod.annotations: \"params.cluster.sidecarpolicy.dev/p.x\" is one of the product's own keys")]
#[case::selected_label(beside(json!({"podSelector": {"matchLabels": {"app": "a"}}, "pod": {"labels": {"app": "b"}}})), "spec.pod.labels.app: is a label that the policy selects by")]
#[case::mirror_pod(beside(json!({"pod": {"annotations": {"kubernetes.io/config.mirror": "x"}}})), "spec.pod.annotations.kubernetes.io/config.mirror: marks pods of the kubelet")]
#[case::deletion_cost(beside(json!({"pod": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "+1"}}})), "spec.pod.annotations.controller.kubernetes.io/pod-deletion-cost: \"+1\" is not a number")]
#[case::host_alias(beside(json!({"pod": {"hostAliases": [{"ip": "1.2.3", "hostnames": ["a"]}]}})), "spec.pod.hostAliases[0].ip: \"1.2.3\" is not an IP address")]
#[case::group(beside(json!({"pod": {"securityContext": {"fsGroup": -1}}})), "spec.pod.securityContext.fsGroup: must be at least 0")]
#[case::context_of_pod(beside(json!({"pod": {"securityContext": {"runAsUser": 1}}})), "spec.pod.securityContext.runAsUser: is not allowed")]
fn rules_of_our_own(#[case] spec: Value, #[case] expected: &str) {
    let found = problems(spec);
    assert!(found.iter().any(|problem| problem.starts_with(expected)), "{found:#?}");
}

/// Text with an expression has no value yet; what is constant beside it is checked all the same.
#[rstest]
#[case(first(json!({"image": "a:${params.tag}"})), &[])]
#[case(first(json!({"ports": [{"containerPort": "${params.port}"}]})), &[])]
#[case(first(json!({"resources": {"limits": {"memory": "${params.memory}"}, "requests": {"memory": "1Gi"}}})), &[])]
#[case(first(json!({"resources": {"limits": {"example.com/gpu": "${params.gpus}"}, "requests": {"example.com/gpu": "1"}}})), &[])]
#[case(first(json!({"securityContext": {"runAsUser": "${params.user}", "seccompProfile": {"type": "${params.profile}"}}})), &[])]
#[case(first(json!({"livenessProbe": {"httpGet": {"port": "${params.port}", "path": "/${params.path}"}}})), &[])]
#[case(first(json!({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['${params.key}']"}}}]})), &[])]
#[case(first(json!({"livenessProbe": {"httpGet": {"port": "${params.port}", "scheme": "FTP"}}})), &["spec.sidecars[0].livenessProbe.httpGet.scheme"])]
#[case(first(json!({"imagePullPolicy": "$${x}"})), &["spec.sidecars[0].imagePullPolicy"])]
#[case(beside(json!({"volumes": [{"name": "v", "hostPath": {"path": "/a/${params.path}", "type": "Dir"}}]})), &["spec.volumes[0].hostPath.type"])]
#[case(beside(json!({"files": [{"path": "/${params.path}", "content": "${params.text}"}]})), &[])]
#[case(beside(json!({"pod": {"labels": {"a": "${params.label}-x"}, "annotations": {"a": "${params.text}"}}})), &[])]
fn text_with_an_expression_passes(#[case] mut spec: Value, #[case] expected: &[&str]) {
    let parameter = |name: &str, kind: &str, default: Value| json!({"name": name, "type": kind, "default": default});
    spec["parameters"] = json!([
        parameter("tag", "String", json!("1")),
        parameter("port", "Integer", json!(80)),
        parameter("memory", "Quantity", json!("2Gi")),
        parameter("gpus", "Quantity", json!("1")),
        parameter("user", "Integer", json!(1)),
        parameter("profile", "String", json!("RuntimeDefault")),
        parameter("path", "String", json!("status")),
        parameter("key", "String", json!("app")),
        parameter("text", "String", json!("any text")),
        parameter("label", "String", json!("web")),
    ]);
    let found: Vec<String> = problems(spec)
        .into_iter()
        .map(|problem| problem.split(": ").next().unwrap().to_owned())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn fields_of_a_newer_kubernetes_go_in_and_are_told() {
    let spec = json!({
        "sidecars": [{"name": "side", "image": "s:1", "resources": {"limits": {"cpu": 1}}, "newer": {"a": 1},
            "ports": [{"containerPort": 1, "color": "red"}], "env": [{"name": "A", "value": "b"}], "tty": null, "args": []}],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": 1, "shiny": true}}, {"name": "w", "hologram": {}}],
        "appContainers": [{"env": [{"name": "A", "value": "b", "secrecy": "high"}]}],
    });
    assert_eq!(problems(spec.clone()), Vec::<String>::new());
    assert_eq!(
        unknown_fields(&serde_json::from_value(spec).unwrap()),
        [
            "spec.sidecars[0].newer",
            "spec.sidecars[0].ports[0].color",
            "spec.volumes[0].emptyDir.shiny",
            "spec.volumes[1].hologram",
            "spec.appContainers[0].env[0].secrecy",
        ]
    );
}

/// Messages of the schema's rules, each by its beginning, with a policy that breaks the rule.
fn broken_rules() -> Vec<(&'static str, &'static str, Value)> {
    let rollout = |rollout: Value| beside(json!({"rollout": rollout}));
    let entry = |entry: Value| beside(json!({"appContainers": [entry]}));
    let condition = json!({"name": "Not a label", "expression": "true"});
    let parameter = json!({"name": "no-identifier", "type": "String"});
    let volume = json!({"name": "Not.a.label", "emptyDir": {}});
    let name = "p";
    vec![
        ("metadata.name", "p.q", beside(json!({}))),
        ("nothing goes in", name, json!({"priority": 1})),
        ("the name of a sidecar", name, first(json!({"name": "Not.a.label"}))),
        ("the name of a volume", name, beside(json!({"volumes": [volume]}))),
        ("the name of a match condition", name, beside(json!({"matchConditions": [condition]}))),
        ("the name of a parameter", name, beside(json!({"parameters": [parameter]}))),
        ("the path of a file", name, beside(json!({"files": [{"path": "a", "content": "b"}]}))),
        ("this entry adds nothing", name, entry(json!({"containers": ["app"]}))),
        (
            "merge: Append needs value",
            name,
            entry(json!({"env": [{"name": "A", "merge": "Append"}]})),
        ),
        ("maxUnavailable", name, rollout(json!({"maxUnavailable": 0}))),
        ("maxUnavailable", name, rollout(json!({"maxUnavailable": "0%"}))),
        ("maxUnavailable", name, rollout(json!({"maxUnavailable": "010%"}))),
        ("maxUnavailable", name, rollout(json!({"maxUnavailable": "101%"}))),
        ("partition", name, rollout(json!({"partition": 1}))),
        ("partition", name, rollout(json!({"partition": -1}))),
        ("partition", name, rollout(json!({"partition": "300%"}))),
        ("partition", name, rollout(json!({"partition": "a few"}))),
    ]
}

/// Who has no cluster to ask hears of it too.
#[test]
fn what_the_schemas_rules_refuse_is_refused_without_an_api_server() {
    let broken = broken_rules();
    for (rule, name, spec) in &broken {
        let refused = policy(PolicyId::namespaced("shop", *name), spec.clone()).is_err();
        assert!(refused, "{rule}: {spec}");
    }
    let definition =
        serde_json::to_value(&crds::custom_resource_definitions().unwrap()[0]).unwrap();
    let mut messages = Vec::new();
    collect_messages(&definition, &mut messages);
    assert!(!messages.is_empty());
    for message in messages {
        assert!(broken.iter().any(|(rule, ..)| message.starts_with(rule)), "no example: {message}");
    }
}

fn collect_messages(schema: &Value, messages: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            let rules = fields.get("x-kubernetes-validations").and_then(Value::as_array);
            let found = rules.into_iter().flatten().filter_map(|rule| rule["message"].as_str());
            messages.extend(found.map(str::to_owned));
            fields.values().for_each(|field| collect_messages(field, messages));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_messages(item, messages)),
        _ => {}
    }
}
