//! `kubectl sidecar rollout` and `catalog install`, as far as they need no cluster, or one that answers as
//! none can be made to at will.

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
    json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
        "metadata": {"name": "log", "namespace": "shop", "uid": "u", "generation": generation},
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
