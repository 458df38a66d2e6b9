//! Which questions are asked, and when again.

use std::{
    convert::Infallible,
    sync::{
        Mutex,
        atomic::{AtomicU16, Ordering},
    },
};

use crds::PolicySpec;
use hyper::{Request, Response, header::WARNING};
use kube::client::Body;
use serde_json::json;
use tower::service_fn;

use super::*;

/// An API server that answers every question with this status, and keeps the paths that were asked.
#[derive(Default)]
struct ApiServer {
    status: AtomicU16,
    asked: Mutex<Vec<String>>,
}

impl ApiServer {
    fn answer(&self, request: &Request<Body>) -> Response<Body> {
        self.asked.lock().unwrap().push(format!("{} {}", request.method(), request.uri()));
        let status = self.status.load(Ordering::Relaxed);
        let body = json!({ "kind": "Status", "message": "no", "code": status }).to_string();
        Response::builder()
            .status(status)
            .header(WARNING, "299 - \"would violate PodSecurity \\\"restricted:latest\\\": much\"")
            .body(Body::from(body.into_bytes()))
            .unwrap()
    }
}

fn server(status: u16) -> (Arc<ApiServer>, DryRuns) {
    let server = Arc::new(ApiServer { status: status.into(), ..ApiServer::default() });
    let answering = Arc::clone(&server);
    let service = service_fn(move |request: Request<Body>| {
        let server = Arc::clone(&answering);
        async move { Ok::<_, Infallible>(server.answer(&request)) }
    });
    let client = Client::new(service, "default");
    (server, DryRuns::new(client, "tries".to_owned(), Metrics::default()))
}

fn id() -> PolicyId {
    PolicyId::namespaced("shop", "log")
}

fn question() -> Result<Question, String> {
    let spec = json!({ "sidecars": [{ "name": "shipper", "image": "shipper:1" }] });
    let spec: PolicySpec = serde_json::from_value(spec).unwrap();
    Question::of(&id(), &spec)
}

fn version(generation: i64) -> Version {
    ("uid".to_owned(), generation)
}

#[tokio::test]
async fn a_policy_is_tried_and_nothing_is_stored() {
    let (server, mut dry_runs) = server(201);
    dry_runs.ask(&id(), version(1), question());
    assert_eq!(dry_runs.verdict(&id()), Verdict::Pending);
    assert_eq!(dry_runs.next().await, Some(id()));
    let said = Some("much".to_owned());
    assert_eq!(dry_runs.verdict(&id()), Verdict::Agrees { pod_security: said });
    assert_eq!(dry_runs.next().await, None, "it is asked once");
    let asked = server.asked.lock().unwrap().clone();
    assert_eq!(
        asked,
        [
            "POST /api/v1/namespaces/tries/podtemplates?dryRun=All&fieldValidation=Strict&fieldManager=sidecar-policy-operator"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_not_answered_is_asked_again_ever_later() {
    let (server, mut dry_runs) = server(403);
    dry_runs.ask(&id(), version(1), question());
    let start = time::Instant::now();
    let mut waited = Vec::new();
    for _ in 0..12 {
        assert_eq!(dry_runs.next().await, Some(id()));
        assert_eq!(dry_runs.verdict(&id()), Verdict::Unanswered("no".to_owned()));
        waited.push(start.elapsed().as_secs());
    }
    assert_eq!(waited[..4], [0, 2, 6, 14]);
    assert_eq!(waited[11] - waited[10], LONGEST_RETRY.as_secs());
    server.status.store(201, Ordering::Relaxed);
    dry_runs.next().await;
    assert!(matches!(dry_runs.verdict(&id()), Verdict::Agrees { .. }));
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_an_earlier_generation_is_not_taken() {
    let (server, mut dry_runs) = server(403);
    dry_runs.ask(&id(), version(1), question());
    dry_runs.ask(&id(), version(2), Err("too special".to_owned()));
    assert_eq!(dry_runs.next().await, None, "and it is not asked again");
    assert_eq!(dry_runs.verdict(&id()), Verdict::NoSample("too special".to_owned()));
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_is_gone_is_not_asked_about_again() {
    let (_, mut dry_runs) = server(403);
    dry_runs.ask(&id(), version(1), question());
    dry_runs.next().await;
    dry_runs.forget(&id());
    assert_eq!(dry_runs.next().await, None);
    assert_eq!(dry_runs.verdict(&id()), Verdict::Pending);
}
