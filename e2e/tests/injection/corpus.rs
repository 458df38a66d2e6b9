//! The corpus of `inject` on a real API server: it accepts every object and every golden result,
//! refuses what is marked as refused, and the webhook gives the very results that the goldens hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use e2e::TestNamespace;
use e2e::command::{Answer, kubectl};
use serde_json::{Value, json};

/// The files of a folder of the corpus, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
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
fn stem(path: &Path) -> String {
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

/// What decides whether two pods or workloads are the same: all but the token that the API server
/// adds, and what it makes up itself.
fn essence(mut object: Value, namespace: &TestNamespace) -> Value {
    let metadata = object["metadata"].take();
    remove_tokens(&mut object["spec"]);
    // Revisions are those of this very API server's policies: the cluster kind's selector differs.
    let annotations = metadata["annotations"].to_string();
    let annotations = annotations.replace(&format!("{}/", namespace.name()), "shop/");
    json!({"labels": metadata["labels"], "annotations": annotations, "spec": object["spec"]})
}

fn remove_tokens(spec: &mut Value) {
    let is_token = |element: &Value| {
        element["name"].as_str().is_some_and(|name| name.starts_with("kube-api-access-"))
    };
    let drop_from = |object: &mut Value, field: &str| {
        let Some(list) = object[field].as_array_mut() else { return };
        list.retain(|element| !is_token(element));
        if list.is_empty()
            && let Some(object) = object.as_object_mut()
        {
            object.remove(field);
        }
    };
    for list in ["containers", "initContainers"] {
        for container in spec[list].as_array_mut().into_iter().flatten() {
            drop_from(container, "volumeMounts");
        }
    }
    drop_from(spec, "volumes");
}

/// The policies that the goldens know, applied in the namespace. Others are not carried out yet.
fn apply_policies(namespace: &TestNamespace) {
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
    let namespace = TestNamespace::create("corpus-policies");
    namespace.kubectl(&["label", "namespace", namespace.name(), "team=blue"]);
    apply_policies(&namespace);
    // In a namespace without policies the API server adds its defaults to a result, and nothing else.
    let expected = created(&plain, &goldens());

    let denied = denied_files();
    let files: Vec<PathBuf> = [files("pods"), files("workloads")].concat();
    let (refused, files): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|path| denied.contains(&stem(path)));
    let mut differences = Vec::new();
    for (name, object) in created(&namespace, &files) {
        // One that is left alone is not in the goldens.
        let Some(expected) = expected.get(&name) else { continue };
        let (found, expected) = (essence(object, &namespace), essence(expected.clone(), &plain));
        if found != expected {
            differences.push(format!("{name}\nis       {found}\nand not {expected}"));
        }
    }
    for file in refused {
        let answer = dry_run(&namespace, std::slice::from_ref(&file));
        let refusal = answer.expect_failure();
        assert!(refusal.contains("denied the request"), "{}: {refusal}", file.display());
    }
    for (name, object) in created(&namespace, &goldens()) {
        let (found, expected) =
            (essence(object, &namespace), essence(expected[&name].clone(), &plain));
        if found["spec"] != expected["spec"] {
            differences
                .push(format!("{name} in a second call\nis       {found}\nand not {expected}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}

/// Names of the objects whose pod is denied.
fn denied_files() -> BTreeSet<String> {
    let is_denied = |path: &PathBuf| {
        std::fs::read_to_string(path).is_ok_and(|text| text.contains("\n# denied: "))
    };
    goldens().iter().filter(|path| is_denied(path)).map(|path| stem(path)).collect()
}
