//! CEL match conditions of the webhook configurations, from fixed templates.
//!
//! They use `object`, `oldObject` and `request` only, and guard every access: an error in a condition of an
//! `Ignore` entry silently skips the call. `oldObject` is null on CREATE.

use crds::keys;
use k8s_openapi::api::admissionregistration::v1::MatchCondition;

/// Workloads that have, or had, one of our annotations, on themselves or in their pod template, and that
/// no controller owns.
pub(super) fn workloads() -> Vec<MatchCondition> {
    vec![
        condition("no-controller-owner", NO_CONTROLLER_OWNER.to_owned()),
        condition("has-our-annotations", has_our_annotations()),
    ]
}

/// Dry runs: nothing that is stored ever waits for a probe.
pub(super) fn probe() -> Vec<MatchCondition> {
    vec![condition("dry-run", "has(request.dryRun) && request.dryRun".to_owned())]
}

/// A controller copies annotations to what it owns; carrying them there never ends.
const NO_CONTROLLER_OWNER: &str = "object != null && !(has(object.metadata) && \
has(object.metadata.ownerReferences) && \
object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller == true))";

/// Also the old object counts: an annotation that was removed has to be carried out again. In a pod
/// template they are only looked at, so that a wrong one is told of.
fn has_our_annotations() -> String {
    let places: [(&str, &[&str]); 4] = [
        ("object", &["metadata"]),
        ("oldObject", &["metadata"]),
        ("object", &["spec", "template", "metadata"]),
        ("object", &["spec", "jobTemplate", "spec", "template", "metadata"]),
    ];
    places.map(|(variable, parents)| has_ours(variable, parents)).join(" || ")
}

/// Whether one of our annotations is there, with every parent asked about first.
fn has_ours(variable: &str, parents: &[&str]) -> String {
    let exact = [keys::INJECT, keys::SKIP, keys::CARRIED];
    let prefixes = [keys::PARAMETER_PREFIX, keys::CLUSTER_PARAMETER_PREFIX];
    let ours = exact
        .iter()
        .map(|key| format!("k == '{key}'"))
        .chain(prefixes.iter().map(|prefix| format!("k.startsWith('{prefix}')")))
        .collect::<Vec<_>>()
        .join(" || ");
    let mut path = variable.to_owned();
    let mut guards = vec![format!("{variable} != null")];
    for field in parents.iter().chain(&["annotations"]) {
        path = format!("{path}.{field}");
        guards.push(format!("has({path})"));
    }
    format!("({} && {path}.exists(k, {ours}))", guards.join(" && "))
}

fn condition(name: &str, expression: String) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression }
}

#[cfg(test)]
#[path = "match_conditions_tests.rs"]
mod tests;
