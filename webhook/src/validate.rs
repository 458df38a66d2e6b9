//! Reviews of our own two kinds: a policy that does not compile is refused when it is written.

use crds::PolicySpec;
use inject::{Advice, Invalid, PolicyId, Problem, Raw, advice, compile, unknown_fields};
use serde::Deserialize;

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
    spec: Option<Raw<'a>>,
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
pub(crate) fn review_policy(body: &str) -> Result<Reviewed<'static>, ReviewError> {
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
        before.is_some() && before.map(Raw::get) == policy.spec.map(Raw::get)
    };
    matches!(request.operation.as_str(), "CREATE" | "UPDATE")
        && policy.metadata.deletion_timestamp.is_none()
        && !spec_stays()
}

fn check(request: &Request<'_, Policy<'_>>, policy: &Policy<'_>) -> Answer {
    let metadata = &policy.metadata;
    let id = match request.namespace() {
        "" => PolicyId::cluster(&metadata.name),
        namespace => PolicyId::namespaced(namespace, &metadata.name),
    };
    let refused = |problems: String| {
        Answer::refused(UNPROCESSABLE, format!("{} {id} cannot work:\n{problems}", id.kind()))
    };
    let spec = match read_spec(policy) {
        Ok(spec) => spec,
        Err(problem) => return refused(problem.to_string()),
    };
    match compile(id.clone(), &metadata.uid, metadata.generation, &spec) {
        Ok(_) => Answer { warnings: warnings(&spec), ..Answer::allowed() },
        Err(Invalid { problems }) => {
            refused(problems.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n"))
        }
    }
}

/// What is accepted and may not be what was meant.
fn warnings(spec: &PolicySpec) -> Vec<String> {
    let unknown = unknown_fields(spec).into_iter().map(|path| {
        format!("{path}: this version knows no such field; it goes into pods as it is")
    });
    unknown.chain(advice(spec).iter().map(Advice::to_string)).collect()
}

fn read_spec(policy: &Policy<'_>) -> Result<PolicySpec, Problem> {
    let Some(raw) = policy.spec else {
        return Err(Problem { path: "spec".to_owned(), message: "is missing".to_owned() });
    };
    let mut deserializer = serde_json::Deserializer::from_str(raw.get());
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let inside = error.path().to_string();
        let path = if inside == "." { "spec".to_owned() } else { format!("spec.{inside}") };
        let message = error.into_inner().to_string();
        // The position in the JSON of the request tells nobody anything.
        let message = message.split(" at line ").next().unwrap_or_default().to_owned();
        Problem { path, message }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Reviewed, review_policy};

    fn response(spec: &Value) -> Value {
        let policy = json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
        let request =
            json!({"uid": "1", "operation": "CREATE", "namespace": "shop", "object": policy});
        let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request});
        let Reviewed::Answered { body, .. } = review_policy(&review.to_string()).unwrap() else {
            panic!("a policy needs no namespace");
        };
        let answer: Value = serde_json::from_slice(&body).unwrap();
        answer["response"].clone()
    }

    #[test]
    fn an_accepted_policy_is_warned_of_what_may_hurt() {
        let amounts = json!({"cpu": "10m", "memory": "32Mi"});
        let mut spec = json!({"sidecars": [{"name": "side", "image": "s",
            "resources": {"requests": amounts, "limits": amounts}, "newer": 1}]});
        let answer = response(&spec);
        assert_eq!(answer["allowed"], true);
        assert_eq!(
            answer["warnings"],
            json!([
                "spec.sidecars[0].newer: this version knows no such field; it goes into pods as it is",
                "spec.sidecars[0].image: an image without a tag is the latest of the day the node pulled it; name a version or a digest (image-tag-latest)",
            ])
        );
        spec["sidecars"][0]["image"] = json!("s:1");
        spec["sidecars"][0].as_object_mut().unwrap().remove("newer");
        assert_eq!(response(&spec)["warnings"], Value::Null);
    }

    #[test]
    fn a_refused_policy_is_told_what_is_wrong_and_nothing_else() {
        let answer = response(&json!({"sidecars": [{"name": "Side", "image": "s"}]}));
        assert_eq!(answer["allowed"], false);
        assert_eq!(answer["warnings"], Value::Null);
    }
}
