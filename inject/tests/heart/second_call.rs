//! Applying twice is applying once, where the API server fills in defaults between the calls or
//! policies meet in one another's content.

use inject::{Namespace, PolicyId};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Seen, api_pod, cluster, names, namespace, policy, run, run_in, shop};

fn pod_with_spec(fields: Value) -> Value {
    let mut pod = api_pod();
    pod["spec"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    pod
}

fn app_env_from(seen: &Seen) -> &Value {
    &seen.pod["spec"]["containers"][0]["envFrom"]
}

#[rstest]
#[case::native("Sidecar", "initContainers", 0)]
#[case::ordinary("Container", "containers", 1)]
fn host_ports_that_the_api_server_fills_in_are_no_change(
    #[case] kind: &str,
    #[case] list: &str,
    #[case] index: usize,
) {
    let spec = json!({"failurePolicy": "Fail", "sidecars": [{"name": "side", "image": "s:1",
        "type": kind, "ports": [{"containerPort": 8080}]}]});
    let first = run(vec![shop("p", spec.clone())], &pod_with_spec(json!({"hostNetwork": true})));
    let mut pod = first.pod;
    pod["spec"][list][index]["ports"][0] =
        json!({"containerPort": 8080, "hostPort": 8080, "protocol": "TCP"});
    let second = run(vec![shop("p", spec)], &pod);
    assert_eq!(second.denied, None);
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn a_sidecar_of_two_policies_is_compared_between_them_on_every_call() {
    let policies = || {
        let side = |cpu: &str| json!({"name": "side", "image": "s:1", "resources": {"limits": {"cpu": cpu}}});
        vec![
            shop("a", json!({"sidecars": [side("1")]})),
            shop(
                "b",
                json!({"sidecars": [side("2")],
                "appContainers": [{"env": [{"name": "B", "value": "1"}]}]}),
            ),
        ]
    };
    let first = run(policies(), &api_pod());
    assert_eq!(first.reason("shop/b"), "ContainerNameConflict");
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn a_volume_of_a_later_policy_is_waited_for() {
    let policies = || {
        vec![
            shop(
                "a",
                json!({"sidecars": [{"name": "side", "image": "s:1",
                "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}),
            ),
            shop("b", json!({"volumes": [{"name": "data", "emptyDir": {}}]})),
        ]
    };
    let first = run(policies(), &api_pod());
    assert_eq!((first.reason("shop/a"), first.reason("shop/b")), ("Injected", "Injected"));
    assert_eq!(names(&first.pod, "initContainers"), ["side"]);
    assert!(run(policies(), &first.pod).unchanged());
}

#[test]
fn a_policy_that_left_its_name_to_the_app_is_asked_again_once_that_kept_its_rival_out() {
    let mounting = |kind: &str, side: &str, volume: &str, priority: i32| {
        json!({"priority": priority,
            "sidecars": [{"name": side, "image": "s:1", "type": kind}],
            "volumes": [{"name": volume, "emptyDir": {}}],
            "appContainers": [{"volumeMounts": [{"name": volume, "mountPath": "/logs"}]}]})
    };
    let policies = || {
        vec![
            shop(
                "brings-data",
                json!({"sidecars": [{"name": "two", "image": "s:2"}],
                    "volumes": [{"name": "data", "emptyDir": {}}]}),
            ),
            shop("named-alike", mounting("Container", "one", "data", 0)),
            shop("rival", mounting("Sidecar", "two", "logs", 1)),
        ]
    };
    let mut pod = api_pod();
    let named_alike = json!({"name": "one", "image": "s:1",
        "volumeMounts": [{"name": "data", "mountPath": "/logs"}]});
    pod["spec"]["containers"].as_array_mut().unwrap().push(named_alike);
    let first = run(policies(), &pod);
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}\nthen {}", first.patch, second.patch);
    for policy in ["shop/brings-data", "shop/named-alike", "shop/rival"] {
        let went_in = |seen: &Seen| matches!(seen.reason(policy), "Injected" | "AlreadyInjected");
        assert_eq!(went_in(&first), went_in(&second), "{policy}");
    }
}

#[test]
fn a_policy_of_which_others_bring_everything_is_in_on_the_first_call_already() {
    let volumes = json!([{"name": "data", "emptyDir": {}}]);
    let policies = || {
        let demanding =
            json!({"volumes": volumes, "pod": {"shareProcessNamespace": true}, "priority": 1});
        vec![shop("demanding", demanding), shop("plain", json!({"volumes": volumes}))]
    };
    // The API server takes no such pod, but may ask about it.
    let pod = pod_with_spec(json!({"hostPID": true, "shareProcessNamespace": true}));
    let first = run(policies(), &pod);
    assert_eq!(first.reason("shop/demanding"), "AlreadyInjected");
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn a_sidecar_stays_with_the_policy_that_put_it_in_where_another_has_one_of_its_name() {
    let policies = || {
        let side = |more: Value| {
            let mut side = json!({"name": "side", "image": "s:1"});
            side.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            json!([side])
        };
        let large = side(json!({"resources": {"limits": {"memory": "1Gi"}}}));
        vec![
            shop("large", json!({"priority": 1, "sidecars": large})),
            shop("small", json!({"sidecars": side(json!({}))})),
        ]
    };
    let pod = pod_with_spec(json!({"resources": {"limits": {"memory": "64Mi"}}}));
    let first = run(policies(), &pod);
    assert_eq!(
        (first.reason("shop/large"), first.reason("shop/small")),
        ("ContainerNameConflict", "Injected")
    );
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn a_sidecar_stays_with_the_policy_that_put_it_in_where_only_the_registry_differs() {
    let policies = || {
        let mounting = json!({"sidecars": [{"name": "side", "image": "s:1"}],
            "appContainers": [{"volumeMounts": [{"name": "data", "mountPath": "/data"}]}]});
        let bringing = json!({"sidecars": [{"name": "side", "image": "mirror.example.com/s:1"}],
            "volumes": [{"name": "data", "emptyDir": {}}]});
        vec![shop("a", mounting), shop("b", bringing)]
    };
    let first = run(policies(), &api_pod());
    assert_eq!(
        (first.reason("shop/a"), first.reason("shop/b")),
        ("ContainerNameConflict", "Injected")
    );
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn a_policy_in_conflict_stays_out_where_another_brings_what_it_would_bring() {
    let volumes = json!([{"name": "data", "emptyDir": {}}]);
    let policies = || {
        let demanding = json!({"volumes": volumes, "pod": {"shareProcessNamespace": true},
            "appContainers": [{"env": [{"name": "B", "value": "1"}]}]});
        vec![shop("demanding", demanding), shop("plain", json!({"volumes": volumes}))]
    };
    let containers = json!([
        {"name": "has-it", "image": "a:1", "env": [{"name": "B", "value": "1"}]},
        {"name": "lacks-it", "image": "a:1"}]);
    // The API server takes no such pod, but may ask about it.
    let pod = pod_with_spec(
        json!({"hostPID": true, "shareProcessNamespace": true, "containers": containers}),
    );
    let first = run(policies(), &pod);
    assert_eq!(first.reason("shop/demanding"), "ProcessNamespaceConflict");
    let second = run(policies(), &first.pod);
    assert_eq!(second.reason("shop/demanding"), "ProcessNamespaceConflict");
    assert!(second.unchanged(), "{}", second.patch);
}

/// Half of the policy would be in the pod, and the pod would say that none of it is.
#[test]
fn a_container_that_comes_after_us_does_not_put_out_what_is_in() {
    let policies = || {
        let mount = json!([{"name": "nobody-has-it", "mountPath": "/data"}]);
        vec![shop(
            "p",
            json!({"sidecars": [{"name": "side", "image": "s:1"}],
                "appContainers": [{"containers": ["late"], "volumeMounts": mount}]}),
        )]
    };
    let late = json!({"name": "late", "image": "l:1"});
    let with_late = |mut pod: Value| {
        pod["spec"]["containers"].as_array_mut().unwrap().push(late.clone());
        pod
    };
    assert_eq!(run(policies(), &with_late(api_pod())).reason("shop/p"), "VolumeMissing");
    let first = run(policies(), &api_pod());
    assert_eq!(first.reason("shop/p"), "Injected");
    let second = run(policies(), &with_late(first.pod));
    assert_eq!(second.reason("shop/p"), "AlreadyInjected");
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn a_container_is_filled_whatever_another_one_has_already() {
    let policy = || {
        shop(
            "p",
            json!({"volumes": [{"name": "ca", "emptyDir": {}}],
                "appContainers": [{"env": [{"name": "CA", "value": "/ca"}]}]}),
        )
    };
    let containers = json!([
        {"name": "has-it", "image": "a:1", "env": [{"name": "CA", "value": "/ca"}]},
        {"name": "lacks-it", "image": "a:1"}]);
    let volumes = json!([{"name": "ca", "emptyDir": {}}]);
    let pod = pod_with_spec(json!({"containers": containers, "volumes": volumes}));
    let first = run(vec![policy()], &pod);
    assert_eq!(first.pod["spec"]["containers"][1]["env"], json!([{"name": "CA", "value": "/ca"}]));
    assert!(run(vec![policy()], &first.pod).unchanged());
}

#[test]
fn an_injected_pod_goes_into_another_namespace_as_it_is() {
    let side =
        |name: &str| json!({"onConflict": "Deny", "sidecars": [{"name": name, "image": "s:1"}]});
    let policies = |namespace: &str| {
        let namespaced = PolicyId::namespaced(namespace, "log");
        vec![cluster("mesh", side("mesh")), policy(namespaced, side("log")).unwrap()]
    };
    let injected = run(policies("shop"), &api_pod()).pod;
    let mut copy = injected;
    copy["metadata"]["namespace"] = json!("other");
    let other = Namespace { name: "other".to_owned(), ..namespace(&[]) };
    let seen = run_in(&other, policies("other"), &copy);
    assert_eq!(seen.denied, None);
    assert_eq!(seen.reason("other/log"), "AlreadyInjected");
    assert!(run_in(&other, policies("other"), &seen.pod).unchanged());
}

/// Anyone can copy the annotation from another pod.
#[rstest]
#[case::refusing("Deny", json!([{"name": "ca", "emptyDir": {}}]), true)]
#[case::nothing_is_there("Skip", json!([]), false)]
fn a_record_puts_nothing_in(
    #[case] on_conflict: &str,
    #[case] volumes: Value,
    #[case] denied: bool,
) {
    let policy = || {
        shop(
            "p",
            json!({"onConflict": on_conflict, "volumes": volumes,
                "appContainers": [{"volumeMounts": [{"name": "ca", "mountPath": "/ca"}]}]}),
        )
    };
    let recorded = json!({"shop/p": policy().revision}).to_string();
    let mut pod = pod_with_spec(json!({"volumes": [{"name": "own", "emptyDir": {}}]}));
    pod["spec"]["volumes"].as_array_mut().unwrap().extend(volumes.as_array().unwrap().clone());
    pod["spec"]["containers"][0]["volumeMounts"] = json!([{"name": "own", "mountPath": "/ca"}]);
    pod["metadata"]["annotations"] = json!({"sidecarpolicy.dev/injected": recorded});
    let seen = run(vec![policy()], &pod);
    assert_ne!(seen.reason("shop/p"), "AlreadyInjected");
    assert_eq!(seen.denied.is_some(), denied, "{:?}", seen.denied);
}

#[test]
fn a_container_that_others_filled_up_is_no_sidecar_on_a_second_call() {
    let mount = json!([{"name": "data", "mountPath": "/v"}]);
    let policies = || {
        let filling = json!({"volumes": [{"name": "data", "emptyDir": {}}],
            "appContainers": [{"include": "InitContainers", "volumeMounts": mount}]});
        let named_alike = json!({
            "sidecars": [{"name": "three", "image": "s:1", "type": "Init", "volumeMounts": mount}],
            "appContainers": [{"env": [{"name": "P", "value": "1"}]}]});
        vec![shop("filling", filling), shop("named-alike", named_alike)]
    };
    let pod = pod_with_spec(json!({"initContainers": [{"name": "three", "image": "s:1"}]}));
    let first = run(policies(), &pod);
    assert_eq!(
        (first.reason("shop/filling"), first.reason("shop/named-alike")),
        ("Injected", "ContainerNameConflict")
    );
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
}

#[test]
fn the_apps_sources_of_variables_decide_over_ours() {
    let source = |name: &str| json!({"configMapRef": {"name": name}});
    let policies = || {
        vec![
            shop("a", json!({"appContainers": [{"envFrom": [source("a1"), source("a2")]}]})),
            shop("b", json!({"appContainers": [{"envFrom": [source("b")]}]})),
        ]
    };
    let mut pod = api_pod();
    pod["spec"]["containers"][0]["envFrom"] = json!([source("own")]);
    let first = run(policies(), &pod);
    let expected = json!([source("b"), source("a1"), source("a2"), source("own")]);
    assert_eq!(*app_env_from(&first), expected);
    assert!(run(policies(), &first.pod).unchanged());
}

#[test]
fn a_selector_that_names_a_value_twice_finds_the_policy_once() {
    let spec = json!({"podSelector": {"matchExpressions": [
        {"key": "app", "operator": "In", "values": ["api", "api"]}]},
        "sidecars": [{"name": "side", "image": "s:1"}]});
    assert_eq!(run(vec![shop("p", spec)], &api_pod()).decisions.len(), 1);
}

#[rstest]
#[case::taken_by_the_app(
    json!({"containers": [{"name": "app", "image": "a:1", "ports": [{"containerPort": 1, "hostPort": 8080}]}]}),
    json!({"containerPort": 80, "hostPort": 8080}), "HostPortConflict")]
#[case::another_protocol(
    json!({"containers": [{"name": "app", "image": "a:1", "ports": [{"containerPort": 1, "hostPort": 8080}]}]}),
    json!({"containerPort": 80, "hostPort": 8080, "protocol": "UDP"}), "Injected")]
#[case::not_a_host_port(
    json!({"containers": [{"name": "app", "image": "a:1", "ports": [{"containerPort": 8080}]}]}),
    json!({"containerPort": 8080}), "Injected")]
#[case::taken_on_the_host_network(
    json!({"hostNetwork": true, "containers": [{"name": "app", "image": "a:1", "ports": [{"containerPort": 8080}]}]}),
    json!({"containerPort": 8080}), "HostPortConflict")]
#[case::other_than_the_container_port_on_the_host_network(
    json!({"hostNetwork": true}), json!({"containerPort": 8080, "hostPort": 80}), "HostPortConflict")]
fn a_port_of_the_node_is_had_by_one_container(
    #[case] pod: Value,
    #[case] port: Value,
    #[case] expected: &str,
) {
    let spec = |kind: &str| json!({"sidecars": [{"name": "side", "image": "s:1", "type": kind, "ports": [port]}]});
    let pod = pod_with_spec(pod);
    assert_eq!(run(vec![shop("p", spec("Container"))], &pod).reason("shop/p"), expected);
    // The API server compares native sidecars with no other container.
    assert_eq!(run(vec![shop("p", spec("Sidecar"))], &pod).reason("shop/p"), "Injected");
}

#[test]
fn a_device_that_nobody_has_is_a_conflict() {
    let spec = json!({"sidecars": [{"name": "side", "image": "s:1",
        "volumeDevices": [{"name": "disk", "devicePath": "/dev/disk"}]}]});
    assert_eq!(run(vec![shop("p", spec)], &api_pod()).reason("shop/p"), "VolumeMissing");
}

#[test]
fn fields_that_the_api_server_does_not_know_are_passed_over() {
    let spec = json!({
        "onConflict": "Deny",
        "sidecars": [{"name": "side", "image": "s:1", "future": 1,
            "ports": [{"containerPort": 80, "future": 1}],
            "env": [{"name": "A", "value": "1", "future": 1}],
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readonly": true}]}],
        "volumes": [{"name": "v", "emptyDir": {"future": 1}}],
        "appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/v", "future": 1}],
            "envFrom": [{"configMapRef": {"name": "c"}, "future": 1}]}]
    });
    let first = run(vec![shop("p", spec.clone())], &api_pod());
    assert!(first.patch.contains("future"), "a server that knows them gets them");
    let stored: Value = serde_json::from_str(
        &first
            .pod
            .to_string()
            .replace(",\"future\":1", "")
            .replace("\"future\":1", "")
            .replace(",\"readonly\":true", ""),
    )
    .unwrap();
    for pod in [first.pod, stored] {
        let second = run(vec![shop("p", spec.clone())], &pod);
        assert!(second.unchanged(), "{} {:?}", second.patch, second.denied);
        assert_eq!(second.reason("shop/p"), "AlreadyInjected");
    }
}
