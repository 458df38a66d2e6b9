//! Policies that change, and what their status says.

use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

/// Name of the sidecar and of the policy.
pub(crate) const SIDECAR: &str = "watcher";

/// A policy for pods `app: api` with these settings.
pub(crate) fn policy(rollout: Value) -> Value {
    let mut policy = manifests::policy(SIDECAR, "api");
    policy["spec"]["rollout"] = rollout;
    policy
}

/// The same with another image.
pub(crate) fn with_image(policy: &Value, image: &str) -> Value {
    let mut policy = policy.clone();
    policy["spec"]["sidecars"][0]["image"] = json!(image);
    policy
}

/// A Deployment `api` of so many pods, all of them running.
#[track_caller]
pub(crate) fn deploy(namespace: &TestNamespace, replicas: u32) {
    let mut deployment = manifests::deployment("api");
    deployment["spec"]["replicas"] = json!(replicas);
    namespace.apply(&deployment);
    namespace.wait_for_rollout("deployment/api");
}

/// `status` of the policy.
#[track_caller]
pub(crate) fn status(namespace: &TestNamespace) -> Value {
    namespace.get("scp/watcher")["status"].clone()
}

/// Reason and message of the condition `Progressing`, once it speaks of the current generation.
#[track_caller]
pub(crate) fn progress(namespace: &TestNamespace) -> Option<(String, String)> {
    let policy = namespace.get("scp/watcher");
    let conditions = policy["status"]["conditions"].as_array()?;
    let found = conditions.iter().find(|condition| {
        condition["type"] == "Progressing"
            && condition["observedGeneration"] == policy["metadata"]["generation"]
    })?;
    let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    Some((text("reason"), text("message")))
}

/// Waits until `Progressing` gives this reason, and hands back its message.
#[track_caller]
pub(crate) fn wait_for_progress(namespace: &TestNamespace, reason: &str) -> String {
    eventually(&format!("Progressing says {reason}"), DEADLINE, || match progress(namespace) {
        Some((found, message)) if found == reason => Ok(message),
        found => Err(format!("{found:?}, {}", status(namespace)["pods"])),
    })
}

/// Waits until `Progressing` gives this reason, with a message that contains `part`.
#[track_caller]
pub(crate) fn wait_for_message(namespace: &TestNamespace, reason: &str, part: &str) -> String {
    eventually(&format!("Progressing says {reason}: {part}"), DEADLINE, || {
        match progress(namespace) {
            Some((found, message)) if found == reason && message.contains(part) => Ok(message),
            found => Err(format!("{found:?}, {}", status(namespace)["pods"])),
        }
    })
}

/// Waits until the rollout is complete, and so many pods have the current revision and are ready.
#[track_caller]
pub(crate) fn wait_until_complete(namespace: &TestNamespace, pods: u32) {
    let expected = [("current", pods), ("ready", pods), ("outdated", 0), ("missing", 0)];
    eventually(&format!("all {pods} pods are current and ready"), DEADLINE, || {
        let counts = status(namespace)["pods"].clone();
        match progress(namespace) {
            Some((reason, _))
                if reason == "Complete" && expected.iter().all(|(key, n)| counts[key] == *n) =>
            {
                Ok(())
            }
            found => Err(format!("{found:?}, {counts}")),
        }
    });
}

/// How often rollouts restarted a workload for the current revision, by its own annotation.
#[track_caller]
pub(crate) fn restarts_of(namespace: &TestNamespace, workload: &str) -> i64 {
    let annotations =
        namespace.get(workload)["spec"]["template"]["metadata"]["annotations"].clone();
    let text = annotations["sidecarpolicy.dev/restarted-for"].as_str().unwrap_or("{}");
    let restarts: Value = serde_json::from_str(text).expect("JSON");
    let ours = &restarts[format!("{}/{SIDECAR}", namespace.name())];
    if ours["revision"] == status(namespace)["revision"] {
        ours["times"].as_i64().unwrap_or_default()
    } else {
        0
    }
}

/// The image of the sidecar.
pub(crate) fn image(pod: &Pod) -> &str {
    pod.container(SIDECAR)["image"].as_str().unwrap_or_default()
}

/// How often a container was restarted.
pub(crate) fn restarts(pod: &Pod, container: &str) -> i64 {
    pod.container_status(container)["restartCount"].as_i64().unwrap_or(-1)
}

/// When the app's container started, which a restart of it would change.
pub(crate) fn app_started(pod: &Pod) -> String {
    pod.container_status("app")["state"]["running"]["startedAt"].to_string()
}

/// Uids of the pods.
pub(crate) fn uids(pods: &[Pod]) -> Vec<String> {
    let mut uids: Vec<String> =
        pods.iter().map(|pod| pod.0["metadata"]["uid"].to_string()).collect();
    uids.sort();
    uids
}
