//! CEL match conditions of the webhook configurations, from fixed templates.
//!
//! They use `object` and `oldObject` only, and guard every access: an error in a condition of an
//! `Ignore` entry silently skips the call. `oldObject` is null on CREATE.

use crds::keys;
use k8s_openapi::api::admissionregistration::v1::MatchCondition;

/// Workloads that carry, or carried, one of our annotations and that no controller owns.
pub(super) fn workloads() -> Vec<MatchCondition> {
    vec![
        condition("no-controller-owner", NO_CONTROLLER_OWNER.to_owned()),
        condition("has-our-annotations", has_our_annotations()),
    ]
}

/// A controller copies annotations to what it owns; carrying them there never ends.
const NO_CONTROLLER_OWNER: &str = "object != null && !(has(object.metadata) && \
has(object.metadata.ownerReferences) && \
object.metadata.ownerReferences.exists(o, has(o.controller) && o.controller == true))";

/// Also the old object counts: an annotation that was removed has to be carried out again.
fn has_our_annotations() -> String {
    let exact = [keys::INJECT, keys::SKIP, keys::CARRIED];
    let prefixes = [keys::PARAMETER_PREFIX, keys::CLUSTER_PARAMETER_PREFIX];
    let ours = exact
        .iter()
        .map(|key| format!("k == '{key}'"))
        .chain(prefixes.iter().map(|prefix| format!("k.startsWith('{prefix}')")))
        .collect::<Vec<_>>()
        .join(" || ");
    let carries = |variable: &str| {
        format!(
            "({variable} != null && has({variable}.metadata) && \
has({variable}.metadata.annotations) && {variable}.metadata.annotations.exists(k, {ours}))"
        )
    };
    format!("{} || {}", carries("object"), carries("oldObject"))
}

fn condition(name: &str, expression: String) -> MatchCondition {
    MatchCondition { name: name.to_owned(), expression }
}

#[cfg(test)]
#[path = "match_conditions_tests.rs"]
mod tests;
