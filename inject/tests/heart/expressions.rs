//! Parameters, match conditions and `${…}`, all the way into a pod.

use inject::{Policy, PolicyId};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Seen, api_pod, namespace, policy, run, run_in, shop};

fn spec() -> Value {
    json!({
        "parameters": [
            {"name": "level", "default": "info", "enum": ["debug", "info", "warn"]},
            {"name": "port", "type": "Integer", "default": 8080, "minimum": 1, "maximum": 65535},
            {"name": "readOnly", "type": "Boolean", "default": true},
            {"name": "hosts", "type": "StringList", "default": ["a", "b"]},
            {"name": "size", "type": "Quantity", "default": "64Mi"},
            {"name": "text", "default": ""}
        ],
        "sidecars": [{
            "name": "proxy", "image": "proxy:1",
            "args": ["--level=${params.level}", "--host", "${params.hosts}", "$${HOME}", "${params.text}",
                     "--service=${workload.name}.${namespace.name}"],
            "ports": [{"containerPort": "${params.port}"}],
            "env": [{"name": "PORT", "value": "${params.port}"}],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": "${params.readOnly}"}],
            "readinessProbe": {"tcpSocket": {"port": "${params.port}"}},
            "resources": {"limits": {"memory": "${params.size}"}}
        }],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "${params.size}"}}],
        "appContainers": [{"env": [{"name": "PROXY", "value": "http://localhost:${params.port}"}]}],
        "pod": {"labels": {"level": "${params.level}"}},
        "files": [{"path": "/etc/proxy.yaml", "content": "level: ${params.level}\nport: ${params.port}\n"}]
    })
}

fn with_annotations(annotations: Value) -> Value {
    let mut pod = api_pod();
    pod["metadata"]["annotations"] = annotations;
    pod
}

fn injected(pod: &Value) -> Seen {
    let seen = run(vec![shop("p", spec())], pod);
    assert_eq!(seen.reason("shop/p"), "Injected", "{:?} {:?}", seen.warnings, seen.denied);
    let second = run(vec![shop("p", spec())], &seen.pod);
    assert!(second.unchanged(), "{}", second.patch);
    seen
}

#[test]
fn every_part_of_a_policy_takes_expressions() {
    let seen = injected(&api_pod());
    let proxy = &seen.pod["spec"]["initContainers"][0];
    assert_eq!(
        proxy["args"],
        json!(["--level=info", "--host", "a", "b", "${HOME}", "", "--service=api.shop"])
    );
    assert_eq!(proxy["ports"], json!([{"containerPort": 8080}]));
    assert_eq!(proxy["env"], json!([{"name": "PORT", "value": "8080"}]));
    assert_eq!(proxy["volumeMounts"][0]["readOnly"], true);
    assert_eq!(proxy["readinessProbe"]["tcpSocket"]["port"], 8080);
    assert_eq!(proxy["resources"]["limits"]["memory"], "64Mi");
    assert_eq!(seen.pod["spec"]["volumes"][0]["emptyDir"]["sizeLimit"], "64Mi");
    let app = &seen.pod["spec"]["containers"][0];
    assert_eq!(app["env"][0]["value"], "http://localhost:8080");
    assert_eq!(seen.pod["metadata"]["labels"]["level"], "info");
    let annotations = &seen.pod["metadata"]["annotations"];
    assert_eq!(annotations["files.sidecarpolicy.dev/p.0"], "level: info\nport: 8080\n");
}

#[test]
fn annotations_of_the_pod_go_before_those_of_the_namespace() {
    let policies = vec![shop("p", spec())];
    let namespace = namespace(&[
        ("params.sidecarpolicy.dev/p.port", "9000"),
        ("params.sidecarpolicy.dev/p.level", "warn"),
    ]);
    let pod = with_annotations(json!({"params.sidecarpolicy.dev/p.port": "9001"}));
    let seen = run_in(&namespace, policies, &pod);
    let proxy = &seen.pod["spec"]["initContainers"][0];
    assert_eq!(
        (&proxy["ports"][0]["containerPort"], &proxy["args"][0]),
        (&json!(9001), &json!("--level=warn"))
    );
}

#[test]
fn the_cluster_kind_has_annotations_of_its_own() {
    let policies = vec![policy(PolicyId::cluster("p"), spec()).unwrap()];
    let pod = with_annotations(json!({"params.cluster.sidecarpolicy.dev/p.port": "9001"}));
    let seen = run(policies, &pod);
    assert_eq!(seen.pod["spec"]["initContainers"][0]["ports"][0]["containerPort"], 9001);
    assert_eq!(seen.warnings, Vec::<String>::new());
}

#[rstest]
#[case("port", "no number")]
#[case("port", "0")]
#[case("level", "loud")]
#[case("readOnly", "yes")]
#[case("size", "much")]
fn a_bad_value_is_a_failure_that_names_its_annotation(#[case] name: &str, #[case] value: &str) {
    let key = format!("params.sidecarpolicy.dev/p.{name}");
    let seen = run(vec![shop("p", spec())], &with_annotations(json!({ key.clone(): value })));
    assert_eq!(seen.reason("shop/p"), "BadParameter");
    assert!(seen.warnings[0].contains(&key), "{:?}", seen.warnings);
    let mut denying = spec();
    denying["onConflict"] = json!("Deny");
    let seen = run(vec![shop("p", denying)], &with_annotations(json!({ key.clone(): value })));
    assert!(seen.denied.unwrap().contains(&key));
}

#[rstest]
#[case("params.sidecarpolicy.dev/p.prot", "has no parameter \"prot\"; it has level, port")]
#[case("params.sidecarpolicy.dev/q.port", "there is no SidecarPolicy shop/q")]
#[case("params.cluster.sidecarpolicy.dev/p.port", "there is no ClusterSidecarPolicy cluster/p")]
#[case("params.sidecarpolicy.dev/p", "does not name a policy and a parameter")]
fn a_parameter_that_no_policy_has_is_warned_about(#[case] key: &str, #[case] expected: &str) {
    let seen = injected(&with_annotations(json!({ key: "1" })));
    assert!(
        seen.warnings[0].contains(key) && seen.warnings[0].contains(expected),
        "{:?}",
        seen.warnings
    );
}

fn conditional(expression: &str) -> Policy {
    let mut spec = spec();
    spec["matchConditions"] = json!([{"name": "which", "expression": expression}]);
    shop("p", spec)
}

#[rstest]
#[case("true", "Injected")]
#[case("pod.metadata.labels['app'] == 'api'", "Injected")]
#[case("'tier' in pod.metadata.labels && pod.metadata.labels['tier'] == 'web'", "ConditionNotMet")]
#[case("namespace.labels['team'] == 'blue' && workload.kind == 'Pod'", "Injected")]
#[case("params.port > 9000", "ConditionNotMet")]
#[case("pod.metadata.labels['absent'] == 'x'", "MatchConditionFailed")]
fn match_conditions_decide(#[case] expression: &str, #[case] word: &str) {
    let seen = run(vec![conditional(expression)], &api_pod());
    assert_eq!(seen.reason("shop/p"), word, "{:?}", seen.warnings);
    assert_eq!(seen.unchanged(), word == "ConditionNotMet");
}

#[test]
fn what_an_expression_gives_is_checked_like_what_is_written() {
    let spec = json!({
        "parameters": [{"name": "port", "type": "Integer", "default": 80}],
        "sidecars": [{"name": "side", "image": "s:1", "ports": [{"containerPort": "${params.port}"}]}]
    });
    let pod = with_annotations(json!({"params.sidecarpolicy.dev/p.port": "99999"}));
    let seen = run(vec![shop("p", spec)], &pod);
    assert_eq!(seen.reason("shop/p"), "ExpressionFailed");
    assert!(
        seen.warnings[0].contains("spec.sidecars[0].ports[0].containerPort"),
        "{:?}",
        seen.warnings
    );
    assert!(seen.pod["spec"].get("initContainers").is_none());
}

#[rstest]
#[case("\"}, {\"name\": \"evil\", \"image\": \"evil\"}")]
#[case("${params.port}")]
#[case("$${params.port}")]
#[case("'; rm -rf / #")]
#[case("{{ .Values }}")]
fn no_value_becomes_structure(#[case] hostile: &str) {
    let plain = injected(&with_annotations(json!({"params.sidecarpolicy.dev/p.text": "x"})));
    let seen = injected(&with_annotations(json!({"params.sidecarpolicy.dev/p.text": hostile})));
    let mut expected = plain.pod.clone();
    expected["metadata"]["annotations"]["params.sidecarpolicy.dev/p.text"] = json!(hostile);
    expected["spec"]["initContainers"][0]["args"][5] = json!(hostile);
    assert_eq!(seen.pod, expected);
}

/// A file is text: a line end would give it another line.
#[rstest]
#[case("a\nb: c")]
#[case("- item\n- item")]
#[case("a\r")]
#[case("\u{0}")]
#[case("\u{2028}")]
fn a_value_of_several_lines_is_refused(#[case] hostile: &str) {
    let pod = with_annotations(json!({"params.sidecarpolicy.dev/p.text": hostile}));
    assert_eq!(run(vec![shop("p", spec())], &pod).reason("shop/p"), "BadParameter");
}

#[test]
fn a_value_of_megabytes_is_refused() {
    let pod = with_annotations(json!({"params.sidecarpolicy.dev/p.text": "x".repeat(2 << 20)}));
    let seen = run(vec![shop("p", spec())], &pod);
    assert_eq!(seen.reason("shop/p"), "BadParameter");
    assert!(seen.warnings[0].len() < 1024, "{} bytes", seen.warnings[0].len());
}

#[test]
fn what_policies_add_to_the_metadata_is_not_seen_by_expressions() {
    let labelling = || {
        shop(
            "a",
            json!({"pod": {"labels": {"tier": "web"}, "annotations": {"n": "${pod.metadata.name}"}}}),
        )
    };
    let reading = || {
        let seen = "${'tier' in pod.metadata.labels}-${'n' in pod.metadata.annotations}";
        shop("b", json!({"sidecars": [{"name": "side", "image": "s:1", "args": [seen]}]}))
    };
    let first = run(vec![labelling(), reading()], &api_pod());
    assert_eq!(first.pod["spec"]["initContainers"][0]["args"], json!(["false-false"]));
    assert!(run(vec![labelling(), reading()], &first.pod).unchanged());
    // The app's own label of another value is seen, in every call.
    let mut pod = api_pod();
    pod["metadata"]["labels"]["tier"] = json!("own");
    let first = run(vec![labelling(), reading()], &pod);
    assert_eq!(first.pod["spec"]["initContainers"][0]["args"], json!(["true-false"]));
    assert!(run(vec![labelling(), reading()], &first.pod).unchanged());
}

fn problems(spec: Value) -> String {
    policy(PolicyId::namespaced("shop", "p"), spec)
        .map_or_else(|invalid| invalid.to_string(), |_| String::new())
}

#[rstest]
#[case(json!({"args": ["${string(1 / 0)}"]}), "spec.sidecars[0].args[0]")]
#[case(json!({"image": "${''}"}), "spec.sidecars[0].image")]
#[case(json!({"imagePullPolicy": "${'x'}"}), "spec.sidecars[0].imagePullPolicy")]
#[case(json!({"ports": [{"containerPort": "${params.tooLarge}"}]}), "spec.sidecars[0].ports[0].containerPort")]
#[case(json!({"readinessProbe": {"exec": {"command": ["${params.none}"]}}}), "spec.sidecars[0].readinessProbe.exec.command")]
fn a_policy_that_cannot_work_with_its_own_defaults_is_refused(
    #[case] more: Value,
    #[case] path: &str,
) {
    let mut sidecar = json!({"name": "side", "image": "s:1"});
    sidecar.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let found = problems(json!({
        "parameters": [
            {"name": "tooLarge", "type": "Integer", "default": 70000},
            {"name": "none", "type": "StringList", "default": []}
        ],
        "sidecars": [sidecar]
    }));
    assert!(found.starts_with(path), "{found}");
}

#[test]
fn what_a_pod_or_an_annotation_decides_is_no_problem_of_the_policy() {
    let required = json!({
        "parameters": [{"name": "port", "type": "Integer", "required": true}],
        "sidecars": [{"name": "side", "image": "s:1", "ports": [{"containerPort": "${params.port}"}],
                      "args": ["${pod.metadata.labels['x']}"]}]
    });
    assert_eq!(problems(required), "");
}

#[rstest]
#[case(json!({"securityContext": {"capabilities": {"add": ["${params.text}"]}}}), "PodSecurity")]
#[case(json!({"resources": {"claims": [{"name": "${params.text}"}]}}), "ResourceClaimMissing")]
fn a_value_that_looks_like_an_expression_is_judged_as_text(
    #[case] more: Value,
    #[case] word: &str,
) {
    let mut sidecar = json!({"name": "side", "image": "s:1"});
    sidecar.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let spec = json!({"parameters": [{"name": "text", "default": "CHOWN"}], "sidecars": [sidecar]});
    let mut namespace = namespace(&[]);
    namespace.labels.insert("pod-security.kubernetes.io/enforce".to_owned(), "baseline".to_owned());
    let pod = with_annotations(json!({"params.sidecarpolicy.dev/p.text": "${x}"}));
    let seen = run_in(&namespace, vec![shop("p", spec)], &pod);
    assert_eq!(seen.reason("shop/p"), word, "{:?}", seen.warnings);
}

/// Every pod gets these alike; the schema refuses an expression in those that are no text.
#[rstest]
#[case(json!({"sidecars": [{"name": "${params.a}", "image": "s:1"}]}))]
#[case(json!({"sidecars": [{"name": "s", "image": "s:1", "placement": {"after": "${params.a}"}}]}))]
#[case(json!({"sidecars": [{"name": "s", "image": "s:1", "copyFromApp": {"containers": ["${params.a}"], "volumeMounts": true}}]}))]
#[case(json!({"sidecars": [{"name": "s", "image": "s:1", "copyFromApp": {"env": ["${params.a}"]}}]}))]
#[case(json!({"sidecars": [{"name": "s", "image": "s:1", "resourcesFromApp": {"function": "Sum", "requests": {"cpu": {"percent": 1, "min": "${params.a}"}}}}]}))]
#[case(json!({"volumes": [{"name": "${params.a}", "emptyDir": {}}]}))]
#[case(json!({"sidecars": [{"name": "s", "image": "s:1"}], "files": [{"path": "/a", "content": "", "containers": ["${params.a}"]}]}))]
#[case(json!({"appContainers": [{"containers": ["${params.a}"], "env": [{"name": "A", "value": "1"}]}]}))]
fn an_expression_where_every_pod_gets_the_same_is_refused(#[case] mut spec: Value) {
    spec["parameters"] = json!([{"name": "a", "default": "a"}]);
    let found = policy(PolicyId::namespaced("shop", "p"), spec);
    assert!(found.is_err(), "{found:?}");
}

/// A label that is only looked at is not put on any pod, so an app's own stays in sight.
#[test]
fn what_an_audited_policy_would_add_hides_nothing() {
    let looking = shop("looking", json!({"mode": "Audit", "pod": {"labels": {"team": "blue"}}}));
    let reading = shop(
        "reading",
        json!({"appContainers": [{"env": [{"name": "TEAM", "value": "${pod.metadata.labels['team']}"}]}]}),
    );
    let mut pod = api_pod();
    pod["metadata"]["labels"]["team"] = json!("blue");
    let seen = run(vec![looking, reading], &pod);
    assert_eq!(seen.pod["spec"]["containers"][0]["env"][0]["value"], "blue");
}
