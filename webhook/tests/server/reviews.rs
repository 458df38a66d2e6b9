//! What is answered to reviews.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Webhook, api_pod, helper, patch, pod_review, review};

const PODS: &str = "/mutate/pods";
const WORKLOADS: &str = "/mutate/workloads";
const POLICIES: &str = "/validate/policies";

#[tokio::test]
async fn a_selected_pod_is_patched_and_the_answer_is_the_same_each_time() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let body = pod_review(&api_pod()).to_string();
    let (status, answer) = webhook.post(PODS, body.clone()).await;
    assert_eq!(status, StatusCode::OK);
    insta::assert_snapshot!(answer);
    assert_eq!(webhook.post(PODS, body).await.1, answer);
    let response = webhook.review(PODS, &pod_review(&api_pod())).await;
    insta::assert_json_snapshot!(patch(&response));
}

#[tokio::test]
async fn a_pod_that_nothing_selects_is_allowed_as_it_is() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let mut pod = api_pod();
    pod["metadata"]["labels"]["app"] = json!("web");
    let (_, answer) = webhook.post(PODS, pod_review(&pod).to_string()).await;
    insta::assert_snapshot!(answer);
}

#[tokio::test]
async fn a_conflict_is_a_warning_or_a_denial() {
    let mut pod = api_pod();
    pod["spec"]["initContainers"] = json!([{"name": "helper", "image": "mine:1"}]);
    let webhook = Webhook::with(&[("helper", helper())]);
    let response = webhook.review(PODS, &pod_review(&pod)).await;
    assert_eq!(response["allowed"], true);
    assert!(response["warnings"][0].as_str().unwrap().contains("shop/helper was not applied"));
    assert_eq!(
        response["auditAnnotations"],
        json!({"not-injected": "shop/helper=ContainerNameConflict"})
    );

    let mut strict = helper();
    strict["failurePolicy"] = json!("Fail");
    let webhook = Webhook::with(&[("helper", strict)]);
    let response = webhook.review(PODS, &pod_review(&pod)).await;
    assert_eq!(response["allowed"], false);
    assert_eq!(response["status"]["code"], 403);
    assert!(response["status"]["message"].as_str().unwrap().contains("shop/helper"));
}

#[rstest]
#[case::excluded("Pod", "CREATE", "kube-system")]
#[case::own("Pod", "CREATE", "sidecar-policy-system")]
#[case::update("Pod", "UPDATE", "shop")]
#[case::delete("Pod", "DELETE", "shop")]
#[tokio::test]
async fn what_is_not_ours_is_allowed(
    #[case] kind: &str,
    #[case] operation: &str,
    #[case] namespace: &str,
) {
    let everything = json!({"sidecars": [{"name": "helper", "image": "helper:1"}]});
    let webhook = Webhook::with(&[("cluster/helper", everything)]);
    let response = webhook.review(PODS, &review(kind, operation, namespace, &api_pod())).await;
    assert_eq!(response, json!({"uid": "0a1b", "allowed": true}));
}

#[rstest]
#[case::list_as_object(json!([]))]
#[case::text(json!("pod"))]
#[case::labels_of_the_wrong_type(json!({"metadata": {"labels": []}, "spec": {}}))]
#[case::containers_of_the_wrong_type(json!({"metadata": {"labels": {"app": "api"}}, "spec": {"containers": {}}}))]
#[tokio::test]
async fn an_object_of_wrong_types_is_left_to_the_api_server(#[case] object: Value) {
    let webhook = Webhook::with(&[("helper", helper())]);
    let response = webhook.review(PODS, &pod_review(&object)).await;
    assert_eq!((&response["allowed"], response.get("patch")), (&json!(true), None));
    assert_eq!(response["warnings"].as_array().unwrap().len(), 1, "{response}");
}

#[rstest]
#[case::nothing("")]
#[case::not_json("{")]
#[case::not_a_review(r#"{"kind":"Pod","apiVersion":"v1"}"#)]
#[case::old_version(
    r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1","request":{"uid":"1"}}"#
)]
#[case::no_request(r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1"}"#)]
#[tokio::test]
async fn what_is_not_a_review_is_told_so(#[case] body: &str) {
    let webhook = Webhook::with(&[]);
    for path in [PODS, WORKLOADS, POLICIES, "/probe/0123"] {
        let (status, text) = webhook.post(path, body.to_owned()).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains("AdmissionReview"), "{text}");
    }
}

#[tokio::test]
async fn bytes_that_are_not_text_are_told_so() {
    let (status, text) = Webhook::with(&[]).post(PODS, vec![0xff, 0xfe]).await;
    assert_eq!((status, text.as_str()), (StatusCode::BAD_REQUEST, "the body is not UTF-8\n"));
}

#[tokio::test]
async fn before_the_policies_are_known_nobody_answers() {
    let webhook = Webhook::before_sync();
    for path in [PODS, WORKLOADS] {
        let (status, _) = webhook.post(path, pod_review(&api_pod()).to_string()).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_namespace_that_is_new_is_waited_for() {
    let webhook = Webhook::before_sync();
    webhook.publish(&[("helper", helper())], false);
    let review = pod_review(&api_pod());
    let (response, ()) = tokio::join!(webhook.review(PODS, &review), async {
        tokio::task::yield_now().await;
        webhook.publish(&[("helper", helper())], true);
    });
    assert!(response.get("patch").is_some());
}

#[rstest]
#[case("Ignore", true)]
#[case("Fail", false)]
#[tokio::test]
async fn a_namespace_that_stays_unknown_is_left_to_the_failure_policies(
    #[case] failure_policy: &str,
    #[case] allowed: bool,
) {
    let webhook = Webhook::before_sync();
    let mut spec = helper();
    spec["failurePolicy"] = json!(failure_policy);
    spec["namespaceSelector"] = json!({});
    webhook.publish(&[("cluster/helper", spec)], false);
    let started = Instant::now();
    let response = webhook.review(PODS, &pod_review(&api_pod())).await;
    assert!(started.elapsed() < Duration::from_secs(3));
    assert_eq!(response["allowed"], allowed, "{response}");
    assert!(response.to_string().contains("not known to the webhook yet"));
}

#[tokio::test]
async fn a_workloads_annotation_is_carried() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let deployment = json!({
        "metadata": {"name": "api", "annotations": {"sidecarpolicy.dev/inject": "helper"}},
        "spec": {"template": {"metadata": {"labels": {"app": "api"}}}}
    });
    let response =
        webhook.review(WORKLOADS, &review("Deployment", "UPDATE", "shop", &deployment)).await;
    insta::assert_json_snapshot!(patch(&response));
    let unknown = webhook.review(WORKLOADS, &review("Gadget", "UPDATE", "shop", &deployment)).await;
    assert_eq!(unknown, json!({"uid": "0a1b", "allowed": true}));
}

#[tokio::test]
async fn what_was_carried_is_told_from_the_object_before() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let inject = json!({"sidecarpolicy.dev/inject": "helper"});
    let deployment = |annotations: Value| {
        json!({"metadata": {"name": "api", "annotations": annotations},
            "spec": {"template": {"metadata": {"annotations": inject}}}})
    };
    let mut body = review("Deployment", "UPDATE", "shop", &deployment(json!({})));
    body["request"]["oldObject"] =
        deployment(json!({"sidecarpolicy.dev/carried": inject.to_string()}));
    let response = webhook.review(WORKLOADS, &body).await;
    let pointer = "/spec/template/metadata/annotations/sidecarpolicy.dev~1inject";
    assert_eq!(patch(&response), json!([{"op": "remove", "path": pointer}]));
}

fn policy_review(spec: &Value, old: &Value) -> Value {
    let policy =
        |spec: &Value| json!({"metadata": {"name": "p", "namespace": "shop"}, "spec": spec});
    let mut review = review("SidecarPolicy", "UPDATE", "shop", &policy(spec));
    review["request"]["oldObject"] = policy(old);
    review
}

#[tokio::test]
async fn a_policy_that_cannot_work_is_refused_with_every_reason() {
    let webhook = Webhook::before_sync();
    let wrong = json!({"sidecars": [{"name": "A", "image": ""}]});
    let response = webhook.review(POLICIES, &policy_review(&wrong, &helper())).await;
    insta::assert_json_snapshot!(response);
    let unreadable = json!({"appContainers": [{"env": 5}]});
    let response = webhook.review(POLICIES, &policy_review(&unreadable, &helper())).await;
    assert_eq!(response["status"]["code"], 422);
    let message = response["status"]["message"].as_str().unwrap();
    assert!(
        message.ends_with(
            "\nspec.appContainers[0].env: invalid type: integer `5`, expected a sequence"
        ),
        "{message}"
    );
    let fine = webhook.review(POLICIES, &policy_review(&helper(), &wrong)).await;
    assert_eq!(fine["allowed"], true);
}

#[tokio::test]
async fn a_policy_that_is_only_labelled_or_deleted_is_not_held_back() {
    let webhook = Webhook::with(&[]);
    let wrong = json!({"sidecars": []});
    let same = webhook.review(POLICIES, &policy_review(&wrong, &wrong)).await;
    assert_eq!(same["allowed"], true);
    let mut going = policy_review(&wrong, &helper());
    going["request"]["object"]["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    assert_eq!(webhook.review(POLICIES, &going).await["allowed"], true);
}

#[tokio::test]
async fn what_is_served_can_be_asked() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let response = webhook.send(Request::get("/served").body(Body::empty()).unwrap()).await;
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let served: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(served["policies"], json!({"shop/helper": {"uid": "uid-1", "generation": 7}}));
    assert_eq!(served["synced"], true);
}

#[tokio::test]
async fn a_partition_goes_by_the_request_and_is_said_to_be_served() {
    let webhook = Webhook::with(&[]);
    let mut next = helper();
    next["sidecars"][0]["image"] = json!("helper:next");
    let previous = webhook.publish_partitioned(&helper(), &next);
    let mut images = BTreeSet::new();
    for uid in 0..40 {
        let mut review = pod_review(&api_pod());
        review["request"]["uid"] = json!(uid.to_string());
        let (_, answer) = webhook.post(PODS, review.to_string()).await;
        assert_eq!(
            webhook.post(PODS, review.to_string()).await.1,
            answer,
            "one request, one answer"
        );
        let patch = patch(&serde_json::from_str::<Value>(&answer).unwrap()["response"]);
        images.insert(patch.to_string().contains("helper:next"));
    }
    assert_eq!(images.len(), 2, "some of both");
    let response = webhook.send(Request::get("/served").body(Body::empty()).unwrap()).await;
    let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
    let served: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(served["policies"]["shop/helper"]["previous"], previous);
}

#[tokio::test]
async fn a_probe_is_told_the_hash_of_its_path_and_nothing_else() {
    // Also by a replica that knows no policies: nothing is decided.
    for webhook in [Webhook::before_sync(), Webhook::with(&[("helper", helper())])] {
        let probe = review("PodTemplate", "CREATE", "dry-run", &json!({"template": {}}));
        let response = webhook.review("/probe/0123abcd", &probe).await;
        assert_eq!(
            response,
            json!({
                "uid": "0a1b", "allowed": true, "warnings": ["sidecarpolicy.dev/probe: 0123abcd"],
            })
        );
    }
}

#[rstest]
#[case::no_hash("/probe/")]
#[case::no_hexadecimal_digit("/probe/0123x")]
#[case::quotes("/probe/%22")]
#[case::line_feed("/probe/0%0A1")]
#[case::too_long("/probe/00000000000000000000000000000000000000000000000000000000000000000")]
#[case::deeper("/probe/0123/4567")]
#[tokio::test]
async fn a_path_without_a_hash_is_no_probe(#[case] path: &str) {
    let webhook = Webhook::with(&[]);
    let probe = review("PodTemplate", "CREATE", "dry-run", &json!({}));
    let (status, _) = webhook.post(path, probe.to_string()).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn draining_asks_clients_to_go_elsewhere() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let request =
        || Request::post(PODS).body(Body::from(pod_review(&api_pod()).to_string())).unwrap();
    assert!(!webhook.send(request()).await.headers().contains_key(header::CONNECTION));
    webhook.state.drain();
    let response = webhook.send(request()).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONNECTION], "close");
}
