//! `kubectl sidecar rollout` and `catalog install`: the program steers the operator.

use std::sync::atomic::{AtomicBool, Ordering};

use e2e::{
    TestNamespace,
    command::{kubectl, kubectl_with, sidecar},
    eventually, manifests,
};
use serde_json::{Value, json};

use crate::{
    DEADLINE,
    policy::{deploy, image, policy, status, wait_until_complete, with_image},
};

/// What the program prints; it must end well.
#[track_caller]
fn rollout(namespace: &TestNamespace, arguments: &[&str]) -> String {
    let arguments = [&["rollout"], arguments, &["-n", namespace.name()]].concat();
    sidecar(&arguments).expect_success()
}

/// What the program says when it ends with another exit code than 0.
#[track_caller]
fn refused(namespace: &TestNamespace, arguments: &[&str]) -> String {
    let answer = sidecar(&[arguments, &["-n", namespace.name()]].concat());
    assert!(!answer.succeeded, "it had to fail: {}", answer.output);
    answer.output + &answer.errors
}

fn images(namespace: &TestNamespace) -> Vec<String> {
    namespace.pods("api").iter().map(|pod| image(pod).to_owned()).collect()
}

#[test]
fn a_rollout_is_paused_resumed_and_undone() {
    let namespace = TestNamespace::create("cli-rollout");
    let first = policy(json!({"strategy": "InPlace", "maxUnavailable": "100%"}));
    namespace.apply_policy(&first);
    deploy(&namespace, 2);
    wait_until_complete(&namespace, 2);
    let earlier = status(&namespace)["revision"].as_str().unwrap_or_default().to_owned();
    let done = rollout(&namespace, &["status", "watcher", "--timeout", "90s"]);
    assert!(done.contains("watcher successfully rolled out: 2 of 2 pods are current"), "{done}");

    let paused = rollout(&namespace, &["pause", "watcher"]);
    assert_eq!(paused, "sidecarpolicy.sidecarpolicy.dev/watcher paused\n");
    let again = rollout(&namespace, &["pause", "scp/watcher"]);
    assert!(again.contains("is paused already"), "{again}");
    // A merge patch, so that the pause stays.
    let next = with_image(&first, manifests::BUSYBOX_NEXT);
    let next = json!({"spec": {"sidecars": next["spec"]["sidecars"]}}).to_string();
    namespace.kubectl(&["patch", "scp/watcher", "--type=merge", "--patch", &next]);
    let stays = refused(&namespace, &["rollout", "status", "watcher", "--timeout", "5s"]);
    assert!(stays.contains("time is up"), "{stays}");
    eventually("the operator says that it is paused", DEADLINE, || {
        let no_wait = refused(&namespace, &["rollout", "status", "watcher", "--no-wait"]);
        if no_wait.contains("Paused") { Ok(()) } else { Err(no_wait) }
    });
    assert_eq!(images(&namespace), [manifests::BUSYBOX; 2]);

    let resumed = rollout(&namespace, &["resume", "watcher"]);
    assert!(resumed.ends_with("watcher resumed\n"), "{resumed}");
    let state = rollout(&namespace, &["status", "watcher", "--timeout", "90s", "-o", "json"]);
    let state: Value = serde_json::from_str(&state).expect("JSON");
    assert_eq!((&state["state"], &state["pods"]["current"]), (&json!("Done"), &json!(2)));
    assert_eq!(images(&namespace), [manifests::BUSYBOX_NEXT; 2]);

    let history = rollout(&namespace, &["history", "watcher"]);
    let states: Vec<&str> =
        history.lines().skip(1).filter_map(|line| line.split_whitespace().last()).collect();
    assert_eq!(states, ["previous", "current"], "{history}");
    let content = rollout(&namespace, &["history", "watcher", "--revision", &earlier]);
    assert!(content.contains(manifests::BUSYBOX), "{content}");

    let unknown = refused(&namespace, &["rollout", "undo", "watcher", "--to-revision", "77"]);
    assert!(unknown.contains("no revision \"77\"") && unknown.contains(&earlier), "{unknown}");
    let undone = rollout(&namespace, &["undo", "watcher"]);
    assert!(undone.contains("rolled back to revision") && undone.contains(&earlier), "{undone}");
    rollout(&namespace, &["status", "watcher", "--timeout", "90s"]);
    assert_eq!(images(&namespace), [manifests::BUSYBOX; 2]);
    assert_eq!(status(&namespace)["revision"], earlier.as_str());
    let nothing = rollout(&namespace, &["undo", "watcher", "--to-revision", &earlier]);
    assert!(nothing.contains("already"), "{nothing}");
}

#[test]
fn what_a_content_did_not_have_is_gone_after_an_undo() {
    let namespace = TestNamespace::create("cli-undo");
    let mut changing = policy(json!({}));
    changing["spec"]["pod"] = json!({"labels": {"one": "1"}});
    namespace.apply_policy(&changing);
    let first = status(&namespace)["revision"].clone();
    let nothing = refused(&namespace, &["rollout", "undo", "watcher"]);
    assert!(nothing.contains("nothing to go back to"), "{nothing}");
    changing["spec"]["pod"] = json!({"labels": {"one": "1", "two": "2"}});
    changing["spec"]["volumes"] = json!([{"name": "more", "emptyDir": {}}]);
    namespace.apply_policy(&changing);
    rollout(&namespace, &["status", "watcher", "--timeout", "90s"]);
    rollout(&namespace, &["undo", "watcher"]);
    rollout(&namespace, &["status", "watcher", "--timeout", "90s"]);
    let spec = namespace.get("scp/watcher")["spec"].clone();
    assert_eq!(spec["pod"]["labels"], json!({"one": "1"}));
    assert_eq!(spec["volumes"], Value::Null);
    assert_eq!(status(&namespace)["revision"], first);
}

#[test]
fn an_undo_holds_while_others_write_what_is_no_spec() {
    let namespace = TestNamespace::create("cli-undo-busy");
    let first = policy(json!({}));
    namespace.apply_policy(&first);
    namespace.apply_policy(&with_image(&first, manifests::BUSYBOX_NEXT));
    rollout(&namespace, &["status", "watcher", "--timeout", "90s"]);
    let (is_over, name) = (AtomicBool::new(false), namespace.name());
    std::thread::scope(|scope| {
        // As the operator does all through a rollout.
        scope.spawn(|| {
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let note = format!("e2e.sidecarpolicy.dev/number={number}");
                let annotate = ["annotate", "--overwrite", "scp/watcher", &note, "-n", name];
                let _ = kubectl(&annotate).expect_success();
            }
        });
        let undone: Vec<_> =
            (0..20).map(|_| sidecar(&["rollout", "undo", "watcher", "-n", name])).collect();
        is_over.store(true, Ordering::Relaxed);
        for undone in undone {
            let told = undone.expect_success();
            assert!(told.contains("rolled back to revision"), "{told}");
        }
    });
}

#[test]
fn ready_made_policies_are_installed() {
    let namespace = TestNamespace::create("cli-install");
    let install = |more: &[&str]| {
        let arguments = ["catalog", "install", "log-shipper", "-n", namespace.name()];
        sidecar(&[&arguments, more].concat()).expect_success()
    };
    for dry_run in ["client", "server"] {
        let would = install(&["--dry-run", dry_run]);
        assert!(would.contains("log-shipper created (") && would.contains("dry run"), "{would}");
    }
    assert!(!namespace.ask(&["get", "scp/log-shipper"]).succeeded, "a dry run stores nothing");
    assert_eq!(install(&[]), "sidecarpolicy.sidecarpolicy.dev/log-shipper created\n");
    namespace.wait_for_policy("scp/log-shipper");
    for dry_run in ["none", "client", "server"] {
        let again = install(&["--dry-run", dry_run]);
        assert!(again.contains("log-shipper unchanged"), "{dry_run}: {again}");
    }
    let stored: Value = serde_json::from_str(&install(&["-o", "json"])).expect("JSON");
    assert_eq!(stored["metadata"]["managedFields"][0]["manager"], "kubectl-sidecar");

    // What somebody else changed is theirs.
    let patch = r#"{"spec": {"podSelector": {"matchLabels": {"app": "mine"}}}}"#;
    namespace.kubectl(&["patch", "scp/log-shipper", "--type=merge", "--patch", patch]);
    let conflict = refused(&namespace, &["catalog", "install", "log-shipper"]);
    assert!(conflict.contains("conflict") && conflict.contains("podSelector"), "{conflict}");
    let would = install(&["--force-conflicts", "--dry-run", "server"]);
    assert!(would.contains("log-shipper configured"), "{would}");
    let missing = sidecar(&["catalog", "install", "log-shipper", "-n", "no-such-namespace"]);
    assert!(missing.errors.contains("\"no-such-namespace\" not found"), "{}", missing.errors);
}

#[test]
fn a_ready_made_policy_is_installed_over_an_undo_by_force_only() {
    let namespace = TestNamespace::create("cli-install-undo");
    let install = ["catalog", "install", "log-shipper", "-n", namespace.name()];
    let print = sidecar(&["catalog", "show", "log-shipper"]).expect_success();
    // An earlier version of the catalogue, installed by the program of that time.
    let earlier = print.replace("image: ", "image: registry.example/");
    assert_ne!(earlier, print);
    let apply = ["apply", "--server-side", "--field-manager=kubectl-sidecar", "-f", "-"];
    let apply = [&apply[..], &["-n", namespace.name()]].concat();
    let _ = kubectl_with(&apply, &earlier).expect_success();
    namespace.wait_for_policy("scp/log-shipper");
    let installed = sidecar(&install).expect_success();
    assert!(installed.ends_with("log-shipper configured\n"), "{installed}");
    rollout(&namespace, &["status", "log-shipper", "--timeout", "90s"]);
    let undone = rollout(&namespace, &["undo", "log-shipper"]);
    assert!(undone.contains("rolled back to revision"), "{undone}");
    let kept = refused(&namespace, &["catalog", "install", "log-shipper"]);
    assert!(kept.contains("rollout itself has changed"), "{kept}");
    assert!(kept.contains(r#"spec.sidecars[name="log-shipper"].image"#), "{kept}");
    let forced = sidecar(&[&install[..], &["--force-conflicts"]].concat()).expect_success();
    assert!(forced.ends_with("log-shipper configured\n"), "{forced}");
    let again = sidecar(&install).expect_success();
    assert!(again.ends_with("log-shipper unchanged\n"), "{again}");
}

#[test]
fn who_lacks_a_right_hears_which() {
    let namespace = TestNamespace::create("cli-rights");
    namespace.apply_policy(&policy(json!({})));
    let kubeconfig = std::env::var("KUBECONFIG").expect("run by e2e/cluster/cluster run");
    let account = format!("system:serviceaccount:{}:default", namespace.name());
    let view = namespace.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut view: Value = serde_json::from_str(&view).expect("JSON");
    view["users"][0]["user"]["as"] = json!(account);
    let file = std::env::temp_dir().join(format!("{}.kubeconfig", namespace.name()));
    std::fs::write(&file, view.to_string()).expect("a file can be written");
    let file = file.to_string_lossy().into_owned();
    assert_ne!(file, kubeconfig);
    let told = refused(&namespace, &["rollout", "pause", "watcher", "--kubeconfig", &file]);
    assert!(told.contains("you may not get SidecarPolicy"), "{told}");
    let unknown = refused(&namespace, &["rollout", "status", "nobody"]);
    assert!(unknown.contains("there is no SidecarPolicy"), "{unknown}");
    let _ = std::fs::remove_file(&file);
}
