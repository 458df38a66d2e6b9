//! Has what a workload lacks carried, and writes events about it.

use inject::WorkloadKind;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Api,
    api::Patch,
    runtime::events::{Event, EventType},
};
use serde_json::{Value, json};

use super::{
    missed::{self, Missed},
    repairs::{News, Outcome, What},
};
use crate::{
    context::{Context, WriteError},
    shorten::shortened,
    workload::{WatchedWorkload, resource},
};

/// Longest note that an event takes, in bytes.
const NOTE_LENGTH: usize = 1000;

/// Has the API server ask the webhook once more, by a write that changes nothing: the webhook carries what
/// was missed, as it would have then, and what it writes has no field manager. Where the API server does
/// not call it nothing changes, and no workload rolls to pods that would lack what their owner asks for.
pub(super) async fn repair(context: &Context, missed: &Missed) -> Outcome {
    let resource = resource(missed.id.kind);
    let api: Api<WatchedWorkload> =
        Api::namespaced_with(context.client.clone(), &missed.id.namespace, &resource);
    let (parameters, patch) = (Context::patch_parameters(), Patch::Merge(same(missed)));
    match context.write(api.patch(&missed.id.name, &parameters, &patch)).await {
        Ok(written) => match missed::missed(missed.id.kind, &written, &context.exclusions) {
            None => Outcome::Carried,
            Some(_) => Outcome::NotCalled,
        },
        Err(error) => outcome(&error),
    }
}

/// The version that was seen: a conflict if the workload has another one by now.
fn same(missed: &Missed) -> Value {
    json!({ "metadata": { "uid": missed.id.uid, "resourceVersion": missed.resource_version } })
}

fn outcome(error: &WriteError) -> Outcome {
    let message = error.to_string();
    match error.code() {
        Some(404 | 409) => Outcome::Outdated,
        // The words of RBAC; admission answers with the same code.
        Some(403) if message.contains("cannot patch resource") => Outcome::Forbidden(message),
        Some(400 | 403 | 413 | 422) => Outcome::Refused(message),
        _ => Outcome::Failed(message),
    }
}

/// The event about a workload, and what it is about.
pub(super) fn event(news: &News) -> (Event, ObjectReference) {
    let kind = news.id.kind.name();
    let keys = news.keys.join(", ");
    let (type_, reason, note) = match &news.what {
        What::Carried => (
            EventType::Normal,
            "AnnotationsCarried",
            format!(
                "{keys} changed on this {kind} while the webhook did not see it; the operator had it carried into the pod template{}",
                after(news.id.kind)
            ),
        ),
        What::Refused(why) => (
            EventType::Warning,
            "AnnotationsNotCarried",
            format!(
                "{keys} of this {kind} cannot be carried into its pod template; tried again later: {why}"
            ),
        ),
        What::Undone => (
            EventType::Warning,
            "AnnotationsNotCarried",
            format!(
                "{keys} of this {kind} was carried into its pod template several times today, and somebody took it out each time; write it on the pod template instead"
            ),
        ),
        What::TooLate => (
            EventType::Warning,
            "AnnotationsNotCarried",
            format!(
                "{keys} has no effect on this {kind}, whose pod template cannot change; create it anew"
            ),
        ),
    };
    let event = Event {
        type_,
        reason: reason.to_owned(),
        note: Some(shortened(&note, NOTE_LENGTH).to_owned()),
        action: "Carry".to_owned(),
        secondary: None,
    };
    (event, news.id.reference())
}

/// When pods follow, where that is not by itself.
fn after(kind: WorkloadKind) -> &'static str {
    match kind {
        WorkloadKind::ReplicaSet => ", which its next pods have",
        WorkloadKind::CronJob => ", which its next Jobs have",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::{super::missed::WorkloadId, *};

    #[rstest]
    #[case(404, "not found", Outcome::Outdated)]
    #[case(409, "the object has been modified", Outcome::Outdated)]
    #[case(
        403,
        "deployments.apps \"api\" is forbidden: User \"o\" cannot patch resource \"deployments\"",
        Outcome::Forbidden(String::new())
    )]
    #[case(
        403,
        "admission webhook \"policy.example.com\" denied the request",
        Outcome::Refused(String::new())
    )]
    #[case(422, "field is immutable", Outcome::Refused(String::new()))]
    #[case(500, "etcd leader changed", Outcome::Failed(String::new()))]
    #[case(429, "too many requests", Outcome::Failed(String::new()))]
    fn what_an_answer_means(#[case] code: u16, #[case] message: &str, #[case] expected: Outcome) {
        let status = kube::core::Status {
            code,
            message: message.to_owned(),
            ..kube::core::Status::default()
        };
        let found = outcome(&WriteError::Api(kube::Error::Api(Box::new(status))));
        assert_eq!(std::mem::discriminant(&found), std::mem::discriminant(&expected), "{found:?}");
    }

    fn nightly() -> Missed {
        Missed {
            id: WorkloadId {
                kind: WorkloadKind::CronJob,
                namespace: "shop".to_owned(),
                name: "nightly".to_owned(),
                uid: "u".to_owned(),
            },
            asked: 1,
            resource_version: "9".to_owned(),
            keys: vec!["sidecarpolicy.dev/skip".to_owned()],
            remedy: missed::Remedy::Tell,
        }
    }

    #[test]
    fn a_write_holds_for_one_version_only() {
        assert_eq!(same(&nightly()), json!({ "metadata": { "uid": "u", "resourceVersion": "9" } }));
    }

    #[test]
    fn an_event_is_on_the_workload_and_not_too_long() {
        let what = What::Refused("ü".repeat(2000));
        let (event, regarding) = event(&News { id: nightly().id, keys: nightly().keys, what });
        assert_eq!(regarding.api_version.as_deref(), Some("batch/v1"));
        assert_eq!(regarding.kind.as_deref(), Some("CronJob"));
        let note = event.note.unwrap();
        assert!(
            note.len() <= NOTE_LENGTH && note.starts_with("sidecarpolicy.dev/skip of this CronJob")
        );
    }
}
