//! What holds of every pod and every set of policies, looked at from outside: the corpus, the
//! property tests and the fuzzer all ask [`check`].

pub(crate) mod between_calls;
pub(crate) mod document;
mod kept;
mod operations;

use std::{collections::BTreeMap, sync::Arc};

use inject::{Exclusions, Namespace, Pod, Policy, PolicySet, Request, inject};
use serde_json::Value;

use document::Document;

/// What a test looks at of an outcome.
#[derive(Debug, PartialEq)]
pub(crate) struct Seen {
    /// The patch, as it goes over the wire.
    pub(crate) patch: String,
    /// What the creator of the pod is told.
    pub(crate) warnings: Vec<String>,
    /// Why the pod is refused.
    pub(crate) denied: Option<String>,
    /// Policy, stable word of the reason, and the reason in words.
    pub(crate) decisions: Vec<(String, &'static str, String)>,
}

/// The namespace of all pods that are looked at.
pub(crate) fn shop() -> Namespace {
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    Namespace {
        name: "shop".to_owned(),
        labels: [label("kubernetes.io/metadata.name", "shop"), label("team", "blue")].into(),
        annotations: BTreeMap::new(),
    }
}

/// Injects policies, inserted in the order given, into the text of a pod; `None` where the text is
/// no pod at all.
pub(crate) fn run(text: &str, namespace: &Namespace, policies: &[Arc<Policy>]) -> Option<Seen> {
    let mut set = PolicySet::default();
    for policy in policies {
        set.insert(Arc::clone(policy));
    }
    let exclusions = Exclusions::new("sidecar-policy-system", &[]);
    let request = Request { namespace, exclusions: &exclusions, requester_is_node: false, uid: "" };
    let pod: Pod<'_> = inject::read(text).ok()?;
    let outcome = inject(&pod, &request, &set);
    let mut patch = String::new();
    outcome.edits.write(&mut patch);
    let decisions = outcome.decisions.iter().map(|decision| {
        let reason = &decision.reason;
        (decision.policy.id.to_string(), reason.as_str(), reason.to_string())
    });
    Some(Seen {
        patch,
        decisions: decisions.collect(),
        warnings: outcome.warnings,
        denied: outcome.denied,
    })
}

/// A pod that was decided on, with all laws upheld.
pub(crate) struct Checked {
    /// What the first call said.
    pub(crate) seen: Seen,
    /// The pod with the patch applied, every literal as it was written.
    pub(crate) patched: Document,
}

/// The pod that a patch makes of this one; the error says which law of patches it breaks.
pub(crate) fn apply(text: &str, patch: &str) -> Result<Document, String> {
    let original = Document::parse(text)?;
    let mut patched = original.clone();
    operations::apply(&mut patched, patch)
        .and_then(|()| kept::check(&original, &patched))
        .map_err(|broken| format!("{broken}\nin {patch}"))?;
    another_implementation_agrees(text, patch, &patched)?;
    Ok(patched)
}

/// Holds every law to a pod; the error says which one is broken, and how. `None`: not a pod.
pub(crate) fn check(
    text: &str,
    namespace: &Namespace,
    policies: &[Arc<Policy>],
) -> Result<Option<Checked>, String> {
    let Some(seen) = run(text, namespace, policies) else { return Ok(None) };
    the_order_of_policies_does_not_count(text, namespace, policies, &seen)?;
    let patched = apply(text, &seen.patch)?;
    if (seen.denied.is_some() || nothing_goes_in(&seen)) && touches_spec(&seen.patch) {
        return Err(format!("nothing goes in, and yet the spec changes: {}", seen.patch));
    }
    if seen.denied.is_some() && seen.patch != "[]" {
        return Err(format!("denied, and yet patched: {}", seen.patch));
    }
    applying_twice_is_applying_once(&patched, namespace, policies, &seen)?;
    Ok(Some(Checked { seen, patched }))
}

fn the_order_of_policies_does_not_count(
    text: &str,
    namespace: &Namespace,
    policies: &[Arc<Policy>],
    seen: &Seen,
) -> Result<(), String> {
    let mut order = policies.to_vec();
    order.reverse();
    for rotation in [0, 1, policies.len() / 2] {
        order.rotate_left(rotation.min(policies.len()));
        let other = run(text, namespace, &order);
        if other.as_ref() != Some(seen) {
            return Err(format!("in another order of policies: {other:#?}\nand not {seen:#?}"));
        }
    }
    Ok(())
}

fn another_implementation_agrees(
    text: &str,
    patch: &str,
    patched: &Document,
) -> Result<(), String> {
    // Deeper than serde_json reads; then there is only one implementation.
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return Ok(()) };
    let operations: json_patch::Patch = serde_json::from_str(patch)
        .map_err(|error| format!("not a JSON patch: {error}: {patch}"))?;
    json_patch::patch(&mut value, &operations)
        .map_err(|error| format!("the patch does not apply: {error}: {patch}"))?;
    if serde_json::from_str::<Value>(&patched.to_string()).ok() == Some(value) {
        Ok(())
    } else {
        Err(format!("two implementations of RFC 6902 differ about {patch}"))
    }
}

fn nothing_goes_in(seen: &Seen) -> bool {
    seen.decisions.iter().all(|(_, reason, _)| *reason != "Injected")
}

fn touches_spec(patch: &str) -> bool {
    patch.contains(r#""path":"/spec"#)
}

fn applying_twice_is_applying_once(
    patched: &Document,
    namespace: &Namespace,
    policies: &[Arc<Policy>],
    first: &Seen,
) -> Result<(), String> {
    let text = patched.to_string();
    let Some(second) = run(&text, namespace, policies) else {
        return Err(format!("the result is no pod any more: {text}"));
    };
    if second.patch != "[]" {
        return Err(format!("{}\nand in the second call {}", first.patch, second.patch));
    }
    if second.denied.is_some() != first.denied.is_some() {
        return Err(format!("{:?}, and in the second call {:?}", first.denied, second.denied));
    }
    for ((policy, before, _), (other, after, _)) in first.decisions.iter().zip(&second.decisions) {
        let goes_in = |reason: &str| matches!(reason, "Injected" | "AlreadyInjected");
        let stays = match *before {
            _ if first.denied.is_some() => true,
            "Injected" | "AlreadyInjected" => *after == "AlreadyInjected",
            _ => !goes_in(after),
        };
        if policy != other || !stays {
            return Err(format!("{policy} is {before}, and in the second call {other} is {after}"));
        }
    }
    if first.decisions.len() == second.decisions.len() {
        Ok(())
    } else {
        Err("the second call decides on other policies".to_owned())
    }
}
