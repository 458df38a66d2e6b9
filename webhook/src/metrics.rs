//! What is measured of requests. Labels are fixed, so that their number is.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::admission::ReviewResult;

/// Upper bounds of the buckets, in seconds: most reviews take microseconds.
const BUCKETS: [f64; 12] =
    [5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.25, 1.0];

/// What is measured of requests. Clones count together.
#[derive(Clone, Debug)]
pub struct Metrics {
    endpoints: Arc<[EndpointMetrics; 3]>,
    /// Policies in the snapshot that compile.
    pub policies: Gauge,
    /// Policies in the snapshot that do not compile.
    pub policies_rejected: Gauge,
    /// Snapshots published since the start.
    pub snapshots: Counter,
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

impl Metrics {
    /// Registers everything.
    pub fn register(registry: &mut Registry) -> Self {
        let reviews = Family::<ResultLabels, Counter>::default();
        let durations =
            Family::<EndpointLabels, Histogram>::new_with_constructor(|| Histogram::new(BUCKETS));
        let endpoint = |endpoint| {
            let counter =
                |result| reviews.get_or_create(&ResultLabels { endpoint, result }).clone();
            EndpointMetrics {
                allowed: counter("allowed"),
                patched: counter("patched"),
                denied: counter("denied"),
                failed: counter("failed"),
                duration: durations.get_or_create(&EndpointLabels { endpoint }).clone(),
            }
        };
        let metrics = Self {
            endpoints: Arc::new([endpoint("pods"), endpoint("workloads"), endpoint("policies")]),
            policies: Gauge::default(),
            policies_rejected: Gauge::default(),
            snapshots: Counter::default(),
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
            "snapshots_published",
            "Snapshots of policies and namespaces taken since the start",
            metrics.snapshots.clone(),
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
}
