//! Health and metrics over plain HTTP: `/healthz`, `/readyz`, `/metrics`.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use tokio::net::TcpListener;

use crate::metrics::{CONTENT_TYPE, Exposition};

/// What the process still waits for before it can serve. Clones speak of the same process.
#[derive(Clone, Debug, Default)]
pub struct Readiness {
    waiting: Arc<Mutex<Vec<&'static str>>>,
    ready: Gauge,
}

impl Readiness {
    /// Not ready until each of these was reached.
    #[must_use]
    pub fn waiting_for(conditions: &[&'static str]) -> Self {
        Self { waiting: Arc::new(Mutex::new(conditions.to_vec())), ready: Gauge::default() }
    }

    /// Shows it as a metric.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("ready", "1 while this replica is ready to serve", self.ready.clone());
    }

    /// A condition is reached.
    pub fn reached(&self, condition: &'static str) {
        self.change(|waiting| waiting.retain(|waiting| *waiting != condition));
    }

    /// The process serves no longer, for this reason.
    pub fn lost(&self, condition: &'static str) {
        self.change(|waiting| {
            if !waiting.contains(&condition) {
                waiting.push(condition);
            }
        });
    }

    /// What is still waited for; empty when ready.
    #[must_use]
    pub fn missing(&self) -> Vec<&'static str> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut Vec<&'static str>)) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut waiting);
        self.ready.set(i64::from(waiting.is_empty()));
    }
}

/// The routes.
pub fn router(readiness: Readiness, metrics: Exposition) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready).with_state(readiness))
        .route("/metrics", get(scrape).with_state(metrics))
}

/// Serves the routes until `stop` ends.
pub async fn serve(
    address: SocketAddr,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, router).with_graceful_shutdown(stop).await
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let text = format!("waiting for: {}\n", missing.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn scrape(State(metrics): State<Exposition>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, http::Request};
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt as _;

    use super::*;

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn ready_when_everything_is_reached_and_not_again_when_something_is_lost() {
        let readiness = Readiness::waiting_for(&["policies", "certificate"]);
        let mut registry = crate::metrics::registry();
        readiness.register(&mut registry);
        let router = router(readiness.clone(), Exposition::new(registry));
        let metric = async |value| {
            let (_, text) = get(&router, "/metrics").await;
            assert!(text.contains(&format!("\nsidecar_policy_ready {value}\n")), "{text}");
        };
        assert_eq!(get(&router, "/healthz").await.0, StatusCode::OK);
        readiness.reached("policies");
        let (status, text) = get(&router, "/readyz").await;
        assert_eq!(
            (status, text.as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "waiting for: certificate\n")
        );
        metric(0).await;
        readiness.reached("certificate");
        assert_eq!(get(&router, "/readyz").await.0, StatusCode::OK);
        metric(1).await;
        readiness.lost("draining");
        assert_eq!(get(&router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
        metric(0).await;
    }

    #[tokio::test]
    async fn metrics_carry_the_prefix() {
        let mut registry = crate::metrics::registry();
        let counter: Counter = Counter::default();
        counter.inc();
        registry.register("things", "Things seen", counter);
        let router = router(Readiness::default(), Exposition::new(registry));
        let (_, text) = get(&router, "/metrics").await;
        assert!(text.contains("sidecar_policy_things_total 1"), "{text}");
    }
}
