//! What an answer of the API server means. Pure.

use kube::core::Status;

use super::{Question, Verdict};

/// What stands before the unknown fields of a message.
const STRICT: &str = "strict decoding error: ";
/// What stands before what cannot be read.
const UNREADABLE: &str = "cannot be handled as a PodTemplate: ";
/// What stands before the words of Pod Security.
const POD_SECURITY: &str = "would violate PodSecurity ";

/// What an answer means; the error says why it is none.
pub(super) fn verdict(
    question: &Question,
    status: u16,
    warnings: &[String],
    body: &[u8],
) -> Result<Verdict, String> {
    if (200..300).contains(&status) {
        return Ok(Verdict::Agrees { pod_security: pod_security(warnings) });
    }
    let answer: Status = serde_json::from_slice(body)
        .map_err(|_| format!("the API server answered with HTTP status {status}"))?;
    let message = &answer.message;
    if status == 400
        && let Some((_, found)) = message.split_once(STRICT)
    {
        let found = question.in_terms_of_the_policy(found);
        return Ok(if found.contains("unknown field") {
            Verdict::UnknownField(found)
        } else {
            Verdict::Refused(found)
        });
    }
    if status == 400
        && let Some((_, why)) = message.split_once(UNREADABLE)
    {
        return Ok(Verdict::Refused(question.in_terms_of_the_policy(why)));
    }
    // An admission policy may refuse with the same code, but names no field.
    let causes = answer.details.iter().flat_map(|details| &details.causes);
    let problems: Vec<String> = causes
        .filter(|cause| cause.field.starts_with("template."))
        .map(|cause| format!("{}: {}", cause.field, cause.message))
        .collect();
    if status == 422 && !problems.is_empty() {
        return Ok(Verdict::Refused(question.in_terms_of_the_policy(&problems.join("; "))));
    }
    Err(if message.is_empty() { format!("HTTP status {status}") } else { message.clone() })
}

/// What Pod Security says, without the level.
fn pod_security(warnings: &[String]) -> Option<String> {
    let said = warnings.iter().find_map(|warning| warning.strip_prefix(POD_SECURITY))?;
    Some(said.split_once(": ").map_or(said, |(_, words)| words).to_owned())
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
