//! `kubectl sidecar check` finds nothing wrong with an installation that works, and what is wrong with
//! one that does not.

use std::collections::BTreeSet;

use e2e::command::{self, Answer};
use e2e::installation::{OPERATOR, RELEASE, WebhookDown, WithoutDefinitions, kubectl_here};
use e2e::{TestNamespace, eventually, installation, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

/// What a check answers, and its exit code.
struct Checked {
    checks: Vec<Value>,
    code: Option<i32>,
}

#[track_caller]
fn check(arguments: &[&str]) -> Checked {
    let answer = command::sidecar(&[&["check", "-o", "json"], arguments].concat());
    let Answer { output, errors, code, .. } = answer;
    let answer: Value =
        serde_json::from_str(&output).unwrap_or_else(|_| panic!("not JSON: {output}{errors}"));
    Checked { checks: answer["checks"].as_array().cloned().expect("a list"), code }
}

impl Checked {
    /// The names of the checks that are in this state.
    fn names(&self, state: &str) -> BTreeSet<&str> {
        let found = self.checks.iter().filter(|check| check["state"] == state);
        found.filter_map(|check| check["check"].as_str()).collect()
    }

    /// What the checks of this name say.
    fn said(&self, name: &str) -> String {
        let found = self.checks.iter().filter(|check| check["check"] == name);
        let said = found.map(|check| format!("{}: {}", check["state"], check["message"]));
        said.collect::<Vec<String>>().join("; ")
    }

    #[track_caller]
    fn assert_ok(&self) {
        for state in ["warning", "failed"] {
            assert_eq!(self.names(state), BTreeSet::new(), "{state}: {:?}", self.checks);
        }
        assert_eq!(self.code, Some(0));
    }

    /// That exactly these checks have failed.
    #[track_caller]
    fn assert_failed(&self, names: &[&str]) {
        assert_eq!(self.names("failed"), names.iter().copied().collect(), "{:?}", self.checks);
        assert_eq!(self.code, Some(i32::from(!names.is_empty())));
    }
}

#[test]
fn an_installation_that_works_is_all_right() {
    let namespace = TestNamespace::create("check");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let checked = check(&["--pods-in", namespace.name()]);
    checked.assert_ok();
    assert!(
        checked.said("pods").contains("/watcher gets its sidecars"),
        "{}",
        checked.said("pods")
    );
    check(&["--pre"]).assert_ok();
}

#[test]
fn a_webhook_that_is_away_is_found() {
    installation::require();
    let down = WebhookDown::scale_away();
    let checked = check(&[]);
    checked.assert_failed(&["webhook", "endpoints", "dry-run"]);
    assert!(checked.said("webhook").contains("is scaled to zero"), "{}", checked.said("webhook"));
    down.recover();
    eventually("all is well again", DEADLINE, || {
        let checked = check(&[]);
        if checked.code == Some(0) { Ok(()) } else { Err(format!("{:?}", checked.checks)) }
    });
}

#[test]
fn an_authority_that_did_not_sign_is_found() {
    installation::require();
    // It would put that right within a moment.
    let operator = OperatorDown::scale_away();
    let key = rcgen::KeyPair::generate().expect("a key can be made");
    let mut parameters = rcgen::CertificateParams::default();
    parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let foreign = parameters.self_signed(&key).expect("a certificate can be made").pem();
    for kind in ["mutatingwebhookconfiguration", "validatingwebhookconfiguration"] {
        trust(kind, &foreign);
    }
    let checked = eventually("the API server goes by what is written", DEADLINE, || {
        let checked = check(&[]);
        let said = checked.said("dry-run");
        if said.contains("x509") { Ok(checked) } else { Err(said) }
    });
    checked.assert_failed(&["operator", "leader", "certificate", "dry-run"]);
    assert!(
        checked.said("certificate").contains("does not trust"),
        "{}",
        checked.said("certificate")
    );
    drop(operator);
    eventually("all is well again", DEADLINE, || {
        let checked = check(&[]);
        if checked.code == Some(0) { Ok(()) } else { Err(format!("{:?}", checked.checks)) }
    });
}

/// Has all entries of a configuration trust this authority, and no other.
fn trust(kind: &str, authority: &str) {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let found = command::kubectl(&["get", kind, RELEASE, "-o", "json"]).expect_success();
    let found: Value = serde_json::from_str(&found).expect("kubectl prints JSON");
    let count = found["webhooks"].as_array().map_or(0, Vec::len);
    let replaced: Vec<Value> = (0..count)
        .map(|entry| {
            let path = format!("/webhooks/{entry}/clientConfig/caBundle");
            json!({"op": "replace", "path": path, "value": STANDARD.encode(authority)})
        })
        .collect();
    let patch = Value::from(replaced).to_string();
    let _ =
        command::kubectl(&["patch", kind, RELEASE, "--type=json", "-p", &patch]).expect_success();
}

/// The operator scaled away, until this is dropped.
struct OperatorDown;

impl OperatorDown {
    fn scale_away() -> Self {
        kubectl_here(&["scale", OPERATOR, "--replicas=0"]);
        let selector = "--selector=app.kubernetes.io/component=operator";
        kubectl_here(&["wait", "pod", selector, "--for=delete", "--timeout=90s"]);
        Self
    }
}

impl Drop for OperatorDown {
    fn drop(&mut self) {
        let scale = ["scale", OPERATOR, "--replicas=2", "-n", installation::NAMESPACE];
        let _ = command::kubectl(&scale);
    }
}

#[test]
fn definitions_that_are_gone_are_found() {
    installation::require();
    let without = WithoutDefinitions::delete();
    let checked = check(&[]);
    checked.assert_failed(&["definition"]);
    assert_eq!(checked.said("definition").matches("is not there").count(), 2);
    without.recover();
    assert_eq!(check(&[]).code, Some(0));
}

#[test]
fn somebody_without_rights_hears_which() {
    let namespace = TestNamespace::create("no-rights");
    let kubeconfig = kubeconfig_of("nobody-in-particular", &namespace);
    let pre = check(&["--pre", "--kubeconfig", &kubeconfig]);
    pre.assert_failed(&["objects", "roles"]);
    assert!(
        pre.said("objects").contains("create customresourcedefinitions.apiextensions.k8s.io"),
        "{}",
        pre.said("objects")
    );
    let checked = check(&["--kubeconfig", &kubeconfig]);
    checked.assert_failed(&["installation"]);
    assert!(
        checked.said("installation").contains("you may not list deployments"),
        "{:?}",
        checked.checks
    );
    let _ = std::fs::remove_file(&kubeconfig);
}

/// Has this user do this in all namespaces, until the end of the test.
fn allow(namespace: &TestNamespace, user: &str, verb: &str, resource: &str) {
    let name = namespace.unique("e2e-check");
    let rule = [format!("--verb={verb}"), format!("--resource={resource}")];
    let _ =
        command::kubectl(&["create", "clusterrole", &name, &rule[0], &rule[1]]).expect_success();
    namespace.delete_at_the_end(format!("clusterrole/{name}"));
    let binding = [format!("--clusterrole={name}"), format!("--user={user}")];
    let create = ["create", "clusterrolebinding", &name, &binding[0], &binding[1]];
    let _ = command::kubectl(&create).expect_success();
    namespace.delete_at_the_end(format!("clusterrolebinding/{name}"));
}

#[test]
fn who_may_not_see_the_configurations_sees_that_the_webhook_is_called() {
    let namespace = TestNamespace::create("no-configurations");
    let user = namespace.name();
    let kubeconfig = kubeconfig_of(user, &namespace);
    allow(&namespace, user, "list", "deployments.apps");
    let ask = ["-n", installation::NAMESPACE, "--kubeconfig", &kubeconfig];
    let checked = eventually("the installation is found", DEADLINE, || {
        let checked = check(&ask);
        if checked.names("failed").is_empty() {
            Ok(checked)
        } else {
            Err(format!("{:?}", checked.checks))
        }
    });
    assert!(checked.said("dry-run").contains("was not asked"), "{}", checked.said("dry-run"));
    allow(&namespace, user, "create", "podtemplates");
    let checked = eventually("the API server is asked", DEADLINE, || {
        let checked = check(&ask);
        if checked.names("ok").contains("dry-run") {
            Ok(checked)
        } else {
            Err(format!("{:?}", checked.checks))
        }
    });
    checked.assert_failed(&[]);
    for name in ["configuration", "leader", "endpoints", "operator", "mutating"] {
        assert!(checked.names("warning").contains(name), "{name}: {:?}", checked.checks);
    }
    assert!(
        checked
            .said("dry-run")
            .contains("calls it; whether by the configurations as they are was not"),
        "{}",
        checked.said("dry-run")
    );
    let _ = std::fs::remove_file(&kubeconfig);
}

#[test]
fn pods_that_nobody_may_try_speak_against_nothing() {
    let namespace = TestNamespace::create("no-pods");
    let user = namespace.name();
    let kubeconfig = kubeconfig_of(user, &namespace);
    let pods_are = |words: &str| {
        eventually(words, DEADLINE, || {
            let checked = check(&["--pods-in", namespace.name(), "--kubeconfig", &kubeconfig]);
            // Who may not look into the operator's namespace cannot be told of the installation.
            checked.assert_failed(&["installation"]);
            let said = checked.said("pods");
            if said.contains(words) { Ok(checked) } else { Err(said) }
        })
    };
    pods_are("no pod was tried");
    let bind = |role: &str| {
        let (role, user) = (format!("--clusterrole={role}"), format!("--user={user}"));
        namespace.kubectl(&["create", "rolebinding", &namespace.unique("e2e"), &role, &user]);
    };
    bind("view");
    let checked = pods_are("no policy that could be read puts anything");
    assert!(
        checked.said("policies").contains("policies of the cluster kind are left out"),
        "{}",
        checked.said("policies")
    );
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let checked = pods_are("no pod was tried");
    assert!(checked.names("warning").contains("pods"), "{:?}", checked.checks);
    bind("edit");
    let checked = pods_are("/watcher gets its sidecars");
    assert!(checked.names("warning").contains("policies"), "{:?}", checked.checks);
    let _ = std::fs::remove_file(&kubeconfig);
}

#[test]
fn where_definitions_are_of_another_release_helm_refuses_as_it_was_said() {
    installation::require();
    let checked = check(&["--pre", "-n", "elsewhere"]);
    checked.assert_failed(&["definitions"]);
    let said = checked.said("definitions");
    let of = format!("is of the release {RELEASE} in the namespace {}", installation::NAMESPACE);
    assert!(said.contains(&of), "{said}");
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sidecar-policy");
    let install = ["install", "another", chart, "--dry-run=server", "-n", installation::NAMESPACE];
    let refusal = command::run("helm", &install, None).expect_failure();
    assert!(refusal.contains("invalid ownership metadata"), "{refusal}");
    let of_other_name = [&install[..], &["--set", "crds.install=false"]].concat();
    let _ = command::run("helm", &of_other_name, None).expect_success();
}

/// A kubeconfig that asks in the name of this user.
fn kubeconfig_of(user: &str, namespace: &TestNamespace) -> String {
    let view = ["config", "view", "--raw", "--flatten", "--minify", "-o", "json"];
    let config = command::kubectl(&view).expect_success();
    let mut config: Value = serde_json::from_str(&config).expect("kubectl prints JSON");
    config["users"][0]["user"]["as"] = json!(user);
    config["users"][0]["user"]["as-groups"] = json!(["system:authenticated"]);
    let path = std::env::temp_dir().join(format!("{}.kubeconfig", namespace.name()));
    std::fs::write(&path, config.to_string()).expect("a file can be written");
    path.to_string_lossy().into_owned()
}
