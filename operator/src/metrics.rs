//! What the operator measures, with bounded labels.

use crds::PodCounts;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// Most kinds of conditions that are shown. They are read from stored statuses, which others may have
/// written.
const MOST_CONDITIONS: usize = 64;

/// The operator's metrics. Clones share their values.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    leader: Gauge,
    certificate_expiry: Family<CertificateLabel, Gauge>,
    webhook_configured: Gauge,
    policies: Family<ConditionLabels, Gauge>,
    pods: Family<StateLabel, Gauge>,
    pods_missed: Counter,
    reconcile_errors: Family<ControllerLabel, Counter>,
    status_writes: Counter,
    rollout_steps: Family<StepLabels, Counter>,
    workload_repairs: Family<ResultLabel, Counter>,
}

/// One of the operator's controllers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Controller {
    /// Certificate authority and serving certificate.
    Certificates,
    /// The two webhook configurations.
    WebhookConfiguration,
    /// Status of policies.
    Policy,
    /// Revisions of policies.
    Revision,
    /// Events on owners.
    Events,
    /// Annotations of workloads.
    WorkloadAnnotations,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CertificateLabel {
    certificate: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConditionLabels {
    kind: String,
    condition: String,
    status: String,
    reason: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StepLabels {
    step: &'static str,
    result: &'static str,
}

impl Metrics {
    /// Metrics that `registry` shows.
    pub(crate) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("operator_leader", "1 while this replica leads", metrics.leader.clone());
        registry.register(
            "operator_certificate_expiry_timestamp_seconds",
            "End of validity as Unix time; 0 while there is no usable certificate",
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "operator_webhook_configured",
            "1 while both webhook configurations are as they have to be and the API server calls by them",
            metrics.webhook_configured.clone(),
        );
        registry.register(
            "operator_policies",
            "Policies by condition, its status and its reason",
            metrics.policies.clone(),
        );
        registry.register(
            "operator_pods",
            "Pods by how they stand to a policy, once for each policy",
            metrics.pods.clone(),
        );
        registry.register(
            "operator_pods_missed",
            "Pods that were created without a policy that was there and selects them",
            metrics.pods_missed.clone(),
        );
        registry.register(
            "operator_reconcile_errors",
            "Errors of the controllers",
            metrics.reconcile_errors.clone(),
        );
        registry.register(
            "operator_status_writes",
            "Status updates of policies that were written",
            metrics.status_writes.clone(),
        );
        registry.register(
            "operator_rollout_steps",
            "Steps of rollouts by kind and result",
            metrics.rollout_steps.clone(),
        );
        registry.register(
            "operator_workload_repairs",
            "Workloads into whose pod template annotations were carried that the webhook did not see",
            metrics.workload_repairs.clone(),
        );
        metrics
    }

    /// This replica leads.
    pub(crate) fn leads(&self) {
        self.leader.set(1);
    }

    /// A certificate ends at this Unix time.
    pub(crate) fn certificate_expires(&self, certificate: &'static str, at: i64) {
        self.certificate_expiry.get_or_create(&CertificateLabel { certificate }).set(at);
    }

    /// Whether both webhook configurations are as they have to be, as far as it can be known.
    pub(crate) fn webhook_is_configured(&self, configured: bool) {
        self.webhook_configured.set(i64::from(configured));
    }

    /// How many policies have each `(kind, condition, status, reason)`; all others have none.
    pub(crate) fn policies<'c>(
        &self,
        counts: impl IntoIterator<Item = ((&'c str, &'c str, &'c str, &'c str), i64)>,
    ) {
        self.policies.clear();
        for ((kind, condition, status, reason), count) in counts.into_iter().take(MOST_CONDITIONS) {
            let labels = ConditionLabels {
                kind: kind.to_owned(),
                condition: condition.to_owned(),
                status: status.to_owned(),
                reason: reason.to_owned(),
            };
            self.policies.get_or_create(&labels).set(count);
        }
    }

    /// The pods of all policies together.
    pub(crate) fn pods(&self, counts: &PodCounts) {
        let states = [
            ("current", counts.current),
            ("outdated", counts.outdated),
            ("ready", counts.ready),
            ("missing", counts.missing),
            ("skipped", counts.skipped),
            ("opted_out", counts.opted_out),
            ("surplus", counts.surplus),
        ];
        for (state, count) in states {
            self.pods.get_or_create(&StateLabel { state }).set(count);
        }
    }

    /// A pod was created without a policy that was there and selects it.
    pub(crate) fn pod_missed(&self) {
        self.pods_missed.inc();
    }

    /// A controller met an error.
    pub(crate) fn failed(&self, controller: Controller) {
        let controller = match controller {
            Controller::Certificates => "certificates",
            Controller::WebhookConfiguration => "webhook_configuration",
            Controller::Policy => "policy",
            Controller::Revision => "revision",
            Controller::Events => "events",
            Controller::WorkloadAnnotations => "workload_annotations",
        };
        self.reconcile_errors.get_or_create(&ControllerLabel { controller }).inc();
    }

    /// The status of a policy was written.
    pub(crate) fn status_written(&self) {
        self.status_writes.inc();
    }

    /// A step of a rollout ended.
    pub(crate) fn step_taken(&self, step: &'static str, result: &'static str) {
        self.rollout_steps.get_or_create(&StepLabels { step, result }).inc();
    }

    /// Carrying annotations of a workload ended.
    pub(crate) fn workload_repaired(&self, result: &'static str) {
        self.workload_repairs.get_or_create(&ResultLabel { result }).inc();
    }
}

#[cfg(test)]
#[path = "../../runtime/src/metrics_reference.rs"]
mod reference;

#[cfg(test)]
mod tests {
    use super::*;

    fn registered() -> (Registry, Metrics) {
        let mut registry = runtime::metrics::registry();
        let metrics = Metrics::register(&mut registry);
        (registry, metrics)
    }

    #[test]
    fn the_reference_has_every_metric() {
        let (registry, metrics) = registered();
        metrics.certificate_expires("webhook", 1);
        metrics.policies([(("SidecarPolicy", "Ready", "True", "Serving"), 1)]);
        metrics.pods(&PodCounts::default());
        metrics.failed(Controller::Policy);
        metrics.step_taken("restart", "taken");
        metrics.workload_repaired("carried");
        reference::assert_documented("Operator", &registry);
    }

    #[test]
    fn statuses_that_others_wrote_do_not_make_metrics_without_end() {
        let (_, metrics) = registered();
        let reasons: Vec<String> = (0..1000).map(|number| format!("Made{number}")).collect();
        let kind = "SidecarPolicy";
        let counts = reasons.iter().map(|reason| ((kind, "Ready", "False", reason.as_str()), 1));
        metrics.policies(counts);
        let shown = |reason: &String| {
            let labels = ConditionLabels {
                kind: kind.to_owned(),
                condition: "Ready".to_owned(),
                status: "False".to_owned(),
                reason: reason.clone(),
            };
            metrics.policies.get(&labels).is_some()
        };
        assert_eq!(reasons.iter().filter(|reason| shown(reason)).count(), MOST_CONDITIONS);
    }
}
