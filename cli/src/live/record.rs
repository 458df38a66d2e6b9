//! What pods say of what the webhook did to them.

use std::collections::BTreeMap;

use crds::keys;

use crate::{document::Node, output::in_one_line};

/// What a pod says was done to it. For reading only: no decision rests on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// Policy -> revision that went in.
    pub(crate) injected: BTreeMap<String, String>,
    /// Policy -> why it could not be applied.
    pub(crate) skipped: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn of(pod: &Node) -> Self {
        let map = |key| {
            let text = pod.descend(&["metadata", "annotations", key]).and_then(Node::text);
            let map = text.and_then(|text| serde_json::from_str(text).ok());
            let map: BTreeMap<String, String> = map.unwrap_or_default();
            // Whoever may write a pod may write these.
            map.iter().map(|(policy, text)| (in_one_line(policy), in_one_line(text))).collect()
        };
        Self { injected: map(keys::INJECTED), skipped: map(keys::SKIPPED) }
    }
}

/// A pod of a cluster, as far as answers depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RunningPod {
    pub(crate) name: String,
    /// When it was created, as RFC 3339 in UTC.
    pub(crate) created: String,
    pub(crate) record: Record,
}

impl RunningPod {
    pub(crate) fn of(pod: &Node) -> Self {
        let metadata = |key| {
            let text = pod.descend(&["metadata", key]).and_then(Node::text);
            text.unwrap_or_default().to_owned()
        };
        Self {
            name: metadata("name"),
            created: metadata("creationTimestamp"),
            record: Record::of(pod),
        }
    }
}
