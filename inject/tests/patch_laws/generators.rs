//! Pods and policies of every shape that the API has, from pools of names so small that they clash.
//! The property tests draw them at random, the fuzzer from its bytes.

use std::{collections::BTreeMap, sync::Arc};

use inject::{Namespace, Policy, PolicyId, compile};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

use crate::patch_laws::shop;

/// A pod and what may be put into it.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    /// The pod.
    pub(crate) pod: Value,
    /// Annotations of its namespace.
    pub(crate) namespace_annotations: BTreeMap<String, String>,
    /// The policies.
    pub(crate) policies: Vec<Given>,
}

/// A policy that has not been compiled.
#[derive(Clone, Debug)]
pub(crate) struct Given {
    pub(crate) id: PolicyId,
    pub(crate) spec: Value,
}

impl Case {
    /// Namespace `shop`.
    pub(crate) fn namespace(&self) -> Namespace {
        Namespace { annotations: self.namespace_annotations.clone(), ..shop() }
    }

    /// The policies that compile; the others are refused when they are written.
    pub(crate) fn compiled(&self) -> Vec<Arc<Policy>> {
        self.policies.iter().filter_map(Given::compile).map(Arc::new).collect()
    }
}

impl Given {
    pub(crate) fn compile(&self) -> Option<Policy> {
        let spec = serde_json::from_value(self.spec.clone()).ok()?;
        compile(self.id.clone(), "11111111-2222-3333-4444-555555555555", 1, &spec).ok()
    }
}

/// A pod, and up to four policies that may reach it.
pub(crate) fn any_case() -> impl Strategy<Value = Case> {
    let policies = vec(any_policy(), 1..=4).prop_map(|specs| {
        let names = ["first", "second", "third", "fourth"];
        let given = names.into_iter().zip(specs).map(|(name, (cluster, spec))| {
            let id =
                if cluster { PolicyId::cluster(name) } else { PolicyId::namespaced("shop", name) };
            Given { id, spec }
        });
        given.collect()
    });
    (any_pod(), policies, requests()).prop_map(|(pod, policies, namespace_annotations)| Case {
        pod,
        namespace_annotations,
        policies,
    })
}

/// A pod as the API server would let it through, mostly.
pub(crate) fn any_pod() -> impl Strategy<Value = Value> {
    let init = vec((container(), any::<bool>(), any::<bool>()), 0..3).prop_map(|list| {
        let init = list.into_iter().map(|(mut container, always, named_prepare)| {
            if always {
                container["restartPolicy"] = json!("Always");
            }
            if named_prepare {
                container["name"] = json!("prepare");
            }
            container
        });
        init.collect::<Vec<_>>()
    });
    let lists = (vec(container(), 1..4), init, absent_empty_or(vec(volume(), 0..3)));
    let settings = any_of(vec![
        ("hostNetwork", select(vec![json!(true), json!(false)]).boxed()),
        ("hostPID", Just(json!(true)).boxed()),
        ("shareProcessNamespace", select(vec![json!(true), json!(false)]).boxed()),
        (
            "terminationGracePeriodSeconds",
            select(vec![json!(0), json!(5), json!(30), json!(90)]).boxed(),
        ),
        ("os", select(vec![json!({"name": "linux"}), json!({"name": "windows"})]).boxed()),
        ("nodeSelector", Just(json!({"kubernetes.io/os": "linux"})).boxed()),
        ("imagePullSecrets", absent_empty_or(Just(vec![json!({"name": "own"})])).boxed()),
        (
            "hostAliases",
            absent_empty_or(Just(vec![json!({"ip": "10.0.0.1", "hostnames": ["own"]})])).boxed(),
        ),
        (
            "securityContext",
            select(vec![
                Value::Null,
                json!({}),
                json!({"fsGroup": 7}),
                json!({"supplementalGroups": [7]}),
            ])
            .boxed(),
        ),
        (
            "resources",
            select(vec![
                json!({"requests": {"cpu": "1"}}),
                json!({"limits": {"cpu": "100m", "memory": "64Mi"}}),
            ])
            .boxed(),
        ),
        ("future", Just(json!({"a~b": [1, null]})).boxed()),
    ]);
    (lists, settings, metadata()).prop_map(|((containers, init, volumes), mut spec, metadata)| {
        let mut names = std::collections::HashSet::new();
        let mut distinct = |mut list: Vec<Value>| {
            list.retain(|container| names.insert(container["name"].clone()));
            list
        };
        spec.insert("containers".to_owned(), distinct(containers).into());
        let init = distinct(init);
        if !init.is_empty() {
            spec.insert("initContainers".to_owned(), init.into());
        }
        spec.insert("volumes".to_owned(), without_twins(volumes));
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    })
}

/// Of elements with one name, the first.
fn without_twins(mut list: Value) -> Value {
    let mut names = std::collections::HashSet::new();
    if let Some(list) = list.as_array_mut() {
        list.retain(|element| names.insert(element["name"].clone()));
    }
    list
}

fn metadata() -> impl Strategy<Value = Value> {
    let labels = select(vec![
        json!({"app": "api"}),
        json!({"app": "api", "tier": "web"}),
        json!({"app": "api", "added": "own"}),
        json!({"app": "api", "sidecarpolicy.dev/injected": "true"}),
        json!({"tier": "web"}),
        Value::Null,
    ]);
    let stale = select(vec![
        json!({"sidecarpolicy.dev/injected": "{\"shop/first\":\"0\"}"}),
        json!({"sidecarpolicy.dev/skipped": "{\"shop/first\":\"of old\",\"cluster/second\":\"too\"}"}),
        json!({"sidecarpolicy.dev/skipped": "no JSON"}),
        json!({"a/b~c": "\r\n\"", "added": "own"}),
        json!({}),
        Value::Null,
    ]);
    let name = select(vec![("name", "api"), ("generateName", "api-")]);
    (name, labels, sometimes(50, stale), requests()).prop_map(
        |((key, name), labels, own, requests)| {
            let mut metadata = json!({key: name, "labels": labels});
            match own {
                None if requests.is_empty() => {}
                Some(Value::Null) if requests.is_empty() => metadata["annotations"] = Value::Null,
                own => {
                    let mut annotations = match own {
                        Some(Value::Object(own)) => own,
                        _ => Map::new(),
                    };
                    annotations
                        .extend(requests.into_iter().map(|(key, value)| (key, value.into())));
                    metadata["annotations"] = annotations.into();
                }
            }
            metadata
        },
    )
}

/// What owners write on pods and namespaces.
fn requests() -> impl Strategy<Value = BTreeMap<String, String>> {
    let list =
        || select(vec!["*", "first", "second, cluster/third", "namespace/first", "nobody", ""]);
    let parameter = select(vec![
        "debug",
        "7",
        "-1",
        "x",
        "\"],\"image\":\"evil:1",
        "${params.level}",
        "1e9",
        "true",
    ]);
    let names = select(vec![
        "params.sidecarpolicy.dev/first.level",
        "params.cluster.sidecarpolicy.dev/second.port",
        "params.sidecarpolicy.dev/third.list",
    ]);
    (sometimes(20, list()), sometimes(10, list()), sometimes(20, (names, parameter))).prop_map(
        |(inject, skip, parameter)| {
            let pairs = [
                inject.map(|list| ("sidecarpolicy.dev/inject", list)),
                skip.map(|list| ("sidecarpolicy.dev/skip", list)),
                parameter,
            ];
            let pairs = pairs.into_iter().flatten();
            pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
        },
    )
}

/// Absent (as null), empty, or these.
fn absent_empty_or(list: impl Strategy<Value = Vec<Value>>) -> impl Strategy<Value = Value> {
    (list, 0..4_u8).prop_map(|(list, shape)| match shape {
        0 => Value::Null,
        1 => json!([]),
        _ => list.into(),
    })
}

/// A value in so many of a hundred cases. Unlike proptest's own choices it draws all it needs in a row,
/// which lets the fuzzer stand in for the random numbers.
fn sometimes<S: Strategy>(percent: u8, value: S) -> impl Strategy<Value = Option<S::Value>> {
    (0..100_u8, value).prop_map(move |(drawn, value)| (drawn >= 100 - percent).then_some(value))
}

/// Each of these fields, or not.
fn any_of(fields: Vec<(&'static str, BoxedStrategy<Value>)>) -> BoxedStrategy<Map<String, Value>> {
    let optional = fields
        .into_iter()
        .map(|(name, value)| sometimes(25, value).prop_map(move |value| (name, value)).boxed());
    optional
        .collect::<Vec<_>>()
        .prop_map(|fields| {
            let set =
                fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
            set.collect()
        })
        .boxed()
}

fn container_name() -> impl Strategy<Value = &'static str> {
    select(vec!["app", "web-1", "one", "two", "three", "prepare"])
}

fn image() -> impl Strategy<Value = &'static str> {
    select(vec![
        "side:1",
        "side:2",
        "mirror.example.com/cache/side:1",
        "side:1@sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    ])
}

fn container() -> impl Strategy<Value = Value> {
    let fields = any_of(vec![
        ("command", select(vec![json!(["run"]), json!([]), Value::Null]).boxed()),
        ("args", select(vec![json!(["--a"]), json!(["--a", ""]), json!([])]).boxed()),
        ("env", absent_empty_or(vec(variable(), 0..4)).boxed()),
        ("envFrom", absent_empty_or(vec(variable_source(), 0..2)).boxed()),
        ("volumeMounts", absent_empty_or(vec(mount(), 0..2).prop_map(distinct_paths)).boxed()),
        ("ports", absent_empty_or(vec(port(), 0..2)).boxed()),
        (
            "resources",
            select(vec![
                json!({}),
                json!({"requests": {"cpu": "0.1", "memory": "1e8"}}),
                json!({"limits": {"cpu": 2, "memory": "1Gi"}}),
            ])
            .boxed(),
        ),
        ("livenessProbe", probe().boxed()),
        ("readinessProbe", probe().boxed()),
        ("startupProbe", probe().boxed()),
        ("lifecycle", Just(json!({"preStop": {"sleep": {"seconds": 1}}})).boxed()),
        ("restartPolicy", Just(Value::Null).boxed()),
        ("future", Just(json!([{"env": 1}])).boxed()),
    ]);
    (container_name(), image(), fields).prop_map(|(name, image, fields)| {
        let mut container = json!({"name": name, "image": image});
        for (key, value) in fields {
            container[key] = value;
        }
        container
    })
}

fn variable() -> impl Strategy<Value = Value> {
    let name = select(vec!["A", "B", "JAVA_TOOL_OPTIONS"]);
    let value = select(vec![
        json!({"value": ""}),
        json!({"value": "1"}),
        json!({"value": "-Xmx1g $(A)"}),
        json!({"value": "-javaagent:/a.jar"}),
        json!({"valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}),
        json!({"valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}}),
        json!({}),
    ]);
    (name, value).prop_map(|(name, mut variable)| {
        variable["name"] = json!(name);
        variable
    })
}

fn variable_source() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"configMapRef": {"name": "settings"}}),
        json!({"configMapRef": {"name": "settings", "optional": false}}),
        json!({"secretRef": {"name": "settings"}, "prefix": "S_"}),
    ])
}

fn mount() -> impl Strategy<Value = Value> {
    let name = select(vec!["data", "logs"]);
    let path = select(vec!["/data", "/data/", "/logs", "/"]);
    let more = select(vec![
        json!({}),
        json!({"readOnly": true}),
        json!({"readOnly": false}),
        json!({"subPath": "a"}),
    ]);
    (name, path, more).prop_map(|(name, path, mut mount)| {
        mount["name"] = json!(name);
        mount["mountPath"] = json!(path);
        mount
    })
}

fn distinct_paths(mut mounts: Vec<Value>) -> Vec<Value> {
    let mut paths = std::collections::HashSet::new();
    mounts.retain(|mount| {
        let path = mount["mountPath"].as_str().unwrap_or_default();
        paths.insert(path.trim_end_matches('/').to_owned())
    });
    mounts
}

fn port() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"containerPort": 8080}),
        json!({"containerPort": 8080, "protocol": "UDP"}),
        json!({"containerPort": 9090, "hostPort": 9090, "name": "metrics"}),
    ])
}

fn probe() -> impl Strategy<Value = Value> {
    select(vec![
        json!({"exec": {"command": ["true"]}}),
        json!({"exec": {"command": ["true"]}, "periodSeconds": 10, "failureThreshold": 0}),
        json!({"httpGet": {"port": 8080}}),
        json!({"httpGet": {"port": 8080, "path": "/", "scheme": "HTTP"}}),
        json!({"tcpSocket": {"port": 1}}),
        json!({"grpc": {"port": 1}}),
    ])
}

fn volume() -> impl Strategy<Value = Value> {
    let name = select(vec!["data", "logs"]);
    let source = select(vec![
        json!({"emptyDir": {}}),
        json!({"emptyDir": {}}),
        json!({"emptyDir": {}}),
        json!({"emptyDir": {"sizeLimit": "1Gi"}}),
        json!({"emptyDir": {"sizeLimit": "1024Mi", "medium": ""}}),
        json!({"configMap": {"name": "settings"}}),
        json!({"configMap": {"name": "settings", "defaultMode": 420}}),
    ]);
    (name, source).prop_map(|(name, mut volume)| {
        volume["name"] = json!(name);
        volume
    })
}

/// Whether of the cluster kind, and its spec.
fn any_policy() -> impl Strategy<Value = (bool, Value)> {
    let selection = any_of(vec![
        (
            "podSelector",
            select(vec![
                json!({"matchLabels": {"app": "api"}}),
                json!({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}),
                json!({}),
            ])
            .boxed(),
        ),
        ("os", select(vec![json!("Linux"), json!("Windows"), json!("Any")]).boxed()),
        ("hostNetwork", Just(json!("Deny")).boxed()),
        ("activation", Just(json!("OnRequest")).boxed()),
        ("optOut", Just(json!("Denied")).boxed()),
        ("mode", Just(json!("Audit")).boxed()),
        ("onConflict", select(vec![json!("Skip"), json!("Deny")]).boxed()),
        ("priority", select(vec![json!(-1), json!(0), json!(1)]).boxed()),
    ]);
    let content = (
        vec(sidecar(), 0..3).prop_map(|list| without_twins(list.into())),
        policy_volumes(),
        vec(app_containers(), 0..2),
        any_of(rare_fields()),
    );
    (any::<bool>(), any::<bool>(), selection, content).prop_map(
        |(cluster, fail, mut spec, (sidecars, volumes, app_containers, more))| {
            if fail {
                spec.insert("failurePolicy".to_owned(), json!("Fail"));
            }
            if cluster {
                spec.insert(
                    "namespaceSelector".to_owned(),
                    json!({"matchLabels": {"team": "blue"}}),
                );
            }
            spec.insert("sidecars".to_owned(), sidecars);
            spec.insert("volumes".to_owned(), volumes);
            spec.insert("appContainers".to_owned(), app_containers.into());
            spec.extend(more);
            (cluster, spec.into())
        },
    )
}

/// Mostly all volumes that anything mounts.
fn policy_volumes() -> impl Strategy<Value = Value> {
    let all = json!([{"name": "data", "emptyDir": {}}, {"name": "logs", "emptyDir": {}}]);
    let some = vec(volume(), 0..3).prop_map(|list| without_twins(list.into()));
    sometimes(25, some).prop_map(move |some| some.unwrap_or_else(|| all.clone()))
}

/// Fields of the spec that few policies have.
fn rare_fields() -> Vec<(&'static str, BoxedStrategy<Value>)> {
    let condition = |expression: &str| json!([{"name": "condition", "expression": expression}]);
    vec![
        (
            "matchConditions",
            select(vec![
                condition("namespace.name == 'shop'"),
                condition("pod.metadata.name == 'api'"),
                condition("!has(pod.spec.hostNetwork) || !pod.spec.hostNetwork"),
                condition("workload.kind == 'Job'"),
            ])
            .boxed(),
        ),
        (
            "parameters",
            Just(json!([
                {"name": "level", "type": "String", "default": "info"},
                {"name": "port", "type": "Integer", "default": 8080, "minimum": 1, "maximum": 65535},
                {"name": "list", "type": "StringList", "default": ["a", "b"]},
            ]))
            .boxed(),
        ),
        (
            "files",
            Just(json!([
                {"path": "/etc/side/config", "content": "a: \"b\"\r\n"},
                {"path": "/etc/side/other", "content": "{}", "containers": ["one"]},
            ]))
            .boxed(),
        ),
        (
            "pod",
            any_of(vec![
                ("labels", Just(json!({"added": "ours", "more": "x"})).boxed()),
                ("annotations", Just(json!({"added": "ours", "a/b~c": "ours"})).boxed()),
                (
                    "imagePullSecrets",
                    select(vec![json!([{"name": "own"}]), json!([{"name": "ours"}])]).boxed(),
                ),
                ("hostAliases", Just(json!([{"ip": "10.0.0.1", "hostnames": ["ours"]}])).boxed()),
                ("shareProcessNamespace", Just(json!(true)).boxed()),
                ("terminationGracePeriodSeconds", select(vec![json!(10), json!(60)]).boxed()),
                (
                    "securityContext",
                    select(vec![json!({"fsGroup": 8}), json!({"supplementalGroups": [7, 8]})]).boxed(),
                ),
            ])
            .prop_filter("says something", |pod| !pod.is_empty())
            .prop_map(Value::Object)
            .boxed(),
        ),
        ("rollout", Just(json!({"strategy": "Restart", "partition": "50%"})).boxed()),
        ("revisionHistoryLimit", Just(json!(2)).boxed()),
    ]
}

fn sidecar() -> impl Strategy<Value = Value> {
    let mut fields: Vec<(&str, BoxedStrategy<Value>)> =
        vec![("placement", select(vec![json!("First"), json!("Last")]).boxed())];
    let target = (container_name(), any::<bool>()).prop_map(|(name, before)| {
        if before { json!({"before": name}) } else { json!({"after": name}) }
    });
    fields.push(("placement", target.boxed()));
    fields.push((
        "copyFromApp",
        select(vec![
            json!({"volumeMounts": true}),
            json!({"containers": ["app", "web-*"], "volumeMounts": true, "env": ["A"]}),
            json!({"env": ["A", "B"]}),
        ])
        .boxed(),
    ));
    fields.push(("resourcesFromApp", select(vec![
        json!({"function": "Sum", "requests": {"cpu": {"percent": 10, "min": "10m", "max": "1"}}}),
        json!({"function": "Max", "limits": {"memory": {"percent": 50}}}),
    ]).boxed()));
    fields.push((
        "args",
        select(vec![
            json!(["--level=${params.level}"]),
            json!(["${params.list}", "$${HOME}"]),
            json!(["--of=${workload.name}.${namespace.name}"]),
        ])
        .boxed(),
    ));
    let kind = select(vec!["Sidecar", "Init", "Container"]);
    let own_name = sometimes(70, select(vec!["one", "two", "three", "four"]));
    (container(), own_name, kind, any_of(fields)).prop_map(|(mut sidecar, name, kind, more)| {
        if let Some(name) = name {
            sidecar["name"] = json!(name);
        }
        sidecar["type"] = json!(kind);
        for (key, value) in more {
            sidecar[key] = value;
        }
        if let Some(fields) = sidecar.as_object_mut() {
            fields.remove("restartPolicy");
            if kind == "Init" {
                for field in ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] {
                    fields.remove(field);
                }
            }
            if fields.contains_key("resourcesFromApp") {
                fields.remove("resources");
            }
            fields.retain(|_, value| !value.is_null());
        }
        sidecar
    })
}

fn app_containers() -> impl Strategy<Value = Value> {
    let appended = (variable(), any::<bool>()).prop_map(|(mut variable, append)| {
        if append && variable["value"].as_str().is_some_and(|value| !value.is_empty()) {
            variable["merge"] = json!("Append");
            variable["separator"] = json!(" ");
        }
        variable
    });
    let variables = vec(appended, 1..3);
    let fields = any_of(vec![
        ("containers", select(vec![json!(["app"]), json!(["web-*", "one"]), json!(["*"])]).boxed()),
        (
            "include",
            select(vec![json!("Containers"), json!("InitContainers"), json!("All")]).boxed(),
        ),
        (
            "volumeMounts",
            vec(mount(), 1..3).prop_map(|mounts| distinct_paths(mounts).into()).boxed(),
        ),
        ("envFrom", vec(variable_source(), 1..3).prop_map(Value::from).boxed()),
        ("livenessProbe", probe().boxed()),
        ("readinessProbe", probe().boxed()),
        ("startupProbe", probe().boxed()),
        ("lifecycle", Just(json!({"preStop": {"exec": {"command": ["true"]}}})).boxed()),
    ]);
    (fields, variables).prop_map(|(mut fields, variables)| {
        fields.insert("env".to_owned(), variables.into());
        fields.into()
    })
}
