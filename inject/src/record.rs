//! What an earlier call wrote on the pod of its decisions: a text for each policy.

use std::collections::BTreeMap;

use crate::{pod::Entries, select::Lookup};

/// The texts by the names of their policies; `None` where there is no such annotation, or none of
/// ours.
pub(crate) fn read(annotations: &Entries<'_>, key: &str) -> Option<BTreeMap<String, String>> {
    serde_json::from_str(annotations.value(key)?).ok()
}
