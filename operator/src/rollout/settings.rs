//! `spec.rollout` as it is carried out: defaults filled in, amounts read.

use crds::{Fallback, Rollout, RolloutStrategy};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::owner::Uid;

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
    max_unavailable: Amount,
    partition: Amount,
}

/// A number of pods, or a share of them.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Pods(i64),
    Percent(i64),
}

impl Settings {
    /// Reads what a policy says.
    pub(crate) fn read(rollout: Option<&Rollout>) -> Self {
        let default = Rollout::default();
        let rollout = rollout.unwrap_or(&default);
        let amount = |value: &Option<Value>, default| value.as_ref().map_or(default, Amount::read);
        Self {
            strategy: rollout.strategy,
            fallback: rollout.fallback,
            paused: rollout.paused,
            repair: rollout.repair,
            deadline: rollout.progress_deadline_seconds.unwrap_or(DEADLINE).into(),
            max_unavailable: amount(&rollout.max_unavailable, Amount::Percent(10)),
            partition: amount(&rollout.partition, Amount::Pods(0)),
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

    /// Whether this pod, one of so many, stays at the revision that it has. The answer for a pod
    /// never changes while the partition and, where that is a number, the number of pods does not.
    pub(crate) fn keeps(&self, policy_uid: &str, pod: Uid, pods: i64) -> bool {
        let share = match self.partition {
            Amount::Percent(percent) => (percent, 100),
            Amount::Pods(count) => (count, pods.max(1)),
        };
        let place = u64::from(place(policy_uid, pod));
        let (Ok(part), Ok(whole)) = (u64::try_from(share.0), u64::try_from(share.1)) else {
            return false;
        };
        place.saturating_mul(whole) < part.saturating_mul(1 << 32)
    }
}

/// The place of a pod among all, as a fraction of 2^32. Each policy has an order of its own.
fn place(policy_uid: &str, pod: Uid) -> u32 {
    let mut hash = Sha256::new();
    hash.update(policy_uid.as_bytes());
    hash.update([0]);
    hash.update(pod.bytes());
    let mut bytes = [0; 4];
    bytes.copy_from_slice(&hash.finalize()[..4]);
    u32::from_be_bytes(bytes)
}

impl Amount {
    /// The schema lets nothing else through than numbers and percentages.
    fn read(value: &Value) -> Self {
        let percent = value.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok());
        percent.map_or_else(|| Self::Pods(value.as_i64().unwrap_or(0)), Self::Percent)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

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

    fn kept(rollout: Value, policy: &str) -> Vec<usize> {
        let settings = settings(rollout);
        (0..1000).filter(|n| settings.keeps(policy, Uid::of(&format!("pod-{n}")), 1000)).collect()
    }

    #[test]
    fn a_partition_keeps_its_share() {
        assert_eq!(kept(json!({ "partition": "0%" }), "a").len(), 0);
        assert_eq!(kept(json!({ "partition": "100%" }), "a").len(), 1000);
        let share = kept(json!({ "partition": "30%" }), "a");
        assert!((250..350).contains(&share.len()), "{}", share.len());
        assert_eq!(kept(json!({ "partition": 300 }), "a"), share);
        assert_ne!(kept(json!({ "partition": "30%" }), "b"), share, "every policy keeps others");
    }

    #[test]
    fn a_smaller_partition_keeps_some_of_the_same_pods() {
        let many = kept(json!({ "partition": "60%" }), "a");
        let few = kept(json!({ "partition": "20%" }), "a");
        assert!(few.iter().all(|pod| many.contains(pod)));
    }
}
