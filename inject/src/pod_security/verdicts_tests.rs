//! Policies, each with what the admission of a real API server said of a pod made from them.

use std::collections::BTreeMap;

use crds::PolicySpec;
use serde::Deserialize;
use serde_json::Value;

use super::{ENFORCE, ENFORCE_VERSION, Enforced, Level, PodContext, PodSecurity};

/// What Kubernetes 1.36.3 said of a pod whose own container passes everything, with the policy put
/// in, in namespaces that enforce a level, some of an older version: `restricted v1.24`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    policy: PolicySpec,
    /// Fields of the pod's spec.
    #[serde(default)]
    pod: Value,
    accepted: Vec<String>,
    /// With the words of the refusal.
    refused: BTreeMap<String, String>,
}

#[test]
fn every_policy_is_judged_as_the_api_server_does() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("verdicts.json")).unwrap();
    let mut wrong = Vec::new();
    let mut judged = 0;
    for case in &cases {
        let context = PodContext {
            run_as_non_root: case.pod["securityContext"]["runAsNonRoot"].as_bool(),
            seccomp_profile: case.pod["securityContext"]["seccompProfile"]["type"].as_str(),
            operating_system: case.pod["os"]["name"].as_str(),
            host_users: case.pod["hostUsers"].as_bool(),
        };
        let security = PodSecurity::of(&case.policy, crate::validation::Stage::Written);
        let accepted = case.accepted.iter().map(|enforced| (enforced, true));
        for (enforced, accepted) in
            accepted.chain(case.refused.keys().map(|enforced| (enforced, false)))
        {
            judged += 1;
            let (level, version) = enforced.split_once(' ').unwrap_or((enforced, "latest"));
            let labels: BTreeMap<String, String> = [(ENFORCE, level), (ENFORCE_VERSION, version)]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            let enforced = Enforced::of(&labels).unwrap();
            let found: Vec<_> = security.violations(enforced, &context).collect();
            if found.is_empty() != accepted {
                let policy = serde_json::to_string(&case.policy).unwrap();
                wrong.push(format!("{policy} {} {labels:?}: {found:?}", case.pod));
            }
        }
    }
    assert!(judged > 800, "{judged} verdicts");
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn labels_are_read_as_the_api_server_reads_them() {
    let enforced = |entries: &[(&str, &str)]| {
        let labels: BTreeMap<String, String> =
            entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Enforced::of(&labels)
    };
    let latest = |level| Some(Enforced { level, minor_version: u32::MAX });
    assert_eq!(enforced(&[]), None);
    assert_eq!(enforced(&[(ENFORCE, "baseline")]), latest(Level::Baseline));
    assert_eq!(enforced(&[(ENFORCE, "base")]), latest(Level::Restricted));
    assert_eq!(enforced(&[(ENFORCE, "baseline"), (ENFORCE_VERSION, "x")]), latest(Level::Baseline));
    assert_eq!(
        enforced(&[(ENFORCE, "restricted"), (ENFORCE_VERSION, "v1.30")]),
        Some(Enforced { level: Level::Restricted, minor_version: 30 })
    );
}

/// The first thing in the way in a pod that does its part.
fn in_the_way(policy: Value, level: Level) -> Option<String> {
    let spec = serde_json::from_value(policy).unwrap();
    let pod = PodContext {
        run_as_non_root: Some(true),
        seccomp_profile: Some("RuntimeDefault"),
        ..PodContext::default()
    };
    let enforced = Enforced { level, minor_version: u32::MAX };
    let security = PodSecurity::of(&spec, crate::validation::Stage::Written);
    security.violations(enforced, &pod).next().map(ToString::to_string)
}

#[test]
fn a_violation_names_its_field() {
    let hardened =
        serde_json::json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
    let policy = |context: &Value| serde_json::json!({"sidecars": [{"name": "side", "image": "s:1", "securityContext": context}]});
    assert_eq!(in_the_way(policy(&hardened), Level::Restricted), None);
    assert_eq!(
        in_the_way(policy(&serde_json::json!({})), Level::Restricted).as_deref(),
        Some("spec.sidecars[0].securityContext.allowPrivilegeEscalation: must be false")
    );
    assert_eq!(
        in_the_way(policy(&serde_json::json!({"privileged": true})), Level::Baseline).as_deref(),
        Some("spec.sidecars[0].securityContext.privileged: must not be true")
    );
}

#[test]
fn an_expression_gets_the_benefit_of_the_doubt() {
    let context = serde_json::json!({
        "allowPrivilegeEscalation": false, "runAsNonRoot": true,
        "capabilities": {"drop": ["${params.dropped}"]},
        "seccompProfile": {"type": "${params.profile}"},
    });
    let policy = serde_json::json!({"sidecars": [{"name": "side", "image": "s:1", "securityContext": context}]});
    assert_eq!(in_the_way(policy, Level::Restricted), None);
}
