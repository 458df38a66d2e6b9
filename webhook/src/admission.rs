//! What is answered to the reviews of pods and workloads. No I/O: a body and a snapshot in, an
//! answer out; `inject` decides.

use std::{fmt::Write as _, mem};

use crate::{
    answer::Answer,
    cache::Snapshot,
    review::{self, Request, ReviewError},
    review_span,
};
use crds::{FailurePolicy, keys};
use inject::{
    Decision, Exclusions, Operation, Outcome, Pod, Reason, Workload, WorkloadKind, carry, inject,
};

/// Bytes that most patches fit into.
const PATCH_CAPACITY: usize = 2048;

/// What came of a review. Borrows policies of the snapshot.
#[derive(Debug)]
pub enum Reviewed<'s> {
    /// The answer, as the body of the response.
    Answered {
        /// The `AdmissionReview`.
        body: Vec<u8>,
        /// How it ended, for the metrics.
        result: ReviewResult,
        /// What was decided about each policy that selects the pod, for the metrics.
        decisions: Vec<Decision<'s>>,
    },
    /// The snapshot does not know the namespace yet.
    UnknownNamespace(String),
}

/// How a review ended, as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReviewResult {
    /// Allowed as it is.
    Allowed,
    /// Allowed with a patch.
    Patched,
    /// Refused.
    Denied,
    /// The review could not be decided.
    Failed,
}

impl ReviewResult {
    /// The word for it in metrics, logs and spans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::Patched => "patched",
            Self::Denied => "denied",
            Self::Failed => "failed",
        }
    }
}

/// Reviews a pod.
pub fn review_pod<'s>(
    body: &str,
    snapshot: &'s Snapshot,
    exclusions: &Exclusions,
) -> Result<Reviewed<'s>, ReviewError> {
    let request: Request<'_, Pod<'_>> = match review::read(body) {
        Ok(request) => request,
        Err(error) => return unreadable_object(body, error),
    };
    let name = request.namespace();
    if request.operation.as_str() != "CREATE" || name.is_empty() || exclusions.contains(name) {
        return Ok(answered(request.uid.as_str(), Answer::allowed()));
    }
    let Some(pod) = &request.object else {
        return Ok(answered(request.uid.as_str(), Answer::allowed()));
    };
    let Some(namespace) = snapshot.namespaces.get(name) else {
        return Ok(Reviewed::UnknownNamespace(name.to_owned()));
    };
    let facts = inject::Request {
        namespace,
        exclusions,
        requester_is_node: request.requester_is_node(),
        uid: request.uid.as_str(),
    };
    let mut outcome = inject(pod, &facts, &snapshot.policies);
    let decisions = mem::take(&mut outcome.decisions);
    let answer = pod_answer(outcome, &decisions);
    Ok(decided(request.uid.as_str(), answer, decisions))
}

/// Reviews a workload.
pub fn review_workload(
    body: &str,
    snapshot: &Snapshot,
    exclusions: &Exclusions,
) -> Result<Reviewed<'static>, ReviewError> {
    let request: Request<'_, Workload<'_>> = match review::read(body) {
        Ok(request) => request,
        Err(error) => return unreadable_object(body, error),
    };
    let namespace = request.namespace();
    let operation = match request.operation.as_str() {
        "CREATE" => Operation::Create,
        "UPDATE" => Operation::Update(request.old_object.as_ref()),
        _ => return Ok(answered(request.uid.as_str(), Answer::allowed())),
    };
    let kind = WorkloadKind::parse(request.kind.kind.as_str());
    let (Some(kind), Some(workload)) = (kind, &request.object) else {
        return Ok(answered(request.uid.as_str(), Answer::allowed()));
    };
    if exclusions.contains(namespace) {
        return Ok(answered(request.uid.as_str(), Answer::allowed()));
    }
    let carried = carry(kind, operation, workload, namespace, &snapshot.policies);
    let mut answer = Answer { warnings: carried.warnings, ..Answer::default() };
    if !carried.edits.is_empty() {
        carried.edits.write(&mut answer.patch);
    }
    Ok(answered(request.uid.as_str(), answer))
}

/// Allows whatever is reviewed, with the hash of the webhook configuration that it came by.
pub fn echo(body: &str, hash: &str) -> Result<Vec<u8>, ReviewError> {
    let request = review::read_without_object(body)?;
    let told = Answer::warned(format!("{}: {hash}", keys::PROBE));
    Ok(told.into_review(request.uid.as_str()))
}

/// Answers a review that could not be decided, for the reason given: by the failure policies that
/// may reach the pod, as if the webhook had been away.
pub fn review_undecided(
    body: &str,
    snapshot: &Snapshot,
    exclusions: &Exclusions,
    reason: &str,
) -> Result<Reviewed<'static>, ReviewError> {
    let request = review::read_without_object(body)?;
    let name = request.namespace();
    let is_pod = request.kind.kind.as_str() == "Pod" && request.operation.as_str() == "CREATE";
    let must = || {
        snapshot.policies.iter().find(|policy| {
            let reaches = match &policy.id.namespace {
                Some(own) => own == name,
                None => snapshot
                    .namespaces
                    .get(name)
                    .is_none_or(|namespace| policy.namespace_selector.matches(&namespace.labels)),
            };
            policy.enforced && policy.failure_policy == FailurePolicy::Fail && reaches
        })
    };
    let answer = match must() {
        Some(policy) if is_pod && !exclusions.contains(name) => Answer::refused(
            500,
            format!("{reason}, and {} {} has failurePolicy: Fail", policy.id.kind(), policy.id),
        ),
        _ => Answer::warned(format!("no sidecar policy was applied: {reason}")),
    };
    let body = answer.into_review(request.uid.as_str());
    Ok(Reviewed::Answered { body, result: ReviewResult::Failed, decisions: Vec::new() })
}

/// A review whose object has parts of the wrong type is allowed: refusing it is the API server's
/// to do.
fn unreadable_object(body: &str, error: ReviewError) -> Result<Reviewed<'static>, ReviewError> {
    if !matches!(error, ReviewError::Json(_)) {
        return Err(error);
    }
    let Ok(request) = review::read_without_object(body) else { return Err(error) };
    let answer = Answer::warned(format!(
        "no sidecar policy was applied: the object cannot be read: {error}"
    ));
    let body = answer.into_review(request.uid.as_str());
    Ok(Reviewed::Answered { body, result: ReviewResult::Failed, decisions: Vec::new() })
}

pub(crate) fn answered(uid: &str, answer: Answer) -> Reviewed<'static> {
    decided(uid, answer, Vec::new())
}

fn decided<'s>(uid: &str, answer: Answer, decisions: Vec<Decision<'s>>) -> Reviewed<'s> {
    let result = match (&answer.refusal, answer.patch.is_empty()) {
        (Some(_), _) => ReviewResult::Denied,
        (None, false) => ReviewResult::Patched,
        (None, true) => ReviewResult::Allowed,
    };
    Reviewed::Answered { body: answer.into_review(uid), result, decisions }
}

fn pod_answer(outcome: Outcome<'_>, decisions: &[Decision<'_>]) -> Answer {
    let mut answer = match outcome.denied {
        Some(message) => Answer::refused(403, message),
        None => Answer::allowed(),
    };
    if !outcome.edits.is_empty() {
        answer.patch.reserve(PATCH_CAPACITY);
        outcome.edits.write(&mut answer.patch);
    }
    answer.warnings = outcome.warnings;
    if !decisions.is_empty() {
        answer.audit = audit(decisions);
        review_span::decided(&answer.audit);
    }
    answer
}

/// Names policies and revisions in the audit log.
fn audit(decisions: &[Decision<'_>]) -> Vec<(&'static str, String)> {
    let (mut injected, mut others) = (String::new(), String::new());
    for Decision { policy, reason, .. } in decisions {
        let (list, word) = match reason {
            Reason::Injected | Reason::AlreadyInjected => (&mut injected, policy.revision.as_str()),
            other => (&mut others, other.as_str()),
        };
        let comma = if list.is_empty() { "" } else { "," };
        // Writing to a string cannot fail.
        let _ = write!(list, "{comma}{}={word}", policy.id);
    }
    [("injected", injected), ("not-injected", others)]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .collect()
}
