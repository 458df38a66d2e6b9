//! The corpus of `inject` on a real API server: it accepts every object and every golden result,
//! refuses what is marked as refused, and the webhook gives the very results that the goldens hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use e2e::TestNamespace;
use e2e::command::{Answer, kubectl};
use serde_json::{Value, json};

/// The files of a folder of the corpus, sorted.
pub(crate) fn files(folder: &str) -> Vec<PathBuf> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../inject/tests/corpus");
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus.join(folder))
        .expect("the corpus can be read")
        .map(|entry| entry.expect("an entry of the corpus").path())
        .collect();
    files.sort_unstable();
    files
}

/// The golden files of what an API server accepts.
fn goldens() -> Vec<PathBuf> {
    let refused: BTreeSet<_> = files("refused").iter().map(|path| stem(path)).collect();
    files("results").into_iter().filter(|path| !refused.contains(&stem(path))).collect()
}

/// The name of a file without its extension: what an object and its golden file have in common.
pub(crate) fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// Creates all objects of these files without storing them. Unknown fields are let through, as the
/// API server does for clients that do not ask.
fn dry_run(namespace: &TestNamespace, files: &[PathBuf]) -> Answer {
    let files: Vec<String> =
        files.iter().map(|path| format!("--filename={}", path.display())).collect();
    let mut arguments = vec![
        "create",
        "--dry-run=server",
        "--validate=ignore",
        "-o",
        "json",
        "-n",
        namespace.name(),
    ];
    arguments.extend(files.iter().map(String::as_str));
    kubectl(&arguments)
}

/// What the API server makes of these files, by kind and name. Of a pod that is to be named, its prefix.
fn created(namespace: &TestNamespace, files: &[PathBuf]) -> BTreeMap<String, Value> {
    let printed = dry_run(namespace, files).expect_success();
    let objects = serde_json::Deserializer::from_str(&printed).into_iter::<Value>();
    let named = objects.map(|item| {
        let item = item.expect("kubectl prints one object after the other");
        let metadata = &item["metadata"];
        let name = metadata["generateName"].as_str().or(metadata["name"].as_str());
        (
            format!("{} {}", item["kind"].as_str().unwrap_or_default(), name.unwrap_or_default()),
            item,
        )
    });
    named.collect()
}

/// What decides whether two pods or workloads are the same: all but what the API server makes up
/// itself, with the namespace called as in the goldens.
pub(crate) fn essence(object: &Value, namespace: &TestNamespace) -> Value {
    let metadata = &object["metadata"];
    let mut essence = json!({
        "labels": metadata["labels"], "annotations": metadata["annotations"], "spec": object["spec"],
    });
    remove_made_up(&mut essence);
    let text = essence.to_string().replace(namespace.name(), "shop");
    serde_json::from_str(&text).expect("a name for another keeps it JSON")
}

/// Ends of keys that the API server gives Jobs, and the one that kubectl writes anew.
const MADE_UP: [&str; 3] =
    ["controller-uid", "job-name", "kubectl.kubernetes.io/last-applied-configuration"];

/// Removes the service account's token and what is new each time.
fn remove_made_up(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !MADE_UP.iter().any(|made_up| key.ends_with(made_up)));
            fields.values_mut().for_each(remove_made_up);
            for list in ["volumes", "volumeMounts"] {
                if fields.get(list).is_some_and(|list| list.as_array().is_some_and(Vec::is_empty)) {
                    fields.remove(list);
                }
            }
        }
        Value::Array(elements) => {
            elements.retain(|element| {
                let name = element["name"].as_str().unwrap_or_default();
                !name.starts_with("kube-api-access-")
            });
            elements.iter_mut().for_each(remove_made_up);
        }
        _ => {}
    }
}

/// Has the policies of the corpus to itself until it is dropped, which has to be after the namespace of the
/// test: those of the cluster kind have one name in all tests.
pub(crate) fn have_policies_alone() -> MutexGuard<'static, ()> {
    static POLICIES: Mutex<()> = Mutex::new(());
    POLICIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The policies that the goldens know, applied in the namespace. Others are not carried out yet.
pub(crate) fn apply_policies(namespace: &TestNamespace) {
    let goldens: String = goldens()
        .iter()
        .map(|path| std::fs::read_to_string(path).expect("a golden file can be read"))
        .collect();
    for path in files("policies") {
        let file = format!("--filename={}", path.display());
        let arguments = ["create", "--dry-run=client", "--validate=ignore", "-o", "json", &file];
        let mut policy: Value =
            serde_json::from_str(&kubectl(&arguments).expect_success()).expect("a policy");
        let name = policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let is_cluster = policy["kind"] == "ClusterSidecarPolicy";
        let shown = format!("# {}/{name}: ", if is_cluster { "cluster" } else { "shop" });
        if !goldens.contains(&shown) {
            continue;
        }
        policy["metadata"] = json!({"name": name});
        if is_cluster {
            namespace.apply_cluster_policy(&policy);
        } else {
            namespace.apply_policy(&policy);
        }
    }
}

#[test]
fn the_api_server_accepts_every_object_and_every_golden_result() {
    let namespace = TestNamespace::create("corpus");
    for files in [files("pods"), files("workloads"), goldens()] {
        let objects = created(&namespace, &files);
        assert!(objects.len() >= 10, "{} objects", objects.len());
    }
}

#[test]
fn the_api_server_refuses_what_is_marked_as_refused() {
    let namespace = TestNamespace::create("corpus-refused");
    for file in files("refused") {
        let answer = dry_run(&namespace, std::slice::from_ref(&file));
        assert!(!answer.succeeded, "{} is accepted: {}", file.display(), answer.output);
    }
}

#[test]
fn the_webhook_gives_the_golden_results_and_nothing_more_in_a_second_call() {
    let plain = TestNamespace::create("corpus-plain");
    let _alone = have_policies_alone();
    let namespace = TestNamespace::create("corpus-policies");
    namespace.kubectl(&["label", "namespace", namespace.name(), "team=blue"]);
    apply_policies(&namespace);
    let denied = denied_files();
    let (refused, mut admitted): (Vec<_>, Vec<_>) =
        files("pods").into_iter().partition(|path| denied.contains(&stem(path)));
    admitted.extend(files("workloads"));
    // In a namespace without policies the API server adds its defaults to a result, and nothing else.
    // What is left alone has no golden result: the object itself is expected.
    let results = created(&plain, &goldens());
    let mut expected = created(&plain, &admitted);
    expected.extend(results.clone());

    let mut differences = Vec::new();
    for (name, object) in created(&namespace, &admitted) {
        let (found, expected) = (essence(&object, &namespace), essence(&expected[&name], &plain));
        if found != expected {
            differences.push(format!("{name}\nis       {found}\nand not {expected}"));
        }
    }
    for file in refused {
        let refusal = dry_run(&namespace, std::slice::from_ref(&file)).expect_failure();
        assert!(refusal.contains("denied the request"), "{}: {refusal}", file.display());
    }
    for (name, object) in created(&namespace, &goldens()) {
        let (found, expected) = (essence(&object, &namespace), essence(&results[&name], &plain));
        if found["spec"] != expected["spec"] {
            differences
                .push(format!("{name} in a second call\nis       {found}\nand not {expected}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// Names of the objects whose pod is denied.
pub(crate) fn denied_files() -> BTreeSet<String> {
    let is_denied = |path: &PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("\n# denied: "))
    };
    goldens().iter().filter(|path| is_denied(path)).map(|path| stem(path)).collect()
}
