//! Namespaces that enforce a Pod Security level: what would have the pod refused is left out.

use e2e::{Pod, TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

/// A container that keeps the level `restricted`.
fn hardened(mut container: Value) -> Value {
    container["securityContext"] = json!({
        "allowPrivilegeEscalation": false,
        "capabilities": {"drop": ["ALL"]},
        "runAsNonRoot": true,
        "runAsUser": 65_534,
        "seccompProfile": {"type": "RuntimeDefault"},
    });
    container
}

/// A namespace that enforces a level and has a policy for each level that can be kept.
fn namespace_enforcing(level: &str) -> TestNamespace {
    let namespace = TestNamespace::create(&format!("security-{level}"));
    let mut privileged = manifests::policy("privileged", "api");
    privileged["spec"]["sidecars"][0]["securityContext"] = json!({"privileged": true});
    let plain = manifests::policy("plain", "api");
    let mut careful = manifests::policy("careful", "api");
    careful["spec"]["sidecars"] = json!([hardened(manifests::container("careful"))]);
    for policy in [privileged, plain, careful] {
        namespace.apply_policy(&policy);
    }
    let label = format!("pod-security.kubernetes.io/enforce={level}");
    namespace.kubectl(&["label", "namespace", namespace.name(), &label]);
    namespace
}

#[test]
fn only_what_keeps_the_level_goes_in_and_the_api_server_takes_it() {
    for (level, expected) in [
        ("privileged", &["careful", "plain", "privileged"][..]),
        ("baseline", &["careful", "plain"]),
        ("restricted", &["careful"]),
    ] {
        let namespace = namespace_enforcing(level);
        let mut manifest = manifests::pod("api", "api");
        manifest["spec"]["containers"] = json!([hardened(manifests::container("app"))]);
        // Each replica learns of the label in its own time; until then the API server may refuse the pod.
        let pod = eventually("the level is known", DEADLINE, || {
            let answer = namespace.try_dry_run(&manifest);
            let pod = serde_json::from_str(&answer.output).map(Pod).map_err(|_| answer.errors)?;
            if pod.init_containers() == expected { Ok(pod) } else { Err(pod.0.to_string()) }
        });
        let skipped = pod.annotation("sidecarpolicy.dev/skipped").unwrap_or("{}");
        let skipped: Value = serde_json::from_str(skipped).expect("the annotation is JSON");
        for policy in ["careful", "plain", "privileged"] {
            let why = &skipped[format!("{}/{policy}", namespace.name())];
            let is_told = why.as_str().is_some_and(|why| why.contains(level));
            assert_eq!(is_told, !expected.contains(&policy), "{policy} at {level}: {why}");
        }
    }
}
