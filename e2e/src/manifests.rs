//! Manifests that the tests start from. What a test is about, it writes itself.

use serde_json::{Value, json};

/// The image of every container that only has to run.
pub const BUSYBOX: &str = "docker.io/library/busybox:1.35.0";

/// The same program as [`BUSYBOX`] by another name.
pub const BUSYBOX_NEXT: &str = "docker.io/library/busybox:1.35.0-glibc";

/// A container that runs until it is ended.
#[must_use]
pub fn container(name: &str) -> Value {
    json!({
        "name": name,
        "image": BUSYBOX,
        "command": ["sh", "-c", "trap exit TERM; while true; do sleep 3600 & wait; done"],
    })
}

/// A pod spec of one container named `app`.
#[must_use]
pub fn pod_spec() -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "automountServiceAccountToken": false,
        "containers": [container("app")],
    })
}

/// A bare pod with the label `app: APP`.
#[must_use]
pub fn pod(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": app}},
        "spec": pod_spec(),
    })
}

/// A pod labelled `app: APP` that is admitted and never scheduled, with a name that the API server
/// makes up.
#[must_use]
pub fn held_pod(app: &str) -> Value {
    let mut pod = pod("unused", app);
    pod["metadata"]["generateName"] = json!(format!("{app}-"));
    pod["metadata"]["name"].take();
    pod["metadata"]["labels"]["e2e.sidecarpolicy.dev/held"] = json!("true");
    pod["spec"]["schedulingGates"] = json!([{"name": "e2e.sidecarpolicy.dev/hold"}]);
    pod
}

/// Objects that one `kubectl` takes together.
#[must_use]
pub fn list(items: &[Value]) -> Value {
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// A Deployment of one replica, named and labelled `name`.
#[must_use]
pub fn deployment(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": name}},
            "template": pod_template(name),
        },
    })
}

/// A pod template with the label `app: APP`.
#[must_use]
pub fn pod_template(app: &str) -> Value {
    json!({"metadata": {"labels": {"app": app}}, "spec": pod_spec()})
}

/// A Job labelled `name` that runs `script` once.
#[must_use]
pub fn job(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name},
        "spec": {"backoffLimit": 0, "template": job_template(name, script)},
    })
}

/// A CronJob that a test starts by hand: its schedule is the 29th of February.
#[must_use]
pub fn cron_job(name: &str, script: &str) -> Value {
    json!({
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name},
        "spec": {
            "schedule": "0 0 29 2 *",
            "jobTemplate": {"spec": {"backoffLimit": 0, "template": job_template(name, script)}},
        },
    })
}

fn job_template(app: &str, script: &str) -> Value {
    let mut template = pod_template(app);
    template["spec"]["restartPolicy"] = json!("Never");
    template["spec"]["containers"][0]["command"] = json!(["sh", "-c", script]);
    template
}

/// A `SidecarPolicy` for pods labelled `app: APP` that puts in a container named as the policy.
#[must_use]
pub fn policy(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1",
        "kind": "SidecarPolicy",
        "metadata": {"name": name},
        "spec": {
            "podSelector": {"matchLabels": {"app": app}},
            "sidecars": [container(name)],
        },
    })
}

/// As [`policy`], but its pods are refused while the webhook is away.
#[must_use]
pub fn failing_policy(name: &str, app: &str) -> Value {
    let mut policy = policy(name, app);
    policy["spec"]["failurePolicy"] = json!("Fail");
    policy
}
