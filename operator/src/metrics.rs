//! What the operator measures, with bounded labels.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

/// The operator's metrics. Clones share their values.
#[derive(Clone, Default)]
pub(crate) struct Metrics {
    leader: Gauge,
    certificate_expiry: Family<CertificateLabel, Gauge>,
    policies: Family<ConditionLabels, Gauge>,
    reconcile_errors: Family<ControllerLabel, Counter>,
    status_writes: Counter,
    rollout_steps: Family<StepLabels, Counter>,
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
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CertificateLabel {
    certificate: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ConditionLabels {
    condition: String,
    status: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ControllerLabel {
    controller: &'static str,
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
            "operator_policies",
            "Policies by condition and its status",
            metrics.policies.clone(),
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

    /// How many policies have each `(condition, status)`; all others have none.
    pub(crate) fn policies<'c>(&self, counts: impl IntoIterator<Item = ((&'c str, &'c str), i64)>) {
        self.policies.clear();
        for ((condition, status), count) in counts {
            let labels =
                ConditionLabels { condition: condition.to_owned(), status: status.to_owned() };
            self.policies.get_or_create(&labels).set(count);
        }
    }

    /// A controller met an error.
    pub(crate) fn failed(&self, controller: Controller) {
        let controller = match controller {
            Controller::Certificates => "certificates",
            Controller::WebhookConfiguration => "webhook_configuration",
            Controller::Policy => "policy",
            Controller::Revision => "revision",
            Controller::Events => "events",
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
}
