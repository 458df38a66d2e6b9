//! `spec.rollout` as it is carried out: defaults filled in, amounts read.

use crds::{Fallback, Rollout, RolloutStrategy};
use inject::Share;
use serde_json::Value;

/// Default of `progressDeadlineSeconds`.
const DEADLINE: i32 = 600;

/// How the running pods of a policy follow a change.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    /// What is done to running pods.
    pub(crate) strategy: RolloutStrategy,
    /// What happens to what cannot change in place.
    pub(crate) fallback: Fallback,
    /// Nothing is done for now.
    pub(crate) paused: bool,
    /// Pods that miss the policy are restarted.
    pub(crate) repair: bool,
    /// Seconds that a sidecar may take to become ready.
    pub(crate) deadline: i64,
    /// The pods that stay at the revision that they have.
    pub(crate) partition: Share,
    max_unavailable: Amount,
}

impl Settings {
    /// Reads what a policy says.
    pub(crate) fn read(rollout: Option<&Rollout>) -> Self {
        let default = Rollout::default();
        let rollout = rollout.unwrap_or(&default);
        let max_unavailable = rollout.max_unavailable.as_ref();
        Self {
            strategy: rollout.strategy,
            fallback: rollout.fallback,
            paused: rollout.paused,
            repair: rollout.repair,
            deadline: rollout.progress_deadline_seconds.unwrap_or(DEADLINE).into(),
            max_unavailable: max_unavailable.map_or(Amount::Percent(10), Amount::read),
            partition: Share::partition(Some(rollout)),
        }
    }

    /// Whether running pods are ever touched.
    pub(crate) fn is_active(&self) -> bool {
        self.repair || self.strategy != RolloutStrategy::OnRecreate
    }

    /// Whether owners may be restarted.
    pub(crate) fn restarts(&self) -> bool {
        let falls_back =
            self.strategy == RolloutStrategy::InPlace && self.fallback == Fallback::Restart;
        self.repair || falls_back || self.strategy == RolloutStrategy::Restart
    }

    /// Most pods that may be unavailable, of so many. A share is rounded down, as Deployments do, but
    /// one pod may always be.
    pub(crate) fn most_unavailable(&self, pods: i64) -> i64 {
        match self.max_unavailable {
            Amount::Pods(count) => count.max(1),
            Amount::Percent(percent) => (pods * percent / 100).max(1),
        }
    }

    /// Whether a partition keeps pods back.
    pub(crate) fn is_partitioned(&self) -> bool {
        !self.partition.is_none()
    }
}

/// A number of pods, or a percentage of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Pods(i64),
    Percent(i64),
}

impl Amount {
    /// The schema lets nothing else through, and anything else is no pod.
    fn read(value: &Value) -> Self {
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok());
        percent.map_or_else(|| Self::Pods(value.as_i64().unwrap_or(0)), Self::Percent)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    fn settings(rollout: Value) -> Settings {
        Settings::read(Some(&serde_json::from_value(rollout).unwrap()))
    }

    #[rstest]
    #[case(json!({}), 100, 10)]
    #[case(json!({}), 5, 1)]
    #[case(json!({ "maxUnavailable": "25%" }), 7, 1)]
    #[case(json!({ "maxUnavailable": "25%" }), 8, 2)]
    #[case(json!({ "maxUnavailable": 3 }), 1, 3)]
    #[case(json!({ "maxUnavailable": "nonsense" }), 50, 1)]
    fn unavailable_pods(#[case] rollout: Value, #[case] pods: i64, #[case] most: i64) {
        assert_eq!(settings(rollout).most_unavailable(pods), most);
    }

    #[rstest]
    #[case(json!({}), false, false)]
    #[case(json!({ "repair": true }), true, true)]
    #[case(json!({ "strategy": "InPlace" }), true, false)]
    #[case(json!({ "strategy": "InPlace", "fallback": "Restart" }), true, true)]
    #[case(json!({ "fallback": "Restart" }), false, false)]
    #[case(json!({ "strategy": "Restart" }), true, true)]
    fn what_may_be_touched(#[case] rollout: Value, #[case] active: bool, #[case] restarts: bool) {
        let settings = settings(rollout);
        assert_eq!((settings.is_active(), settings.restarts()), (active, restarts));
    }
}
