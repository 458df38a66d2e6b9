//! Whether the next matching pod gets a policy, by what the operator wrote into its status.

use crds::PolicyStatus;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Whether the next matching pod gets a policy, as far as the operator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Readiness {
    /// `True`, `False` or `Unknown`.
    pub(crate) status: String,
    /// Why it is not `True`, for people.
    pub(crate) why: Option<String>,
}

impl Readiness {
    /// Of a policy of this generation.
    pub(crate) fn of(status: &PolicyStatus, generation: i64) -> Self {
        let unknown = |why: &str| Self { status: "Unknown".to_owned(), why: Some(why.to_owned()) };
        match current_condition(status, "Ready", generation) {
            Some(ready) => {
                let why = (ready.status != "True").then(|| told(ready));
                Self { status: ready.status.clone(), why }
            }
            None if condition(status, "Ready").is_some() => {
                unknown("the operator has not looked at its last change yet")
            }
            None => unknown("the operator has not looked at it yet"),
        }
    }
}

/// The condition of a kind, if it speaks of this generation.
pub(crate) fn current_condition<'s>(
    status: &'s PolicyStatus,
    kind: &str,
    generation: i64,
) -> Option<&'s Condition> {
    condition(status, kind).filter(|found| found.observed_generation == Some(generation))
}

fn condition<'s>(status: &'s PolicyStatus, kind: &str) -> Option<&'s Condition> {
    status.conditions.iter().find(|condition| condition.type_ == kind)
}

/// The reason of a condition, and its message if it has one.
pub(crate) fn told(condition: &Condition) -> String {
    if condition.message.is_empty() {
        return condition.reason.clone();
    }
    format!("{}: {}", condition.reason, condition.message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ready(status: &str, generation: i64) -> Readiness {
        let status = json!({"conditions": [{
            "type": "Ready", "status": status, "reason": "Why", "message": "so",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }]});
        Readiness::of(&serde_json::from_value(status).expect("it is a status"), 2)
    }

    #[test]
    fn a_policy_is_ready_by_a_word_about_its_last_change() {
        assert_eq!(ready("True", 2), Readiness { status: "True".to_owned(), why: None });
        assert_eq!(ready("False", 2).why.as_deref(), Some("Why: so"));
        assert_eq!(ready("True", 1).status, "Unknown");
        let unseen = Readiness::of(&PolicyStatus::default(), 1);
        assert!(unseen.why.is_some_and(|why| why.contains("not looked at it")));
    }
}
