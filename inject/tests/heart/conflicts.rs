//! What the API server would refuse because of the pod: a conflict of the policy, never of the pod.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{api_pod, log_shipper, names, namespace, run, run_in, shop};

fn pod(spec: Value, container: Value) -> Value {
    let mut pod = api_pod();
    pod["spec"].as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    let fields = container.as_object().unwrap().clone();
    pod["spec"]["containers"][0].as_object_mut().unwrap().extend(fields);
    pod
}

fn side(more: Value) -> Value {
    let mut sidecar = json!({"name": "side", "image": "side:1"});
    sidecar.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"os": "Any", "sidecars": [sidecar]})
}

fn reading_from(volume: &str) -> Value {
    let file = json!({"volumeName": volume, "path": "a", "key": "k"});
    json!({"env": [{"name": "A", "valueFrom": {"fileKeyRef": file}}]})
}

fn sleeping(seconds: i64) -> Value {
    side(json!({"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}}))
}

#[rstest]
#[case::windows(
    side(json!({"securityContext": {"runAsUser": 1}})),
    pod(json!({"os": {"name": "windows"}}), json!({})), "OSMismatch")]
#[case::linux(
    side(json!({"securityContext": {"windowsOptions": {"runAsUserName": "x"}}})),
    pod(json!({"os": {"name": "linux"}}), json!({})), "OSMismatch")]
#[case::proc_mount(side(json!({"securityContext": {"procMount": "Unmasked"}})), pod(json!({}), json!({})), "UserNamespaceConflict")]
#[case::sleeps_too_long(sleeping(40), pod(json!({"terminationGracePeriodSeconds": 30}), json!({})), "GracePeriodTooShort")]
#[case::sleeps_too_long_by_default(sleeping(31), pod(json!({}), json!({})), "GracePeriodTooShort")]
#[case::app_sleeps_too_long(
    json!({"appContainers": [{"lifecycle": {"preStop": {"sleep": {"seconds": 31}}}}]}),
    pod(json!({}), json!({})), "GracePeriodTooShort")]
#[case::pod_requests(
    side(json!({"resources": {"requests": {"cpu": "600m"}}})),
    pod(json!({"resources": {"requests": {"cpu": "1"}}}), json!({"resources": {"requests": {"cpu": "0.5"}}})),
    "PodResourcesExceeded")]
#[case::limits_that_the_api_server_takes_for_requests(
    side(json!({"resources": {"limits": {"cpu": "500m"}}})),
    pod(json!({"resources": {"requests": {"cpu": "1"}}}), json!({"resources": {"requests": {"cpu": "800m"}}})),
    "PodResourcesExceeded")]
#[case::pod_limits(
    side(json!({"resources": {"limits": {"memory": "2Gi"}}})),
    pod(json!({"resources": {"limits": {"memory": "1Gi"}}}), json!({})), "PodResourcesExceeded")]
#[case::propagation(
    json!({"volumes": [{"name": "v", "emptyDir": {}}],
        "appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "Bidirectional"}]}]}),
    pod(json!({}), json!({})), "PrivilegeMissing")]
#[case::device(
    json!({"volumes": [{"name": "v", "emptyDir": {}}], "appContainers": [{"volumeMounts": [{"name": "v", "mountPath": "/dev/x"}]}]}),
    pod(json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}),
        json!({"volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]})), "MountPathTaken")]
#[case::mount_of_a_device(
    json!({"appContainers": [{"volumeMounts": [{"name": "d", "mountPath": "/data"}]}]}),
    pod(json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}),
        json!({"volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]})), "VolumeUseConflict")]
#[case::device_of_no_claim(
    side(json!({"volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]})),
    pod(json!({"volumes": [{"name": "d", "emptyDir": {}}]}), json!({})), "VolumeUseConflict")]
#[case::variable_of_no_directory(
    side(reading_from("d")),
    pod(json!({"volumes": [{"name": "d", "configMap": {"name": "c"}}]}), json!({})), "VolumeUseConflict")]
#[case::variable_of_nothing(side(reading_from("d")), pod(json!({}), json!({})), "VolumeMissing")]
fn what_the_api_server_would_refuse(#[case] spec: Value, #[case] pod: Value, #[case] word: &str) {
    let seen = run(vec![shop("p", spec)], &pod);
    assert_eq!(seen.reason("shop/p"), word, "{:?}", seen.warnings);
    assert_eq!(seen.pod["spec"], pod["spec"]);
}

#[rstest]
#[case(side(json!({"securityContext": {"runAsUser": 1}})), pod(json!({"nodeSelector": {"kubernetes.io/os": "windows"}}), json!({})))]
#[case(side(json!({"securityContext": {"procMount": "Unmasked"}})), pod(json!({"hostUsers": false}), json!({})))]
#[case(
    side(json!({"volumeDevices": [{"name": "d", "devicePath": "/dev/x"}]})),
    pod(json!({"volumes": [{"name": "d", "persistentVolumeClaim": {"claimName": "c"}}]}), json!({})))]
#[case(side(reading_from("d")), pod(json!({"volumes": [{"name": "d", "emptyDir": {}}]}), json!({})))]
#[case(sleeping(30), pod(json!({}), json!({})))]
#[case(sleeping(60), pod(json!({"terminationGracePeriodSeconds": 60}), json!({})))]
#[case(
    side(json!({"resources": {"requests": {"cpu": "500m"}}})),
    pod(json!({"resources": {"requests": {"cpu": "1"}}}), json!({"resources": {"requests": {"cpu": "0.5"}}})))]
fn what_it_would_take(#[case] spec: Value, #[case] pod: Value) {
    let seen = run(vec![shop("p", spec.clone())], &pod);
    assert_eq!(seen.reason("shop/p"), "Injected", "{:?}", seen.warnings);
    assert!(run(vec![shop("p", spec)], &seen.pod).unchanged());
}

#[test]
fn a_grace_period_of_another_policy_is_waited_for() {
    let policies = || {
        vec![
            shop("a", sleeping(50)),
            shop("b", json!({"pod": {"terminationGracePeriodSeconds": 60}})),
        ]
    };
    let seen = run(policies(), &api_pod());
    assert_eq!(seen.reason("shop/a"), "Injected");
    assert!(run(policies(), &seen.pod).unchanged());
}

#[test]
fn a_port_on_which_another_container_listens_is_warned_about() {
    let spec = side(
        json!({"ports": [{"containerPort": 8080}, {"containerPort": 8080, "protocol": "UDP"}]}),
    );
    let app = pod(json!({}), json!({"ports": [{"containerPort": 8080}]}));
    let seen = run(vec![shop("p", spec)], &app);
    assert_eq!(seen.reason("shop/p"), "Injected");
    assert_eq!(seen.warnings.len(), 1, "{:?}", seen.warnings);
    assert!(seen.warnings[0].contains("has the port 8080, which container \"app\" has too"));
}

#[test]
fn the_container_that_a_policy_in_conflict_wanted_is_the_apps() {
    let mut taking = side(json!({}));
    taking["sidecars"][0]["name"] = json!("app");
    let policies = vec![
        shop("a", taking),
        shop("b", json!({"appContainers": [{"env": [{"name": "A", "value": "1"}]}]})),
    ];
    let seen = run(policies, &api_pod());
    assert_eq!(seen.reason("shop/a"), "ContainerNameConflict");
    assert_eq!(seen.pod["spec"]["containers"][0]["env"], json!([{"name": "A", "value": "1"}]));
}

#[test]
fn a_pod_that_one_policy_cannot_read_is_left_alone_by_all() {
    let pod = pod(json!({}), json!({"env": "not a list"}));
    let seen = run(
        vec![
            shop("a", json!({"appContainers": [{"env": [{"name": "A", "value": "1"}]}]})),
            shop("b", side(json!({}))),
        ],
        &pod,
    );
    assert_eq!((seen.reason("shop/a"), seen.reason("shop/b")), ("MalformedPod", "MalformedPod"));
    assert!(seen.unchanged());
}

#[test]
fn a_container_that_another_webhook_adds_between_two_calls_is_left_alone() {
    let policy = || shop("p", log_shipper());
    let first = run(vec![policy()], &api_pod());
    let mut between = first.pod.clone();
    between["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "proxy", "image": "proxy:1"}));
    let second = run(vec![policy()], &between);
    assert!(second.unchanged(), "{}", second.patch);
    assert_eq!(second.reason("shop/p"), "AlreadyInjected");
    // An app that brings the volume itself is not taken for one that has the policy.
    let mut own = api_pod();
    own["spec"]["volumes"] = json!([{"name": "logs", "emptyDir": {"sizeLimit": "256Mi"}}]);
    let seen = run(vec![policy()], &own);
    assert_eq!(names(&seen.pod, "initContainers"), ["shipper"]);
    assert_eq!(seen.pod["spec"]["containers"][0]["volumeMounts"][0]["name"], "logs");
}

#[test]
fn a_thousand_policies_in_conflict_take_their_time_and_no_more() {
    let policies = (0..1000).map(|index| {
        let mut spec = side(json!({"placement": {"after": "nobody"}, "type": "Container"}));
        spec["sidecars"][0]["name"] = json!(format!("side-{index}"));
        shop(&format!("p{index}"), spec)
    });
    let seen = run(policies.collect(), &api_pod());
    assert_eq!(names(&seen.pod, "containers"), ["app"]);
    assert!(seen.decisions.iter().all(|(_, reason)| *reason == "PlacementTargetMissing"));
}

fn restricted() -> Value {
    side(json!({"securityContext": {
        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}
    }}))
}

#[rstest]
#[case("privileged", side(json!({"securityContext": {"privileged": true}})), json!({}), "Injected")]
#[case("baseline", side(json!({"securityContext": {"privileged": true}})), json!({}), "PodSecurity")]
#[case("baseline", side(json!({})), json!({}), "Injected")]
#[case("restricted", side(json!({})), json!({}), "PodSecurity")]
#[case("restricted", restricted(), json!({}), "Injected")]
// What the pod sets for all its containers counts for ours.
#[case(
    "restricted",
    side(json!({"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}})),
    json!({"securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}}}),
    "Injected"
)]
// What an expression gives is judged like what is written.
#[case(
    "baseline",
    side(json!({"securityContext": {"privileged": "${namespace.name == 'shop'}"}})),
    json!({}),
    "PodSecurity"
)]
fn the_pod_security_level_of_the_namespace_is_kept(
    #[case] level: &str,
    #[case] spec: Value,
    #[case] of_pod: Value,
    #[case] word: &str,
) {
    let mut namespace = namespace(&[]);
    namespace.labels.insert("pod-security.kubernetes.io/enforce".to_owned(), level.to_owned());
    let seen = run_in(&namespace, vec![shop("p", spec)], &pod(of_pod, json!({})));
    assert_eq!(seen.reason("shop/p"), word, "{:?}", seen.warnings);
}

/// What one policy brings is compared with what another one brings to the letter of the security context, and in
/// its place.
#[rstest]
#[case::alike(json!({"securityContext": {"runAsUser": 0}}), json!({"securityContext": {"runAsUser": 0}}), "AlreadyInjected")]
#[case::by_default(json!({}), json!({"placement": "First", "securityContext": {}}), "AlreadyInjected")]
#[case::hardened(json!({}), json!({"securityContext": {"allowPrivilegeEscalation": false}}), "ContainerNameConflict")]
#[case::softened(json!({"securityContext": {"allowPrivilegeEscalation": false}}), json!({}), "ContainerNameConflict")]
#[case::root(json!({}), json!({"securityContext": {"runAsUser": 0}}), "ContainerNameConflict")]
#[case::placement(json!({}), json!({"placement": "Last"}), "ContainerNameConflict")]
#[case::beside_nobody(json!({}), json!({"placement": {"before": "nobody"}}), "ContainerNameConflict")]
fn a_sidecar_of_two_policies_is_the_same_in_both(
    #[case] one: Value,
    #[case] two: Value,
    #[case] word: &str,
) {
    let policies = || vec![shop("a", side(one.clone())), shop("b", side(two.clone()))];
    let first = run(policies(), &api_pod());
    assert_eq!((first.reason("shop/a"), first.reason("shop/b")), ("Injected", word));
    let second = run(policies(), &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
    assert_eq!(second.reason("shop/b"), word);
}
