//! `check` where there is no cluster, or one that shows little. What it says of others is seen by the end-to-end
//! tests.

use crate::{fixture::Folder, stand_in::StandIn};

#[test]
fn without_a_cluster_nothing_is_checked() {
    let folder = Folder::new("check");
    for arguments in [&["check"][..], &["check", "--pre", "-o", "json"]] {
        let variables = [("KUBECONFIG", "missing"), ("HOME", "/nowhere")];
        let complaint = folder.run_with(&variables, arguments, "").complaint();
        assert!(complaint.contains("there is no kubeconfig"), "{complaint}");
    }
}

#[test]
fn pods_are_tried_in_an_installation_only() {
    let ended = Folder::new("check_pre").run(&["check", "--pre", "--pods-in", "shop"], "");
    assert_eq!(ended.code, 2);
    assert!(ended.messages.contains("cannot be used with"), "{}", ended.messages);
}

const FORBIDDEN: &str = r#"{"kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden",
    "message": "deployments.apps is forbidden", "details": {"kind": "deployments"}}"#;

/// The Deployments are hidden but in the usual namespace, where there are none. Policies of the API server are of an
/// earlier version.
const HIDING: [(&str, u16, &str); 7] = [
    (
        "/version",
        200,
        r#"{"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
            "buildDate": "", "goVersion": "", "compiler": "", "platform": ""}"#,
    ),
    ("/apis/apps/v1/deployments", 403, FORBIDDEN),
    ("/apis/apps/v1/namespaces/sidecar-policy-system/deployments", 200, r#"{"items": []}"#),
    (
        "/api/v1/namespaces/sidecar-policy-system",
        200,
        r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "sidecar-policy-system"}}"#,
    ),
    (
        "/apis/sidecarpolicy.dev/v1alpha1/clustersidecarpolicies",
        200,
        r#"{"items": [{"metadata": {"name": "log"}, "spec": {"sidecars": [{"name": "log", "image": "log:1"}]}}]}"#,
    ),
    (
        "/apis/sidecarpolicy.dev/v1alpha1/namespaces/sidecar-policy-system/sidecarpolicies",
        200,
        r#"{"items": []}"#,
    ),
    (
        "/apis/admissionregistration.k8s.io/v1beta1/mutatingadmissionpolicies",
        200,
        r#"{"items": [{"metadata": {"name": "mesh"}, "spec": {"matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "resources": ["pods"], "operations": ["CREATE"]}]}}}]}"#,
    ),
];

#[test]
fn where_an_installation_is_hidden_nothing_is_said_that_would_take_seeing_it() {
    let cluster = StandIn::start(&HIDING);
    let folder = Folder::new("check_hidden").with("kubeconfig", cluster.kubeconfig);
    let arguments = ["check", "--pods-in", "sidecar-policy-system"];
    let said = folder.run_with(&[("KUBECONFIG", "kubeconfig")], &arguments, "").output;
    for words in [
        "it cannot be seen: you may not list deployments in all namespaces",
        // By convention the namespace is excluded, so that no pod is tried there.
        "no policy puts anything into pods of the namespace sidecar-policy-system",
        "MutatingAdmissionPolicy mesh may change pods",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!said.contains("a pod of"), "{said}");
}
