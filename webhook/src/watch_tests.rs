//! The watches against a made-up API server.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, Response},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;

const NAMESPACES: &str = "/api/v1/namespaces";
const POLICIES_PATH: &str = "/apis/sidecarpolicy.dev/v1alpha1/sidecarpolicies";
const CLUSTER_PATH: &str = "/apis/sidecarpolicy.dev/v1alpha1/clustersidecarpolicies";

/// Lists by path; what is not in it is not found. A watch stays open and tells nothing.
#[derive(Clone, Default)]
struct ApiServer {
    lists: Arc<Mutex<HashMap<&'static str, Value>>>,
    asked: Arc<Mutex<HashMap<String, u32>>>,
}

impl ApiServer {
    fn serve(&self, path: &'static str, items: &Value) {
        let list = json!({
            "kind": "List", "apiVersion": "v1", "metadata": { "resourceVersion": "1" }, "items": items,
        });
        self.lists.lock().unwrap().insert(path, list);
    }

    fn asked(&self, path: &str) -> u32 {
        self.asked.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    fn answer(&self, request: &Request<impl Sized>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
        let list = self.lists.lock().unwrap().get(path.as_str()).cloned();
        *self.asked.lock().unwrap().entry(path).or_default() += 1;
        match list {
            Some(_) if is_watch => Response::new(Body::from_stream(futures::stream::pending::<
                Result<&str, Infallible>,
            >())),
            Some(list) => Response::new(Body::from(list.to_string())),
            None => {
                let status = json!({
                    "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
                    "reason": "NotFound", "message": "the server could not find the requested resource",
                });
                Response::builder().status(404).body(Body::from(status.to_string())).unwrap()
            }
        }
    }

    fn client(&self) -> Client {
        let server = self.clone();
        let service = tower::service_fn(move |request: Request<kube::client::Body>| {
            let answer = server.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        Client::new(service, "default")
    }
}

fn policy(name: &str) -> Value {
    json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
        "metadata": { "name": name, "namespace": "shop", "uid": "u", "generation": 1 },
        "spec": { "sidecars": [{ "name": "helper", "image": "helper:1" }] },
    })
}

/// Waits, in time that passes at once, and tells how long.
async fn until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Duration {
    let started = Instant::now();
    while !is_so() {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(100)).await;
    }
    started.elapsed()
}

fn start(server: &ApiServer) -> (Arc<Cache>, Readiness) {
    let (cache, readiness) = (Arc::new(Cache::default()), Readiness::waiting_for(&[POLICIES]));
    let metrics = Metrics::register(&mut runtime::metrics::registry());
    let keeping = {
        let (client, cache, readiness) = (server.client(), Arc::clone(&cache), readiness.clone());
        async move { keep_cache(client, "own", cache, metrics, readiness).await }
    };
    tokio::spawn(keeping);
    (cache, readiness)
}

#[tokio::test(start_paused = true)]
async fn definitions_that_are_missing_are_waited_for_and_found_within_seconds() {
    let server = ApiServer::default();
    server.serve(NAMESPACES, &json!([{ "metadata": { "name": "shop" } }]));
    let (cache, readiness) = start(&server);

    sleep(Duration::from_secs(600)).await;
    let missing = readiness.missing();
    for reason in [POLICIES, DEFINITION, CLUSTER_DEFINITION] {
        assert!(missing.contains(&reason), "{missing:?}");
    }
    let asked = server.asked(POLICIES_PATH);
    assert!((100..200).contains(&asked), "asked {asked} times in ten minutes");

    server.serve(POLICIES_PATH, &json!([policy("log")]));
    let limit = Duration::from_secs(7);
    let found = || !readiness.missing().contains(&DEFINITION);
    until("one definition is found", limit, found).await;
    assert!(readiness.missing().contains(&CLUSTER_DEFINITION) && !cache.load().synced);
    server.serve(CLUSTER_PATH, &json!([]));
    until("it is ready", limit, || readiness.missing().is_empty()).await;
    assert!(cache.load().synced);
    assert_eq!(cache.load().policies.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_ready_stays_so_when_a_definition_goes() {
    let server = ApiServer::default();
    server.serve(NAMESPACES, &json!([]));
    server.serve(POLICIES_PATH, &json!([policy("log")]));
    server.serve(CLUSTER_PATH, &json!([]));
    let (cache, readiness) = start(&server);
    until("it is ready", Duration::from_secs(5), || readiness.missing().is_empty()).await;

    let error = |code| {
        let status = kube::core::Status { code, ..kube::core::Status::default() };
        watcher::Error::WatchStartFailed(kube::Error::Api(Box::new(status)))
    };
    let events = stream::iter([Err::<Event<()>, _>(error(404))]);
    let mut events = std::pin::pin!(watch_definition(&cache, &readiness, DEFINITION, events));
    assert!(events.next().await.is_some());
    assert_eq!(readiness.missing(), Vec::<&str>::new());
    assert_eq!(cache.load().policies.len(), 1);
}
