//! The answer for scripts.

use std::io::{self, Write};

use serde::Serialize;

use super::{AboutPolicy, Answer, Counts, Running};
use crate::{
    live::Standing,
    output::{Structured, write_structured},
};

pub(super) fn write(
    answers: &[Answer<'_>],
    form: Structured,
    out: &mut dyn Write,
) -> io::Result<()> {
    let objects = answers.iter().map(|answer| ObjectExplanation {
        kind: &answer.report.object.kind,
        namespace: answer.report.object.namespace.as_deref(),
        name: &answer.report.object.name,
        policies: answer.policies.iter().map(PolicyExplanation::of).collect(),
        warnings: &answer.report.warnings,
        denied: answer.report.denied.as_deref(),
        unreadable: answer.report.unreadable.as_deref(),
    });
    write_structured(&Explanation { objects: objects.collect() }, form, out)
}

#[derive(Serialize)]
struct Explanation<'a> {
    objects: Vec<ObjectExplanation<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ObjectExplanation<'a> {
    kind: &'a str,
    namespace: Option<&'a str>,
    name: &'a str,
    policies: Vec<PolicyExplanation<'a>>,
    warnings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unreadable: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PolicyExplanation<'a> {
    kind: &'static str,
    policy: String,
    /// Whether pods have it: the pod asked about, or else the next ones; absent if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    injected: Option<bool>,
    /// A stable word for what is decided now.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    message: String,
    containers: Vec<ContainerExplanation<'a>>,
    /// What the app keeps of its own.
    kept: Vec<String>,
    notes: Vec<String>,
    /// How the pod asked about stands to the policy, or why nothing is decided about it: a stable word.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// The revision that the pod asked about has.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<&'a str>,
    /// The revision that the policy is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    current_revision: Option<&'a str>,
    /// The revision that a partition keeps a part of the pods at.
    #[serde(skip_serializing_if = "Option::is_none")]
    kept_back: Option<&'a str>,
    /// What changed in the policy since that revision.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changes: Vec<String>,
    /// The running pods of the workload asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pods: Option<&'a Counts>,
    /// Why the operator does not promise that the next pod gets it.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_ready: Option<&'a str>,
}

#[derive(Serialize)]
struct ContainerExplanation<'a> {
    name: &'a str,
    list: &'static str,
}

impl<'a> PolicyExplanation<'a> {
    fn of(about: &'a AboutPolicy<'a>) -> Self {
        let AboutPolicy { policy, now, kept_back, not_ready, running, .. } = about;
        let (now, absence) = (now.as_ref().ok(), now.as_ref().err());
        let (kept, notes): (Vec<_>, Vec<_>) =
            now.iter().flat_map(|decided| &decided.notices).partition(|notice| notice.is_kept());
        let texts =
            |notices: Vec<&inject::Notice>| notices.iter().map(ToString::to_string).collect();
        let containers = now.iter().flat_map(|decided| &decided.containers);
        let (standing, changes) = match running {
            Running::Pod { standing, changes, .. } => (Some(standing), *changes),
            _ => (None, &[][..]),
        };
        let of_decision = || match (now, absence) {
            (Some(decided), _) => Some(decided.reason.to_string()),
            (None, absence) => absence.map(ToString::to_string),
        };
        let of_absence = || absence.map(|absence| absence.as_str());
        let is_cluster = !matches!(running, Running::Unknown);
        Self {
            kind: policy.kind(),
            policy: policy.to_string(),
            injected: about.is_injected(),
            reason: now.map(|decided| decided.reason.as_str()),
            message: standing.map(ToString::to_string).or_else(of_decision).unwrap_or_default(),
            containers: containers
                .map(|(name, list)| ContainerExplanation { name, list: list.field() })
                .collect(),
            kept: texts(kept),
            notes: texts(notes),
            state: standing.map(Standing::as_str).or_else(of_absence),
            revision: standing.and_then(Standing::revision),
            current_revision: now.filter(|_| is_cluster).map(|decided| decided.revision.as_str()),
            kept_back: *kept_back,
            changes: changes.iter().map(ToString::to_string).collect(),
            pods: match running {
                Running::Pods(counts) => Some(counts),
                _ => None,
            },
            not_ready: not_ready.as_deref(),
        }
    }
}
