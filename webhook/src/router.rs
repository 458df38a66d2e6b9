//! The routes. They can be driven without a socket.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::{Path, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use inject::Exclusions;
use serde_json::{Map, Value, json};
use tracing::Instrument as _;

use crate::{
    admission::{self, ReviewResult, Reviewed},
    body::BodyMemory,
    cache::{Cache, Snapshot, Unusable},
    metrics::{Endpoint, Metrics},
    request_error::RequestError,
    review::{self, ReviewError},
    review_span, validate,
};

const JSON: [(HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
/// Longest hash of a webhook configuration, in hexadecimal digits.
const HASH_LENGTH: usize = 64;
/// How long a request waits for its namespace to become known.
const NAMESPACE_DEADLINE: Duration = Duration::from_secs(1);

/// What the routes share.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cache: Arc<Cache>,
    exclusions: Exclusions,
    metrics: Metrics,
    body_memory: BodyMemory,
    draining: AtomicBool,
}

impl AppState {
    /// Routes that decide on the snapshots of `cache`.
    #[must_use]
    pub fn new(cache: Arc<Cache>, exclusions: Exclusions, metrics: Metrics) -> Self {
        Self(Arc::new(Shared {
            cache,
            exclusions,
            metrics,
            body_memory: BodyMemory::default(),
            draining: AtomicBool::new(false),
        }))
    }

    /// From now on every answer asks the client to close its connection and find another replica.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }
}

/// The routes.
pub fn router(state: AppState) -> Router {
    Router::new()
        .route("/mutate/pods", post(mutate_pods))
        .route("/mutate/workloads", post(mutate_workloads))
        .route("/validate/policies", post(validate_policies))
        .route("/probe/{hash}", post(probe))
        .route("/served", get(served))
        .with_state(state)
}

async fn mutate_pods(State(state): State<AppState>, request: Request) -> Response {
    mutate(&state, request, Endpoint::Pods, admission::review_pod).await
}

async fn mutate_workloads(State(state): State<AppState>, request: Request) -> Response {
    mutate(&state, request, Endpoint::Workloads, admission::review_workload).await
}

async fn validate_policies(State(state): State<AppState>, request: Request) -> Response {
    let review: ReviewFunction = |body, _, _| validate::review_policy(body);
    let answer = answer(&state, request, Endpoint::Policies, review).await;
    respond(&state, answer)
}

/// Tells whoever made the object the hash that the API server called with: that of the webhook
/// configuration that it goes by. Decides nothing, and so needs no policies.
async fn probe(
    State(state): State<AppState>,
    Path(hash): Path<String>,
    request: Request,
) -> Response {
    if hash.len() > HASH_LENGTH || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let answer = match state.0.body_memory.read(request).await {
        Ok(body) => review::text(&body.bytes)
            .and_then(|body| admission::echo(body, &hash))
            .map_err(RequestError::from),
        Err(error) => Err(error),
    };
    respond(&state, answer)
}

/// The policies of the snapshot: which generation of which object this replica serves, and at which
/// previous revision it keeps pods, or why at none.
async fn served(State(state): State<AppState>) -> Response {
    let snapshot = state.0.cache.load();
    let policies: Map<String, Value> = snapshot
        .policies
        .iter()
        .map(|policy| {
            let mut served = json!({"uid": policy.uid, "generation": policy.generation});
            if let Some((previous, _)) = policy.kept() {
                served["previous"] = json!(previous);
            }
            if let Some(Unusable { revision, why }) = snapshot.unusable.get(&policy.id) {
                served["unusable"] = json!({"revision": revision, "why": why});
            }
            (policy.id.to_string(), served)
        })
        .collect();
    let rejected: Map<String, Value> = snapshot
        .rejected
        .iter()
        .map(|(id, generation)| (id.to_string(), json!(generation)))
        .collect();
    let body = json!({"synced": snapshot.synced, "policies": policies, "rejected": rejected});
    (JSON, body.to_string()).into_response()
}

type ReviewFunction =
    for<'s> fn(&str, &'s Snapshot, &Exclusions) -> Result<Reviewed<'s>, ReviewError>;

/// Answers a review that needs the policies. Before they are known the API server is told that
/// nobody can answer, so that its failure policy decides.
async fn mutate(
    state: &AppState,
    request: Request,
    endpoint: Endpoint,
    review: ReviewFunction,
) -> Response {
    let answer = if state.0.cache.load().synced {
        answer(state, request, endpoint, review).await
    } else {
        Err(RequestError::NotSynced)
    };
    respond(state, answer)
}

async fn answer(
    state: &AppState,
    request: Request,
    endpoint: Endpoint,
    review: ReviewFunction,
) -> Result<Vec<u8>, RequestError> {
    let span = review_span::begin(request.headers());
    let body = state.0.body_memory.read(request).await?;
    let started = Instant::now();
    let reviewed = async {
        let text = review::text(&body.bytes)?;
        let (answer, result) = decide(state, text, review).await?;
        review_span::end(result);
        Ok::<_, ReviewError>((answer, result))
    };
    let (answer, result) = reviewed.instrument(span).await?;
    state.0.metrics.count(endpoint, result, started.elapsed());
    Ok(answer)
}

/// The response that carries an answer; while draining it also ends its connection.
fn respond(state: &AppState, answer: Result<Vec<u8>, RequestError>) -> Response {
    let mut response = match answer {
        Ok(body) => (JSON, body).into_response(),
        Err(error) => {
            state.0.metrics.count_error(&error);
            tracing::warn!(%error, "a request was not answered with a review");
            error.into_response()
        }
    };
    if state.0.draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn decide(
    state: &AppState,
    body: &str,
    review: ReviewFunction,
) -> Result<(Vec<u8>, ReviewResult), ReviewError> {
    let Shared { cache, exclusions, .. } = &*state.0;
    let mut reviewed = caught(state, body, review)?;
    if let Reviewed::UnknownNamespace(name) = &reviewed {
        reviewed = if cache.wait_for_namespace(name, NAMESPACE_DEADLINE).await {
            caught(state, body, review)?
        } else {
            let reason = format!("the namespace {name:?} is not known to the webhook yet");
            admission::review_undecided(body, &cache.load(), exclusions, &reason)?
        };
    }
    match reviewed {
        Reviewed::Answered { body, result, .. } => Ok((body, result)),
        // It was known a moment ago: it is being deleted, and takes no new pods.
        Reviewed::UnknownNamespace(name) => {
            let reason = format!("the namespace {name:?} is gone");
            match admission::review_undecided(body, &cache.load(), exclusions, &reason)? {
                Reviewed::Answered { body, result, .. } => Ok((body, result)),
                Reviewed::UnknownNamespace(_) => Err(ReviewError::NoRequest),
            }
        }
    }
}

/// Reviews on the newest snapshot, and counts what was decided. A panic is counted and becomes an
/// answer like any other failure.
fn caught(
    state: &AppState,
    body: &str,
    review: ReviewFunction,
) -> Result<Reviewed<'static>, ReviewError> {
    let Shared { cache, exclusions, metrics, .. } = &*state.0;
    let snapshot = cache.load();
    let reviewed = catch_unwind(AssertUnwindSafe(|| review(body, &snapshot, exclusions)));
    match reviewed {
        Ok(Ok(Reviewed::Answered { body, result, decisions })) => {
            metrics.count_decisions(&decisions);
            Ok(Reviewed::Answered { body, result, decisions: Vec::new() })
        }
        Ok(Ok(Reviewed::UnknownNamespace(name))) => Ok(Reviewed::UnknownNamespace(name)),
        Ok(Err(error)) => Err(error),
        Err(_) => {
            metrics.panics.inc();
            tracing::error!("a review caused a panic; please report the object that did");
            admission::review_undecided(body, &snapshot, exclusions, "the webhook failed inside")
        }
    }
}

#[cfg(test)]
mod tests {
    use inject::{Namespace, PolicyId, compile};
    use runtime::metrics::{self, Exposition};

    use super::*;

    #[test]
    fn what_is_decided_is_counted_by_reason_and_by_policy() {
        let mut registry = metrics::registry();
        let metrics = Metrics::register(&mut registry);
        let mut snapshot = Snapshot::default();
        let spec = json!({"podSelector": {}, "pod": {"labels": {"team": "shop"}}});
        let policy = PolicyId::namespaced("shop", "log");
        let policy = compile(policy, "1", 1, &serde_json::from_value(spec).unwrap()).unwrap();
        snapshot.policies.insert(Arc::new(policy));
        let namespace = Namespace { name: "shop".to_owned(), ..Namespace::default() };
        snapshot.namespaces.insert_mut("shop".to_owned(), Arc::new(namespace));
        let cache = Arc::new(Cache::default());
        cache.publish(snapshot);
        let state = AppState::new(cache, Exclusions::new("own", &[]), metrics);
        for skip in ["", "log"] {
            let review = json!({
                "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
                "request": {
                    "uid": "1", "kind": {"kind": "Pod"}, "namespace": "shop", "operation": "CREATE",
                    "object": {
                        "metadata": {"annotations": {"sidecarpolicy.dev/skip": skip}},
                        "spec": {"containers": [{"name": "app"}]},
                    },
                },
            });
            caught(&state, &review.to_string(), admission::review_pod).unwrap();
        }
        let shown = Exposition::new(registry).encode().unwrap();
        for line in [
            r#"sidecar_policy_decisions_total{reason="Injected"} 1"#,
            r#"sidecar_policy_decisions_total{reason="OptedOut"} 1"#,
            r#"sidecar_policy_injections_total{policy="shop/log"} 1"#,
        ] {
            assert!(shown.contains(line), "{line} is missing in: {shown}");
        }
    }

    #[test]
    fn a_panic_becomes_an_answer_and_is_counted() {
        let metrics = Metrics::register(&mut metrics::registry());
        let exclusions = Exclusions::new("own", &[]);
        let state = AppState::new(Arc::default(), exclusions, metrics.clone());
        let review = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",
            "request":{"uid":"1","kind":{"kind":"Pod"},"namespace":"shop","operation":"CREATE","object":{}}}"#;
        let reviewed = caught(&state, review, |_, _, _| panic!("on purpose")).unwrap();
        let Reviewed::Answered { body, result, .. } = reviewed else {
            panic!("there is an answer")
        };
        assert_eq!(result, ReviewResult::Failed);
        let body = String::from_utf8(body).unwrap();
        assert!(
            body.contains(r#""allowed":true"#) && body.contains("the webhook failed inside"),
            "{body}"
        );
        assert_eq!(metrics.panics.get(), 1);
    }
}
