//! The installation under test: where it is, and what the disruption tests do to it.

use std::sync::OnceLock;

use serde_json::Value;

use crate::command::{Answer, kubectl, run};

/// Namespace of the operator.
pub const NAMESPACE: &str = "sidecar-policy-system";
/// The Helm release; the names of everything it installs start with it.
pub const RELEASE: &str = "sidecar-policy";
/// The Deployment of the webhook.
pub const WEBHOOK: &str = "deployment/sidecar-policy-webhook";
/// The Deployment of the operator.
pub const OPERATOR: &str = "deployment/sidecar-policy-operator";

/// Our custom resource definitions.
const DEFINITIONS: [&str; 2] =
    ["crd/sidecarpolicies.sidecarpolicy.dev", "crd/clustersidecarpolicies.sidecarpolicy.dev"];
const ROLLOUT_TIMEOUT: &str = "--timeout=120s";

/// Fails unless chart and webhook are there and ready; asked once a test run.
pub fn require() {
    static FOUND: OnceLock<Result<(), String>> = OnceLock::new();
    let found = FOUND.get_or_init(|| {
        for deployment in [WEBHOOK, OPERATOR] {
            let answer =
                kubectl(&["rollout", "status", deployment, "-n", NAMESPACE, ROLLOUT_TIMEOUT]);
            if !answer.succeeded {
                return Err(answer.errors);
            }
        }
        Ok(())
    });
    if let Err(why) = found {
        panic!("the chart is not installed, run e2e/install: {why}");
    }
}

/// Runs `kubectl` in the operator's namespace; it must succeed.
#[allow(clippy::must_use_candidate, reason = "most commands are run for what they do")]
#[track_caller]
pub fn kubectl_here(arguments: &[&str]) -> String {
    kubectl(&[&["-n", NAMESPACE], arguments].concat()).expect_success()
}

/// Waits until a Deployment runs what it should, all of it ready.
#[track_caller]
pub fn wait_for_rollout(deployment: &str) {
    kubectl_here(&["rollout", "status", deployment, ROLLOUT_TIMEOUT]);
}

/// Runs `helm` for our release.
#[must_use]
pub fn helm(arguments: &[&str]) -> Answer {
    run("helm", &[arguments, &["--namespace", NAMESPACE]].concat(), None)
}

/// The webhook scaled away. Brought back when this is dropped, so that a failing test leaves it
/// running for the next.
pub struct WebhookDown {
    replicas: String,
}

impl WebhookDown {
    /// Scales the webhook to zero and waits until no pod of it is left to answer.
    #[must_use]
    pub fn scale_away() -> Self {
        let replicas = kubectl_here(&["get", WEBHOOK, "-o", "jsonpath={.spec.replicas}"]);
        let down = Self { replicas };
        kubectl_here(&["scale", WEBHOOK, "--replicas=0"]);
        let selector = "--selector=app.kubernetes.io/component=webhook";
        kubectl_here(&["wait", "pod", selector, "--for=delete", "--timeout=90s"]);
        down
    }

    /// Brings the webhook back and waits until it is ready.
    pub fn recover(self) {
        drop(self);
        wait_for_rollout(WEBHOOK);
    }
}

impl Drop for WebhookDown {
    fn drop(&mut self) {
        let replicas = format!("--replicas={}", self.replicas);
        let _ = kubectl(&["scale", WEBHOOK, &replicas, "-n", NAMESPACE]);
    }
}

/// Our custom resource definitions gone, and with them every policy. Brought back when this is
/// dropped, so that a failing test leaves them for the next; the policies are not.
pub struct WithoutDefinitions;

impl WithoutDefinitions {
    /// Deletes the definitions and waits until they and all policies are gone.
    #[must_use]
    #[track_caller]
    pub fn delete() -> Self {
        let without = Self;
        let _ =
            kubectl(&[&["delete", "--timeout=90s"], &DEFINITIONS[..]].concat()).expect_success();
        without
    }

    /// Has the chart bring them back, which restarts nothing.
    pub fn recover(self) {
        drop(self);
    }
}

impl Drop for WithoutDefinitions {
    fn drop(&mut self) {
        drop(InstalledAgain);
    }
}

/// The containers of operator and webhook: the name of the pod, and how often it was restarted.
#[must_use]
#[track_caller]
pub fn containers() -> Vec<(String, Value)> {
    let selector = "--selector=app.kubernetes.io/component in (operator, webhook)";
    let pods = kubectl_here(&["get", "pods", selector, "-o", "json"]);
    let mut pods: Value = serde_json::from_str(&pods).expect("kubectl prints JSON");
    let pods = pods["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    let of_pod = |pod: Value| {
        let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        (name, pod["status"]["containerStatuses"][0]["restartCount"].clone())
    };
    pods.into_iter().map(of_pod).collect()
}

/// Installs the chart as `e2e/install` does when this is dropped, so that a failing test leaves it as
/// the next one needs it.
pub struct InstalledAgain;

impl Drop for InstalledAgain {
    fn drop(&mut self) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/install");
        let answer = run(script, &[], None);
        // A panic while a test panics would hide what it says.
        assert!(
            answer.succeeded || std::thread::panicking(),
            "the chart cannot be installed again: {}{}",
            answer.output,
            answer.errors
        );
    }
}
