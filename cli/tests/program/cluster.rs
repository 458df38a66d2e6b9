//! Commands that ask a cluster, where there is none or a strange one. What they say of others is seen by
//! the end-to-end tests.

use std::fmt::Write as _;

use crate::{
    fixture::{Folder, POD},
    stand_in::StandIn,
};

const KUBECONFIG: &str = "\
apiVersion: v1
kind: Config
clusters:
# Nothing listens on port 1.
- {name: nowhere, cluster: {server: 'http://127.0.0.1:1'}}
contexts:
- {name: nowhere, context: {cluster: nowhere, user: nobody}}
- {name: torn, context: {cluster: gone, user: nobody}}
users:
- {name: nobody, user: {}}
";

#[test]
fn without_a_cluster_people_hear_why_and_what_works() {
    let folder = Folder::new("no_cluster")
        .with("app.yaml", POD)
        .with("kubeconfig", KUBECONFIG)
        .with("broken", "clusters: [");
    let mut said = String::new();
    for (kubeconfig, arguments) in [
        ("missing-1:missing-2", &[][..]),
        ("kubeconfig", &[]),
        ("missing-1:kubeconfig", &["--context", "nowhere"]),
        ("", &["--kubeconfig", "kubeconfig", "--context", "nowhere"]),
        ("kubeconfig", &["--context", "torn"]),
        ("kubeconfig", &["--context", "elsewhere"]),
        ("", &["--kubeconfig", "missing-3"]),
        ("broken", &[]),
    ] {
        let variables = [("KUBECONFIG", kubeconfig), ("HOME", "/nowhere"), ("NO_PROXY", "*")];
        for command in ["explain", "diff"] {
            let arguments = [&[command, "-f", "app.yaml"], arguments].concat();
            let complaint = folder.run_with(&variables, &arguments, "").complaint();
            if command == "explain" {
                let arguments = arguments.join(" ");
                let _ = write!(said, "KUBECONFIG={kubeconfig} {arguments}\n{complaint}");
            }
        }
    }
    insta::assert_snapshot!(said);
}

const POLICIES: &str = "/apis/sidecarpolicy.dev/v1alpha1/namespaces/shop/sidecarpolicies";
const OTHER_POLICIES: &str = "/apis/sidecarpolicy.dev/v1alpha1/namespaces/bank/sidecarpolicies";
const CLUSTER_POLICIES: &str = "/apis/sidecarpolicy.dev/v1alpha1/clustersidecarpolicies";
const NAMESPACE: &str = "/api/v1/namespaces/shop";
const DEPLOYMENTS: &str = "/apis/apps/v1/deployments";
const NONE: &str = r#"{"metadata": {}, "items": []}"#;

/// A cluster whose operator is newer than the program.
const NEWER: [(&str, u16, &str); 4] = [
    (CLUSTER_POLICIES, 200, NONE),
    (
        POLICIES,
        200,
        r#"{"metadata": {}, "items": [
            {"apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
             "metadata": {"name": "log-shipper", "namespace": "shop", "generation": 1},
             "spec": {"podSelector": {"matchLabels": {"app": "api"}}, "mood": "good",
                      "sidecars": [{"name": "shipper", "image": "shipper:1"}]},
             "status": {"pods": {"matched": 2, "asleep": 1}}},
            {"apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
             "metadata": {"name": "later", "namespace": "shop", "generation": 1},
             "spec": {"mode": "Rehearse", "sidecars": [{"name": "later", "image": "later:1"}]}}
        ]}"#,
    ),
    (NAMESPACE, 200, r#"{"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "shop"}}"#),
    (
        DEPLOYMENTS,
        200,
        r#"{"metadata": {}, "items": [{"metadata": {"name": "webhook", "namespace": "sidecars", "labels": {
            "app.kubernetes.io/component": "webhook", "app.kubernetes.io/version": "99.0.0"}},
            "spec": {"template": {"spec": {"containers": [{"name": "webhook"}]}}}}]}"#,
    ),
];

#[test]
fn with_a_newer_operator_people_hear_what_the_program_does_not_know() {
    let cluster = StandIn::start(&NEWER);
    let folder =
        Folder::new("newer_operator").with("app.yaml", POD).with("kubeconfig", cluster.kubeconfig);
    let ask = |arguments: &[&str]| {
        let ended = folder.run_with(&[("KUBECONFIG", "kubeconfig")], arguments, "");
        format!("{} ({})\n{}{}", arguments.join(" "), ended.code, ended.messages, ended.output)
    };
    insta::assert_snapshot!([ask(&["explain", "-f", "app.yaml"]), ask(&["status"])].join("\n"));
}

#[test]
fn strange_answers_of_an_api_server_are_told() {
    let mut said = String::new();
    for (case, answers) in [
        ("no operator", &[(NAMESPACE, 200, "{}")][..]),
        ("no JSON", &[(POLICIES, 200, "<html>"), (CLUSTER_POLICIES, 200, "<html>")]),
        (
            "a fault",
            &[(POLICIES, 500, "etcd is asleep"), (CLUSTER_POLICIES, 500, "etcd is asleep")],
        ),
    ] {
        let cluster = StandIn::start(answers);
        let folder = Folder::new("strange_answers").with("kubeconfig", cluster.kubeconfig);
        let ended = folder.run_with(&[("KUBECONFIG", "kubeconfig")], &["status"], "");
        let _ = write!(said, "{case}\n{}", ended.complaint());
    }
    insta::assert_snapshot!(said);
}

const REFUSED: &str = r#"{"code": 403, "reason": "Forbidden", "message": "it is secret"}"#;

#[test]
fn what_may_be_there_and_be_hidden_is_not_said_to_be_missing() {
    let hidden_policy = format!("{CLUSTER_POLICIES}/mesh");
    let answers = [
        (POLICIES, 200, NONE),
        (OTHER_POLICIES, 200, NONE),
        (CLUSTER_POLICIES, 403, REFUSED),
        (&*hidden_policy, 403, REFUSED),
        (&format!("{POLICIES}/mesh"), 404, r#"{"code": 404, "details": {"name": "mesh"}}"#),
    ];
    let cluster = StandIn::start(&answers);
    let folder = Folder::new("hidden_policies").with("kubeconfig", cluster.kubeconfig);
    let ask = |arguments: &[&str]| {
        folder.run_with(&[("KUBECONFIG", "kubeconfig")], arguments, "").complaint()
    };
    for (arguments, told) in [
        (&["status", "mesh"][..], "you may not list clustersidecarpolicies"),
        (&["status", "cluster/mesh"], "you may not list clustersidecarpolicies"),
        (&["status", "scp/mesh"], "there is no policy scp/mesh"),
        (&["status", "bank/mesh"], "there is no policy bank/mesh"),
        (&["rollout", "history", "mesh"], "you may not get ClusterSidecarPolicy mesh"),
        (&["rollout", "history", "scp/mesh"], "there is no SidecarPolicy shop/mesh"),
    ] {
        let said = ask(arguments);
        let said = said.lines().last().unwrap_or_default();
        assert!(said.starts_with(&format!("error: {told}")), "{arguments:?}: {said}");
    }
}

#[test]
fn who_may_not_watch_hears_it() {
    let list = r#"{"metadata": {"resourceVersion": "7"}, "items": []}"#;
    let unauthorized = r#"{"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}"#;
    for (case, refused, told) in [
        ("403", (403, REFUSED), "you may not watch sidecarpolicies in the namespace shop"),
        ("401", (401, unauthorized), "does not know who you are"),
    ] {
        let answers = [
            (CLUSTER_POLICIES, 403, REFUSED),
            (POLICIES, 200, list),
            (POLICIES, 200, list),
            // It may pass: the watch begins again.
            (POLICIES, 500, r#"{"code": 500, "message": "etcd is asleep"}"#),
            (POLICIES, refused.0, refused.1),
        ];
        let cluster = StandIn::start(&answers);
        let folder = Folder::new("watch_refused").with("kubeconfig", cluster.kubeconfig);
        let variables = [("KUBECONFIG", "kubeconfig")];
        let ended = folder.run_with(&variables, &["status", "--watch"], "");
        assert_eq!(ended.code, 2, "{case}: {ended:?}");
        assert!(ended.messages.contains("begins again"), "{case}: {ended:?}");
        assert!(ended.messages.contains(told), "{case}: {ended:?}");
    }
}

#[test]
fn that_the_installation_is_hidden_is_told() {
    let usual = "/apis/apps/v1/namespaces/sidecar-policy-system/deployments";
    let mesh = r#"{"apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "ClusterSidecarPolicy",
        "metadata": {"name": "mesh", "uid": "u", "generation": 1},
        "spec": {"sidecars": [{"name": "mesh", "image": "mesh:1"}]}}"#;
    let mesh = (&*format!("{CLUSTER_POLICIES}/mesh"), 200, mesh);
    let revisions = "/apis/apps/v1/namespaces/sidecar-policy-system/controllerrevisions";
    let mut said = String::new();
    for (case, deployments, usual_ones) in [
        ("none", (200, NONE), (403, REFUSED)),
        ("hidden", (403, REFUSED), (403, REFUSED)),
        ("not in the usual namespace", (403, REFUSED), (200, NONE)),
        ("in the usual namespace", (403, REFUSED), (200, NEWER[3].2)),
    ] {
        let answers = [
            mesh,
            (CLUSTER_POLICIES, 200, NONE),
            (POLICIES, 200, NONE),
            NEWER[2],
            (DEPLOYMENTS, deployments.0, deployments.1),
            (usual, usual_ones.0, usual_ones.1),
            (revisions, 200, NONE),
            ("/apis/apps/v1/namespaces/sidecars/controllerrevisions", 200, NONE),
        ];
        let cluster = StandIn::start(&answers);
        let folder = Folder::new("hidden_installation")
            .with("app.yaml", POD)
            .with("kubeconfig", cluster.kubeconfig);
        let export = ["export", "cluster/mesh", "--as", "mutating-admission-policy"];
        for arguments in [
            &["explain", "-f", "app.yaml"][..],
            &["rollout", "history", "cluster/mesh"],
            &export,
            &[&export[..], &["--excluded-namespaces", ""]].concat(),
        ] {
            let ended = folder.run_with(&[("KUBECONFIG", "kubeconfig")], arguments, "");
            let (code, messages) = (ended.code, ended.messages);
            let _ = write!(said, "{case}: {} ({code})\n{messages}", arguments.join(" "));
        }
    }
    insta::assert_snapshot!(said);
}
