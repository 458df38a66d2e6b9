//! What `kubectl sidecar` says of a cluster: that what it says happened is what the webhook did, how
//! policies stand, and what people hear who lack a right.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use e2e::command::{Answer, kubectl, kubectl_with, sidecar, sidecar_program};
use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::{DEADLINE, corpus};

const HOLD: &str = "e2e.sidecarpolicy.dev/hold";

/// Runs the command line in the namespace.
fn ask(namespace: &TestNamespace, arguments: &[&str]) -> Answer {
    sidecar(&[arguments, &["-n", namespace.name()]].concat())
}

/// What the command line answers as JSON.
#[track_caller]
fn answer(namespace: &TestNamespace, arguments: &[&str]) -> Value {
    let text = ask(namespace, &[arguments, &["-o", "json"]].concat()).expect_success();
    serde_json::from_str(&text).expect("the answer is JSON")
}

/// What `explain` says of one object and one policy.
#[track_caller]
fn explained(namespace: &TestNamespace, object: &str, policy: &str) -> Value {
    let answer = answer(namespace, &["explain", object]);
    let policies = answer["objects"][0]["policies"].as_array();
    let name = format!("{}/{policy}", namespace.name());
    let found = policies.into_iter().flatten().find(|found| found["policy"] == *name);
    found.cloned().unwrap_or_else(|| panic!("nothing is said of {name}: {answer}"))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// The objects of a file of the corpus, in no namespace, with their pods held from being scheduled.
fn held(file: &Path) -> Vec<Value> {
    let file = format!("--filename={}", file.display());
    let arguments = ["create", "--dry-run=client", "--validate=ignore", "-o", "json", &file];
    let printed = kubectl(&arguments).expect_success();
    let objects = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
    let objects = objects.map(|object| object.expect("kubectl prints JSON"));
    let objects = objects.flat_map(|object| match object["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![object],
    });
    objects.map(hold).collect()
}

fn hold(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("namespace");
    }
    let spec = match text(&object["kind"]) {
        "Pod" => "/spec",
        "CronJob" => "/spec/jobTemplate/spec/template/spec",
        _ => "/spec/template/spec",
    };
    // Who names a node needs no scheduler, and no such node is there.
    let spec = object.pointer_mut(spec).filter(|spec| spec["nodeName"].is_null());
    if let Some(spec) = spec {
        spec["schedulingGates"] = json!([{"name": HOLD}]);
    }
    object
}

/// A map that the webhook wrote on a pod.
fn recorded(pod: &Pod, key: &str) -> BTreeMap<String, String> {
    pod.annotation(key)
        .map(|json| serde_json::from_str(json).expect("the webhook writes JSON"))
        .unwrap_or_default()
}

/// What differs between what was said of a pod and what the webhook wrote on it.
fn difference(said: &Value, pod: &Pod) -> Option<String> {
    let (mut injected, mut skipped) = (BTreeMap::new(), BTreeMap::new());
    for policy in said["policies"].as_array().into_iter().flatten() {
        let name = text(&policy["policy"]).to_owned();
        match text(&policy["state"]) {
            "Current" => {
                injected.insert(name, text(&policy["revision"]).to_owned());
            }
            "Skipped" => {
                skipped.insert(name, text(&policy["message"]).to_owned());
            }
            "NotMatched" | "OptedOut" | "Audited" => {}
            _ => return Some(format!("{}: {policy}", pod.name())),
        }
    }
    let found =
        (recorded(pod, "sidecarpolicy.dev/injected"), recorded(pod, "sidecarpolicy.dev/skipped"));
    (found != (injected.clone(), skipped.clone())).then(|| {
        format!("{}: the webhook wrote {found:?}, said is {injected:?} {skipped:?}", pod.name())
    })
}

#[test]
fn explain_says_of_every_pod_of_the_corpus_what_the_webhook_did() {
    let _alone = corpus::have_policies_alone();
    let namespace = TestNamespace::create("explain-corpus");
    namespace.kubectl(&["label", "namespace", namespace.name(), "team=blue"]);
    corpus::apply_policies(&namespace);
    let workloads = corpus::files("workloads");
    let refused = corpus::denied_files();
    let (refused, pods): (Vec<PathBuf>, Vec<PathBuf>) =
        corpus::files("pods").into_iter().partition(|path| refused.contains(&corpus::stem(path)));
    // No policy concerns it, so that the record that it was copied with stays.
    let pods = pods.iter().filter(|path| corpus::stem(path) != "stale-record");
    let files = pods.chain(&workloads);
    // What belongs to an owner that is not there is deleted soon.
    let is_owned = |object: &Value| !object["metadata"]["ownerReferences"].is_null();
    let objects: Vec<Value> =
        files.flat_map(|path| held(path)).filter(|object| !is_owned(object)).collect();
    // What is a pod or makes one by itself, at once.
    let makers = ["Pod", "Deployment", "StatefulSet", "ReplicaSet", "ReplicationController", "Job"];
    let made = objects.iter().filter(|found| makers.contains(&text(&found["kind"]))).count();
    let create = ["create", "--validate=ignore", "-f", "-", "-n", namespace.name()];
    let objects = manifests::list(&objects).to_string();
    let _ = kubectl_with(&create, &objects).expect_success();
    let there = eventually("every workload has pods", DEADLINE, || {
        let list = namespace.kubectl(&["get", "pods", "-o", "json"]);
        let list: Value = serde_json::from_str(&list).expect("kubectl prints JSON");
        let found: Vec<Pod> =
            list["items"].as_array().into_iter().flatten().cloned().map(Pod).collect();
        let enough = found.len() >= made;
        if enough { Ok(found) } else { Err(format!("{} pods", found.len())) }
    });
    let mut question = vec!["explain", "pod"];
    question.extend(there.iter().map(Pod::name));
    let said = answer(&namespace, &question);
    let differences: Vec<String> = there
        .iter()
        .filter_map(|pod| {
            let objects = said["objects"].as_array().into_iter().flatten();
            let said = objects.into_iter().find(|said| said["name"] == pod.name());
            difference(said.unwrap_or(&Value::Null), pod)
        })
        .collect();
    assert!(differences.is_empty(), "{}", differences.join("\n"));

    assert!(!refused.is_empty());
    for file in refused {
        let path = file.to_string_lossy();
        let refusal = namespace.ask(&["create", "--dry-run=server", "-f", &path]).expect_failure();
        let said = ask(&namespace, &["explain", "-f", &path, "-o", "json"]);
        let said: Value = serde_json::from_str(&said.output).expect("the answer is JSON");
        let denied = text(&said["objects"][0]["denied"]);
        assert!(
            !denied.is_empty() && refusal.contains(denied),
            "{path}: {refusal}\nsaid is {said}"
        );
    }
}

#[test]
fn explain_says_where_running_pods_and_policies_went_apart() {
    let namespace = TestNamespace::create("explain-apart");
    let older = namespace.create_pod(&manifests::held_pod("api"));
    eventually("the policy is younger than the pod", DEADLINE, || {
        let now =
            namespace.kubectl(&["create", "configmap", "now", "--dry-run=server", "-o", "json"]);
        let now: Value = serde_json::from_str(&now).expect("kubectl prints JSON");
        let time = |object: &Value| text(&object["metadata"]["creationTimestamp"]).to_owned();
        if time(&now) > time(&older.0) { Ok(()) } else { Err(time(&now)) }
    });
    let mut policy = manifests::policy("watcher", "api");
    namespace.apply_policy(&policy);
    let pod = namespace.create_pod(&manifests::held_pod("api"));

    let (older, pod) = (format!("pod/{}", older.name()), format!("pod/{}", pod.name()));
    let state = |object: &str| text(&explained(&namespace, object, "watcher")["state"]).to_owned();
    assert_eq!((state(&older).as_str(), state(&pod).as_str()), ("Missing", "Current"));
    let text_of_missing = ask(&namespace, &["explain", &older]).expect_success();
    assert!(text_of_missing.contains("the pod is older than the policy"), "{text_of_missing}");

    policy["spec"]["sidecars"][0]["image"] = json!(manifests::BUSYBOX_NEXT);
    namespace.apply_policy(&policy);
    let outdated = explained(&namespace, &pod, "watcher");
    assert_eq!(outdated["state"], "Outdated");
    assert_ne!(outdated["revision"], outdated["currentRevision"]);
    let change = format!(
        "sidecars[watcher].image: {:?} would be {:?}",
        manifests::BUSYBOX,
        manifests::BUSYBOX_NEXT
    );
    assert_eq!(outdated["changes"], json!([change]));
    // The decision is one about the pod as it was, where nothing stands in the way of the new content.
    assert_eq!(outdated["reason"], "Injected");
    let changes = ask(&namespace, &["diff", &pod]);
    assert!(
        changes.output.contains(&format!("+    image: {}", manifests::BUSYBOX_NEXT)),
        "{changes:?}"
    );

    let given = "../inject/tests/corpus/policies/environment.yaml";
    let beside_others = ask(&namespace, &["explain", &pod, "-p", given]).expect_success();
    assert!(beside_others.contains("it is not among the policies given"), "{beside_others}");
    let revision = text(&outdated["revision"]);
    namespace.kubectl(&["delete", &format!("controllerrevision/watcher-{revision}")]);
    let unknown = ask(&namespace, &["explain", &pod]).expect_success();
    assert!(unknown.contains("outdated: it has revision"), "{unknown}");
    assert!(unknown.contains("cannot be told from the app's own"), "{unknown}");
    assert!(!unknown.contains("it would not get it"), "{unknown}");

    namespace.kubectl(&["annotate", &pod, "sidecarpolicy.dev/skip=watcher"]);
    assert_eq!(state(&pod), "OptedOut");
    namespace.kubectl(&["annotate", &pod, "sidecarpolicy.dev/skip-"]);

    policy["spec"]["podSelector"] = json!({"matchLabels": {"app": "web"}});
    namespace.apply_policy(&policy);
    assert_eq!((state(&older).as_str(), state(&pod).as_str()), ("NotMatched", "Surplus"));

    namespace.kubectl(&["delete", "sidecarpolicy/watcher"]);
    assert_eq!(state(&pod), "Orphaned");
}

fn held_deployment(name: &str) -> Value {
    let mut deployment = manifests::deployment(name);
    deployment["spec"]["template"]["spec"]["schedulingGates"] = json!([{"name": HOLD}]);
    deployment
}

#[test]
fn explain_says_what_the_next_pods_of_a_workload_get_and_what_its_pods_have() {
    let namespace = TestNamespace::create("explain-workload");
    let mut policy = manifests::policy("watcher", "api");
    let expression = "workload.kind == 'Deployment' && workload.name == 'api'";
    policy["spec"]["matchConditions"] = json!([{"name": "is-api", "expression": expression}]);
    namespace.apply_policy(&policy);
    namespace.apply(&held_deployment("api"));
    let said = |wanted: &str| {
        eventually(&format!("its pod counts as {wanted}"), DEADLINE, || {
            let said = explained(&namespace, "deploy/api", "watcher");
            if said["pods"][wanted] == 1 { Ok(said) } else { Err(said.to_string()) }
        })
    };
    let current = said("current");
    assert_eq!(current["pods"]["running"], 1);
    assert_eq!(current["injected"], true);
    assert_eq!(current["containers"], json!([{"name": "watcher", "list": "initContainers"}]));

    policy["spec"]["sidecars"][0]["image"] = json!(manifests::BUSYBOX_NEXT);
    namespace.apply_policy(&policy);
    said("outdated");

    let pods = namespace.pods("api");
    let [pod] = pods.as_slice() else { panic!("there is one pod: {pods:?}") };
    let failed = r#"{"status": {"phase": "Failed"}}"#;
    let patch = ["patch", "pod", pod.name(), "--subresource=status", "--type=merge", "-p", failed];
    namespace.kubectl(&patch);
    let next = said("current");
    assert_eq!(next["pods"]["running"], 1, "a pod that ended does not count: {next}");
    assert!(namespace.ask(&["get", "pod", pod.name()]).succeeded, "it is still there");
}

#[test]
fn status_tells_what_the_operator_counted_and_goes_on_telling() {
    let namespace = TestNamespace::create("cli-status");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["sidecars"][0]["resources"] =
        json!({"requests": {"cpu": "10m", "memory": "16Mi"}});
    namespace.apply_policy(&policy);
    let following = Following::start(&["status", "watcher", "--watch", "-n", namespace.name()]);
    for _ in 0..2 {
        namespace.create_pod(&manifests::held_pod("api"));
    }
    let columns = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let expected = [
        namespace.name(),
        "watcher",
        "Enforce",
        "True",
        "2",
        "2",
        "0",
        "0",
        "0",
        "0",
        "20m",
        "32Mi",
    ];
    following.wait_for(|line| columns(line) == expected);

    let name = format!("{}/watcher", namespace.name());
    let said = answer(&namespace, &["status", &name]);
    assert_eq!(said["policies"][0]["pods"]["injected"], 2);
    assert_eq!(
        said["policies"][0]["overhead"]["requests"],
        json!({"cpu": "20m", "memory": "32Mi"})
    );
    assert_eq!(said["totals"]["pods"], said["policies"][0]["pods"]);
    let names = ask(&namespace, &["status", "scp/watcher", "-o", "name"]).expect_success();
    assert_eq!(names, "sidecarpolicy.sidecarpolicy.dev/watcher\n");
    let nobody = ask(&namespace, &["status", "nobody"]).expect_failure();
    assert!(nobody.starts_with("error: there is no policy nobody"), "{nobody}");

    namespace.kubectl(&["delete", "sidecarpolicy/watcher"]);
    following.wait_for(|line| columns(line) == [namespace.name(), "watcher", "Enforce", "deleted"]);
}

/// A command that goes on, and its lines.
struct Following {
    program: Child,
    lines: mpsc::Receiver<String>,
}

impl Following {
    fn start(arguments: &[&str]) -> Self {
        let mut program = Command::new(sidecar_program())
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = program.stdout.take().expect("its output is a pipe");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { program, lines }
    }

    #[track_caller]
    fn wait_for(&self, is_wanted: impl Fn(&str) -> bool) {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            if is_wanted(&line) {
                return;
            }
            seen.push(line);
        }
        panic!("the line does not come; seen:\n{}", seen.join("\n"));
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        // It never ends by itself.
        let _ = self.program.kill();
        let _ = self.program.wait();
    }
}

#[test]
fn whoever_lacks_a_right_hears_which_one_and_how_to_check_it() {
    let namespace = TestNamespace::create("cli-rights");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    namespace.apply(&held_deployment("api"));
    let kubeconfig = kubeconfig_of_nobody(&namespace);
    let question = ["explain", "deploy/api", "--kubeconfig", &kubeconfig];
    // Each is given as soon as it is named; these are all that it takes. Whoever may read one kind of policies
    // hears of the other and goes on.
    for (verb, resource, is_of_cluster) in [
        ("get", "deployments.apps", false),
        ("list", "clustersidecarpolicies.sidecarpolicy.dev", true),
        ("list", "sidecarpolicies.sidecarpolicy.dev", false),
        ("get", "namespaces", false),
        ("list", "replicasets.apps", false),
        ("list", "pods", false),
    ] {
        let complaint = eventually(&format!("{verb} {resource} is missing"), DEADLINE, || {
            let complaint = ask(&namespace, &question).errors;
            let asked = format!("auth can-i {verb} {resource}");
            if complaint.contains(&asked) { Ok(complaint) } else { Err(complaint) }
        });
        let asked = format!("auth can-i {verb} {resource}");
        let complaint = complaint.lines().find(|line| line.contains(&asked)).unwrap_or_default();
        let check = complaint.split("check it with: kubectl ").nth(1).expect("there is a check");
        let check = check.split(" (the API").next().unwrap_or_default();
        let checked = kubectl(&check.split(' ').collect::<Vec<_>>());
        assert_eq!(checked.output.trim(), "no", "{check}: {checked:?}");
        give(&namespace, verb, resource, is_of_cluster);
    }
    eventually("it is explained", DEADLINE, || {
        let answer = ask(&namespace, &question);
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
}

#[test]
fn what_somebody_may_not_see_of_policies_is_neither_missing_nor_unchanged() {
    let namespace = TestNamespace::create("cli-hidden");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let kubeconfig = kubeconfig_of_nobody(&namespace);
    let told =
        |arguments: &[&str]| ask(&namespace, &[arguments, &["--kubeconfig", &kubeconfig]].concat());
    give(&namespace, "get,list", "sidecarpolicies.sidecarpolicy.dev", false);
    eventually("policies of the namespace are shown", DEADLINE, || {
        let shown = told(&["status", "watcher"]);
        if shown.succeeded { Ok(()) } else { Err(shown.errors) }
    });
    let watched = told(&["status", "--watch"]);
    assert_eq!(watched.code, Some(2), "{watched:?}");
    let may_not = "you may not watch sidecarpolicies in the namespace";
    assert!(watched.errors.contains(may_not), "{watched:?}");
    for (arguments, verb) in [
        (&["status", "mesh"][..], "list"),
        (&["status", "cluster/mesh"], "list"),
        (&["rollout", "history", "mesh"], "get"),
    ] {
        let told = told(arguments).expect_failure();
        let asked = format!("auth can-i {verb} clustersidecarpolicies.sidecarpolicy.dev");
        assert!(told.contains(&asked), "{arguments:?}: {told}");
    }
}

#[test]
fn whoever_may_view_a_namespace_may_read_its_policies() {
    let namespace = TestNamespace::create("cli-view");
    let account = format!("{}:default", namespace.name());
    let viewer = format!("--serviceaccount={account}");
    namespace.kubectl(&["create", "rolebinding", "viewer", "--clusterrole=view", &viewer]);
    let may = |verb: &str| {
        let who = format!("system:serviceaccount:{account}");
        let resource = "sidecarpolicies.sidecarpolicy.dev";
        let ask = ["auth", "can-i", verb, resource, "-n", namespace.name(), "--as", &who];
        kubectl(&ask).output.trim() == "yes"
    };
    eventually("a viewer may read policies", DEADLINE, || {
        may("list").then_some(()).ok_or("no".to_owned())
    });
    assert!(!may("create"));
}

/// Gives the default service account a right, until the end of the test.
fn give(namespace: &TestNamespace, verb: &str, resource: &str, is_of_cluster: bool) {
    let kind = if is_of_cluster { "clusterrole" } else { "role" };
    let name = namespace.unique(&format!("e2e-{}", resource.split('.').next().unwrap_or_default()));
    let (verb, resource) = (format!("--verb={verb}"), format!("--resource={resource}"));
    namespace.kubectl(&["create", kind, &name, &verb, &resource]);
    let role = format!("--{kind}={name}");
    let account = format!("--serviceaccount={}:default", namespace.name());
    namespace.kubectl(&["create", &format!("{kind}binding"), &name, &role, &account]);
    if is_of_cluster {
        namespace.delete_at_the_end(format!("{kind}/{name}"));
        namespace.delete_at_the_end(format!("{kind}binding/{name}"));
    }
}

/// A kubeconfig of the namespace's default service account, which has no rights.
fn kubeconfig_of_nobody(namespace: &TestNamespace) -> String {
    let token = namespace.kubectl(&["create", "token", "default"]);
    let config = kubectl(&["config", "view", "--raw", "--minify", "--flatten", "-o", "json"]);
    let mut config: Value =
        serde_json::from_str(&config.expect_success()).expect("kubectl prints JSON");
    for user in config["users"].as_array_mut().into_iter().flatten() {
        user["user"] = json!({"token": token.trim()});
    }
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.json", namespace.name()));
    fs::write(&file, config.to_string()).expect("a kubeconfig can be written");
    file.to_string_lossy().into_owned()
}
