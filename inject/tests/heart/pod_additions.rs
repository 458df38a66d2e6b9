//! What goes into the pod itself, and files that a policy carries.

use inject::PolicyId;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Seen, api_pod, log_shipper, policy, run, shop};

fn merged(mut base: Value, more: &Value) -> Value {
    match (base.as_object_mut(), more.as_object()) {
        (Some(fields), Some(more)) => {
            for (key, value) in more {
                let found = fields.remove(key).unwrap_or(Value::Null);
                fields.insert(key.clone(), merged(found, value));
            }
            base
        }
        _ => more.clone(),
    }
}

/// Injects a `pod` section, and checks that a second call changes nothing.
fn with_pod(section: Value, pod: Value) -> Seen {
    let policy = || shop("p", json!({"pod": section}));
    let first = run(vec![policy()], &merged(api_pod(), &pod));
    let second = run(vec![policy()], &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
    first
}

#[rstest]
#[case(json!({"labels": {"team": "blue"}}), json!({}), "/metadata/labels/team", json!("blue"))]
#[case(json!({"annotations": {"a/b": "c"}}), json!({}), "/metadata/annotations/a~1b", json!("c"))]
#[case(json!({"shareProcessNamespace": true}), json!({}), "/spec/shareProcessNamespace", json!(true))]
#[case(json!({"imagePullSecrets": [{"name": "a"}]}), json!({}), "/spec/imagePullSecrets", json!([{"name": "a"}]))]
#[case(
    json!({"imagePullSecrets": [{"name": "a"}, {"name": "b"}]}),
    json!({"spec": {"imagePullSecrets": [{"name": "b"}]}}),
    "/spec/imagePullSecrets",
    json!([{"name": "b"}, {"name": "a"}])
)]
#[case(
    json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}),
    json!({"spec": {"hostAliases": [{"ip": "10.0.0.2", "hostnames": ["b"]}]}}),
    "/spec/hostAliases",
    json!([{"ip": "10.0.0.2", "hostnames": ["b"]}, {"ip": "10.0.0.1", "hostnames": ["a"]}])
)]
// An address stands in the list once: server-side apply knows its entries by that.
#[case(
    json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a", "own", "b"]}]}),
    json!({"spec": {"hostAliases": [{"ip": "10.0.0.2"}, {"ip": "10.0.0.1", "hostnames": ["own"]}]}}),
    "/spec/hostAliases",
    json!([{"ip": "10.0.0.2"}, {"ip": "10.0.0.1", "hostnames": ["own", "a", "b"]}])
)]
#[case(
    json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}),
    json!({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["own", "a"]}]}}),
    "/spec/hostAliases",
    json!([{"ip": "10.0.0.1", "hostnames": ["own", "a"]}])
)]
#[case(
    json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}),
    json!({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": null}]}}),
    "/spec/hostAliases",
    json!([{"ip": "10.0.0.1", "hostnames": ["a"]}])
)]
#[case(
    json!({"hostAliases": [{"ip": "10.0.0.1"}]}),
    json!({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["own"]}]}}),
    "/spec/hostAliases",
    json!([{"ip": "10.0.0.1", "hostnames": ["own"]}])
)]
#[case(
    json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}, {"ip": "10.0.0.1", "hostnames": ["a", "b"], "future": 1}]}),
    json!({}),
    "/spec/hostAliases",
    json!([{"ip": "10.0.0.1", "hostnames": ["a", "b"]}])
)]
#[case(json!({"terminationGracePeriodSeconds": 60}), json!({}), "/spec/terminationGracePeriodSeconds", json!(60))]
#[case(
    json!({"terminationGracePeriodSeconds": 60}),
    json!({"spec": {"terminationGracePeriodSeconds": 30}}),
    "/spec/terminationGracePeriodSeconds",
    json!(60)
)]
#[case(
    json!({"terminationGracePeriodSeconds": 60}),
    json!({"spec": {"terminationGracePeriodSeconds": 90}}),
    "/spec/terminationGracePeriodSeconds",
    json!(90)
)]
#[case(
    json!({"securityContext": {"fsGroup": 1, "supplementalGroups": [2, 3]}}),
    json!({}),
    "/spec/securityContext",
    json!({"fsGroup": 1, "supplementalGroups": [2, 3]})
)]
#[case(
    json!({"securityContext": {"fsGroup": 1, "supplementalGroups": [2, 3]}}),
    json!({"spec": {"securityContext": {"runAsUser": 5, "supplementalGroups": [3]}}}),
    "/spec/securityContext",
    json!({"runAsUser": 5, "supplementalGroups": [3, 2], "fsGroup": 1})
)]
fn what_is_absent_is_added(
    #[case] section: Value,
    #[case] pod: Value,
    #[case] pointer: &str,
    #[case] expected: Value,
) {
    let seen = with_pod(section, pod);
    assert_eq!(seen.pod.pointer(pointer), Some(&expected), "{}", seen.patch);
    assert_eq!(seen.warnings, Vec::<String>::new());
}

#[rstest]
#[case(json!({"labels": {"app": "other"}}), json!({}), "its own label app")]
#[case(json!({"annotations": {"a": "b"}}), json!({"metadata": {"annotations": {"a": "own"}}}), "its own annotation a")]
#[case(json!({"shareProcessNamespace": true}), json!({"spec": {"shareProcessNamespace": false}}), "its own shareProcessNamespace")]
#[case(
    json!({"securityContext": {"fsGroup": 1}}),
    json!({"spec": {"securityContext": {"fsGroup": 2}}}),
    "its own securityContext.fsGroup"
)]
fn what_the_pod_has_stays(#[case] section: Value, #[case] pod: Value, #[case] kept: &str) {
    let seen = with_pod(section, pod.clone());
    assert_eq!(merged(seen.pod.clone(), &pod), seen.pod);
    assert!(seen.warnings[0].ends_with(kept), "{:?}", seen.warnings);
}

#[test]
fn aliases_of_several_policies_for_one_address_become_one() {
    let policies = || {
        let alias = |hostnames: Value| json!({"pod": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": hostnames}]}});
        vec![
            shop("a", alias(json!(["a", "b"]))),
            shop("b", alias(json!(["b", "c"]))),
            shop("c", alias(json!(["a"]))),
        ]
    };
    let first = run(policies(), &api_pod());
    let expected = json!([{"ip": "10.0.0.1", "hostnames": ["a", "b", "c"]}]);
    assert_eq!(first.pod["spec"]["hostAliases"], expected);
    assert_eq!(first.reason("shop/c"), "AlreadyInjected");
    assert!(run(policies(), &first.pod).unchanged());
}

#[test]
fn an_alias_is_added_to_only_where_a_test_makes_sure_of_the_address() {
    let section = json!({"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]});
    let pod = json!({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["own"]}]}});
    let operations: Value = serde_json::from_str(&with_pod(section, pod).patch).unwrap();
    let at = |path: &str| operations.as_array().unwrap().iter().position(|op| op["path"] == path);
    let (test, add) = (at("/spec/hostAliases/0/ip"), at("/spec/hostAliases/0/hostnames/-"));
    assert!(test.is_some() && test < add, "{operations}");
    assert_eq!(
        operations[test.unwrap()],
        json!({"op": "test", "path": "/spec/hostAliases/0/ip", "value": "10.0.0.1"})
    );
}

#[test]
fn aliases_that_cannot_be_read_are_left_alone() {
    let policy =
        shop("p", json!({"pod": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a"]}]}}));
    let pod = merged(
        api_pod(),
        &json!({"spec": {"hostAliases": [{"ip": "10.0.0.1", "hostnames": "a"}]}}),
    );
    let seen = run(vec![policy], &pod);
    assert_eq!(seen.reason("shop/p"), "MalformedPod");
    assert!(seen.unchanged());
}

#[test]
fn a_shared_process_namespace_excludes_the_nodes() {
    let policy = shop("p", json!({"pod": {"shareProcessNamespace": true}}));
    let seen = run(vec![policy], &merged(api_pod(), &json!({"spec": {"hostPID": true}})));
    assert_eq!(seen.reason("shop/p"), "ProcessNamespaceConflict");
}

#[test]
fn a_label_by_which_a_policy_selects_is_not_set() {
    let setting = || shop("a", json!({"pod": {"labels": {"team": "blue"}}}));
    let mut selecting = log_shipper();
    selecting["podSelector"] = json!({"matchExpressions": [{"key": "team", "operator": "Exists"}]});
    let seen = run(vec![setting(), shop("b", selecting.clone())], &api_pod());
    assert_eq!(seen.reason("shop/a"), "LabelIsSelected");
    // Policies of other namespaces cannot meet it.
    let elsewhere = policy(PolicyId::namespaced("bank", "b"), selecting).unwrap();
    assert_eq!(run(vec![setting(), elsewhere], &api_pod()).reason("shop/a"), "Injected");
}

#[test]
fn of_two_policies_the_first_one_decides_and_the_longer_grace_period_counts() {
    let policies = || {
        vec![
            shop(
                "a",
                json!({"pod": {"labels": {"team": "a"}, "terminationGracePeriodSeconds": 40}}),
            ),
            shop(
                "b",
                json!({"pod": {"labels": {"team": "b"}, "terminationGracePeriodSeconds": 60}}),
            ),
        ]
    };
    let seen = run(policies(), &api_pod());
    assert_eq!(seen.pod["metadata"]["labels"]["team"], "a");
    assert_eq!(seen.pod["spec"]["terminationGracePeriodSeconds"], 60);
    assert!(run(policies(), &seen.pod).unchanged());
}

fn files() -> Value {
    json!({
        "sidecars": [
            {"name": "one", "image": "s:1", "volumeMounts": [{"name": "v", "mountPath": "/v"}]},
            {"name": "two", "image": "s:1"}
        ],
        "volumes": [{"name": "v", "emptyDir": {}}],
        "files": [
            {"path": "/etc/one.conf", "content": "a: 1\n", "containers": ["one"]},
            {"path": "/etc/both.conf", "content": "{\"b\": \"'2'\"}"}
        ]
    })
}

#[test]
fn files_come_with_the_pod() {
    let seen = run(vec![shop("p", files())], &api_pod());
    let annotations = &seen.pod["metadata"]["annotations"];
    assert_eq!(annotations["files.sidecarpolicy.dev/p.0"], "a: 1\n");
    assert_eq!(annotations["files.sidecarpolicy.dev/p.1"], "{\"b\": \"'2'\"}");
    let mounts = |index: usize| seen.pod["spec"]["initContainers"][index]["volumeMounts"].clone();
    let mount = |position: &str, path: &str| json!({"name": "sidecar-files-p", "mountPath": path, "subPath": position, "readOnly": true});
    assert_eq!(
        mounts(0),
        json!([{"name": "v", "mountPath": "/v"}, mount("0", "/etc/one.conf"), mount("1", "/etc/both.conf")])
    );
    assert_eq!(mounts(1), json!([mount("1", "/etc/both.conf")]));
    let volume = &seen.pod["spec"]["volumes"][1];
    assert_eq!(volume["name"], "sidecar-files-p");
    assert_eq!(
        volume["downwardAPI"]["items"][0]["fieldRef"]["fieldPath"],
        "metadata.annotations['files.sidecarpolicy.dev/p.0']"
    );
    assert!(run(vec![shop("p", files())], &seen.pod).unchanged());
}

#[test]
fn the_content_of_a_file_that_a_copied_template_carries_is_put_right() {
    let first = run(vec![shop("p", files())], &api_pod());
    let mut stale = first.pod.clone();
    stale["metadata"]["annotations"]["files.sidecarpolicy.dev/p.0"] = json!("old");
    let second = run(vec![shop("p", files())], &stale);
    assert_eq!(second.pod, first.pod);
}

#[test]
fn files_of_several_policies_have_to_fit_into_the_annotations_of_a_pod() {
    let carrying = |name: &str| {
        let file = |path: &str| json!({"path": path, "content": "x".repeat(60 << 10)});
        let sidecar = json!({"name": name, "image": "s:1"});
        shop(name, json!({"sidecars": [sidecar], "files": [file("/a"), file("/b"), file("/c")]}))
    };
    let seen = run(vec![carrying("a"), carrying("b")], &api_pod());
    assert_eq!((seen.reason("shop/a"), seen.reason("shop/b")), ("Injected", "AnnotationsTooLarge"));
    assert!(run(vec![carrying("a"), carrying("b")], &seen.pod).unchanged());
}

#[test]
fn what_is_written_about_policies_fits_into_the_annotations_of_the_pod() {
    let mut pod = api_pod();
    pod["metadata"]["annotations"] = json!({"large": "x".repeat(262_000)});
    let fitting = shop("fits", json!({"sidecars": [{"name": "side", "image": "s:1"}]}));
    let other = json!({"sidecars": [{"name": "app", "image": "s:1"}]});
    let seen = run(vec![fitting, shop("not", other)], &pod);
    assert_eq!(seen.reason("shop/fits"), "AnnotationsTooLarge");
    assert!(seen.unchanged(), "{} bytes", seen.patch.len());
}

#[rstest]
#[case(json!([{"path": "/a", "content": ""}, {"path": "/a/b", "content": ""}]), "spec.files[1].path")]
#[case(json!([{"path": "/a//b", "content": ""}]), "spec.files[0].path")]
#[case(json!([{"path": "/var/run/secrets/kubernetes.io/serviceaccount/f", "content": ""}]), "spec.files[0].path")]
fn files_that_no_container_can_have_are_refused(#[case] files: Value, #[case] path: &str) {
    let spec = json!({"sidecars": [{"name": "side", "image": "s:1"}], "files": files});
    let found = policy(PolicyId::namespaced("shop", "p"), spec).unwrap_err().to_string();
    assert!(found.starts_with(path), "{found}");
}
