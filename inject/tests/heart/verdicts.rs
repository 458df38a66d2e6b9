//! What a real API server says of pods into which a policy was put, and what the heart says before.
//!
//! `verdicts.json` was recorded from Kubernetes 1.36.3 with server-side dry runs. What the API server
//! refuses has to be refused in the policy or be a conflict with the pod, so that no pod fails
//! because of us; and nothing else may be.

use inject::{PolicyId, compile};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::fixture::run;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    policy: Value,
    /// Fields of the pod's spec beside one container named `app`.
    #[serde(default)]
    pod: Value,
    accepted: bool,
    /// Why it was refused.
    #[serde(default)]
    because: String,
    /// Why we refuse what the API server accepted.
    #[serde(default)]
    ours: Option<String>,
}

#[test]
fn all_is_decided_as_the_api_server_does() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("verdicts.json")).unwrap();
    assert!(cases.len() > 1000);
    let mut wrong = Vec::new();
    for case in cases {
        let Some((refused, how)) = decide(&case) else { continue };
        if refused != (!case.accepted || case.ours.is_some()) {
            let Case { policy, pod, because, .. } = case;
            wrong.push(format!("{policy}\n  in {pod}\n  theirs: {because:?}\n  ours: {how}"));
        }
    }
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Whether the policy, or its way into the pod, is refused; `None` where nothing would go in anyway.
fn decide(case: &Case) -> Option<(bool, String)> {
    let spec = match serde_json::from_value(case.policy.clone()) {
        Ok(spec) => spec,
        Err(error) => return Some((true, error.to_string())),
    };
    let policy = match compile(PolicyId::namespaced("shop", "p"), "uid", 1, &spec) {
        Ok(policy) => policy,
        Err(invalid) => return Some((true, invalid.to_string())),
    };
    let mut spec = json!({"containers": [{"name": "app", "image": "a:1"}]});
    let fields = case.pod.as_object().cloned().unwrap_or_default();
    spec.as_object_mut().unwrap().extend(fields);
    let seen = run(vec![policy], &json!({"metadata": {"name": "x"}, "spec": spec}));
    let reason = seen.reason("shop/p");
    let concerns = !matches!(reason, "AlreadyInjected" | "OperatingSystem");
    concerns.then(|| (reason != "Injected", format!("{reason} {:?}", seen.warnings)))
}
