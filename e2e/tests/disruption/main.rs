//! What happens to injection when the installation itself is disturbed. These tests run one by one,
//! because each affects every namespace; each leaves the installation working.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports what went wrong by panicking"
)]

mod check;
mod definitions;

use std::time::{Duration, Instant};

use e2e::installation::{
    self, InstalledAgain, OPERATOR, RELEASE, WEBHOOK, WebhookDown, helm, kubectl_here,
};
use e2e::load::PodCreation;
use e2e::{Pod, TestNamespace, certificates, command, eventually, manifests};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(90);

#[track_caller]
fn assert_injects(namespace: &TestNamespace, app: &str, sidecar: &str) {
    let pod = Pod(namespace.dry_run(&manifests::pod("probe", app)));
    assert_eq!(pod.init_containers(), [sidecar], "{}", pod.0);
}

#[test]
fn without_the_webhook_pods_start_under_ignore_and_are_refused_under_fail() {
    let namespace = TestNamespace::create("down");
    namespace.apply_policy(&manifests::policy("optional", "optional"));
    namespace.apply_policy(&manifests::failing_policy("required", "required"));

    let down = WebhookDown::scale_away();
    let bare = namespace.create_pod(&manifests::pod("optional", "optional"));
    assert!(bare.init_containers().is_empty() && !bare.is_marked(), "{}", bare.0);
    namespace.wait_for("pod/optional", "Ready");
    let refusal = namespace.apply_refused(&manifests::pod("required", "required"));
    for words in ["failed calling webhook", "sidecarpolicy.dev", "sidecar-policy-webhook"] {
        assert!(refusal.contains(words), "{words:?} is missing in: {refusal}");
    }
    let unselected = namespace.try_dry_run(&manifests::pod("other", "other"));
    assert!(unselected.succeeded, "a pod of no such policy was refused: {}", unselected.errors);

    down.recover();
    let returned = Instant::now();
    eventually("pods are injected again", DEADLINE, || {
        let answer = namespace.try_dry_run(&manifests::pod("required", "required"));
        if answer.succeeded { Ok(()) } else { Err(answer.errors) }
    });
    assert!(returned.elapsed() < Duration::from_secs(10), "took {:?}", returned.elapsed());
    assert_injects(&namespace, "required", "required");
    eventually("the pod that started without is counted missing", DEADLINE, || {
        let counts = namespace.get("scp/optional")["status"]["pods"].clone();
        if counts["missing"] == 1 { Ok(()) } else { Err(counts.to_string()) }
    });
}

#[test]
fn what_owners_write_while_the_webhook_is_away_is_carried_when_it_is_back() {
    const INJECT: &str = "sidecarpolicy.dev/inject";
    let namespace = TestNamespace::create("missed");
    let mut policy = manifests::policy("watcher", "api");
    policy["spec"]["activation"] = json!("OnRequest");
    namespace.apply_policy(&policy);
    namespace.apply(&manifests::deployment("api"));
    namespace.apply(&manifests::cron_job("nightly", "true"));
    namespace.apply(&manifests::deployment("guarded"));
    guard_against_the_operator(&namespace, "guarded");
    let mut owned = manifests::deployment("removed");
    owned["metadata"]["annotations"] = json!({INJECT: "watcher"});
    namespace.apply(&owned);
    namespace.wait_for_rollout("deployment/api");

    let down = WebhookDown::scale_away();
    for workload in ["deployment/api", "cronjob/nightly", "deployment/guarded"] {
        namespace.kubectl(&["annotate", workload, &format!("{INJECT}=watcher")]);
    }
    namespace.kubectl(&["annotate", "deployment/removed", &format!("{INJECT}-")]);
    let mut job = manifests::job("late", "sleep 3600");
    job["metadata"]["annotations"] = json!({INJECT: "watcher"});
    namespace.apply(&job);
    e2e::stays("nothing rolls without the webhook", Duration::from_secs(8), || {
        let template = carried(&namespace, "deployment/api");
        if template.is_null() { Ok(()) } else { Err(template.to_string()) }
    });
    down.recover();
    for (workload, expected) in [
        ("deployment/api", json!("watcher")),
        ("cronjob/nightly", json!("watcher")),
        ("deployment/removed", Value::Null),
    ] {
        eventually(&format!("{workload} has what its owner asks for"), DEADLINE, || {
            let template = carried(&namespace, workload);
            if template == expected { Ok(()) } else { Err(template.to_string()) }
        });
    }
    namespace.wait_for_rollout("deployment/api");
    assert_eq!(namespace.pods("api")[0].init_containers(), ["watcher"]);
    for (object, reason) in [
        ("api", "AnnotationsCarried"),
        ("removed", "AnnotationsCarried"),
        ("late", "AnnotationsNotCarried"),
        ("guarded", "AnnotationsNotCarried"),
    ] {
        eventually(&format!("{object} is told {reason}"), DEADLINE, || {
            let reasons = namespace.event_reasons(object);
            if reasons.iter().any(|found| found == reason) {
                Ok(())
            } else {
                Err(format!("{reasons:?}"))
            }
        });
    }
    // One before, and one by the repair.
    e2e::stays("it rolled once", Duration::from_secs(12), || {
        let count = namespace.list("replicasets", "api").len();
        if count == 2 { Ok(()) } else { Err(format!("{count} ReplicaSets")) }
    });
}

/// Has the API server refuse every change of a Deployment that the operator makes.
fn guard_against_the_operator(namespace: &TestNamespace, deployment: &str) {
    let name = namespace.unique("guard");
    let here = json!({"matchLabels": {"kubernetes.io/metadata.name": namespace.name()}});
    let operator =
        format!("system:serviceaccount:{}:sidecar-policy-operator", installation::NAMESPACE);
    let group = "admissionregistration.k8s.io/v1";
    for (kind, spec) in [
        (
            "ValidatingAdmissionPolicy",
            json!({
                "matchConstraints": {
                    "namespaceSelector": here,
                    "resourceRules": [{
                        "apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["UPDATE"],
                        "resources": ["deployments"], "resourceNames": [deployment],
                    }],
                },
                "validations": [{
                    "expression": format!("request.userInfo.username != '{operator}'"),
                    "message": "guarded by its owner",
                }],
            }),
        ),
        (
            "ValidatingAdmissionPolicyBinding",
            json!({"policyName": name, "validationActions": ["Deny"]}),
        ),
    ] {
        namespace.delete_at_the_end(format!("{kind}/{name}"));
        let metadata = json!({"name": name});
        namespace
            .apply(&json!({"apiVersion": group, "kind": kind, "metadata": metadata, "spec": spec}));
    }
}

/// What asks for policies in the pod template of a workload.
fn carried(namespace: &TestNamespace, workload: &str) -> Value {
    let spec = namespace.get(workload)["spec"].take();
    let of_jobs = &spec["jobTemplate"]["spec"]["template"];
    let template = if of_jobs.is_null() { &spec["template"] } else { of_jobs };
    template["metadata"]["annotations"]["sidecarpolicy.dev/inject"].clone()
}

#[test]
fn system_pods_and_our_own_are_never_blocked() {
    let namespace = TestNamespace::create("everywhere");
    // The worst that a person can write: every pod of every namespace, or none.
    let name = namespace.unique("everywhere");
    let mut policy = manifests::failing_policy(&name, "unused");
    policy["kind"] = json!("ClusterSidecarPolicy");
    policy["spec"]["podSelector"] = json!({});
    policy["spec"]["namespaceSelector"] = json!({});
    namespace.delete_at_the_end(format!("cscp/{name}"));
    namespace.apply_policy(&policy);

    let down = WebhookDown::scale_away();
    let refused = namespace.try_dry_run(&manifests::pod("app", "app"));
    assert!(!refused.succeeded, "the policy does not reach this namespace: {}", refused.output);
    for excluded in ["kube-system", "kube-public", "kube-node-lease", installation::NAMESPACE] {
        let pod = manifests::pod("app", "app");
        let create = ["create", "--dry-run=server", "-f", "-", "-n", excluded];
        let answer = command::kubectl_with(&create, &pod.to_string());
        assert!(answer.succeeded, "a pod of {excluded} was refused: {}", answer.errors);
    }
    kubectl_here(&["delete", "pod", "--selector=app.kubernetes.io/component=operator", "--now"]);
    installation::wait_for_rollout(OPERATOR);
    down.recover();
    let pod = eventually("pods are injected again", DEADLINE, || {
        let answer = namespace.try_dry_run(&manifests::pod("app", "app"));
        if answer.succeeded { Ok(answer.output) } else { Err(answer.errors) }
    });
    assert!(pod.contains(&name), "{pod}");
}

#[test]
fn status_goes_on_when_the_operator_restarts() {
    let namespace = TestNamespace::create("leader");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let holder = || {
        kubectl_here(&[
            "get",
            "lease/sidecar-policy-operator",
            "-o",
            "jsonpath={.spec.holderIdentity}",
        ])
    };
    let before = holder();
    assert!(!before.is_empty(), "somebody leads");

    kubectl_here(&["delete", "pod", "--selector=app.kubernetes.io/component=operator"]);
    namespace.create_pod(&manifests::pod("api", "api"));
    eventually("the new leader counts the pod", DEADLINE, || {
        let counts = namespace.get("scp/watcher")["status"]["pods"].clone();
        if counts["injected"] == 1 { Ok(()) } else { Err(format!("{counts}, led by {}", holder())) }
    });
    assert_ne!(holder(), before);
    installation::wait_for_rollout(OPERATOR);
}

#[test]
fn a_deleted_certificate_is_made_again_without_a_failed_call() {
    let namespace = TestNamespace::create("certificate");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    certificates::replace(certificates::LEAF);
    certificates::wait_until_served();
    creation.assert_all_injected();
}

#[test]
fn a_spoilt_certificate_is_replaced_without_a_failed_call() {
    let namespace = TestNamespace::create("spoilt");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    certificates::spoil(certificates::LEAF, "tls.crt");
    certificates::wait_until_served();
    creation.assert_all_injected();
}

#[test]
fn a_rolling_restart_of_the_webhook_leaves_no_pod_without() {
    let namespace = TestNamespace::create("restart");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    kubectl_here(&["rollout", "restart", WEBHOOK]);
    installation::wait_for_rollout(WEBHOOK);
    creation.assert_all_injected();
}

#[test]
fn a_helm_upgrade_keeps_injection_going() {
    let namespace = TestNamespace::create("upgrade");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sidecar-policy");
    let upgrade = ["upgrade", RELEASE, chart, "--reuse-values", "--wait", "--timeout=3m"];
    let _ = helm(&[&upgrade[..], &["--set=logLevel=debug"]].concat()).expect_success();
    let _ = helm(&[&upgrade[..], &["--set=logLevel=info"]].concat()).expect_success();
    creation.assert_all_injected();
}

#[test]
fn helm_test_passes() {
    installation::require();
    let answer = helm(&["test", RELEASE, "--timeout=2m"]);
    assert!(answer.succeeded, "{}{}", answer.output, answer.errors);
}

#[test]
fn an_uninstall_leaves_no_webhook_behind_and_a_new_installation_goes_on() {
    let namespace = TestNamespace::create("uninstall");
    namespace.apply_policy(&manifests::failing_policy("watcher", "api"));

    let _ = helm(&["uninstall", RELEASE, "--wait", "--timeout=2m"]).expect_success();
    // Also when something below fails: the next test needs it.
    let installed_again = InstalledAgain;
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let left = command::kubectl(&["get", kind, "-o", "name"]).expect_success();
        assert!(!left.contains(RELEASE), "left behind: {left}");
    }
    let bare = namespace.create_pod(&manifests::pod("bare", "api"));
    assert!(bare.init_containers().is_empty(), "{}", bare.0);
    namespace.wait_for("pod/bare", "Ready");
    assert_eq!(namespace.get("scp/watcher")["kind"], "SidecarPolicy", "policies are kept");

    drop(installed_again);
    eventually("the kept policy injects again", DEADLINE, || {
        let pod = Pod(namespace.dry_run(&manifests::pod("probe", "api")));
        if pod.init_containers() == ["watcher"] { Ok(()) } else { Err(pod.0.to_string()) }
    });
    namespace.wait_for_policy("scp/watcher");
}
