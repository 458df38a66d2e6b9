//! What a review is about and what came of it: a span, and a line of the log at level debug.

use axum::http::HeaderMap;
use runtime::traces;
use tracing::{Span, field::Empty};

use crate::{admission::ReviewResult, review::Request};

/// The span of a review that came with these headers. What it is about is known when it is read.
pub(crate) fn begin(headers: &HeaderMap) -> Span {
    let span = tracing::debug_span!(
        "review",
        uid = Empty,
        operation = Empty,
        kind = Empty,
        namespace = Empty,
        name = Empty,
        injected = Empty,
        not_injected = Empty,
        result = Empty,
    );
    traces::continue_from(headers, &span);
    span
}

/// Says in the current span what the review is about.
pub(crate) fn describe<O>(request: &Request<'_, O>) {
    let span = Span::current();
    if span.is_disabled() {
        return;
    }
    span.record("uid", request.uid.as_str());
    span.record("operation", request.operation.as_str());
    span.record("kind", request.kind.kind.as_str());
    span.record("namespace", request.namespace());
    // Empty while the API server makes one up.
    if let Some(name) = request.name.as_ref().filter(|name| !name.as_str().is_empty()) {
        span.record("name", name.as_str());
    }
}

/// Says in the current span which policies went in, and why others did not: what the audit log gets.
pub(crate) fn decided(audit: &[(&'static str, String)]) {
    let span = Span::current();
    for (key, policies) in audit {
        match *key {
            "injected" => span.record("injected", policies),
            _ => span.record("not_injected", policies),
        };
    }
}

/// Says how the review ended.
pub(crate) fn end(result: ReviewResult) {
    Span::current().record("result", result.as_str());
    tracing::debug!("reviewed");
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use serde_json::{Value, json};

    use super::*;
    use crate::review;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_of_the_log_says_what_was_asked_and_what_came_of_it() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .json()
            .with_max_level(tracing::Level::DEBUG)
            .with_writer(move || writer.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            begin(&HeaderMap::new()).in_scope(|| {
                let review = json!({
                    "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
                    "request": {
                        "uid": "u-1", "kind": {"kind": "Pod"}, "namespace": "shop", "name": "",
                        "operation": "CREATE", "object": {},
                    },
                });
                review::read_without_object(&review.to_string()).unwrap();
                decided(&[("injected", "shop/log=1a".to_owned())]);
                end(ReviewResult::Patched);
            });
        });
        let line: Value = serde_json::from_slice(&log.0.lock().unwrap()).unwrap();
        let expected = json!({
            "name": "review", "uid": "u-1", "operation": "CREATE", "kind": "Pod", "namespace": "shop",
            "injected": "shop/log=1a", "result": "patched",
        });
        assert_eq!(line["span"], expected, "{line}");
        assert_eq!(line["fields"]["message"], "reviewed");
    }
}
