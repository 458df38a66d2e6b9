//! What happens to pods, rule by rule.

use inject::{Policy, PolicyId};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{
    Seen, api_pod, cluster, log_shipper, names, namespace, policy, run, run_in, run_text, shop,
};

fn with(mut base: Value, changes: Value) -> Value {
    merge(&mut base, changes);
    base
}

fn merge(base: &mut Value, changes: Value) {
    match (base, changes) {
        (Value::Object(base), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(base.entry(key).or_insert(Value::Null), change);
            }
        }
        (base, change) => *base = change,
    }
}

fn sidecar_named(name: &str, more: Value) -> Value {
    let sidecar = with(json!({"name": name, "image": "side:1"}), more);
    json!({"sidecars": [sidecar]})
}

#[test]
fn the_smallest_useful_policy_goes_in() {
    let seen = run(vec![shop("log", log_shipper())], &api_pod());
    insta::assert_json_snapshot!(seen.pod);
    insta::assert_snapshot!(seen.patch);
    assert_eq!(seen.warnings, Vec::<String>::new());
    assert_eq!(seen.reason("shop/log"), "Injected");
}

#[test]
fn a_second_call_gives_no_patch() {
    let first = run(vec![shop("log", log_shipper())], &api_pod());
    let second = run(vec![shop("log", log_shipper())], &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
    assert_eq!(second.reason("shop/log"), "AlreadyInjected");
}

#[test]
fn a_second_call_after_api_defaults_and_other_mutators_gives_no_patch() {
    let mut pod = run(vec![shop("log", log_shipper())], &api_pod()).pod;
    let side = &mut pod["spec"]["initContainers"][0];
    side["imagePullPolicy"] = json!("IfNotPresent");
    side["terminationMessagePath"] = json!("/dev/termination-log");
    side["resources"] = json!({"limits": {"cpu": "1"}});
    side["image"] = json!("mirror.example/hub/otel/collector:1");
    side["env"] = json!([{"name": "ADDED_BY_ANOTHER", "value": "1"}]);
    let token = json!({"name": "token", "mountPath": "/var/run/secrets", "readOnly": true});
    side["volumeMounts"].as_array_mut().unwrap().push(token.clone());
    pod["spec"]["containers"][0]["volumeMounts"].as_array_mut().unwrap().push(token);
    pod["spec"]["containers"].as_array_mut().unwrap().insert(
        0,
        json!({"name": "mesh", "image": "m:1",
        "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app"}]}),
    );
    pod["spec"]["volumes"].as_array_mut().unwrap().push(json!({"name": "token", "emptyDir": {}}));
    let seen = run(vec![shop("log", log_shipper())], &pod);
    assert!(seen.unchanged(), "{}", seen.patch);
}

#[test]
fn a_pod_that_no_policy_selects_is_untouched() {
    let pod = with(api_pod(), json!({"metadata": {"labels": {"app": "web"}}}));
    let seen = run(vec![shop("log", log_shipper())], &pod);
    assert!(seen.unchanged());
    assert!(seen.decisions.is_empty());
}

#[test]
fn a_policy_of_another_namespace_never_reaches_the_pod() {
    let other = policy(PolicyId::namespaced("bank", "log"), log_shipper()).unwrap();
    assert!(run(vec![other], &api_pod()).unchanged());
}

#[rstest]
#[case(json!({"matchLabels": {"team": "blue"}}), true)]
#[case(json!({"matchLabels": {"team": "red"}}), false)]
#[case(json!({"matchExpressions": [{"key": "team", "operator": "NotIn", "values": ["red"]}]}), true)]
#[case(json!({"matchExpressions": [{"key": "missing", "operator": "NotIn", "values": ["x"]}]}), true)]
#[case(json!({"matchExpressions": [{"key": "team", "operator": "DoesNotExist"}]}), false)]
#[case(json!({}), true)]
fn a_cluster_policy_reaches_the_namespaces_it_selects(#[case] selector: Value, #[case] in_: bool) {
    let spec = with(log_shipper(), json!({"namespaceSelector": selector}));
    assert_eq!(!run(vec![cluster("log", spec)], &api_pod()).unchanged(), in_);
}

#[rstest]
#[case::kube_system("kube-system")]
#[case::node_leases("kube-node-lease")]
#[case::public("kube-public")]
#[case::own("sidecar-policy-system")]
fn excluded_namespaces_are_left_alone(#[case] name: &str) {
    let mut namespace = namespace(&[]);
    namespace.name = name.to_owned();
    let seen = run_in(&namespace, vec![cluster("log", log_shipper())], &api_pod());
    assert!(seen.unchanged());
}

#[rstest]
// policy, pod annotations, namespace annotations, reason
#[case::automatic(json!({}), &[], &[], "Injected")]
#[case::opted_out(json!({}), &[("skip", "log")], &[], "OptedOut")]
#[case::opted_out_of_all(json!({}), &[("skip", "*")], &[], "OptedOut")]
#[case::opted_out_of_a_list(json!({}), &[("skip", "other, log")], &[], "OptedOut")]
#[case::opted_out_of_another(json!({}), &[("skip", "other")], &[], "Injected")]
#[case::opted_out_by_kind(json!({}), &[("skip", "namespace/log")], &[], "OptedOut")]
#[case::opted_out_of_the_other_kind(json!({}), &[("skip", "cluster/log")], &[], "Injected")]
#[case::namespace_opts_out(json!({}), &[], &[("skip", "log")], "OptedOut")]
#[case::the_pod_is_nearer(json!({}), &[("inject", "log")], &[("skip", "*")], "Injected")]
#[case::skip_wins_in_a_level(json!({}), &[("inject", "log"), ("skip", "log")], &[], "OptedOut")]
#[case::on_request(json!({"activation": "OnRequest"}), &[], &[], "NotRequested")]
#[case::asked(json!({"activation": "OnRequest"}), &[("inject", "log")], &[], "Injected")]
#[case::asked_for_all(json!({"activation": "OnRequest"}), &[("inject", "*")], &[], "Injected")]
#[case::namespace_asks(json!({"activation": "OnRequest"}), &[], &[("inject", "log")], "Injected")]
#[case::must(json!({"optOut": "Denied"}), &[("skip", "log")], &[], "Injected")]
fn owners_ask_and_opt_out(
    #[case] changes: Value,
    #[case] pod: &[(&str, &str)],
    #[case] on_namespace: &[(&str, &str)],
    #[case] reason: &str,
) {
    let key = |name: &str| format!("sidecarpolicy.dev/{name}");
    let annotations: serde_json::Map<String, Value> =
        pod.iter().map(|(name, value)| (key(name), json!(value))).collect();
    let pod = with(api_pod(), json!({"metadata": {"annotations": annotations}}));
    let keys: Vec<(String, &str)> =
        on_namespace.iter().map(|(name, value)| (key(name), *value)).collect();
    let entries: Vec<(&str, &str)> =
        keys.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let seen = run_in(&namespace(&entries), vec![shop("log", with(log_shipper(), changes))], &pod);
    assert_eq!(seen.reason("shop/log"), reason);
}

#[test]
fn asking_never_overrides_a_selector() {
    let pod = with(
        api_pod(),
        json!({"metadata": {"labels": {"app": "web"},
        "annotations": {"sidecarpolicy.dev/inject": "log"}}}),
    );
    assert!(run(vec![shop("log", log_shipper())], &pod).unchanged());
}

#[test]
fn a_name_that_no_policy_has_is_warned_about() {
    let annotations = json!({"sidecarpolicy.dev/inject": "lgo", "sidecarpolicy.dev/skip": "*,log"});
    let pod = with(api_pod(), json!({"metadata": {"annotations": annotations}}));
    let seen = run(vec![shop("log", log_shipper())], &pod);
    assert_eq!(
        seen.warnings,
        ["annotation sidecarpolicy.dev/inject: no policy named \"lgo\" reaches namespace \"shop\""]
    );
}

#[test]
fn a_denied_opt_out_is_warned_about() {
    let pod =
        with(api_pod(), json!({"metadata": {"annotations": {"sidecarpolicy.dev/skip": "log"}}}));
    let seen = run(vec![shop("log", with(log_shipper(), json!({"optOut": "Denied"})))], &pod);
    assert_eq!(seen.warnings, ["SidecarPolicy shop/log does not allow to opt out"]);
    // Trying to opt out is not asking.
    let on_request = with(log_shipper(), json!({"optOut": "Denied", "activation": "OnRequest"}));
    assert_eq!(run(vec![shop("log", on_request)], &pod).reason("shop/log"), "NotRequested");
}

#[rstest]
#[case(json!({}), json!({"os": {"name": "windows"}}), "OperatingSystem")]
#[case(json!({}), json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), "OperatingSystem")]
#[case(json!({}), json!({"os": {"name": "linux"}}), "Injected")]
#[case(json!({"os": "Windows"}), json!({}), "OperatingSystem")]
#[case(json!({"os": "Any"}), json!({"os": {"name": "windows"}}), "Injected")]
#[case(json!({}), json!({"hostNetwork": true}), "Injected")]
#[case(json!({"hostNetwork": "Deny"}), json!({"hostNetwork": true}), "HostNetwork")]
fn the_spec_decides(#[case] changes: Value, #[case] spec: Value, #[case] reason: &str) {
    let pod = with(api_pod(), json!({"spec": spec}));
    let seen = run(vec![shop("log", with(log_shipper(), changes))], &pod);
    assert_eq!(seen.reason("shop/log"), reason);
}

#[test]
fn audit_reports_and_patches_nothing() {
    let audit = with(log_shipper(), json!({"mode": "Audit", "onConflict": "Deny"}));
    let seen = run(vec![shop("log", audit.clone())], &api_pod());
    assert!(seen.unchanged());
    assert_eq!(seen.reason("shop/log"), "WouldInject");
    assert_eq!(seen.warnings.len(), 1);
    let taken = with(
        api_pod(),
        json!({"spec": {"volumes": [{"name": "logs", "hostPath": {"path": "/x"}}]}}),
    );
    let seen = run(vec![shop("log", audit)], &taken);
    assert!(seen.unchanged(), "{}", seen.patch);
    assert_eq!((seen.denied, seen.decisions[0].1), (None, "VolumeNameConflict"));
}

#[rstest]
#[case::native("Sidecar", "initContainers", &["side", "setup"], &["app"])]
#[case::init("Init", "initContainers", &["side", "setup"], &["app"])]
#[case::ordinary("Container", "containers", &["setup"], &["app", "side"])]
fn types_go_to_their_list(
    #[case] kind: &str,
    #[case] list: &str,
    #[case] init: &[&str],
    #[case] ordinary: &[&str],
) {
    let spec = sidecar_named("side", json!({"type": kind}));
    let pod =
        with(api_pod(), json!({"spec": {"initContainers": [{"name": "setup", "image": "s:1"}]}}));
    let seen = run(vec![shop("p", spec)], &pod);
    assert_eq!(names(&seen.pod, "initContainers"), init);
    assert_eq!(names(&seen.pod, "containers"), ordinary);
    let position = names(&seen.pod, list).iter().position(|name| name == "side").unwrap();
    let restart = &seen.pod["spec"][list][position]["restartPolicy"];
    assert_eq!(*restart, if kind == "Sidecar" { json!("Always") } else { Value::Null });
}

#[rstest]
#[case("First", &["one", "two", "setup"])]
#[case("Last", &["setup", "one", "two"])]
fn blocks_follow_the_policy_order(#[case] place: &str, #[case] expected: &[&str]) {
    let make = |name: &str, priority: i32| {
        with(sidecar_named(name, json!({"placement": place})), json!({"priority": priority}))
    };
    let pod =
        with(api_pod(), json!({"spec": {"initContainers": [{"name": "setup", "image": "s:1"}]}}));
    let policies = || vec![shop("b", make("one", 5)), shop("a", make("two", 1))];
    let seen = run(policies(), &pod);
    assert_eq!(names(&seen.pod, "initContainers"), expected);
    let mut reversed = policies();
    reversed.reverse();
    assert_eq!(run(reversed, &pod).patch, seen.patch);
    assert!(run(policies(), &seen.pod).unchanged());
}

#[test]
fn a_sidecar_that_is_missing_comes_back_at_its_place() {
    let policies = || {
        vec![
            shop("a", with(sidecar_named("one", json!({})), json!({"priority": 3}))),
            shop("b", with(sidecar_named("two", json!({})), json!({"priority": 2}))),
            shop("c", with(sidecar_named("three", json!({})), json!({"priority": 1}))),
        ]
    };
    let full = run(policies(), &api_pod()).pod;
    let mut holed = full.clone();
    holed["spec"]["initContainers"].as_array_mut().unwrap().remove(1);
    assert_eq!(run(policies(), &holed).pod, full);
}

#[test]
fn cluster_policies_go_before_namespaced_ones_of_the_same_priority() {
    let policies = vec![
        shop("a", sidecar_named("near", json!({}))),
        cluster("z", sidecar_named("far", json!({}))),
    ];
    let seen = run(policies, &api_pod());
    assert_eq!(names(&seen.pod, "initContainers"), ["far", "near"]);
    let injected =
        seen.pod["metadata"]["annotations"]["sidecarpolicy.dev/injected"].as_str().unwrap();
    let injected: Value = serde_json::from_str(injected).unwrap();
    assert_eq!(injected.as_object().unwrap().keys().collect::<Vec<_>>(), ["cluster/z", "shop/a"]);
}

fn app_policy(app: Value) -> Policy {
    shop("p", json!({"volumes": [{"name": "v", "emptyDir": {}}], "appContainers": [app]}))
}

fn app_container(more: Value) -> Value {
    let container = with(json!({"name": "app", "image": "api:1"}), more);
    with(api_pod(), json!({"spec": {"containers": [container]}}))
}

#[rstest]
#[case("env", json!([{"name": "A", "value": "ours"}]), json!([{"name": "A", "value": "theirs"}]))]
#[case("livenessProbe", json!({"tcpSocket": {"port": 1}}), json!({"exec": {"command": ["x"]}}))]
#[case("readinessProbe", json!({"tcpSocket": {"port": 1}}), json!({"httpGet": {"port": 2}}))]
#[case("startupProbe", json!({"grpc": {"port": 1}}), json!({"httpGet": {"port": "web"}}))]
#[case("lifecycle", json!({"preStop": {"sleep": {"seconds": 1}}}), json!({"postStart": {"exec": {"command": ["x"]}}}))]
fn what_the_app_sets_stays(#[case] field: &str, #[case] ours: Value, #[case] theirs: Value) {
    let policy = || app_policy(json!({field: ours}));
    let added = run(vec![policy()], &app_container(json!({})));
    assert_eq!(added.pod["spec"]["containers"][0][field], ours);
    assert!(added.warnings.is_empty());
    assert!(run(vec![policy()], &added.pod).unchanged());
    let kept = run(vec![policy()], &app_container(json!({field: theirs})));
    assert_eq!(kept.pod["spec"]["containers"][0][field], theirs);
    assert_eq!(kept.reason("shop/p"), "Injected");
    assert!(kept.warnings[0].contains("keeps its own"), "{:?}", kept.warnings);
}

#[test]
fn variables_are_added_at_the_end_and_duplicates_stay() {
    let env = json!([{"name": "B", "value": "1"}, {"name": "B", "value": "2"}]);
    let policy = app_policy(json!({"env": [{"name": "A", "value": "$(B)"}]}));
    let seen = run(vec![policy], &app_container(json!({"env": env})));
    let names: Vec<_> = seen.pod["spec"]["containers"][0]["env"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| variable["name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, ["B", "B", "A"]);
}

#[test]
fn sources_of_variables_are_added_once() {
    let source = json!({"configMapRef": {"name": "settings", "optional": true}});
    let policy = || app_policy(json!({"envFrom": [source]}));
    let seen = run(vec![policy()], &app_container(json!({})));
    assert_eq!(seen.pod["spec"]["containers"][0]["envFrom"], json!([source]));
    assert!(run(vec![policy()], &seen.pod).unchanged());
}

#[rstest]
#[case(json!({"containers": ["app"]}), &["app"])]
#[case(json!({"containers": ["w*"]}), &["web"])]
#[case(json!({}), &["app", "web"])]
#[case(json!({"include": "InitContainers"}), &["setup"])]
#[case(json!({"include": "All"}), &["setup", "app", "web"])]
fn app_containers_are_meant_by_name_and_list(#[case] which: Value, #[case] expected: &[&str]) {
    let policy = app_policy(with(
        which,
        json!({"env": [{"name": "A", "value": "1"}],
        "readinessProbe": {"tcpSocket": {"port": 1}}}),
    ));
    let pod = with(
        api_pod(),
        json!({"spec": {
        "initContainers": [{"name": "setup", "image": "s:1"}],
        "containers": [{"name": "app", "image": "a:1"}, {"name": "web", "image": "w:1"}]}}),
    );
    let seen = run(vec![policy], &pod);
    let mut reached = Vec::new();
    for list in ["initContainers", "containers"] {
        for container in seen.pod["spec"][list].as_array().unwrap() {
            if container.get("env").is_some() {
                reached.push(container["name"].as_str().unwrap().to_owned());
            }
            let probed = container.get("readinessProbe").is_some();
            assert!(!probed || list == "containers", "an init container must not get a probe");
        }
    }
    assert_eq!(reached, expected);
}

#[test]
fn sidecars_of_other_policies_are_not_the_apps() {
    let both = || {
        vec![
            shop("a", sidecar_named("side", json!({"type": "Container"}))),
            app_policy(json!({"env": [{"name": "A", "value": "1"}]})),
        ]
    };
    let seen = run(both(), &api_pod());
    let again = run(both(), &seen.pod);
    assert!(again.unchanged(), "{}", again.patch);
    assert!(seen.pod["spec"]["containers"][1].get("env").is_none());
}

#[rstest]
#[case::volume_with_other_content(
    json!({"volumes": [{"name": "logs", "hostPath": {"path": "/x"}}]}), "VolumeNameConflict")]
#[case::container_with_other_image(
    json!({"initContainers": [{"name": "shipper", "image": "own:1", "restartPolicy": "Always"}]}),
    "ContainerNameConflict")]
#[case::container_in_the_other_list(
    json!({"containers": [{"name": "app", "image": "a:1"}, {"name": "shipper", "image": "docker.io/otel/collector:1"}]}),
    "ContainerNameConflict")]
#[case::container_posing_as_ours_without_restart(
    json!({"initContainers": [{"name": "shipper", "image": "docker.io/otel/collector:1",
        "volumeMounts": [{"name": "logs", "mountPath": "/var/log/app", "readOnly": true}]}]}),
    "ContainerNameConflict")]
#[case::mount_path_taken(
    json!({"volumes": [{"name": "own", "emptyDir": {}}],
        "containers": [{"name": "app", "image": "a:1", "volumeMounts": [{"name": "own", "mountPath": "/var/log/app/"}]}]}),
    "MountPathTaken")]
fn a_conflict_leaves_the_whole_policy_out(#[case] spec: Value, #[case] word: &str) {
    let pod = with(api_pod(), json!({"spec": spec}));
    let other = || shop("other", sidecar_named("helper", json!({})));
    let skip = run(vec![shop("log", log_shipper()), other()], &pod);
    assert_eq!(skip.reason("shop/log"), word);
    assert_eq!(skip.reason("shop/other"), "Injected", "another policy goes on");
    assert!(skip.warnings[0].starts_with("SidecarPolicy shop/log was not applied: "));
    let skipped =
        skip.pod["metadata"]["annotations"]["sidecarpolicy.dev/skipped"].as_str().unwrap();
    assert!(skipped.starts_with(&format!("{{\"shop/log\":\"{word}: ")), "{skipped}");
    let alone = run(vec![other()], &pod);
    assert_eq!(skip.pod["spec"], alone.pod["spec"], "nothing of the policy went in");
    let deny =
        run(vec![shop("log", with(log_shipper(), json!({"onConflict": "Deny"}))), other()], &pod);
    assert!(deny.unchanged());
    assert!(deny.denied.unwrap().contains("shop/log"));
}

#[test]
fn conflicts_deny_by_default_under_failure_policy_fail() {
    let pod = with(
        api_pod(),
        json!({"spec": {"volumes": [{"name": "logs", "hostPath": {"path": "/x"}}]}}),
    );
    let seen = run(vec![shop("log", with(log_shipper(), json!({"failurePolicy": "Fail"})))], &pod);
    assert!(seen.denied.is_some());
}

#[test]
fn a_volume_that_nobody_has_is_a_conflict() {
    let spec = json!({"sidecars": [{"name": "side", "image": "s:1",
        "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]});
    assert_eq!(run(vec![shop("p", spec.clone())], &api_pod()).reason("shop/p"), "VolumeMissing");
    let pod = with(api_pod(), json!({"spec": {"volumes": [{"name": "data", "emptyDir": {}}]}}));
    assert_eq!(run(vec![shop("p", spec)], &pod).reason("shop/p"), "Injected");
}

#[test]
fn a_sidecar_altered_by_somebody_is_kept_or_denied() {
    let spec = sidecar_named("side", json!({"args": ["--safe"]}));
    let mut pod = run(vec![shop("p", spec.clone())], &api_pod()).pod;
    pod["spec"]["initContainers"][0]["args"] = json!(["--unsafe"]);
    let seen = run(vec![shop("p", spec.clone())], &pod);
    assert!(seen.unchanged());
    assert!(seen.warnings[0].contains("another command, arguments or variables"));
    let deny = shop("p", with(spec, json!({"onConflict": "Deny"})));
    assert_eq!(run(vec![deny], &pod).reason("shop/p"), "ContainerAltered");
}

#[test]
fn stale_marks_of_a_copied_template_are_put_right() {
    let pod = with(
        api_pod(),
        json!({"metadata": {
        "labels": {"sidecarpolicy.dev/injected": "forged"},
        "annotations": {"sidecarpolicy.dev/injected": "{\"shop/old\":\"1\"}",
            "sidecarpolicy.dev/skipped": "{\"shop/log\":\"old\"}"}}}),
    );
    let seen = run(vec![shop("log", log_shipper())], &pod);
    assert_eq!(seen.pod["metadata"]["labels"]["sidecarpolicy.dev/injected"], "true");
    let annotations = seen.pod["metadata"]["annotations"].as_object().unwrap();
    assert!(!annotations.contains_key("sidecarpolicy.dev/skipped"));
    assert!(
        annotations["sidecarpolicy.dev/injected"].as_str().unwrap().starts_with("{\"shop/log\":")
    );
}

#[rstest]
#[case(r#"{"metadata":{"labels":{"app":"api"}},"spec":{"containers":{}}}"#)]
#[case(r#"{"metadata":{"labels":{"app":"api"}},"spec":{"containers":[{"name":3}]}}"#)]
#[case(r#"{"metadata":{"labels":{"app":"api"}},"spec":{"containers":[{"name":"a","volumeMounts":{}}]}}"#)]
#[case(r#"{"metadata":{"labels":{"app":"api"}},"spec":{"containers":[],"volumes":"x"}}"#)]
#[case(r#"{"metadata":{"labels":{"app":"api"}},"spec":[]}"#)]
#[case(r#"{"metadata":{"labels":{"app":"api"}}}"#)]
fn a_pod_of_wrong_types_is_left_alone_with_a_warning(#[case] text: &str) {
    let seen = run_text(&namespace(&[]), vec![shop("log", log_shipper())], text);
    assert!(seen.unchanged());
    assert_eq!(seen.reason("shop/log"), "MalformedPod");
    assert_eq!(seen.warnings.len(), 1);
}

#[test]
fn null_parents_become_lists_and_maps() {
    let pod = json!({"metadata": {"labels": {"app": "api"}, "annotations": null}, "spec": {
        "volumes": null, "initContainers": null,
        "containers": [{"name": "app", "image": "a:1", "volumeMounts": null}]}});
    let seen = run(vec![shop("log", log_shipper())], &pod);
    assert_eq!(names(&seen.pod, "initContainers"), ["shipper"]);
    assert!(seen.pod["spec"]["containers"][0]["volumeMounts"].is_array());
    assert!(run(vec![shop("log", log_shipper())], &seen.pod).unchanged());
}

#[test]
fn a_pod_without_metadata_gets_one() {
    let spec = sidecar_named("side", json!({}));
    let pod = json!({"spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    let Seen { pod, .. } = run(vec![shop("p", spec)], &pod);
    assert_eq!(pod["metadata"]["labels"]["sidecarpolicy.dev/injected"], "true");
}

#[test]
fn unknown_fields_and_number_literals_survive() {
    let text = r#"{"metadata":{"labels":{"app":"api"},"future":{"a/b~c":18446744073709551617}},
        "spec":{"newField":1.123456789012345678901,"containers":[{"name":"app","image":"a:1","alsoNew":[1e2]}]}}"#;
    let seen = run_text(&namespace(&[]), vec![shop("log", log_shipper())], text);
    for path in ["future", "newField", "alsoNew"] {
        assert!(!seen.patch.contains(path), "the patch does not touch {path}");
    }
}

#[test]
fn newer_fields_of_a_sidecar_go_in() {
    let spec = sidecar_named("side", json!({"fieldOfTomorrow": {"deep": [1]}}));
    let seen = run(vec![shop("p", spec)], &api_pod());
    assert_eq!(seen.pod["spec"]["initContainers"][0]["fieldOfTomorrow"], json!({"deep": [1]}));
}

#[test]
fn a_mirror_annotation_alone_exempts_nobody() {
    let pod =
        with(api_pod(), json!({"metadata": {"annotations": {"kubernetes.io/config.mirror": "x"}}}));
    assert_eq!(run(vec![shop("log", log_shipper())], &pod).reason("shop/log"), "Injected");
}

/// Nobody waits for the end of this test where the work grows with the square of what a pod has.
#[test]
fn a_pod_of_ten_thousand_containers_gets_a_proper_answer() {
    let variables = |count: usize, value: &str| {
        let named = |number| json!({"name": format!("V{number}"), "value": value});
        (0..count).map(named).collect::<Vec<_>>()
    };
    let spec = json!({
        "sidecars": [{"name": "side", "image": "s:1", "copyFromApp": {"volumeMounts": true}}],
        "appContainers": [{"env": variables(10, "ours")}]});
    let mut pod = api_pod();
    let mut containers: Vec<Value> =
        (0..10_000).map(|number| json!({"name": format!("c{number}"), "image": "a:1"})).collect();
    containers[0]["env"] = json!(variables(5_000, "own"));
    pod["spec"]["containers"] = json!(containers);
    let seen = run(vec![shop("p", spec)], &pod);
    assert_eq!(seen.reason("shop/p"), "Injected");
    assert_eq!(seen.pod["spec"]["containers"][9_999]["env"][9]["value"], "ours");
    assert_eq!(seen.pod["spec"]["containers"][0]["env"].as_array().unwrap().len(), 5_000);
}
