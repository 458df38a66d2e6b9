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
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use inject::Exclusions;
use serde_json::{Map, Value, json};
use tokio::{sync::Semaphore, time::timeout};

use crate::{
    admission::{self, ReviewResult, Reviewed},
    cache::{Cache, Snapshot},
    metrics::{Endpoint, Metrics},
    review::{self, ReviewError},
    validate,
};

/// Largest body that is read. The API server's objects end well below it.
pub const BODY_LIMIT: usize = 7 << 20;
/// How long a body may take to arrive.
const BODY_DEADLINE: Duration = Duration::from_secs(5);
/// Memory for bodies that are being read, in KiB; further requests wait for it.
const BODY_MEMORY_KIB: usize = 256 << 10;
const JSON: [(header::HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
/// How long a request waits for memory or for a namespace to become known.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the routes share.
#[derive(Clone, Debug)]
pub struct AppState(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    cache: Arc<Cache>,
    exclusions: Exclusions,
    metrics: Metrics,
    body_memory: Semaphore,
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
            body_memory: Semaphore::new(BODY_MEMORY_KIB),
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
    let review = |body: &str, _: &Snapshot, _: &Exclusions| validate::review_policy(body);
    answer(&state, request, Endpoint::Policies, review).await
}

/// The policies of the snapshot: which generation of which object this replica serves.
async fn served(State(state): State<AppState>) -> Response {
    let snapshot = state.0.cache.load();
    let policies: Map<String, Value> = snapshot
        .policies
        .iter()
        .map(|policy| {
            let served = json!({"uid": policy.uid, "generation": policy.generation});
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

type ReviewFunction = fn(&str, &Snapshot, &Exclusions) -> Result<Reviewed, ReviewError>;

/// Answers a review that needs the policies. Before they are known the API server is told that
/// nobody can answer, so that its failure policy decides.
async fn mutate(
    state: &AppState,
    request: Request,
    endpoint: Endpoint,
    review: ReviewFunction,
) -> Response {
    if !state.0.cache.load().synced {
        return plain(StatusCode::SERVICE_UNAVAILABLE, "the policies are not known yet");
    }
    answer(state, request, endpoint, review).await
}

async fn answer(
    state: &AppState,
    request: Request,
    endpoint: Endpoint,
    review: impl Fn(&str, &Snapshot, &Exclusions) -> Result<Reviewed, ReviewError>,
) -> Response {
    let body = match read_body(state, request).await {
        Ok(body) => body,
        Err(response) => return response,
    };
    let started = Instant::now();
    let reviewed = match review::text(&body) {
        Ok(text) => decide(state, text, review).await,
        Err(error) => Err(error),
    };
    let response = match reviewed {
        Ok((body, result)) => {
            state.0.metrics.count(endpoint, result, started.elapsed());
            (JSON, body).into_response()
        }
        Err(error) => {
            state.0.metrics.count(endpoint, ReviewResult::Failed, started.elapsed());
            tracing::warn!(%error, "a review could not be read");
            plain(StatusCode::BAD_REQUEST, &error.to_string())
        }
    };
    closing_while_draining(state, response)
}

async fn decide(
    state: &AppState,
    body: &str,
    review: impl Fn(&str, &Snapshot, &Exclusions) -> Result<Reviewed, ReviewError>,
) -> Result<(String, ReviewResult), ReviewError> {
    let Shared { cache, exclusions, .. } = &*state.0;
    let mut reviewed = caught(state, body, &review)?;
    if let Reviewed::UnknownNamespace(name) = &reviewed {
        reviewed = if cache.wait_for_namespace(name, PATIENCE).await {
            caught(state, body, &review)?
        } else {
            let reason = format!("the namespace {name:?} is not known to the webhook yet");
            admission::review_undecided(body, &cache.load(), exclusions, &reason)?
        };
    }
    match reviewed {
        Reviewed::Answered { body, result } => Ok((body, result)),
        // It was known a moment ago: it is being deleted, and takes no new pods.
        Reviewed::UnknownNamespace(name) => {
            let reason = format!("the namespace {name:?} is gone");
            match admission::review_undecided(body, &cache.load(), exclusions, &reason)? {
                Reviewed::Answered { body, result } => Ok((body, result)),
                Reviewed::UnknownNamespace(_) => Err(ReviewError::NoRequest),
            }
        }
    }
}

/// Reviews on the newest snapshot. A panic is counted and becomes an answer like any other failure.
fn caught(
    state: &AppState,
    body: &str,
    review: impl Fn(&str, &Snapshot, &Exclusions) -> Result<Reviewed, ReviewError>,
) -> Result<Reviewed, ReviewError> {
    let Shared { cache, exclusions, metrics, .. } = &*state.0;
    let snapshot = cache.load();
    let reviewed = catch_unwind(AssertUnwindSafe(|| review(body, &snapshot, exclusions)));
    reviewed.unwrap_or_else(|_| {
        metrics.panics.inc();
        tracing::error!("a review caused a panic; please report the object that did");
        admission::review_undecided(body, &snapshot, exclusions, "the webhook failed inside")
    })
}

/// Reads a body within the limits of size, memory and time.
async fn read_body(state: &AppState, request: Request) -> Result<Bytes, Response> {
    let length = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<usize>().ok())
        .unwrap_or(BODY_LIMIT);
    if length > BODY_LIMIT {
        return Err(too_large());
    }
    let memory = u32::try_from(length.div_ceil(1024)).unwrap_or(u32::MAX);
    let permit = timeout(PATIENCE, state.0.body_memory.acquire_many(memory)).await;
    let Ok(Ok(_permit)) = permit else {
        return Err(plain(StatusCode::SERVICE_UNAVAILABLE, "too many large requests at once"));
    };
    let read = Limited::new(request.into_body(), BODY_LIMIT).collect();
    match timeout(BODY_DEADLINE, read).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(plain(StatusCode::BAD_REQUEST, &error.to_string())),
        Err(_) => Err(plain(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time")),
    }
}

fn too_large() -> Response {
    let text = format!("the body is larger than {} MiB", BODY_LIMIT >> 20);
    plain(StatusCode::PAYLOAD_TOO_LARGE, &text)
}

fn plain(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}

fn closing_while_draining(state: &AppState, mut response: Response<Body>) -> Response {
    if state.0.draining.load(Ordering::Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use runtime::metrics;

    use super::*;

    #[test]
    fn a_panic_becomes_an_answer_and_is_counted() {
        let metrics = Metrics::register(&mut metrics::registry());
        let exclusions = Exclusions::new("own", &[]);
        let state = AppState::new(Arc::default(), exclusions, metrics.clone());
        let review = r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1",
            "request":{"uid":"1","kind":{"kind":"Pod"},"namespace":"shop","operation":"CREATE","object":{}}}"#;
        let reviewed = caught(&state, review, |_, _, _| panic!("on purpose")).unwrap();
        let Reviewed::Answered { body, result } = reviewed else { panic!("there is an answer") };
        assert_eq!(result, ReviewResult::Failed);
        assert!(
            body.contains(r#""allowed":true"#) && body.contains("the webhook failed inside"),
            "{body}"
        );
        assert_eq!(metrics.panics.get(), 1);
    }
}
