//! Fields that the schema has and this version does not carry out yet. They are refused: a field
//! that is accepted and ignored would promise what does not happen.

use crate::problem::Problems;
use crds::{PolicySpec, Rollout};

const NOT_YET: &str = "is not supported yet; leave it out";

/// Refuses what is not carried out yet.
pub(crate) fn refuse(spec: &PolicySpec, problems: &mut Problems) {
    let absent = [
        ("spec.revisionHistoryLimit", spec.revision_history_limit.is_none()),
        ("spec.rollout", spec.rollout.as_ref().is_none_or(|set| *set == Rollout::default())),
    ];
    for (path, absent) in absent {
        if !absent {
            problems.add(path, NOT_YET);
        }
    }
}
