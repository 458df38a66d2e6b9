//! `Fail` entries that the API server refuses. Pure: its answer in, the policies that go without out.
//!
//! One write carries the entries of all policies: a selector that we take and the API server does not
//! would keep the entries of all others out too.

use std::collections::{BTreeMap, BTreeSet};

use inject::PolicyId;
use kube::core::Status;

use super::entries::{Entries, FailScope, FailScopes};

/// What policies make of an entry; anything else that is refused is no fault of theirs.
const SELECTORS: [&str; 2] = ["namespaceSelector", "objectSelector"];

/// The policies whose `Fail` entry is left out.
#[derive(Debug, Default)]
pub(super) struct Refusals(BTreeMap<PolicyId, Refusal>);

#[derive(Debug)]
struct Refusal {
    scope: FailScope,
    /// What the API server says of it.
    words: String,
}

impl Refusals {
    /// The scopes that are not refused. Forgets the policies that ask for another scope now.
    pub(super) fn leave_out(&mut self, scopes: &FailScopes) -> FailScopes {
        self.0.retain(|id, refusal| scopes.get(id) == Some(&refusal.scope));
        let accepted = scopes.iter().filter(|(id, _)| !self.0.contains_key(*id));
        accepted.map(|(id, scope)| (id.clone(), scope.clone())).collect()
    }

    /// Takes the policies out of `scopes` whose entries the answer names. Gives those that are new.
    pub(super) fn learn(
        &mut self,
        answer: &Status,
        entries: &Entries,
        scopes: &FailScopes,
    ) -> BTreeSet<PolicyId> {
        let mut new = BTreeSet::new();
        for (position, words) in refused_entries(answer) {
            let entry = entries.mutating.get(position);
            let policies = entry.and_then(|entry| entries.fail_policies.get(&entry.name));
            for id in policies.into_iter().flatten() {
                let Some(scope) = scopes.get(id) else { continue };
                let refusal = Refusal { scope: scope.clone(), words: words.join("; ") };
                if self.0.insert(id.clone(), refusal).is_none() {
                    new.insert(id.clone());
                }
            }
        }
        new
    }

    /// What the API server says of each policy's entry.
    pub(super) fn words(&self) -> BTreeMap<PolicyId, String> {
        self.0.iter().map(|(id, refusal)| (id.clone(), refusal.words.clone())).collect()
    }
}

/// The entries whose selectors the API server refuses, by position, and what it says of them.
fn refused_entries(answer: &Status) -> BTreeMap<usize, Vec<String>> {
    let mut refused: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for cause in answer.details.iter().flat_map(|details| &details.causes) {
        let Some((position, field)) = in_selector(&cause.field) else { continue };
        refused.entry(position).or_default().push(format!("{field}: {}", cause.message));
    }
    refused
}

/// Reads `webhooks[3].objectSelector.matchLabels` as 3 and the field in that entry.
fn in_selector(path: &str) -> Option<(usize, &str)> {
    let (position, field) = path.strip_prefix("webhooks[")?.split_once("].")?;
    let (selector, _) = field.split_once('.').unwrap_or((field, ""));
    SELECTORS.contains(&selector).then_some((position.parse().ok()?, field))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
    use rstest::rstest;
    use serde_json::json;

    use super::*;
    use crate::webhook_config::entries::tests::plan_for;

    fn scope(app: &str) -> FailScope {
        let label = ("app".to_owned(), app.to_owned());
        FailScope {
            namespace_selector: LabelSelector::default(),
            pod_selector: LabelSelector {
                match_labels: Some([label].into()),
                ..Default::default()
            },
        }
    }

    fn policy(name: &str) -> PolicyId {
        PolicyId::namespaced("shop", name)
    }

    /// Two that share an entry, and one of its own.
    fn scopes() -> FailScopes {
        [("log", "api"), ("trace", "api"), ("audit", "web")]
            .map(|(name, app)| (policy(name), scope(app)))
            .into()
    }

    fn answer(fields: &[String]) -> Status {
        let cause = |field: &String| {
            json!({
                "reason": "FieldValueInvalid", "message": "Invalid value: \"?\"", "field": field,
            })
        };
        let causes: Vec<_> = fields.iter().map(cause).collect();
        let answer = json!({
            "kind": "Status", "status": "Failure", "reason": "Invalid", "code": 422,
            "details": { "name": "sidecar-policy", "causes": causes },
        });
        serde_json::from_value(answer).unwrap()
    }

    fn position(entries: &Entries, name: &str) -> usize {
        let is_of = |entry: &str| entries.fail_policies[entry].contains(&policy(name));
        let of = entries.fail_policies.keys().find(|entry| is_of(entry)).unwrap();
        entries.mutating.iter().position(|entry| entry.name == *of).unwrap()
    }

    #[rstest]
    #[case::labels("webhooks[3].objectSelector.matchLabels", Some(3))]
    #[case::values("webhooks[12].namespaceSelector.matchExpressions[0].values[0]", Some(12))]
    #[case::whole("webhooks[0].objectSelector", Some(0))]
    #[case::our_fault("webhooks[3].clientConfig.caBundle", None)]
    #[case::name("webhooks[3].name", None)]
    #[case::entry("webhooks[3]", None)]
    #[case::no_position("webhooks[x].objectSelector", None)]
    #[case::elsewhere("metadata.name", None)]
    #[case::nothing("", None)]
    fn a_path_names_an_entry(#[case] path: &str, #[case] expected: Option<usize>) {
        assert_eq!(in_selector(path).map(|(position, _)| position), expected);
    }

    #[test]
    fn the_policies_of_a_refused_entry_are_left_out_and_no_others() {
        let (scopes, mut refusals) = (scopes(), Refusals::default());
        let entries = plan_for(&refusals.leave_out(&scopes));
        let shared = position(&entries, "log");
        let refused = answer(&[
            format!("webhooks[{shared}].objectSelector.matchLabels"),
            format!("webhooks[{shared}].objectSelector.matchExpressions[0].key"),
        ]);
        let both = BTreeSet::from([policy("log"), policy("trace")]);
        assert_eq!(refusals.learn(&refused, &entries, &scopes), both);
        let words = "objectSelector.matchLabels: Invalid value: \"?\"; \
                     objectSelector.matchExpressions[0].key: Invalid value: \"?\"";
        assert_eq!(refusals.words(), both.iter().map(|id| (id.clone(), words.into())).collect());

        let rest = refusals.leave_out(&scopes);
        assert!(rest.keys().eq([&policy("audit")]));
        let entries = plan_for(&rest);
        assert_eq!(position(&entries, "audit"), 1);
        assert_eq!(entries.mutating.len(), 4);
    }

    #[test]
    fn a_refusal_that_names_no_policy_leaves_nothing_out() {
        let (scopes, mut refusals) = (scopes(), Refusals::default());
        let entries = plan_for(&scopes);
        let last = entries.mutating.len() - 1;
        let ours = position(&entries, "log");
        for field in [
            format!("webhooks[{ours}].clientConfig.caBundle"),
            "webhooks[0].namespaceSelector.matchExpressions[0].values".to_owned(),
            format!("webhooks[{last}].namespaceSelector"),
            format!("webhooks[{}].objectSelector", last + 1),
        ] {
            let new = refusals.learn(&answer(&[field]), &entries, &scopes);
            assert_eq!(new, BTreeSet::new());
        }
        assert!(refusals.learn(&Status::default(), &entries, &scopes).is_empty());
        assert_eq!(refusals.leave_out(&scopes), scopes);
    }

    #[test]
    fn a_policy_that_selects_otherwise_is_tried_again() {
        let (mut scopes, mut refusals) = (scopes(), Refusals::default());
        let entries = plan_for(&scopes);
        let refused = answer(&[format!("webhooks[{}].objectSelector", position(&entries, "log"))]);
        refusals.learn(&refused, &entries, &scopes);
        scopes.insert(policy("log"), scope("other"));
        scopes.remove(&policy("trace"));
        assert_eq!(refusals.leave_out(&scopes), scopes);
        assert_eq!(refusals.words(), BTreeMap::new());
    }
}
