//! Against a collector that keeps what it is sent, read by OpenTelemetry's own definition of it.

use axum::{Router, body::Bytes as Body, extract::State, routing::post};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::Span as Received,
};
use prost::Message as _;
use rstest::rstest;
use tokio::{net::TcpListener, sync::mpsc};
use tracing_subscriber::{layer::SubscriberExt as _, registry};

use super::*;

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const CALLER: &str = "b7ad6b7169203331";

/// A collector, its address, and what it is sent.
async fn collector() -> (Uri, mpsc::UnboundedReceiver<Received>) {
    let (sender, received) = mpsc::unbounded_channel();
    let take = async |State(sender): State<mpsc::UnboundedSender<Received>>, body: Body| {
        let request = ExportTraceServiceRequest::decode(body).unwrap();
        let scopes = request.resource_spans.into_iter().flat_map(|spans| spans.scope_spans);
        for span in scopes.flat_map(|spans| spans.spans) {
            sender.send(span).unwrap();
        }
    };
    let router = Router::new().route(PATH, post(take)).with_state(sender);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    (format!("http://{address}").parse().unwrap(), received)
}

#[tokio::test]
async fn a_span_reaches_the_collector_as_a_child_of_its_callers() {
    let (endpoint, mut received) = collector().await;
    let traces = Traces::to(Some(&endpoint), "sidecar-policy-webhook").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert("traceparent", format!("00-{TRACE}-{CALLER}-01").parse().unwrap());
    tracing::subscriber::with_default(registry().with(traces.layer()), || {
        let _library = tracing::info_span!(target: "hyper::client", "connect").entered();
        let span = tracing::debug_span!(target: "webhook::review", "review", namespace = "shop");
        continue_from(&headers, &span);
        span.in_scope(|| tracing::info!(target: "webhook::review", "an event is for the log"));
    });
    traces.finish().await;

    let span = received.recv().await.unwrap();
    assert_eq!(span.name, "review");
    assert_eq!(
        TraceId::from_bytes(span.trace_id.as_slice().try_into().unwrap()).to_string(),
        TRACE
    );
    assert_eq!(
        SpanId::from_bytes(span.parent_span_id.as_slice().try_into().unwrap()).to_string(),
        CALLER
    );
    assert!(span.events.is_empty());
    let namespace = span.attributes.iter().find(|attribute| attribute.key == "namespace");
    assert!(format!("{namespace:?}").contains("shop"), "{span:?}");
    assert!(received.try_recv().is_err(), "spans of libraries are not sent");
}

#[tokio::test]
async fn a_collector_that_is_away_stops_nothing() {
    let traces = Traces::to(Some(&Uri::from_static("http://127.0.0.1:1")), "test").unwrap();
    tracing::subscriber::with_default(registry().with(traces.layer()), || {
        tracing::debug_span!(target: "webhook", "review").in_scope(|| ());
    });
    traces.finish().await;
}

#[rstest]
#[case::root("http://collector:4318", Some("http://collector:4318/v1/traces"))]
#[case::slash("http://collector:4318/", Some("http://collector:4318/v1/traces"))]
#[case::whole("http://collector:4318/v1/traces", Some("http://collector:4318/v1/traces"))]
#[case::below("http://gateway/otlp/", Some("http://gateway/otlp/v1/traces"))]
#[case::tls("https://collector:4318", None)]
#[case::no_scheme("collector:4318", None)]
#[case::path("/v1/traces", None)]
fn endpoints(#[case] endpoint: &str, #[case] expected: Option<&str>) {
    let found = address(&endpoint.parse().unwrap());
    assert_eq!(found.ok().as_deref(), expected);
}
