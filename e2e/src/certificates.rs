//! The certificates of the installation, and what tests do to them.

use std::time::Duration;

use serde_json::json;

use crate::command::kubectl;
use crate::installation::{NAMESPACE, RELEASE, kubectl_here};
use crate::{Pod, TestNamespace, eventually, manifests};

/// Secret of the webhook's serving certificate.
pub const LEAF: &str = "sidecar-policy-webhook-certificate";
/// Secret of the certificate authority.
pub const AUTHORITY: &str = "sidecar-policy-authority";

const DEADLINE: Duration = Duration::from_secs(90);

/// Deletes a Secret and waits until the operator has made another.
#[track_caller]
pub fn replace(secret: &str) {
    let uid =
        || kubectl(&["get", "secret", secret, "-o", "jsonpath={.metadata.uid}", "-n", NAMESPACE]);
    let before = uid().expect_success();
    kubectl_here(&["delete", "secret", secret]);
    eventually(&format!("the Secret {secret} is made again"), DEADLINE, || {
        let now = uid();
        if now.succeeded && now.output != before { Ok(()) } else { Err(format!("{now:?}")) }
    });
}

/// Writes what is no certificate over a field of a Secret, and waits until the operator has put that
/// right.
#[track_caller]
pub fn spoil(secret: &str, field: &str) {
    let spoilt = "bm90IGEgY2VydGlmaWNhdGU=";
    let patch = json!({"data": {field: spoilt}}).to_string();
    kubectl_here(&["patch", "secret", secret, "--type=merge", "-p", &patch]);
    let output = format!("jsonpath={{.data.{}}}", field.replace('.', "\\."));
    eventually(&format!("{field} of {secret} is good again"), DEADLINE, || {
        let now = kubectl_here(&["get", "secret", secret, "-o", &output]);
        if now.is_empty() || now == spoilt { Err(now) } else { Ok(()) }
    });
}

/// The authorities that the API server trusts to call the webhook.
#[must_use]
#[track_caller]
pub fn published() -> String {
    let path = "jsonpath={.webhooks[0].clientConfig.caBundle}";
    kubectl(&["get", "mutatingwebhookconfiguration", RELEASE, "-o", path]).expect_success()
}

/// Waits until another bundle than `before` is published.
#[track_caller]
pub fn wait_for_another(before: &str) {
    eventually("the new authority is in the webhook configuration", DEADLINE, || {
        if published() == before { Err("still the former".to_owned()) } else { Ok(()) }
    });
}

/// Waits until a policy can become ready: the operator asks every replica over TLS for that.
#[track_caller]
pub fn wait_until_served() {
    let namespace = TestNamespace::create("served");
    namespace.apply_policy(&manifests::policy("probe", "probe"));
    let pod = Pod(namespace.dry_run(&manifests::pod("probe", "probe")));
    assert_eq!(pod.init_containers(), ["probe"], "{}", pod.0);
}
