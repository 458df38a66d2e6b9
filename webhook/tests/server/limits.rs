//! Bodies that are too large or too slow.

use std::convert::Infallible;

use axum::{
    body::Body,
    http::{Request, StatusCode, header},
};
use futures::stream;
use serde_json::json;
use webhook::body::BODY_LIMIT;

use crate::fixture::{Webhook, api_pod, helper, pod_review};

const PODS: &str = "/mutate/pods";

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let webhook = Webhook::with(&[]);
    let (status, text) = webhook.post(PODS, vec![b' '; BODY_LIMIT + 1]).await;
    assert_eq!(
        (status, text.as_str()),
        (StatusCode::PAYLOAD_TOO_LARGE, "the body is larger than 7 MiB\n")
    );
}

#[tokio::test]
async fn a_body_that_says_it_is_over_the_limit_is_not_read() {
    let request = Request::post(PODS)
        .header(header::CONTENT_LENGTH, BODY_LIMIT + 1)
        .body(Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()))
        .unwrap();
    assert_eq!(Webhook::with(&[]).send(request).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_large_pod_within_the_limit_is_patched() {
    let webhook = Webhook::with(&[("helper", helper())]);
    let mut pod = api_pod();
    pod["spec"]["containers"][0]["args"] = json!(["x".repeat(BODY_LIMIT - 100_000)]);
    let response = webhook.review(PODS, &pod_review(&pod)).await;
    assert!(response.get("patch").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let body = Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>());
    let (status, _) = Webhook::with(&[]).post(PODS, body).await;
    assert_eq!(status, StatusCode::REQUEST_TIMEOUT);
}

#[tokio::test(start_paused = true)]
async fn bodies_that_would_not_fit_into_memory_together_wait_and_are_refused() {
    let webhook = Webhook::with(&[]);
    let slow =
        || webhook.post(PODS, Body::from_stream(stream::pending::<Result<Vec<u8>, Infallible>>()));
    let (mut refused, mut given_up) = (0, 0);
    for (status, _) in futures::future::join_all((0..50).map(|_| slow())).await {
        match status {
            StatusCode::SERVICE_UNAVAILABLE => refused += 1,
            StatusCode::REQUEST_TIMEOUT => given_up += 1,
            other => panic!("{other}"),
        }
    }
    assert!(refused > 0 && given_up > 10, "{refused} refused, {given_up} given up");
}
