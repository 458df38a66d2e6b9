//! What a policy does to the pods of a working installation. Every test has a namespace of its own,
//! so that all can run side by side.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports what went wrong by panicking"
)]

mod authors;
mod catalogue;
mod clashes;
mod command_line;
mod conflicts;
mod corpus;
mod exported;
mod mirror_pods;
mod operator_limits;
mod pod_security;
mod reinvocation;
mod repetition;
mod requests;
mod selection;
mod shapes;
mod sidecars;
mod status;
mod validation;
mod workloads;

use std::time::Duration;

use e2e::{TestNamespace, eventually};
use serde_json::Value;

/// How long the cluster may take for anything that is not started yet.
const DEADLINE: Duration = Duration::from_secs(90);

/// Waits until the condition `Accepted` of a policy, as `kind/name`, is of the current generation and as
/// wanted; gives it.
#[track_caller]
fn wait_for_accepted(
    namespace: &TestNamespace,
    policy: &str,
    is_wanted: impl Fn(&Value) -> bool,
) -> Value {
    eventually(&format!("{policy} says what it should of being accepted"), DEADLINE, || {
        let policy = namespace.get(policy);
        let conditions = policy["status"]["conditions"].as_array();
        let mut conditions = conditions.into_iter().flatten();
        let accepted = conditions.find(|condition| condition["type"] == "Accepted");
        let accepted = accepted.ok_or_else(|| "no condition".to_owned())?;
        let is_current = accepted["observedGeneration"] == policy["metadata"]["generation"];
        if is_current && is_wanted(accepted) {
            Ok(accepted.clone())
        } else {
            Err(accepted.to_string())
        }
    })
}
