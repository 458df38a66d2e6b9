//! Spans of what the programs do, sent to a collector by OTLP over HTTP. Off unless an endpoint is given.
//!
//! How many are sampled, and what describes the process, is said by OpenTelemetry's own environment
//! variables: `OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG`, `OTEL_RESOURCE_ATTRIBUTES`.

use std::time::Duration;

use axum::http::{HeaderMap, Uri, uri::Scheme};
use opentelemetry::{
    propagation::TextMapPropagator as _,
    trace::{TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_http::{
    Bytes, HeaderExtractor, HttpClient, HttpError, Request, Response, hyper::HyperClient,
};
use opentelemetry_otlp::{
    ExporterBuildError, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
};
use opentelemetry_sdk::{Resource, propagation::TraceContextPropagator, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Level, Metadata, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

/// Path at which a collector takes spans.
const PATH: &str = "/v1/traces";
/// How long one export may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends the spans of this process to a collector. Nothing, where there is none.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

/// Spans cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The endpoint is no address of a collector.
    #[error("{endpoint}: the endpoint has to be like http://collector.monitoring:4318")]
    Endpoint {
        /// What was given.
        endpoint: String,
    },
    /// The exporter cannot be made.
    #[error(transparent)]
    Exporter(#[from] ExporterBuildError),
}

impl Traces {
    /// Sends spans of the program `service` to the collector at `endpoint`, from the runtime that this is called
    /// in. Nothing is sent without an endpoint.
    pub fn to(endpoint: Option<&Uri>, service: &'static str) -> Result<Self, TracesError> {
        let Some(endpoint) = endpoint else { return Ok(Self::default()) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::in_this_runtime())
            .with_endpoint(address(endpoint)?)
            .with_timeout(EXPORT_TIMEOUT)
            .build()?;
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(Resource::builder().with_service_name(service).build())
            .build();
        Ok(Self(Some(provider)))
    }

    /// What hands spans over to be sent.
    pub(crate) fn layer<S>(&self) -> Option<impl Layer<S> + use<S>>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let tracer = self.0.as_ref()?.tracer(env!("CARGO_PKG_NAME"));
        let layer = tracing_opentelemetry::layer().with_tracer(tracer);
        Some(layer.with_filter(filter_fn(is_ours)))
    }

    /// Sends what is still waiting. To be called at the end of the process.
    pub async fn finish(self) {
        let Some(provider) = self.0 else { return };
        // It blocks until the exports are done, which need this runtime.
        let finished = tokio::task::spawn_blocking(move || provider.shutdown()).await;
        if let Ok(Err(error)) = finished {
            tracing::warn!(%error, "the last spans were not sent to the collector");
        }
    }
}

/// Makes the span a child of the one that the caller names in its headers.
pub fn continue_from(headers: &HeaderMap, span: &Span) {
    if span.is_disabled() {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&HeaderExtractor(headers));
    if parent.span().span_context().is_valid() {
        // Fails without a collector only, where nobody reads it.
        let _ = span.set_parent(parent);
    }
}

/// Spans of this project; those of libraries would be many and tell little. No events: they are logged.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    let ours = ["webhook", "operator"];
    let program = metadata.target().split("::").next().unwrap_or_default();
    metadata.is_span() && *metadata.level() <= Level::DEBUG && ours.contains(&program)
}

fn address(endpoint: &Uri) -> Result<String, TracesError> {
    let wrong = || TracesError::Endpoint { endpoint: endpoint.to_string() };
    if endpoint.scheme() != Some(&Scheme::HTTP) {
        return Err(wrong());
    }
    let authority = endpoint.authority().ok_or_else(wrong)?;
    let path = match endpoint.path() {
        "/" | "" | PATH => PATH.to_owned(),
        other => format!("{}{PATH}", other.trim_end_matches('/')),
    };
    Ok(format!("http://{authority}{path}"))
}

/// The exporter has a thread of its own; what it sends goes through the runtime of the process.
#[derive(Debug)]
struct Client {
    http: HyperClient,
    runtime: Handle,
}

impl Client {
    fn in_this_runtime() -> Self {
        let http = HyperClient::with_default_connector(EXPORT_TIMEOUT, None);
        Self { http, runtime: Handle::current() }
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let http = self.http.clone();
        self.runtime.spawn(async move { http.send_bytes(request).await }).await?
    }
}

#[cfg(test)]
#[path = "traces_tests.rs"]
mod tests;
