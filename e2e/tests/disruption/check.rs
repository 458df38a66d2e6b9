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
        assert_eq!(self.code, Some(1));
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
