//! What is measured of requests. Labels are fixed, so that their number is.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::{Duration, SystemTime},
};

use inject::{Decision, Reason};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    admission::ReviewResult, cache::Snapshot, injections::Injections, request_error::RequestError,
};

/// Upper bounds of the buckets, in seconds: most reviews take microseconds.
const BUCKETS: [f64; 12] =
    [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 1.0];

/// What is measured of requests. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    endpoints: Arc<[EndpointMetrics; 3]>,
    decisions: Family<ReasonLabels, Counter>,
    injections: Injections,
    request_errors: Family<ReasonLabels, Counter>,
    policies: Gauge,
    policies_rejected: Gauge,
    namespaces: Gauge,
    published: Gauge<f64, AtomicU64>,
    watch_interruptions: Family<WatchLabels, Counter>,
    /// Panics that were caught in a request.
    pub panics: Counter,
}

/// What is reviewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// Pods that are created.
    Pods,
    /// Workloads that are written.
    Workloads,
    /// Our own two kinds.
    Policies,
}

#[derive(Debug)]
struct EndpointMetrics {
    allowed: Counter,
    patched: Counter,
    denied: Counter,
    failed: Counter,
    duration: Histogram,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    endpoint: &'static str,
    result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EndpointLabels {
    endpoint: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    watch: &'static str,
}

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let reviews = Family::<ResultLabels, Counter>::default();
        let durations =
            Family::<EndpointLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let endpoint = |endpoint| {
            let counter = |result: ReviewResult| {
                reviews.get_or_create(&ResultLabels { endpoint, result: result.as_str() }).clone()
            };
            EndpointMetrics {
                allowed: counter(ReviewResult::Allowed),
                patched: counter(ReviewResult::Patched),
                denied: counter(ReviewResult::Denied),
                failed: counter(ReviewResult::Failed),
                duration: durations.get_or_create(&EndpointLabels { endpoint }).clone(),
            }
        };
        let metrics = Self {
            endpoints: Arc::new([endpoint("pods"), endpoint("workloads"), endpoint("policies")]),
            decisions: Family::default(),
            injections: Injections::default(),
            request_errors: Family::default(),
            policies: Gauge::default(),
            policies_rejected: Gauge::default(),
            namespaces: Gauge::default(),
            published: Gauge::default(),
            watch_interruptions: Family::default(),
            panics: Counter::default(),
        };
        registry.register("reviews", "Reviews by what is reviewed and how it ended", reviews);
        registry.register_with_unit(
            "review_duration",
            "Time from the body to the answer",
            Unit::Seconds,
            durations,
        );
        registry.register(
            "decisions",
            "Decisions about one policy and one pod that it selects, by reason",
            metrics.decisions.clone(),
        );
        registry.register(
            "injections",
            "Times that a policy was put into a pod, by policy",
            metrics.injections.shown(),
        );
        registry.register(
            "snapshot_policies",
            "Policies that requests are decided on",
            metrics.policies.clone(),
        );
        registry.register(
            "snapshot_policies_rejected",
            "Policies that do not compile and are left out",
            metrics.policies_rejected.clone(),
        );
        registry.register(
            "snapshot_namespaces",
            "Namespaces that requests are decided on",
            metrics.namespaces.clone(),
        );
        registry.register_with_unit(
            "snapshot_published_timestamp",
            "When policies or namespaces last changed here, in Unix time",
            Unit::Seconds,
            metrics.published.clone(),
        );
        registry.register(
            "watch_interruptions",
            "Times that a watch ended with an error and began again",
            metrics.watch_interruptions.clone(),
        );
        registry.register(
            "request_errors",
            "Requests that were not answered with a review, by reason",
            metrics.request_errors.clone(),
        );
        registry.register("panics", "Panics caught in a request", metrics.panics.clone());
        metrics
    }

    /// Counts a review and the time from its body to its answer.
    pub fn count(&self, endpoint: Endpoint, result: ReviewResult, duration: Duration) {
        let [pods, workloads, policies] = &*self.endpoints;
        let endpoint = match endpoint {
            Endpoint::Pods => pods,
            Endpoint::Workloads => workloads,
            Endpoint::Policies => policies,
        };
        endpoint.duration.observe(duration.as_secs_f64());
        match result {
            ReviewResult::Allowed => &endpoint.allowed,
            ReviewResult::Patched => &endpoint.patched,
            ReviewResult::Denied => &endpoint.denied,
            ReviewResult::Failed => &endpoint.failed,
        }
        .inc();
    }

    /// Counts what was decided about the policies that select a pod.
    pub(crate) fn count_decisions(&self, decisions: &[Decision<'_>]) {
        for Decision { policy, reason, .. } in decisions {
            self.decisions.get_or_create(&ReasonLabels { reason: reason.as_str() }).inc();
            if *reason == Reason::Injected {
                self.injections.count(&policy.id);
            }
        }
    }

    /// Counts a request that was not answered with a review.
    pub(crate) fn count_error(&self, error: &RequestError) {
        self.request_errors.get_or_create(&ReasonLabels { reason: error.as_str() }).inc();
    }

    /// Counts the end of a watch by an error.
    pub(crate) fn count_interruption(&self, watch: &'static str) {
        self.watch_interruptions.get_or_create(&WatchLabels { watch }).inc();
    }

    /// Describes the snapshot that is published at this time.
    pub(crate) fn describe(&self, snapshot: &Snapshot, now: SystemTime) {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.injections.forget_unless(|policy| snapshot.policies.get(policy).is_some());
        self.policies.set(gauge(snapshot.policies.len()));
        self.policies_rejected.set(gauge(snapshot.rejected.size()));
        self.namespaces.set(gauge(snapshot.namespaces.size()));
        let since_epoch = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.published.set(since_epoch.as_secs_f64());
    }
}

#[cfg(test)]
#[path = "../../runtime/src/metrics_reference.rs"]
mod reference;

#[cfg(test)]
mod tests {
    use inject::{PolicyId, compile};
    use runtime::health::Readiness;

    use super::*;

    #[test]
    fn the_reference_has_every_metric() {
        let mut registry = runtime::metrics::registry();
        let metrics = Metrics::register(&mut registry);
        Readiness::default().register(&mut registry);
        let spec = serde_json::from_value(serde_json::json!({"pod": {"labels": {"a": "b"}}}));
        let policy = compile(PolicyId::cluster("mesh"), "uid", 1, &spec.unwrap()).unwrap();
        let decision = Decision { policy: &policy, reason: Reason::Injected, notices: Vec::new() };
        metrics.count_decisions(&[decision]);
        metrics.count_error(&RequestError::NotSynced);
        metrics.count_interruption("policies");
        reference::assert_documented("Webhook", &registry);
    }
}
