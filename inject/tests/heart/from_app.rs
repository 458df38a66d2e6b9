//! What sidecars take over from the app's containers: mounts, variables, and their size.

use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Seen, api_pod, run, shop};

fn pod(container: Value) -> Value {
    let mut pod = api_pod();
    let fields = container.as_object().unwrap().clone();
    pod["spec"]["containers"][0].as_object_mut().unwrap().extend(fields);
    pod["spec"]["volumes"] =
        json!([{"name": "data", "emptyDir": {}}, {"name": "more", "emptyDir": {}}]);
    pod
}

fn with_sidecar(fields: Value, pod: &Value) -> Seen {
    let mut sidecar = json!({"name": "side", "image": "side:1"});
    sidecar.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let policy = || shop("p", json!({"sidecars": [sidecar]}));
    let first = run(vec![policy()], pod);
    assert_eq!(first.reason("shop/p"), "Injected", "{:?}", first.warnings);
    let second = run(vec![policy()], &first.pod);
    assert!(second.unchanged(), "{}", second.patch);
    first
}

fn side(seen: &Seen) -> &Value {
    &seen.pod["spec"]["initContainers"][0]
}

#[test]
fn mounts_are_copied_and_the_sidecars_own_stay() {
    let app = pod(json!({"volumeMounts": [
        {"name": "data", "mountPath": "/data", "subPath": "a", "readOnly": true},
        {"name": "data", "mountPath": "/own/"},
        {"name": "more", "mountPath": "/more", "newerField": 18_446_744_073_709_551_615_u64}
    ]}));
    let fields = json!({
        "volumeMounts": [{"name": "more", "mountPath": "/own"}],
        "copyFromApp": {"volumeMounts": true}
    });
    let seen = with_sidecar(fields, &app);
    let expected = json!([
        {"name": "more", "mountPath": "/own"},
        {"name": "data", "mountPath": "/data", "subPath": "a", "readOnly": true},
        {"name": "more", "mountPath": "/more", "newerField": 18_446_744_073_709_551_615_u64}
    ]);
    assert_eq!(side(&seen)["volumeMounts"], expected);
}

#[test]
fn what_policies_put_into_the_app_is_copied_too() {
    let policies = || {
        vec![
            shop(
                "a",
                json!({"sidecars": [{"name": "side", "image": "side:1",
                "copyFromApp": {"volumeMounts": true, "env": ["LEVEL", "OPTS"]}}]}),
            ),
            shop(
                "b",
                json!({
                    "volumes": [{"name": "logs", "emptyDir": {}}],
                    "appContainers": [{
                        "volumeMounts": [{"name": "logs", "mountPath": "/logs"}],
                        "env": [
                            {"name": "LEVEL", "value": "info"},
                            {"name": "OPTS", "value": "-b", "merge": "Append"}
                        ]
                    }]
                }),
            ),
        ]
    };
    let seen = run(policies(), &pod(json!({"env": [{"name": "OPTS", "value": "-a"}]})));
    assert_eq!(side(&seen)["volumeMounts"], json!([{"name": "logs", "mountPath": "/logs"}]));
    assert_eq!(
        side(&seen)["env"],
        json!([{"name": "LEVEL", "value": "info"}, {"name": "OPTS", "value": "-a -b"}])
    );
    assert!(run(policies(), &seen.pod).unchanged());
}

#[test]
fn variables_are_copied_with_their_source() {
    let app = pod(json!({"env": [
        {"name": "A", "value": "first"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "A", "value": "last"}
    ]}));
    let fields = json!({
        "env": [{"name": "OWN", "value": "1"}],
        "copyFromApp": {"env": ["SECRET", "A", "OWN", "ABSENT"]}
    });
    let seen = with_sidecar(fields, &app);
    let expected = json!([
        {"name": "OWN", "value": "1"},
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        {"name": "A", "value": "last"}
    ]);
    assert_eq!(side(&seen)["env"], expected);
}

#[test]
fn containers_to_copy_from_are_named() {
    let mut app = pod(json!({"volumeMounts": [{"name": "data", "mountPath": "/data"}]}));
    app["spec"]["containers"].as_array_mut().unwrap().push(
        json!({"name": "web", "image": "w:1", "volumeMounts": [{"name": "more", "mountPath": "/web"}]}),
    );
    let fields = json!({"copyFromApp": {"containers": ["w*"], "volumeMounts": true}});
    let seen = with_sidecar(fields, &app);
    assert_eq!(side(&seen)["volumeMounts"], json!([{"name": "more", "mountPath": "/web"}]));
}

#[rstest]
#[case(json!({}), json!([{"name": "data", "mountPath": "/data"}]))]
#[case(
    json!({"securityContext": {"privileged": true}}),
    json!([{"name": "data", "mountPath": "/data", "mountPropagation": "Bidirectional"}])
)]
fn only_a_privileged_sidecar_gets_a_mount_that_reaches_the_node(
    #[case] mut fields: Value,
    #[case] expected: Value,
) {
    let app = pod(json!({"securityContext": {"privileged": true}, "volumeMounts": [
        {"name": "data", "mountPath": "/data", "mountPropagation": "Bidirectional"}
    ]}));
    fields["copyFromApp"] = json!({"volumeMounts": true});
    assert_eq!(side(&with_sidecar(fields, &app))["volumeMounts"], expected);
}

#[rstest]
#[case::sum("Sum", json!({"cpu": {"percent": 10}, "memory": {"percent": 50}}), json!({"cpu": "60m", "memory": "384Mi"}))]
#[case::max("Max", json!({"cpu": {"percent": 10}, "memory": {"percent": 50}}), json!({"cpu": "50m", "memory": "256Mi"}))]
#[case::at_least("Sum", json!({"cpu": {"percent": 10, "min": "0.1"}}), json!({"cpu": "100m"}))]
#[case::at_most("Sum", json!({"memory": {"percent": 100, "max": "64Mi"}}), json!({"memory": "64Mi"}))]
#[case::more_than_all("Sum", json!({"cpu": {"percent": 200}}), json!({"cpu": "1200m"}))]
fn requests_follow_the_apps(
    #[case] function: &str,
    #[case] requests: Value,
    #[case] expected: Value,
) {
    let mut app = pod(json!({"resources": {"requests": {"cpu": "500m", "memory": "512Mi"}}}));
    // A native sidecar of the app's runs beside it; an init container does not.
    app["spec"]["initContainers"] = json!([
        {"name": "agent", "image": "a:1", "restartPolicy": "Always",
         "resources": {"requests": {"cpu": "0.1", "memory": "256Mi"}}},
        {"name": "migrate", "image": "m:1", "resources": {"requests": {"cpu": "8"}}}
    ]);
    let fields = json!({"resourcesFromApp": {"function": function, "requests": requests}});
    let seen = with_sidecar(fields, &app);
    assert_eq!(side(&seen)["resources"], json!({"requests": expected}));
}

#[test]
fn a_limit_stands_for_a_request_that_is_absent() {
    let app = pod(json!({"resources": {"limits": {"cpu": "2"}}}));
    let fields =
        json!({"resourcesFromApp": {"function": "Sum", "requests": {"cpu": {"percent": 25}}}});
    assert_eq!(side(&with_sidecar(fields, &app))["resources"]["requests"]["cpu"], "500m");
}

#[test]
fn a_request_never_exceeds_its_limit() {
    let app = pod(json!({"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "2"}}}));
    let fields = json!({"resourcesFromApp": {"function": "Sum",
        "requests": {"cpu": {"percent": 50}}, "limits": {"cpu": {"percent": 10}}}});
    let resources = &side(&with_sidecar(fields, &app))["resources"].clone();
    assert_eq!(*resources, json!({"requests": {"cpu": "200m"}, "limits": {"cpu": "200m"}}));
}

#[rstest]
#[case::the_least(json!({}), json!({"requests": {"cpu": "50m"}}))]
#[case::what_stands_beside_it(json!({"resources": {"requests": {"cpu": "0.2", "x.y/z": "1"}, "limits": {"x.y/z": "1"}}}), json!({"requests": {"cpu": "0.2", "x.y/z": "1"}, "limits": {"x.y/z": "1"}}))]
fn an_app_that_does_not_say_how_large_it_is(#[case] mut fields: Value, #[case] expected: Value) {
    fields["resourcesFromApp"] =
        json!({"function": "Sum", "requests": {"cpu": {"percent": 10, "min": "50m"}}});
    assert_eq!(side(&with_sidecar(fields, &pod(json!({}))))["resources"], expected);
}

#[test]
fn mounts_that_cannot_work_in_the_sidecar_are_not_copied() {
    let app = pod(json!({"env": [{"name": "N", "value": "x"}], "volumeMounts": [
        {"name": "data", "mountPath": "/expanded", "subPathExpr": "$(N)"},
        {"name": "data", "mountPath": "/etc/app", "readOnly": true},
        {"name": "more", "mountPath": "/more"}
    ]}));
    let fields = json!({
        "volumeMounts": [{"name": "more", "mountPath": "/etc/app/own"}],
        "copyFromApp": {"volumeMounts": true}
    });
    let paths: Vec<String> = side(&with_sidecar(fields, &app))["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| mount["mountPath"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["/etc/app/own", "/more"]);
}

#[test]
fn a_resource_field_still_means_the_apps_container() {
    let app = pod(json!({"env": [
        {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}
    ]}));
    let seen = with_sidecar(json!({"copyFromApp": {"env": ["CPU"]}}), &app);
    let reference = &side(&seen)["env"][0]["valueFrom"]["resourceFieldRef"];
    assert_eq!(*reference, json!({"resource": "limits.cpu", "containerName": "app"}));
}
