//! Fields that the schema has and this version does not carry out yet. They are refused: a field
//! that is accepted and ignored would promise what does not happen.

use crate::problem::Problems;
use crds::{PolicySpec, Rollout};
use serde_json::Value;

const NOT_YET: &str = "is not supported yet; leave it out";

/// Refuses what is not carried out yet.
pub(crate) fn refuse(spec: &PolicySpec, problems: &mut Problems) {
    if !spec.rollout.as_ref().is_none_or(keeps_no_pods_back) {
        problems.add("spec.rollout.partition", NOT_YET);
    }
}

/// New pods do not follow a partition yet.
fn keeps_no_pods_back(rollout: &Rollout) -> bool {
    match &rollout.partition {
        None => true,
        Some(Value::String(share)) => share == "0%",
        Some(share) => share.as_i64() == Some(0),
    }
}
