//! How a policy stands, by its own words: what the operator wrote into its status. Read leniently, for a
//! policy that cannot be used has a status too.

use crds::{Overhead, PolicyStatus};
use inject::PolicyId;

use crate::{
    document::Node,
    manifests,
    objects::Identity,
    readiness::{Readiness, current_condition, told},
};

/// How a policy stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub(super) policy: PolicyId,
    pub(super) mode: String,
    pub(super) generation: i64,
    pub(super) status: PolicyStatus,
    /// What this program cannot read of the status, for people.
    pub(super) note: Option<String>,
}

impl State {
    /// How the policy of an object stands; `None` if it is none.
    pub(super) fn of(object: &Node) -> Option<Self> {
        let Identity { kind, namespace, name, .. } = Identity::of(object)?;
        let policy = match (kind.as_str(), namespace) {
            ("SidecarPolicy", Some(namespace)) => PolicyId::namespaced(namespace, name),
            ("ClusterSidecarPolicy", _) => PolicyId::cluster(name),
            _ => return None,
        };
        let (status, note) = read_status(object);
        let mode = object.descend(&["spec", "mode"]).and_then(Node::text);
        let generation = object.descend(&["metadata", "generation"]).and_then(Node::integer);
        Some(Self {
            policy,
            mode: mode.unwrap_or("Enforce").to_owned(),
            generation: generation.unwrap_or_default(),
            status,
            note,
        })
    }

    /// Whether the next matching pod gets it.
    pub(super) fn readiness(&self) -> Readiness {
        Readiness::of(&self.status, self.generation)
    }

    /// What keeps its rollout from going on.
    pub(super) fn stopped(&self) -> Option<String> {
        let progressing = current_condition(&self.status, "Progressing", self.generation);
        progressing.filter(|found| found.status == "False").map(told)
    }

    /// What its containers ask for in all, of a resource.
    pub(super) fn request(&self, resource: &str) -> Option<&str> {
        let Overhead { requests, .. } = self.status.overhead.as_ref()?;
        requests.get(resource).map(|quantity| quantity.0.as_str())
    }
}

/// The status, and what cannot be read of it.
fn read_status(object: &Node) -> (PolicyStatus, Option<String>) {
    let Some(node) = object.get("status") else { return (PolicyStatus::default(), None) };
    let json = node.to_json();
    let mut unknown = Vec::new();
    let mut deserializer = serde_json::Deserializer::from_str(&json);
    let read = serde_ignored::deserialize(&mut deserializer, |path| {
        unknown.push(format!("status.{path}"));
    });
    let newer = "the operator in the cluster is newer";
    match read {
        Ok(status) if unknown.is_empty() => (status, None),
        Ok(status) => {
            (status, Some(format!("this program does not know {}; {newer}", unknown.join(", "))))
        }
        Err(error) => {
            let what = manifests::without_position(&error);
            (PolicyStatus::default(), Some(format!("its status cannot be read: {what}; {newer}")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: &str) -> State {
        let json = format!(
            r#"{{"kind": "SidecarPolicy", "metadata": {{"name": "log", "namespace": "shop", "generation": 2}},
                "spec": {{}}, "status": {status}}}"#
        );
        State::of(&Node::from_json(&json, 1).expect("it is JSON")).expect("it is a policy")
    }

    #[test]
    fn what_a_newer_operator_writes_is_told_and_the_rest_counts() {
        let newer = state(r#"{"pods": {"matched": 3, "sleeping": 1}, "weather": "fine"}"#);
        assert_eq!(newer.status.pods.matched, 3);
        let note = newer.note.expect("it is told");
        assert!(note.contains("does not know status.pods.sleeping, status.weather;"), "{note}");
        let other = state(r#"{"pods": "many"}"#);
        assert_eq!(other.status, PolicyStatus::default());
        assert!(other.note.is_some_and(|note| note.contains("cannot be read")));
    }

    #[test]
    fn a_rollout_stopped_by_a_word_about_the_last_change() {
        let stopped = |generation: i64| {
            state(&format!(
                r#"{{"conditions": [{{"type": "Progressing", "status": "False", "reason": "Why", "message": "so",
                    "observedGeneration": {generation}, "lastTransitionTime": "2026-01-01T00:00:00Z"}}]}}"#
            ))
            .stopped()
        };
        assert_eq!(stopped(2).as_deref(), Some("Why: so"));
        assert_eq!(stopped(1), None);
    }
}
