//! Reviews of our own two kinds: a policy that does not compile is refused when it is written.

use crds::PolicySpec;
use inject::{PolicyId, compile};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    admission::{Reviewed, answered},
    answer::Answer,
    review::{self, Request, ReviewError},
};

/// HTTP status code of an object that is well-formed and wrong.
const UNPROCESSABLE: u16 = 422;

#[derive(Deserialize)]
struct Policy<'a> {
    metadata: Metadata,
    #[serde(borrow, default)]
    spec: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    name: String,
    #[serde(default)]
    uid: String,
    #[serde(default)]
    generation: i64,
    #[serde(default)]
    deletion_timestamp: Option<String>,
}

/// Reviews a policy that is written.
pub(crate) fn review_policy(body: &str) -> Result<Reviewed, ReviewError> {
    let request: Request<'_, Policy<'_>> = review::read(body)?;
    let answer = match &request.object {
        Some(policy) if is_to_be_checked(&request, policy) => check(&request, policy),
        _ => Answer::allowed(),
    };
    Ok(answered(request.uid.as_str(), answer))
}

/// A policy that is going, or whose spec stays, is not held back: a version that demands more must
/// not stop anybody from labelling or deleting what an earlier one accepted.
fn is_to_be_checked(request: &Request<'_, Policy<'_>>, policy: &Policy<'_>) -> bool {
    let spec_stays = || {
        let before = request.old_object.as_ref().and_then(|old| old.spec);
        before.is_some() && before.map(RawValue::get) == policy.spec.map(RawValue::get)
    };
    matches!(request.operation.as_str(), "CREATE" | "UPDATE")
        && policy.metadata.deletion_timestamp.is_none()
        && !spec_stays()
}

fn check(request: &Request<'_, Policy<'_>>, policy: &Policy<'_>) -> Answer {
    let metadata = &policy.metadata;
    let spec: PolicySpec = match policy.spec.map(|raw| serde_json::from_str(raw.get())) {
        Some(Ok(spec)) => spec,
        Some(Err(error)) => return Answer::refused(UNPROCESSABLE, format!("spec: {error}")),
        None => return Answer::refused(UNPROCESSABLE, "spec: is missing".to_owned()),
    };
    let id = match request.namespace() {
        "" => PolicyId::cluster(&metadata.name),
        namespace => PolicyId::namespaced(namespace, &metadata.name),
    };
    match compile(id, &metadata.uid, metadata.generation, &spec) {
        Ok(_) => Answer::allowed(),
        Err(invalid) => Answer::refused(UNPROCESSABLE, invalid.to_string()),
    }
}
