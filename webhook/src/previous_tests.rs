//! When contents are read, and what comes of it.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{body::Body, http};
use serde_json::json;

use super::*;

const CONTENT: &str = r#"{"sidecars":[{"name":"helper","image":"helper:1"}]}"#;

/// A policy whose status names `old` as the revision of what was there before.
fn policy(namespace: Option<&str>, partition: &Value) -> PolicyObject {
    serde_json::from_value(json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
        "metadata": {"name": "a", "namespace": namespace, "uid": "u", "generation": 2},
        "spec": {
            "sidecars": [{"name": "helper", "image": "helper:2"}],
            "rollout": {"partition": partition},
        },
        "status": {"revision": "old", "pods": {"injected": 8}},
    }))
    .unwrap()
}

/// An API server that answers like this, one answer after another; the last one again and again.
struct Server {
    contents: Contents,
    asked: Arc<AtomicUsize>,
}

fn server(answers: &'static [u16]) -> Server {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let client = Client::new(
        tower::service_fn(move |request: http::Request<kube::client::Body>| {
            let number = counter.fetch_add(1, Ordering::Relaxed);
            let path = request.uri().path().to_owned();
            async move {
                let status = answers[number.min(answers.len() - 1)];
                let data: Value = serde_json::from_str(CONTENT).unwrap();
                let body = if status == 200 {
                    json!({"metadata": {"name": path}, "revision": 1, "data": data})
                } else {
                    let reason = if status == 404 { "NotFound" } else { "InternalError" };
                    json!({"kind": "Status", "status": "Failure", "code": status, "reason": reason})
                };
                let response = http::Response::builder().status(status);
                Ok::<_, Infallible>(response.body(Body::from(body.to_string())).unwrap())
            }
        }),
        "default",
    );
    Server { contents: Contents::new(client, "system"), asked }
}

impl Server {
    async fn bring(&self, object: PolicyObject) -> Option<Value> {
        match self.contents.bring(Event::Apply(object)).await {
            Event::Apply(watched) => watched.previous?.content,
            other => panic!("{other:?}"),
        }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn a_content_is_read_once() {
    let server = server(&[200]);
    let content: Value = serde_json::from_str(CONTENT).unwrap();
    for _ in 0..3 {
        let found = server.bring(policy(Some("shop"), &json!("50%"))).await;
        assert_eq!(found.as_ref(), Some(&content));
    }
    assert_eq!(server.asked(), 1);
    // Another revision is another content.
    let mut changed = policy(Some("shop"), &json!("50%"));
    changed.status["revision"] = json!("older");
    server.bring(changed).await;
    assert_eq!(server.asked(), 2);
}

#[tokio::test]
async fn without_a_partition_nothing_is_read() {
    let server = server(&[200]);
    for partition in [json!("0%"), json!(0), Value::Null] {
        assert_eq!(server.bring(policy(Some("shop"), &partition)).await, None);
    }
    assert_eq!(server.asked(), 0);
}

#[tokio::test]
async fn a_content_is_forgotten_when_it_is_not_needed() {
    let server = server(&[200]);
    for partition in ["50%", "0%", "50%"] {
        server.bring(policy(Some("shop"), &json!(partition))).await;
    }
    assert_eq!(server.asked(), 2);
    let gone = policy(Some("shop"), &json!("50%"));
    server.contents.bring(Event::Delete(gone)).await;
    assert!(server.contents.known.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_and_not_for_ever() {
    let flaky = server(&[500, 500, 200]);
    assert!(flaky.bring(policy(None, &json!("3%"))).await.is_some());
    let broken = server(&[500]);
    assert_eq!(broken.bring(policy(None, &json!("3%"))).await, None);
    assert_eq!(broken.asked(), usize::try_from(ATTEMPTS).unwrap());
}

#[tokio::test]
async fn what_is_not_stored_is_not_waited_for() {
    let server = server(&[404]);
    assert_eq!(server.bring(policy(None, &json!("3%"))).await, None);
    assert_eq!(server.asked(), 1);
}

#[test]
fn the_revision_before_is_kept_for_the_share_of_the_partition() {
    let previous = kept(&policy(Some("shop"), &json!("25%"))).unwrap();
    assert_eq!(previous.revision, "old");
    assert_eq!(previous.share, Share::read(&json!("25%")));
}
