//! Laws that hold for any pod and any policies.

use inject::{Exclusions, Pod, Policy, PolicySet, Request, Workload, WorkloadKind};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::fixture::{names, namespace, run, shop};

/// JSON of any shape, biased towards the keys that are read.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z]{0,6}|Always|app".prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("metadata".to_owned()),
        Just("labels".to_owned()),
        Just("annotations".to_owned()),
        Just("spec".to_owned()),
        Just("containers".to_owned()),
        Just("initContainers".to_owned()),
        Just("volumes".to_owned()),
        Just("name".to_owned()),
        Just("env".to_owned()),
        Just("volumeMounts".to_owned()),
        Just("restartPolicy".to_owned()),
        Just("app".to_owned()),
        Just("template".to_owned()),
        Just("sidecarpolicy.dev/inject".to_owned()),
        ".{0,4}",
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// A pod as the API server would accept it, small and full of chances to clash.
fn any_pod() -> impl Strategy<Value = Value> {
    let name = || prop::sample::select(vec!["app", "web", "one", "two"]);
    let volume = || prop::sample::select(vec!["data", "logs"]);
    let container = (name(), prop::option::of(volume()), any::<bool>(), any::<bool>()).prop_map(
        |(name, volume, env, probe)| {
            let mut container = json!({"name": name, "image": "side:1"});
            if let Some(volume) = volume {
                container["volumeMounts"] = json!([{"name": volume, "mountPath": "/logs"}]);
            }
            if env {
                container["env"] = json!([{"name": "A", "value": "app"}, {"name": "A"}]);
            }
            if probe {
                container["livenessProbe"] = json!({"exec": {"command": ["true"]}});
            }
            container
        },
    );
    (prop::collection::vec(container, 1..4), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(mut containers, volumes, init, annotations)| {
            let mut seen = std::collections::HashSet::new();
            containers.retain(|container| seen.insert(container["name"].clone()));
            let mut pod = json!({"metadata": {"labels": {"app": "api"}}, "spec": {}});
            if init && containers.len() > 1 {
                pod["spec"]["initContainers"] = json!([containers.pop()]);
            }
            pod["spec"]["containers"] = containers.into();
            if volumes {
                pod["spec"]["volumes"] = json!([{"name": "data", "emptyDir": {}}]);
            }
            if annotations {
                pod["metadata"]["annotations"] = json!({"a/b~c": "1"});
            }
            pod
        },
    )
}

/// Names and specs of policies that reach the pod.
fn any_policies() -> impl Strategy<Value = Vec<(String, Value)>> {
    let one = (
        prop::sample::select(vec!["one", "two", "three"]),
        prop::sample::select(vec!["Sidecar", "Init", "Container"]),
        prop::sample::select(vec!["First", "Last"]),
        prop::sample::select(vec!["data", "logs"]),
        prop::sample::select(vec!["Skip", "Deny"]),
        -1..2_i32,
        any::<bool>(),
    );
    prop::collection::vec(one, 1..4).prop_map(|policies| {
        let specs = policies.into_iter().enumerate();
        let named = specs.map(|(index, (name, kind, place, volume, on_conflict, priority, app))| {
            let mut spec = json!({
                "priority": priority, "onConflict": on_conflict,
                "sidecars": [{"name": name, "image": "side:1", "type": kind, "placement": place}],
                "volumes": [{"name": volume, "emptyDir": {}}],
            });
            if app {
                spec["appContainers"] = json!([{
                    "volumeMounts": [{"name": volume, "mountPath": "/logs"}],
                    "env": [{"name": "A", "value": "policy"}],
                    "livenessProbe": {"tcpSocket": {"port": 1}},
                }]);
            }
            (format!("policy-{index}"), spec)
        });
        named.collect()
    })
}

proptest! {
    #[test]
    fn no_json_panics(object in any_json()) {
        let text = object.to_string();
        let set = {
            let mut set = PolicySet::default();
            let spec = json!({"sidecars": [{"name": "side", "image": "s:1"}],
                "appContainers": [{"env": [{"name": "A", "value": "1"}]}]});
            set.insert(std::sync::Arc::new(shop("p", spec)));
            set
        };
        let (namespace, exclusions) = (namespace(&[]), Exclusions::new("own", &[]));
        let request =
            Request { namespace: &namespace, exclusions: &exclusions, requester_is_node: true, uid: "" };
        if let Ok(pod) = serde_json::from_str::<Pod<'_>>(&text) {
            let mut patch = String::new();
            inject::inject(&pod, &request, &set).edits.write(&mut patch);
            let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
            let mut patched = object.clone();
            prop_assert!(json_patch::patch(&mut patched, &operations).is_ok(), "{patch}");
        }
        if let Ok(workload) = serde_json::from_str::<Workload<'_>>(&text) {
            let carried = inject::carry(
                WorkloadKind::Deployment, inject::Operation::Update(None), &workload, "shop", &set);
            let mut patch = String::new();
            carried.edits.write(&mut patch);
            let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
            let mut patched = object;
            prop_assert!(json_patch::patch(&mut patched, &operations).is_ok(), "{patch}");
        }
    }

    #[test]
    fn applying_twice_is_applying_once(pod in any_pod(), policies in any_policies()) {
        let first = run(compiled(&policies), &pod);
        let second = run(compiled(&policies), &first.pod);
        prop_assert!(second.unchanged(), "{}\nthen {}", first.patch, second.patch);
        prop_assert_eq!(first.denied, second.denied);
    }

    #[test]
    fn the_order_of_policies_does_not_count(pod in any_pod(), policies in any_policies()) {
        let forward = run(compiled(&policies), &pod);
        let backward = run(compiled(&policies).into_iter().rev().collect(), &pod);
        prop_assert_eq!(forward.patch, backward.patch);
        prop_assert_eq!(forward.warnings, backward.warnings);
    }

    #[test]
    fn nothing_of_the_apps_is_changed_or_removed(pod in any_pod(), policies in any_policies()) {
        let seen = run(compiled(&policies), &pod);
        prop_assert!(contains(&seen.pod, &pod), "{pod}\nbecame {}", seen.pod);
    }

    #[test]
    fn a_policy_goes_in_whole_or_not_at_all(pod in any_pod(), policies in any_policies()) {
        let seen = run(compiled(&policies), &pod);
        let again = run(compiled(&policies), &seen.pod);
        for (name, spec) in policies {
            let id = format!("shop/{name}");
            let went_in = matches!(seen.reason(&id), "Injected" | "AlreadyInjected");
            if seen.denied.is_some() {
                prop_assert!(seen.unchanged());
            } else if went_in {
                prop_assert_eq!(again.reason(&id), "AlreadyInjected");
                let sidecar = spec["sidecars"][0]["name"].as_str().unwrap().to_owned();
                let volume = &spec["volumes"][0];
                let volumes = seen.pod["spec"]["volumes"].as_array().unwrap();
                prop_assert!(volumes.contains(volume));
                let lists = ["initContainers", "containers"].map(|list| names(&seen.pod, list));
                prop_assert!(lists.concat().contains(&sidecar));
            } else {
                prop_assert!(!matches!(again.reason(&id), "Injected" | "AlreadyInjected"));
            }
        }
    }
}

fn compiled(policies: &[(String, Value)]) -> Vec<Policy> {
    policies.iter().map(|(name, spec)| shop(name, spec.clone())).collect()
}

/// Whether everything of `part` is in `whole`: maps by key, lists as a subsequence.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(key, part)| whole.get(key).is_some_and(|whole| contains(whole, part)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            let mut rest = whole.iter();
            part.iter().all(|part| rest.any(|whole| contains(whole, part)))
        }
        (whole, part) => whole == part,
    }
}
