//! `kubectl sidecar rollout` and `catalog install`, as far as they need no cluster, or one that answers as
//! none can be made to at will.

use std::time::{Duration, Instant};

use inject::PolicyId;
use serde_json::{Value, json};

use crate::{
    fixture::{Ended, Folder},
    stand_in::StandIn,
};

/// What the program complains of, without a cluster.
fn complaint(folder: &Folder, arguments: &[&str]) -> String {
    let variables = [("KUBECONFIG", ""), ("HOME", "/nowhere")];
    folder.run_with(&variables, arguments, "").complaint()
}

#[test]
fn what_is_wrong_is_told_before_a_cluster_is_asked() {
    let folder = Folder::new("rollout_wrong");
    for (arguments, told) in [
        (&["rollout", "status", "a/b/c"][..], "a/b/c"),
        (&["rollout", "status", "a", "--timeout", "soon"], "no duration such as 90s"),
        (&["rollout", "status", "a", "--timeout", "5s", "--no-wait"], "cannot be used with"),
        (&["catalog", "install", "log-shipper", "nothing"], "it has debug-shell, log-shipper"),
        (&["export", "--as", "mutating-admission-policy"], "required arguments were not provided"),
        (&["export", "a", "-f", "b", "--as", "mutating-admission-policy"], "cannot be used with"),
    ] {
        let said = complaint(&folder, arguments);
        assert!(said.contains(told), "{arguments:?}: {said}");
    }
}

#[test]
fn without_a_cluster_people_hear_that() {
    let folder = Folder::new("rollout_without");
    for arguments in [
        &["rollout", "status", "a"][..],
        &["rollout", "pause", "a"],
        &["rollout", "resume", "a"],
        &["rollout", "undo", "a"],
        &["rollout", "history", "a"],
        &["catalog", "install", "log-shipper", "--dry-run=client"],
        &["export", "a", "--as", "mutating-admission-policy"],
    ] {
        let said = complaint(&folder, arguments);
        assert!(said.starts_with("error: there is no kubeconfig"), "{arguments:?}: {said}");
    }
}

const POLICY: &str = "/apis/sidecarpolicy.dev/v1alpha1/namespaces/shop/sidecarpolicies/log";
const REVISIONS: &str = "/apis/apps/v1/namespaces/shop/controllerrevisions";

/// A content with one sidecar of this image, as the operator stores it.
fn content(image: &str) -> Value {
    let spec = json!({"sidecars": [{"name": "log", "image": image}]});
    inject::revision_content(&serde_json::from_value(spec).expect("it is a spec"))
}

/// The policy with this image.
fn policy(generation: i64, image: &str, status: &Value) -> String {
    policy_with_uid("u", generation, image, status)
}

fn policy_with_uid(uid: &str, generation: i64, image: &str, status: &Value) -> String {
    json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
        "metadata": {"name": "log", "namespace": "shop", "uid": uid, "generation": generation},
        "spec": {"sidecars": [{"name": "log", "image": image}]},
        "status": status,
    })
    .to_string()
}

/// The stored contents, the oldest first.
fn revisions(contents: &[Value]) -> String {
    let id = PolicyId::namespaced("shop", "log");
    let items = contents.iter().zip(1..).map(|(content, number)| {
        let name = inject::revision_name(&id, &inject::revision_of_content(content));
        json!({
            "metadata": {"name": name, "ownerReferences": [{"uid": "u"}]},
            "revision": number, "data": content,
        })
    });
    json!({"metadata": {}, "items": items.collect::<Vec<_>>()}).to_string()
}

/// Runs the program with a cluster that gives these answers.
fn ask(test: &str, answers: &[(&str, u16, &str)], arguments: &[&str]) -> Ended {
    let cluster = StandIn::start(answers);
    let folder = Folder::new(test).with("kubeconfig", cluster.kubeconfig);
    folder.run_with(&[("KUBECONFIG", "kubeconfig")], arguments, "")
}

#[test]
fn an_undo_of_what_somebody_changes_meanwhile_says_so() {
    let refused =
        r#"{"code": 422, "reason": "Invalid", "message": "the server rejected our request"}"#;
    let answers = [
        (POLICY, 200, &*policy(2, "log:2", &json!({}))),
        (REVISIONS, 200, &revisions(&[content("log:1"), content("log:2")])),
        (&format!("PATCH {POLICY}"), 422, refused),
        (POLICY, 200, &policy(3, "log:3", &json!({}))),
    ];
    let told = ask("undo_meanwhile", &answers, &["rollout", "undo", "log"]).complaint();
    assert!(told.contains("log was changed by somebody else meanwhile"), "{told}");

    let unchanged = &answers[..3];
    let told = ask("undo_refused", unchanged, &["rollout", "undo", "log"]).complaint();
    assert!(told.contains("the server rejected our request"), "{told}");
}

#[test]
fn an_undo_that_changes_nothing_says_so() {
    let (first, second) = (content("log:1"), content("log:2"));
    let answers = [
        // As written by an operator of another version, which hashes other contents.
        (POLICY, 200, &*policy(2, "log:2", &json!({}))),
        (REVISIONS, 200, &revisions(&[second, first])),
        (&format!("PATCH {POLICY}"), 200, &policy(2, "log:2", &json!({}))),
    ];
    let told = ask("undo_nothing", &answers, &["rollout", "undo", "log"]).printed();
    assert!(told.ends_with(" already\n") && told.contains("log is at revision 2 ("), "{told}");
}

#[test]
fn an_undo_does_not_guess_at_what_a_newer_operator_wrote() {
    let mut newer = [content("log:1"), content("log:2")];
    newer[0]["newer"] = json!([1]);
    newer[1]["newer"] = json!([]);
    let stored = revisions(&newer);
    let current = inject::revision_of_content(&newer[1]);
    let accepted = json!({"revision": current, "observedGeneration": 2, "conditions": [
        {"type": "Accepted", "status": "True", "reason": "Accepted", "message": "",
         "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
    let undo = |status: &Value| {
        let answers = [(POLICY, 200, &*policy(2, "log:2", status)), (REVISIONS, 200, &stored)];
        ask("undo_newer", &answers, &["rollout", "undo", "log"]).complaint()
    };
    let told = undo(&json!({}));
    assert!(
        told.contains("cannot be told which revision") && told.contains("--to-revision"),
        "{told}"
    );
    let told = undo(&accepted);
    assert!(told.contains("have spec.newer, which this program does not know"), "{told}");
}

/// What the operator says of the policy at its first generation.
fn progressing(reason: &str) -> Value {
    let condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": "so",
            "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    json!({"conditions": [condition("Progressing", reason), condition("Ready", "Ready")]})
}

#[test]
fn a_rollout_is_waited_for_while_the_api_server_is_not_itself() {
    let under_way = policy(1, "log:1", &progressing("RollingOut"));
    let done = policy(1, "log:1", &progressing("Complete"));
    let answers = [
        (POLICY, 200, &*under_way),
        (POLICY, 502, "<html>bad gateway</html>"),
        (POLICY, 500, r#"{"code": 500, "message": "etcd is asleep"}"#),
        (POLICY, 502, r#"{"error": "no API server's answer"}"#),
        (POLICY, 200, &done),
    ];
    let told = ask("rollout_restart", &answers, &["rollout", "status", "log"]).printed();
    assert!(told.contains("successfully rolled out"), "{told}");
    let forbidden = [answers[0], (POLICY, 403, r#"{"code": 403, "message": "no"}"#)];
    let told = ask("rollout_forbidden", &forbidden, &["rollout", "status", "log"]).complaint();
    assert!(told.contains("you may not get SidecarPolicy shop/log"), "{told}");
}

#[test]
fn the_timeout_of_a_rollout_is_kept_whatever_the_api_server_does() {
    let under_way = policy(1, "log:1", &progressing("RollingOut"));
    let silent = [(POLICY, 200, &*under_way), (POLICY, 0, "")];
    let wait = ["rollout", "status", "log", "--timeout", "2s"];
    let begun = Instant::now();
    let ended = ask("rollout_silent", &silent, &wait);
    let took = begun.elapsed();
    assert!(
        took < Duration::from_secs(30),
        "{took:?}: silence is borne for longer, without a timeout"
    );
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.output.contains("is not done, and time is up"), "{ended:?}");
    let told = ask("rollout_mute", &silent[1..], &wait).complaint();
    assert!(told.contains("the API server has not answered for 2 s"), "{told}");

    let anew: Vec<String> = (0..20)
        .map(|uid| policy_with_uid(&uid.to_string(), 1, "log:1", &progressing("RollingOut")))
        .collect();
    let anew: Vec<(&str, u16, &str)> = anew.iter().map(|body| (POLICY, 200, &**body)).collect();
    let ended = ask("rollout_anew", &anew, &wait);
    assert!(ended.code == 1 && ended.output.contains("time is up"), "{ended:?}");
    let times = ended.messages.matches("was deleted and made anew").count();
    assert!((1..=3).contains(&times), "{ended:?}");
}
