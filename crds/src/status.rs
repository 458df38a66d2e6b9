//! What the operator observed of a policy.

use std::{collections::BTreeMap, ops::AddAssign};

use k8s_openapi::apimachinery::pkg::{api::resource::Quantity, apis::meta::v1::Condition};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Status of a policy. `matched = injected + skipped + missing`; `current + outdated = injected`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// Generation that this status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Content hash of what the policy puts in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The revision before this one; while a partition holds, the one from before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_revision: Option<String>,
    /// Whether `spec.rollout.partition` keeps pods back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub partitioned: bool,
    /// Pods by state.
    pub pods: PodCounts,
    /// Why pods were skipped, most frequent first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<SkippedPods>,
    /// What the injected containers ask for in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overhead: Option<Overhead>,
    /// `Accepted`, `Progressing` and the summary `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

/// Pods by state. Terminating, finished, mirror and excluded pods do not count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PodCounts {
    /// Pods that should have the policy.
    pub matched: i64,
    /// Of these, pods that have it.
    pub injected: i64,
    /// Of the injected, pods at the current revision.
    pub current: i64,
    /// Of the injected, pods at another revision.
    pub outdated: i64,
    /// Of the matched, pods that were admitted without it.
    pub missing: i64,
    /// Of the injected, pods whose injected containers are all ready.
    pub ready: i64,
    /// Selected pods whose owner opted out; outside `matched`.
    pub opted_out: i64,
    /// Of the matched, pods it could not be applied to.
    pub skipped: i64,
    /// Pods that have it and are no longer selected.
    pub surplus: i64,
}

impl AddAssign<&Self> for PodCounts {
    fn add_assign(&mut self, other: &Self) {
        self.matched += other.matched;
        self.injected += other.injected;
        self.current += other.current;
        self.outdated += other.outdated;
        self.missing += other.missing;
        self.ready += other.ready;
        self.opted_out += other.opted_out;
        self.skipped += other.skipped;
        self.surplus += other.surplus;
    }
}

/// Pods skipped for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SkippedPods {
    /// The reason, as in the pod's annotation.
    pub reason: String,
    /// How many pods.
    pub count: i64,
    /// One of them, as `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
}

/// What the injected containers ask for in all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Overhead {
    /// Sum of requests by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub requests: BTreeMap<String, Quantity>,
    /// Sum of limits by resource.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, Quantity>,
}
