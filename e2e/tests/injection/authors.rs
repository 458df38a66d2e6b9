//! Who may write policies: whoever may do what they have done.

use e2e::{
    TestNamespace,
    command::{Answer, kubectl_with},
    eventually, manifests,
};
use serde_json::{Value, json};

use crate::DEADLINE;

/// What a policy can have done: verb and resource.
const RIGHTS: [(&str, &str); 7] = [
    ("create", "pods"),
    ("patch", "pods"),
    ("patch", "pods/resize"),
    ("create", "pods/eviction"),
    ("patch", "deployments"),
    ("patch", "statefulsets"),
    ("patch", "daemonsets"),
];

/// Somebody with these rights in the namespace, besides writing policies there. Gives their user name.
fn author(namespace: &TestNamespace, name: &str, rights: &[(&str, &str)]) -> String {
    let mut rules = vec![rule("get", "sidecarpolicies"), rule("patch", "sidecarpolicies")];
    rules.push(rule("create", "sidecarpolicies"));
    rules.extend(rights.iter().map(|(verb, resource)| rule(verb, resource)));
    namespace.apply(&list(&[
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "metadata": {"name": name},
            "rules": rules,
        }),
        binding("RoleBinding", name, "Role", namespace, name),
    ]));
    user(namespace, name)
}

/// Gives an author rights everywhere, until the end of the test.
fn allow_everywhere(namespace: &TestNamespace, name: &str, rights: &[(&str, &str)]) {
    let role = namespace.unique("e2e-author");
    namespace.delete_at_the_end(format!("clusterrole/{role}"));
    namespace.delete_at_the_end(format!("clusterrolebinding/{role}"));
    let rules: Vec<Value> = rights.iter().map(|(verb, resource)| rule(verb, resource)).collect();
    namespace.apply(&list(&[
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": role},
            "rules": rules,
        }),
        binding("ClusterRoleBinding", &role, "ClusterRole", namespace, name),
    ]));
}

fn rule(verb: &str, resource: &str) -> Value {
    let group = match resource.split('/').next() {
        Some("pods") => "",
        Some("sidecarpolicies" | "clustersidecarpolicies") => "sidecarpolicy.dev",
        _ => "apps",
    };
    json!({"apiGroups": [group], "resources": [resource], "verbs": [verb]})
}

fn binding(kind: &str, role: &str, role_kind: &str, of: &TestNamespace, account: &str) -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": role},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role_kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": of.name()}],
    })
}

fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn user(namespace: &TestNamespace, name: &str) -> String {
    format!("system:serviceaccount:{}:{name}", namespace.name())
}

fn policy_with_rollout(rollout: &Value) -> Value {
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["rollout"] = rollout.clone();
    policy
}

/// What is said when somebody creates a policy, which is not kept.
fn create_as(namespace: &TestNamespace, user: &str, policy: &Value) -> Answer {
    let create = ["create", "--dry-run=server", "-f", "-", "-n", namespace.name(), "--as", user];
    kubectl_with(&create, &policy.to_string())
}

// Rights that were just given are known a moment later.

#[track_caller]
fn assert_accepted(namespace: &TestNamespace, user: &str, policy: &Value) {
    eventually("the policy is accepted", DEADLINE, || {
        let answer = create_as(namespace, user, policy);
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
}

#[track_caller]
fn assert_refused(namespace: &TestNamespace, user: &str, policy: &Value, words: &str) {
    eventually(&format!("the policy is refused: {words}"), DEADLINE, || {
        let answer = create_as(namespace, user, policy);
        let refused = !answer.succeeded && answer.errors.contains(words);
        if refused { Ok(()) } else { Err(answer.output + &answer.errors) }
    });
}

#[test]
fn a_policy_takes_the_right_to_create_pods() {
    let namespace = TestNamespace::create("author");
    let policy = manifests::policy("watcher", "api");
    let user = author(&namespace, "author", &[]);
    let words = format!(
        "{user} may not create pods in namespace {}, and whoever writes this policy needs that right",
        namespace.name()
    );
    assert_refused(&namespace, &user, &policy, &words);
    assert_accepted(&namespace, &author(&namespace, "author", &RIGHTS[..1]), &policy);
}

#[test]
fn a_rollout_takes_the_rights_that_it_makes_use_of() {
    let namespace = TestNamespace::create("author-rollout");
    let in_place = json!({"strategy": "InPlace"});
    let restart = json!({"strategy": "Restart"});
    let repair = json!({"repair": true});
    let fallback = json!({"strategy": "InPlace", "fallback": "Restart"});
    for (rollout, missing) in [
        (&in_place, &RIGHTS[1..3]),
        (&restart, &RIGHTS[3..]),
        (&repair, &RIGHTS[3..4]),
        (&fallback, &RIGHTS[3..4]),
    ] {
        for right in missing {
            let (verb, resource) = *right;
            let name = format!("without-{verb}-{}", resource.replace('/', "-"));
            let others: Vec<_> = RIGHTS.into_iter().filter(|other| other != right).collect();
            let user = author(&namespace, &name, &others);
            let words = format!("{user} may not {verb} {resource} in namespace");
            assert_refused(&namespace, &user, &policy_with_rollout(rollout), &words);
        }
    }
    let user = author(&namespace, "with-all", &RIGHTS);
    for rollout in [in_place, restart, repair, fallback] {
        assert_accepted(&namespace, &user, &policy_with_rollout(&rollout));
    }
    // A fallback is nothing without a rollout in place.
    let user = author(&namespace, "with-pods", &RIGHTS[..1]);
    assert_accepted(&namespace, &user, &policy_with_rollout(&json!({"fallback": "Restart"})));
}

#[test]
fn a_policy_whose_spec_stays_can_be_written_without_these_rights() {
    let namespace = TestNamespace::create("author-label");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let user = author(&namespace, "author", &[]);
    eventually("the policy gets a label", DEADLINE, || {
        let answer = namespace.ask(&["label", "scp/watcher", "team=shop", "--as", &user]);
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
    let patch = r#"{"spec": {"priority": 1}}"#;
    let patch = ["patch", "scp/watcher", "--type=merge", "--patch", patch, "--as", &user];
    let refusal = namespace.ask(&patch).expect_failure();
    assert!(refusal.contains("may not create pods"), "{refusal}");
}

#[test]
fn a_cluster_policy_takes_the_rights_in_all_namespaces() {
    let namespace = TestNamespace::create("author-cluster");
    let mut policy = manifests::policy(&namespace.unique("watcher"), "api");
    policy["kind"] = json!("ClusterSidecarPolicy");
    policy["spec"]["namespaceSelector"] =
        json!({"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}});
    let user = author(&namespace, "author", &RIGHTS);
    allow_everywhere(&namespace, "author", &[("create", "clustersidecarpolicies")]);
    assert_refused(&namespace, &user, &policy, "may not create pods in all namespaces");
    allow_everywhere(&namespace, "author", &[("create", "pods")]);
    assert_accepted(&namespace, &user, &policy);
}
