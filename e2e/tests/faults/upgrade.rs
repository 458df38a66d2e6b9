//! `helm upgrade`, `helm rollback`, `helm uninstall` and a new installation.

use e2e::installation::{InstalledAgain, RELEASE, helm};
use e2e::load::PodCreation;
use e2e::{Pod, TestNamespace, command, eventually, manifests};
use serde_json::json;

use crate::{DEADLINE, PODS, report, wait_for_counts};

/// The chart that is upgraded from and gone back to: `PREVIOUS_CHART`, or this one with other values.
fn previous() -> Vec<String> {
    let own = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sidecar-policy").to_owned();
    match std::env::var("PREVIOUS_CHART") {
        Ok(chart) => vec![chart],
        Err(_) => vec![own, "--set=webhook.replicas=3,logLevel=debug".to_owned()],
    }
}

#[test]
fn upgrades_and_rollbacks_cost_no_injection_and_no_policy() {
    let namespace = TestNamespace::create("versions");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let version = namespace.get("scp/watcher")["metadata"]["uid"].clone();
    let _installed_again = InstalledAgain;
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let current = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/sidecar-policy");
    let wait = ["--wait", "--timeout=3m"];
    let previous = previous();
    let previous: Vec<&str> = previous.iter().map(String::as_str).collect();
    let reuse = ["upgrade", RELEASE, "--reuse-values"];
    let _ = helm(&[&reuse[..], &previous, &wait].concat()).expect_success();
    let back = ["--set=webhook.replicas=2,logLevel=info"];
    let _ = helm(&[&reuse[..], &[current], &back, &wait].concat()).expect_success();
    let _ = helm(&[&["rollback", RELEASE][..], &wait].concat()).expect_success();
    let admissions = creation.finish(PODS / 2);
    report(
        "helm upgrade there and back, helm rollback",
        &format!(
            "{} pods created, {} refused, {} bare; the policy is kept",
            admissions.count(),
            admissions.refused.len(),
            admissions.bare.len()
        ),
    );
    admissions.assert_all_injected();
    assert_eq!(namespace.get("scp/watcher")["metadata"]["uid"], version);
    let all = admissions.count();
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": all, "injected": all}));
}

#[test]
fn an_uninstall_refuses_no_pod_and_a_new_installation_finds_what_was_kept() {
    let namespace = TestNamespace::create("uninstalled");
    namespace.apply_policy(&manifests::failing_policy("watcher", "api"));
    let uid = namespace.get("scp/watcher")["metadata"]["uid"].clone();
    let installed_again = InstalledAgain;
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    let _ = helm(&["uninstall", RELEASE, "--wait", "--timeout=2m"]).expect_success();
    for kind in ["mutatingwebhookconfigurations", "validatingwebhookconfigurations"] {
        let left = command::kubectl(&["get", kind, "-o", "name"]).expect_success();
        assert!(!left.contains(RELEASE), "left behind: {left}");
    }
    let admissions = creation.finish(PODS / 5);
    let (all, bare) = (admissions.count(), admissions.bare.len());
    assert_eq!(namespace.get("scp/watcher")["metadata"]["uid"], uid, "policies are kept");
    let changed = namespace.try_apply(&manifests::policy("later", "later"));
    assert!(changed.succeeded, "policies can be written: {}", changed.errors);

    drop(installed_again);
    for policy in ["scp/watcher", "scp/later"] {
        namespace.wait_for_policy(policy);
    }
    eventually("the kept policy injects again", DEADLINE, || {
        let pod = Pod(namespace.dry_run(&manifests::pod("probe", "api")));
        if pod.init_containers() == ["watcher"] { Ok(()) } else { Err(pod.0.to_string()) }
    });
    let counts = json!({"matched": all, "injected": all - bare, "missing": bare});
    wait_for_counts(&namespace, "scp/watcher", &counts);
    report(
        "helm uninstall and a new installation",
        &format!(
            "{all} pods of a policy with Fail created, {} refused, {bare} bare after the end and counted",
            admissions.refused.len()
        ),
    );
    assert!(admissions.refused.is_empty(), "{:?}", admissions.refused);
}
