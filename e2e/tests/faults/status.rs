//! The arithmetic of the status holds in every version that anybody can see.

use std::time::{Duration, Instant};

use e2e::command::kubectl_with;
use e2e::watch::Watch;
use e2e::{TestNamespace, manifests};
use serde_json::{Value, json};

use crate::{report, setting, wait_for_counts};

/// What must be true of the counts of a status.
fn broken_law(pods: &Value) -> Option<&'static str> {
    let count = |name: &str| pods[name].as_i64().unwrap_or_default();
    let laws = [
        (
            "matched = injected + skipped + missing",
            count("matched") == count("injected") + count("skipped") + count("missing"),
        ),
        (
            "injected = current + outdated",
            count("injected") == count("current") + count("outdated"),
        ),
        ("ready <= injected", count("ready") <= count("injected")),
        (
            "no count is negative",
            pods.as_object().is_none_or(|pods| {
                pods.values().all(|count| count.as_i64().is_none_or(|count| count >= 0))
            }),
        ),
    ];
    laws.into_iter().find(|(_, holds)| !holds).map(|(law, _)| law)
}

/// Pods of every kind: those that get the policy, that clash with it, and that opt out.
fn batch(app: &str) -> String {
    let mut clashing = manifests::held_pod(app);
    let taken = json!({"name": "watcher", "image": "docker.io/library/other:1"});
    clashing["spec"]["containers"].as_array_mut().expect("a list").push(taken);
    let mut out = manifests::held_pod(app);
    out["metadata"]["annotations"] = json!({"sidecarpolicy.dev/skip": "*"});
    let mut pods = vec![manifests::held_pod(app); 6];
    pods.extend([clashing.clone(), clashing, out]);
    manifests::list(&pods).to_string()
}

#[test]
fn the_sums_hold_in_every_version_of_the_status() {
    let period = Duration::from_secs(setting("STATUS_SECONDS", 60));
    let namespace = TestNamespace::create("sums");
    let policy = |app: &str, value: usize| {
        let mut policy = manifests::policy("watcher", app);
        policy["spec"]["sidecars"][0]["env"] = json!([{"name": "V", "value": value.to_string()}]);
        policy
    };
    namespace.apply_policy(&policy("api", 0));
    namespace.apply(&manifests::deployment("api"));
    let watch = Watch::start(namespace.name(), "scp");
    let (started, mut round) = (Instant::now(), 0);
    while started.elapsed() < period {
        round += 1;
        let app = if round % 2 == 0 { "api" } else { "web" };
        let create = ["create", "-f", "-", "-n", namespace.name()];
        let _ = kubectl_with(&create, &batch(app)).expect_success();
        match round % 5 {
            // Another revision, other pods, and all of those of one kind gone at once.
            1 => drop(namespace.apply(&policy("api", round))),
            2 => drop(namespace.apply(&policy("web", round))),
            3 => drop(namespace.kubectl(&[
                "delete",
                "pods",
                "-l",
                "app=web",
                "--wait=false",
                "--now",
            ])),
            4 => drop(namespace.kubectl(&[
                "scale",
                "deployment/api",
                &format!("--replicas={}", round % 3 + 1),
            ])),
            _ => drop(namespace.kubectl(&[
                "delete",
                "pods",
                "-l",
                "app=api",
                "--wait=false",
                "--now",
            ])),
        }
    }
    namespace.kubectl(&["delete", "deployment/api"]);
    namespace.kubectl(&["delete", "pods", "--all", "--wait=false", "--now"]);
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": 0, "surplus": 0, "optedOut": 0}));
    let versions = watch.finish();
    let seen: Vec<&Value> = versions.iter().map(|policy| &policy["status"]["pods"]).collect();
    let broken: Vec<_> = seen.iter().filter_map(|pods| Some((broken_law(pods)?, pods))).collect();
    report(
        "the sums of the status while pods churn",
        &format!("{} versions seen, {} with wrong sums", seen.len(), broken.len()),
    );
    assert!(broken.is_empty(), "{broken:?}");
    assert!(seen.len() > 20, "too few versions to say anything: {}", seen.len());
    let is_covered = |name: &str| seen.iter().any(|pods| pods[name].as_i64() > Some(0));
    for name in ["current", "outdated", "missing", "skipped", "optedOut", "ready"] {
        assert!(is_covered(name), "no version had any pod {name}");
    }
}
