//! Parts of policies, each with what a real API server said of a pod made from them.

use crds::PolicySpec;
use serde::Deserialize;

use crate::{
    demands::{Demands, PodTraits},
    problem::Problems,
    validation,
};

/// What Kubernetes 1.36.3 said of a pod into which the policy was put, in a dry run.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    policy: PolicySpec,
    /// Fields of the pod's spec beside one container named `app`.
    #[serde(default)]
    pod: serde_json::Value,
    accepted: bool,
    /// Why it was refused.
    #[serde(default)]
    because: String,
    /// Why we refuse what the API server accepted.
    #[serde(default)]
    ours: Option<String>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("verdicts.json")).unwrap()
}

/// The facts of a case's pod.
fn facts(case: &Case) -> PodTraits<'_> {
    let pod = &case.pod;
    let raised =
        case.policy.pod.as_ref().and_then(|pod| pod.termination_grace_period_seconds).unwrap_or(0);
    let claims = pod["resourceClaims"].as_array().into_iter().flatten();
    let claims: Vec<&str> = claims.filter_map(|claim| claim["name"].as_str()).collect();
    PodTraits {
        operating_system: pod["os"]["name"].as_str(),
        grace_period_seconds: pod["terminationGracePeriodSeconds"]
            .as_i64()
            .unwrap_or(30)
            .max(raised),
        restart_policy: pod["restartPolicy"].as_str().unwrap_or("Always"),
        host_users: pod["hostUsers"].as_bool(),
        host_network: pod["hostNetwork"] == true,
        host_pid: pod["hostPID"] == true,
        resource_claims: Vec::leak(claims),
        host_process: pod["securityContext"]["windowsOptions"]["hostProcess"].as_bool(),
        host_process_containers: false,
    }
}

#[test]
fn all_is_decided_as_the_api_server_does() {
    let mut wrong = Vec::new();
    for case in cases() {
        let mut problems = Problems::default();
        validation::spec(&case.policy, &mut problems);
        let demands = Demands::of(&case.policy);
        let pod = facts(&case);
        let entries = 0..case.policy.app_containers.len();
        let unmet = demands
            .unmet(&pod)
            .or_else(|| entries.into_iter().find_map(|entry| demands.unmet_by_entry(entry, &pod)));
        let refused = !problems.list().is_empty() || unmet.is_some();
        let expected = !case.accepted || case.ours.is_some();
        if refused != expected {
            let policy = serde_json::to_string(&case.policy).unwrap();
            wrong.push(format!(
                "{policy}\n  in {}\n  theirs: {:?}\n  ours: {:?} {unmet:?}",
                case.pod,
                case.because,
                problems.list()
            ));
        }
    }
    assert!(wrong.is_empty(), "{} verdicts differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// Where the API server refuses some pods only, the policy has to compile: other pods can have it.
#[test]
fn what_the_pod_decides_is_no_problem_of_the_policy() {
    let refused_by_pod: Vec<Case> = cases()
        .into_iter()
        .filter(|case| {
            let mut problems = Problems::default();
            validation::spec(&case.policy, &mut problems);
            problems.list().is_empty() && !case.accepted
        })
        .collect();
    assert!(refused_by_pod.len() > 20, "{} cases", refused_by_pod.len());
}
