//! Policies that were exported as a `MutatingAdmissionPolicy`, which the API server runs itself, make of a
//! pod what the webhook makes of it: each pod is shown to both, in two namespaces, and compared.

use std::collections::BTreeMap;

use e2e::command::{kubectl, kubectl_with, sidecar, sidecar_with};
use e2e::manifests::{BUSYBOX, container, list};
use e2e::{TestNamespace, eventually};
use serde_json::{Value, json};

use crate::DEADLINE;
use crate::corpus::essence;

const POLICIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies");
const PREFIX: &str = "sidecarpolicy.dev/";
/// Of how many pods everything is tried that can be missing.
const TAKEN_APART: usize = 3;

/// A namespace whose policies the webhook carries out, and one where the API server does it alone.
struct Both {
    webhook: TestNamespace,
    exported: TestNamespace,
}

impl Both {
    fn create(topic: &str, labels: &[&str]) -> Self {
        let both = Self {
            webhook: TestNamespace::create(topic),
            exported: TestNamespace::create(&format!("{topic}-exported")),
        };
        for namespace in [&both.webhook, &both.exported] {
            for label in labels {
                namespace.kubectl(&["label", "namespace", namespace.name(), label]);
            }
        }
        both
    }

    /// Puts policies in force in both; those of the cluster kind are narrowed to each.
    fn apply(&self, policies: &[Value]) {
        for policy in policies {
            self.webhook.apply(&narrowed(policy, &self.webhook));
        }
        for policy in policies {
            let policy = narrowed(policy, &self.exported);
            let arguments = [
                "export",
                "-f",
                "-",
                "-n",
                self.exported.name(),
                "--as",
                "mutating-admission-policy",
            ];
            let objects = sidecar_with(&arguments, &policy.to_string()).expect_success();
            let name = policy["metadata"]["name"].as_str().unwrap_or_default();
            let name = if policy["kind"] == "ClusterSidecarPolicy" {
                format!("{name}.sidecarpolicy.dev")
            } else {
                format!("{name}.{}.sidecarpolicy.dev", self.exported.name())
            };
            for kind in ["mutatingadmissionpolicy", "mutatingadmissionpolicybinding"] {
                self.exported.delete_at_the_end(format!("{kind}/{name}"));
            }
            let apply = ["apply", "-f", "-"];
            let _ = kubectl_with(&apply, &objects).expect_success();
        }
        for policy in policies {
            let policy = narrowed(policy, &self.webhook);
            let kind = policy["kind"].as_str().unwrap_or_default();
            let name = policy["metadata"]["name"].as_str().unwrap_or_default();
            if kind == "ClusterSidecarPolicy" {
                self.webhook.delete_at_the_end(format!("{kind}/{name}"));
            }
            self.webhook.wait_for_policy(&format!("{kind}/{name}"));
        }
    }

    /// Waits until both put something into this pod.
    fn wait(&self, pod: &Value) {
        let injects = |namespace: &TestNamespace| {
            let answer = namespace.try_dry_run(pod);
            if !answer.succeeded {
                return true;
            }
            let made = parse(&answer.output);
            made["spec"]["containers"] != pod["spec"]["containers"]
                && (made["spec"]["initContainers"].is_array()
                    || made["spec"]["containers"][1].is_object())
        };
        eventually("the exported policy is in force", DEADLINE, || {
            if injects(&self.exported) { Ok(()) } else { Err("nothing goes in".to_owned()) }
        });
    }

    /// Shows pods to both. What was made of each is shown again, and of the first with each container
    /// missing: what is there already has to be found by both alike.
    fn compare(&self, policy: &str, pods: &[(&str, Value)]) {
        let cases: Vec<Case> =
            pods.iter().map(|(shape, pod)| (format!("{policy}, {shape}"), pod.clone())).collect();
        let mut again: Vec<Case> = Vec::new();
        let made = self.compare_once(&cases);
        assert!(made.iter().any(Option::is_some), "{policy}: both refused every pod");
        for (position, made) in made.into_iter().enumerate() {
            let (case, pod) = &cases[position];
            let Some(made) = made else { continue };
            let mut pod = pod.clone();
            pod["spec"] = made["spec"].clone();
            pod["metadata"]["labels"] = made["labels"].clone();
            if position < TAKEN_APART {
                again.extend(parts(case, &pod));
            }
            again.push((format!("{case}, again"), pod));
        }
        self.compare_once(&again);
    }

    /// What both made of each pod; none if both refused it.
    fn compare_once(&self, cases: &[Case]) -> Vec<Option<Value>> {
        let pods = cases.iter().enumerate().map(|(position, (_, pod))| {
            let mut pod = pod.clone();
            pod["metadata"]["name"] = json!(name(position));
            pod
        });
        let pods = list(&pods.collect::<Vec<_>>());
        let (webhook, exported) = (made(&self.webhook, &pods), made(&self.exported, &pods));
        let pairs = cases.iter().enumerate().map(|(position, (case, pod))| {
            let made = [&webhook, &exported].map(|made| made.get(&name(position)));
            assert!(
                made[0] == made[1],
                "{case}: the webhook makes\n{}\nand the API server\n{}\nof {pod}",
                made[0].map_or("nothing".to_owned(), pretty),
                made[1].map_or("nothing".to_owned(), pretty),
            );
            made[0].cloned()
        });
        pairs.collect()
    }
}

/// A pod, and what it is about.
type Case = (String, Value);

/// A pod with one of its containers missing, the others as they were and turned round, and with other
/// content in one of its volumes.
fn parts(case: &str, pod: &Value) -> Vec<Case> {
    let mut parts = Vec::new();
    for field in ["initContainers", "containers"] {
        let containers = pod["spec"][field].as_array().map_or(0, Vec::len);
        if containers < 2 && field == "containers" {
            continue;
        }
        for index in 0..containers {
            let mut part = pod.clone();
            let removed = part["spec"][field].as_array_mut().map(|list| list.remove(index));
            let name = removed.map(|container| container["name"].to_string()).unwrap_or_default();
            let mut turned = part.clone();
            if let Some(list) = turned["spec"][field].as_array_mut() {
                list.reverse();
            }
            parts.push((format!("{case}, without {name}"), part));
            parts.push((format!("{case}, without {name}, turned round"), turned));
        }
    }
    for index in 0..pod["spec"]["volumes"].as_array().map_or(0, Vec::len) {
        let mut part = pod.clone();
        let name = pod["spec"]["volumes"][index]["name"].clone();
        part["spec"]["volumes"][index] =
            json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "7Mi"}});
        parts.push((format!("{case}, with another volume {index}"), part));
    }
    parts
}

/// The name by which a pod of several is known.
fn name(position: usize) -> String {
    format!("api-{position}")
}

/// What is made of pods by their names, in one dry run; those that are refused are missing.
fn made(namespace: &TestNamespace, pods: &Value) -> BTreeMap<String, Value> {
    let answer = namespace.try_dry_run(pods);
    let objects = serde_json::Deserializer::from_str(&answer.output).into_iter::<Value>();
    let made = objects.map(|object| {
        let object = object.expect("kubectl prints one object after the other");
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (name, without_marks(essence(&object, namespace)))
    });
    made.collect()
}

/// The policy for one namespace.
fn narrowed(policy: &Value, namespace: &TestNamespace) -> Value {
    let mut policy = policy.clone();
    if policy["kind"] == "ClusterSidecarPolicy" {
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        // Both are in the cluster at the same time; owners ask for each by its name.
        let suffix = namespace.name().rsplit('-').next().unwrap_or_default();
        policy["metadata"] = json!({"name": format!("{name}-{suffix}")});
        policy["spec"]["namespaceSelector"] =
            json!({"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}});
    }
    policy
}

/// An exported policy leaves no marks on pods.
fn without_marks(mut pod: Value) -> Value {
    for map in ["labels", "annotations"] {
        let Some(entries) = pod[map].as_object_mut() else { continue };
        entries.retain(|key, _| {
            !["injected", "skipped"].iter().any(|mark| key.strip_prefix(PREFIX) == Some(mark))
        });
        if entries.is_empty() {
            pod[map] = Value::Null;
        }
    }
    pod
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("kubectl prints JSON")
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

fn policy(name: &str, spec: &Value) -> Value {
    let mut policy = json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1",
        "kind": "SidecarPolicy",
        "metadata": {"name": name},
        "spec": spec,
    });
    policy["spec"]["podSelector"] = json!({"matchLabels": {"app": name}});
    policy
}

/// A policy of the catalogue.
fn ready_made(name: &str) -> Value {
    let file = format!("--filename={POLICIES}/{name}/policy.yaml");
    let arguments = ["create", "--dry-run=client", "--validate=ignore", "-o", "json", &file];
    let mut policy = parse(&kubectl(&arguments).expect_success());
    policy["metadata"] = json!({"name": name});
    policy
}

fn pod(app: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "api", "labels": {"app": app}},
        "spec": spec,
    })
}

fn sleeping(name: &str) -> Value {
    json!({"name": name, "image": BUSYBOX, "command": ["sleep", "3600"]})
}

/// Pods of many shapes.
fn pods(app: &str) -> Vec<(&'static str, Value)> {
    let of = |spec: Value| pod(app, &spec);
    let with = |field: &str, value: Value| {
        let mut app = container("my-api");
        app[field] = value;
        json!({"containers": [app]})
    };
    let mut annotated = of(json!({"containers": [container("my-api")]}));
    annotated["metadata"]["labels"]["team"] = json!("red");
    annotated["metadata"]["annotations"] = json!({"example.com/owner": "me"});
    let mut owned = of(json!({"containers": [container("my-api")]}));
    owned["metadata"]["labels"]["pod-template-hash"] = json!("7d");
    owned["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "api-7d", "controller": true,
        "uid": "7f6d5c4b-0000-4000-8000-000000000000",
    }]);
    vec![
        ("one container", of(json!({"containers": [container("my-api")]}))),
        ("two containers", of(json!({"containers": [container("my-api"), container("client")]}))),
        (
            "init containers",
            of(json!({
                "initContainers": [container("migrate"), {
                    "name": "cache", "image": BUSYBOX, "restartPolicy": "Always", "command": ["sleep", "3600"],
                }],
                "containers": [container("client"), container("my-api")],
            })),
        ),
        (
            "a mount of its own at the path",
            of({
                let mut spec =
                    with("volumeMounts", json!([{"name": "own", "mountPath": "/var/log/my-api/"}]));
                spec["volumes"] = json!([{"name": "own", "emptyDir": {}}]);
                spec
            }),
        ),
        (
            "a volume of the name with the same content",
            of(json!({
                "containers": [container("my-api")],
                "volumes": [{"name": "my-api-logs", "emptyDir": {"sizeLimit": "131072Ki"}}],
            })),
        ),
        (
            "a container of the name in the other list",
            of(
                json!({"containers": [container("my-api"), sleeping("log-shipper"), sleeping("first")]}),
            ),
        ),
        (
            "variables",
            of(with("env", json!([{"name": "LEVEL", "value": "app"}, {"name": "EMPTY"}]))),
        ),
        (
            "sources",
            of(with("envFrom", json!([{"configMapRef": {"name": "app", "optional": true}}]))),
        ),
        ("a probe", of(with("readinessProbe", json!({"exec": {"command": ["true"]}})))),
        (
            "fields of the pod",
            of(json!({
                "containers": [container("my-api")],
                "terminationGracePeriodSeconds": 90,
                "securityContext": {"fsGroup": 7, "supplementalGroups": [5]},
                "shareProcessNamespace": false,
                "imagePullSecrets": [{"name": "own"}],
                "hostNetwork": true,
            })),
        ),
        (
            "pod-level resources",
            of(json!({
                "containers": [container("my-api")],
                "resources": {"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"memory": "2Mi"}},
            })),
        ),
        ("Windows", of(json!({"os": {"name": "windows"}, "containers": [container("my-api")]}))),
        (
            "a node selector",
            of(
                json!({"nodeSelector": {"kubernetes.io/os": "windows"}, "containers": [container("my-api")]}),
            ),
        ),
        ("labels and annotations", annotated),
        ("of a Deployment", owned),
    ]
}

/// Policies that use everything that can be expressed.
fn policies() -> Vec<Value> {
    [contents(), choices()].concat()
}

/// By what they put in, and where.
fn contents() -> Vec<Value> {
    vec![
        policy(
            "placed",
            &json!({
                "sidecars": [
                    sleeping("first"),
                    {"name": "second", "image": format!("{BUSYBOX}@sha256:{}", "0".repeat(64)), "type": "Init"},
                    {"name": "last", "image": BUSYBOX, "placement": "Last"},
                    {"name": "before-first", "image": BUSYBOX, "placement": {"before": "first"}},
                    {"name": "beside", "image": BUSYBOX, "type": "Container"},
                    {"name": "in-front", "image": BUSYBOX, "type": "Container", "placement": "First"},
                ],
            }),
        ),
        policy(
            "beside",
            &json!({
                "sidecars": [
                    {"name": "after", "image": BUSYBOX, "type": "Container", "placement": {"after": "my-api"}},
                    {"name": "before", "image": BUSYBOX, "type": "Container", "placement": {"before": "my-api"}},
                    {"name": "after-after", "image": BUSYBOX, "type": "Container", "placement": {"after": "after"}},
                ],
            }),
        ),
        policy(
            "app",
            &json!({
                "sidecars": [{
                    "name": "log-shipper", "image": BUSYBOX, "args": ["it's", "$${HOME}"],
                    "env": [{"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
                    "ports": [{"containerPort": 9000}],
                    "volumeMounts": [{"name": "my-api-logs", "mountPath": "/logs"}],
                    "resources": {"requests": {"cpu": "0.1", "memory": "16Mi"}},
                }],
                "volumes": [
                    {"name": "my-api-logs", "emptyDir": {"sizeLimit": "128Mi"}},
                    {"name": "settings", "configMap": {"name": "settings", "optional": true}},
                    {"name": "token", "projected": {"sources": [
                        {"serviceAccountToken": {"path": "token", "audience": "a"}},
                        {"downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                    ]}},
                ],
                "appContainers": [
                    {
                        "include": "All",
                        "containers": ["my-*", "migrate", "cache"],
                        "volumeMounts": [{"name": "my-api-logs", "mountPath": "/var/log/my-api"}],
                        "env": [{"name": "LEVEL", "value": "policy"}, {"name": "EMPTY", "value": ""}],
                        "envFrom": [
                            {"configMapRef": {"name": "one", "optional": true}},
                            {"secretRef": {"name": "two", "optional": true}},
                        ],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 8080}},
                    },
                    {
                        "containers": ["client"],
                        "env": [{"name": "LEVEL", "value": "client"}],
                        "lifecycle": {"preStop": {"exec": {"command": ["true"]}}},
                    },
                ],
            }),
        ),
        policy(
            "fields",
            &json!({
                "sidecars": [sleeping("first")],
                "pod": {
                    "labels": {"team": "blue", "example.com/a": "b"},
                    "annotations": {"example.com/owner": "policy", "example.com/x_y": "x"},
                    "imagePullSecrets": [{"name": "ours"}, {"name": "own"}],
                    "shareProcessNamespace": true,
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": {"fsGroup": 2000, "supplementalGroups": [5, 6]},
                },
            }),
        ),
    ]
}

/// By which pods they choose, and what a conflict means.
fn choices() -> Vec<Value> {
    vec![
        policy(
            "denied",
            &json!({
                "onConflict": "Deny",
                "sidecars": [sleeping("first"), {
                    "name": "log-shipper", "image": BUSYBOX, "command": ["sleep", "1"],
                    "volumeMounts": [{"name": "my-api-logs", "mountPath": "/logs", "readOnly": true}],
                    "lifecycle": {"preStop": {"sleep": {"seconds": 20}}},
                }],
                "volumes": [{"name": "my-api-logs", "emptyDir": {"sizeLimit": "128Mi"}}],
                "appContainers": [
                    {"volumeMounts": [{"name": "my-api-logs", "mountPath": "/var/log/my-api"}]},
                ],
                "matchConditions": [
                    {"name": "app", "expression": "pod.metadata.labels.app == 'denied'"},
                    {"name": "linked", "expression": "pod.spec.hostNetwork == false"},
                ],
            }),
        ),
        policy(
            "deployments",
            &json!({
                "sidecars": [sleeping("first")],
                "matchConditions": [
                    {"name": "workload", "expression": "workload.kind == 'Deployment' && workload.name == 'api' || workload.name.startsWith('api-') && workload.kind == 'Pod' && has(pod.metadata.labels.team)"},
                    {"name": "labels", "expression": "namespace.labels['kubernetes.io/metadata.name'] == namespace.name && !('other' in namespace.annotations)"},
                    {"name": "keys", "expression": "!pod.metadata.annotations.exists(k, k.startsWith('other') || pod.metadata.annotations[k] == '') && size(pod.metadata.labels) >= 2"},
                ],
            }),
        ),
        policy("asked", &json!({"activation": "OnRequest", "sidecars": [sleeping("first")]})),
        policy(
            "forced",
            &json!({"optOut": "Denied", "hostNetwork": "Deny", "sidecars": [
                {"name": "ported", "image": BUSYBOX, "type": "Container", "ports": [{"containerPort": 80, "protocol": "UDP"}]},
            ]}),
        ),
    ]
}

#[test]
fn the_catalogue_comes_out_alike() {
    let both = Both::create("export-catalogue", &[]);
    both.apply(&[ready_made("log-shipper"), ready_made("debug-shell")]);
    both.wait(&pod("my-api", &json!({"containers": [container("my-api")]})));
    both.compare("log-shipper", &pods("my-api"));
    let mut others = pods("other");
    for (_, pod) in &mut others {
        let asked = |namespace: &TestNamespace| {
            let name = narrowed(&ready_made("debug-shell"), namespace);
            name["metadata"]["name"].as_str().unwrap_or_default().to_owned()
        };
        let names = format!("{}, {}", asked(&both.webhook), asked(&both.exported));
        pod["metadata"]["annotations"][format!("{PREFIX}inject")] = json!(names);
    }
    both.compare("debug-shell", &others);
}

#[test]
fn policies_of_many_shapes_come_out_alike() {
    let both = Both::create("export", &[]);
    both.apply(&policies());
    both.wait(&pod("forced", &json!({"containers": [container("my-api")]})));
    for policy in policies() {
        let name = policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        both.compare(&name, &pods(&name));
    }
    let names = [
        "*",
        "placed",
        " placed , asked",
        "namespace/placed,namespace/asked",
        "cluster/placed",
        "other",
        "",
    ];
    let mut asking: Vec<Case> = Vec::new();
    for app in ["placed", "asked", "forced"] {
        for names in names {
            for key in ["skip", "inject"] {
                let mut pod = pod(app, &json!({"containers": [container("my-api")]}));
                pod["metadata"]["annotations"] = json!({format!("{PREFIX}{key}"): names});
                asking.push((format!("{app}, {key}: {names:?}"), pod));
            }
        }
    }
    both.compare_once(&asking);
    // What a namespace says is the default for its pods.
    for namespace in [&both.webhook, &both.exported] {
        let name = namespace.name();
        namespace.kubectl(&["annotate", "namespace", name, "sidecarpolicy.dev/skip=placed"]);
        namespace.kubectl(&["annotate", "namespace", name, "sidecarpolicy.dev/inject=asked"]);
    }
    let bare = |app: &str| pod(app, &json!({"containers": [container("my-api")]}));
    eventually("both know what the namespace says", DEADLINE, || {
        let injected = |namespace: &TestNamespace, app: &str| {
            namespace.dry_run(&bare(app))["spec"]["initContainers"].is_array()
        };
        let known = [&both.webhook, &both.exported]
            .map(|namespace| !injected(namespace, "placed") && injected(namespace, "asked"));
        if known == [true, true] { Ok(()) } else { Err(format!("{known:?}")) }
    });
}

#[test]
fn a_level_of_pod_security_is_kept_alike() {
    for level in ["baseline", "restricted"] {
        let enforce = format!("pod-security.kubernetes.io/enforce={level}");
        let both = Both::create(&format!("export-{level}"), &[&enforce]);
        let context = |more: Value| {
            let mut context =
                json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
            if let (Some(fields), Value::Object(more)) = (context.as_object_mut(), more) {
                fields.extend(more);
            }
            json!({"sidecars": [{"name": "first", "image": BUSYBOX, "securityContext": context}]})
        };
        let profile = json!({"type": "RuntimeDefault"});
        both.apply(&[
            policy("bare", &json!({"sidecars": [sleeping("first")]})),
            policy(
                "privileged",
                &context(json!({"privileged": true, "allowPrivilegeEscalation": true})),
            ),
            policy("inherits", &context(json!({}))),
            policy("whole", &context(json!({"runAsNonRoot": true, "seccompProfile": profile}))),
        ]);
        let app = json!({
            "name": "my-api", "image": BUSYBOX,
            "securityContext": {
                "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                "runAsNonRoot": true, "seccompProfile": profile,
            },
        });
        both.wait(&pod("whole", &json!({"containers": [app]})));
        for name in ["bare", "privileged", "inherits", "whole"] {
            let context = json!({"runAsNonRoot": true, "seccompProfile": profile});
            let inherits = json!({"containers": [app], "securityContext": context});
            let own = pod(name, &json!({"containers": [app]}));
            let pods = [("by itself", own), ("by the pod", pod(name, &inherits))];
            both.compare(&format!("{level}, {name}"), &pods);
        }
    }
}

#[test]
fn a_policy_of_the_cluster_is_exported_by_its_name() {
    let namespace = TestNamespace::create("export-named");
    let all = policies();
    let as_form = ["--as", "mutating-admission-policy", "-n", namespace.name()];
    for policy in &all {
        namespace.apply(policy);
        let name = policy["metadata"]["name"].as_str().unwrap_or_default();
        let exported = sidecar(&[&["export", name], &as_form[..]].concat()).expect_success();
        // The API server orders keys, so the texts differ from those of a file.
        let accepted = kubectl_with(&["create", "--dry-run=server", "-f", "-"], &exported);
        let names = accepted.expect_success();
        let name = format!("{name}.{}.sidecarpolicy.dev created", namespace.name());
        assert_eq!(names.matches(&name).count(), 2, "{names}");
    }
    let unknown = sidecar(&[&["export", "nobody"], &as_form[..]].concat()).expect_failure();
    assert!(unknown.contains("there is no SidecarPolicy"), "{unknown}");
}

#[test]
fn a_pod_that_is_refused_hears_why() {
    let both = Both::create("export-denied", &[]);
    let denied = policies().into_iter().filter(|policy| policy["metadata"]["name"] == "denied");
    both.apply(&denied.collect::<Vec<_>>());
    let bare = pod("denied", &json!({"containers": [container("my-api")]}));
    both.wait(&bare);
    let taken = pod("denied", &json!({"containers": [container("my-api"), sleeping("first")]}));
    let answer = both.exported.try_dry_run(&list(&[taken])).expect_failure();
    assert!(answer.contains("a container \"first\" is there with other content"), "{answer}");
}
