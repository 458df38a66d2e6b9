//! The conditions of a policy. Pure: what is known of it in, conditions out.

use std::borrow::Cow;

use inject::{Clash, PolicyId};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{
    clashes::{Clashing, OfNamespaces, Other},
    dry_run::Verdict,
    serving::{Coverage, Kept},
};
use crate::{rollout::Progress, shorten::shortened, webhook_config::Doubt};

/// Longest message that the API server takes, in bytes.
const MESSAGE_LENGTH: usize = 32_768;
/// The reason why nothing is known yet of a policy that compiles.
const DRY_RUN_PENDING: &str = "DryRunPending";

/// What is known of a policy.
pub(super) struct Facts<'f> {
    /// Which policy.
    pub(super) id: &'f PolicyId,
    /// Its generation.
    pub(super) generation: i64,
    /// Whether it can be carried out.
    pub(super) acceptance: &'f Acceptance,
    /// The policies that it clashes with.
    pub(super) clashing: &'f Clashing,
    /// What the API server thinks of it.
    pub(super) dry_run: &'f Verdict,
    /// Which webhook replicas serve this generation.
    pub(super) coverage: Coverage,
    /// Whether the webhook configurations stand for it.
    pub(super) configuration: Configuration,
    /// Whether this operator has only begun to look at webhook and configurations.
    pub(super) only_begun: bool,
    /// How far its rollout is.
    pub(super) progress: Progress,
}

/// Whether a policy can be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Acceptance {
    /// It compiles. Whether it clashes with another is no matter of its own.
    Accepted,
    /// It does not compile; every problem, for people.
    Invalid(String),
    /// Its namespace is excluded from injection.
    NamespaceExcluded,
}

/// Whether the webhook configurations stand for a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Configuration {
    /// They do.
    Applied {
        /// Its `Fail` entry covers more pods than it selects.
        merged: bool,
    },
    /// They do not, or not yet; why, for people.
    Pending(String),
    /// They do, and the API server was not seen to call by them; why not, for people.
    NotSeen(Doubt),
}

/// The conditions of a policy. A transition time changes only with the status.
pub(super) fn conditions(
    facts: &Facts<'_>,
    previous: &[Condition],
    now: Timestamp,
) -> Vec<Condition> {
    let accepted = accepted(facts, previous);
    let ready = ready(facts, &accepted, previous);
    let found = [("Accepted", accepted), ("Progressing", progressing(facts)), ("Ready", ready)];
    found
        .into_iter()
        .map(|(kind, finding)| {
            let status = finding.status;
            let unchanged = previous
                .iter()
                .find(|before| before.type_ == kind && before.status == status)
                .map(|before| before.last_transition_time.clone());
            Condition {
                type_: kind.to_owned(),
                status: status.to_owned(),
                reason: finding.reason.into_owned(),
                message: bounded(finding.message),
                observed_generation: Some(facts.generation),
                last_transition_time: unchanged.unwrap_or(Time(now)),
            }
        })
        .collect()
}

struct Finding {
    status: &'static str,
    reason: Cow<'static, str>,
    message: String,
}

fn finding(holds: bool, reason: &'static str, message: impl Into<String>) -> Finding {
    let status = if holds { "True" } else { "False" };
    Finding { status, reason: reason.into(), message: message.into() }
}

fn unknown(reason: &'static str, message: String) -> Finding {
    Finding { status: "Unknown", reason: reason.into(), message }
}

fn accepted(facts: &Facts<'_>, previous: &[Condition]) -> Finding {
    match facts.acceptance {
        Acceptance::Accepted => match facts.dry_run {
            Verdict::UnknownField(fields) => finding(
                false,
                "UnknownField",
                format!(
                    "the API server does not know a field, and drops it from pods: {fields}; correct it, or take it out"
                ),
            ),
            Verdict::Refused(why) => finding(
                false,
                "RefusedByAPIServer",
                format!("the API server refuses pods with what the policy puts in: {why}"),
            ),
            _ if !facts.clashing.gives_way.is_empty() => {
                finding(false, "Clash", clashes(facts.clashing))
            }
            Verdict::Pending => before_the_dry_run(facts, previous),
            Verdict::Unanswered(why) => unknown(
                "DryRunFailed",
                format!(
                    "the policy compiles, but the API server could not be asked about it, and is asked again: {why}"
                ),
            ),
            Verdict::NoSample(why) => finding(
                true,
                "Valid",
                format!(
                    "{}; the API server was not asked about it, because no pod can be made up for it: {why}",
                    compiles(facts.clashing)
                ),
            ),
            Verdict::Agrees { pod_security: None } => {
                finding(true, "Valid", compiles(facts.clashing))
            }
            Verdict::Agrees { pod_security: Some(said) } => finding(
                true,
                "Valid",
                format!(
                    "{}; in namespaces that enforce Pod Security level restricted it is left out, unless the pod itself settles this: {said}",
                    compiles(facts.clashing)
                ),
            ),
        },
        Acceptance::Invalid(problems) => finding(false, "Invalid", problems.clone()),
        Acceptance::NamespaceExcluded => finding(
            false,
            "NamespaceExcluded",
            format!(
                "namespace {} is excluded from injection; move the policy, or change excludedNamespaces of the chart",
                facts.id.namespace.as_deref().unwrap_or_default()
            ),
        ),
    }
}

/// What was found of this generation by an operator before this one stands until there is an answer.
fn before_the_dry_run(facts: &Facts<'_>, previous: &[Condition]) -> Finding {
    let before = previous.iter().find(|before| {
        before.type_ == "Accepted"
            && before.observed_generation == Some(facts.generation)
            && matches!(before.reason.as_str(), "Valid" | "UnknownField" | "RefusedByAPIServer")
    });
    match before {
        Some(before) => Finding {
            status: if before.status == "True" { "True" } else { "False" },
            reason: before.reason.clone().into(),
            message: before.message.clone(),
        },
        None => unknown(
            DRY_RUN_PENDING,
            "the policy compiles; the API server is being asked about it".to_owned(),
        ),
    }
}

/// That nothing is wrong with a policy, and which policies clash with it, or how many.
fn compiles(clashing: &Clashing) -> String {
    let others = clashing.others.iter().map(|Other { id, goes_before }| {
        let end = if *goes_before { "goes before it, by its priority" } else { "gives way" };
        format!("; {} {id} clashes with it and {end}", id.kind())
    });
    let more = if clashing.more { "; so do others" } else { "" };
    let of_namespaces = of_namespaces(clashing.of_namespaces);
    format!("the policy compiles{}{more}{of_namespaces}", others.collect::<String>())
}

fn of_namespaces(OfNamespaces { give_way, go_before }: OfNamespaces) -> String {
    let told = |count: usize, one: &str, many: &str| match count {
        0 => String::new(),
        1 => format!("; 1 SidecarPolicy of a namespace clashes with it and {one}"),
        _ => format!("; {count} SidecarPolicies of namespaces clash with it and {many}"),
    };
    if give_way + go_before == 0 {
        return String::new();
    }
    format!(
        "{}{}; each says so in its own status",
        told(give_way, "gives way", "give way"),
        told(go_before, "goes before it, by its priority", "go before it, by their priority")
    )
}

/// What a policy that gives way clashes with.
fn clashes(clashing: &Clashing) -> String {
    let clashes = clashing.gives_way.iter().map(Clash::to_string);
    clashes.collect::<Vec<_>>().join("; ")
}

/// What a policy does goes on if it gives way: most pods may be reached by no other.
fn progressing(facts: &Facts<'_>) -> Finding {
    let Progress { holds, reason, message } = match facts.acceptance {
        Acceptance::Accepted => facts.progress.clone(),
        _ => Progress::not_accepted(),
    };
    finding(holds, reason, message)
}

/// `Ready` is a promise: the next matching pod gets this generation. Some pods do not get a policy that
/// gives way to another. An API server that cannot be asked about the policy takes nothing away; one that
/// is being asked is waited for, so that the promise is not taken back.
fn ready(facts: &Facts<'_>, accepted: &Finding, previous: &[Condition]) -> Finding {
    if accepted.status == "False" || accepted.reason == DRY_RUN_PENDING {
        return finding(false, "NotAccepted", "see the condition Accepted");
    }
    if facts.only_begun
        && let Some(kept) = kept_from_before(facts, previous)
    {
        return kept;
    }
    if let Configuration::Pending(why) = &facts.configuration {
        return finding(false, "WebhookNotConfigured", why.clone());
    }
    let served = served(&facts.coverage);
    if let Err(why) = served {
        return finding(false, "WebhookNotServing", why);
    }
    if let Configuration::NotSeen(doubt) = &facts.configuration {
        return not_seen(doubt);
    }
    let note = match facts.configuration {
        Configuration::Applied { merged: true } => {
            "; there are so many policies with failurePolicy Fail that its entry in the webhook configuration was merged with others and covers every pod of the namespaces concerned"
        }
        _ => "",
    };
    finding(true, "Serving", format!("{}{note}", served.unwrap_or_default()))
}

/// What the operator before this one promised for this generation.
fn kept_from_before(facts: &Facts<'_>, previous: &[Condition]) -> Option<Finding> {
    let before = previous.iter().find(|before| {
        before.type_ == "Ready"
            && before.status == "True"
            && before.observed_generation == Some(facts.generation)
    })?;
    Some(Finding {
        status: "True",
        reason: before.reason.clone().into(),
        message: before.message.clone(),
    })
}

/// What the webhook replicas serve; the error says what is missing.
fn served(coverage: &Coverage) -> Result<String, String> {
    let Coverage { serving, endpoints, problem, kept } = coverage;
    if *endpoints == 0 {
        return Err(
            "no webhook replica is ready; look at the pods of the webhook's Deployment".to_owned()
        );
    }
    let what = match kept {
        Some(Kept::At(revision)) => {
            format!(
                "this generation, and revision {revision} for the share of new pods that spec.rollout.partition keeps at it"
            )
        }
        Some(Kept::Lost(revision)) => {
            format!(
                "this generation; the content of revision {revision} is not stored, so spec.rollout.partition cannot keep new pods at it and they get the current one"
            )
        }
        Some(Kept::Unusable(revision, why)) => {
            format!(
                "this generation; revision {revision} cannot go into pods any more ({why}), so spec.rollout.partition cannot keep new pods at it and they get the current one"
            )
        }
        None => "this generation".to_owned(),
    };
    let told = format!("{serving} of {endpoints} webhook replicas serve {what}");
    if serving == endpoints {
        return Ok(told);
    }
    let problem = problem.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
    Err(format!("{told}{problem}"))
}

fn not_seen(doubt: &Doubt) -> Finding {
    const REASON: &str = "WebhookConfigurationNotSeen";
    match doubt {
        Doubt::NotCalled(why) => finding(
            false,
            REASON,
            format!("the API server does not call the webhook by its current configuration: {why}"),
        ),
        Doubt::NotAsked(why) => unknown(
            REASON,
            format!(
                "the API server could not be asked whether it calls the webhook by its current configuration, and is asked again: {why}"
            ),
        ),
    }
}

fn bounded(mut message: String) -> String {
    if message.len() > MESSAGE_LENGTH {
        message.truncate(shortened(&message, MESSAGE_LENGTH - 3).len());
        message.push_str("...");
    }
    message
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
