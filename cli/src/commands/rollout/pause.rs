//! `kubectl sidecar rollout pause` and `resume`

use kube::core::params::Patch;
use serde_json::json;

use super::{CommandError, Ending, Streams, target::Target};
use crate::arguments::NamedPolicy;

/// Stops the rollout of a policy where it is, or lets it go on.
pub(super) async fn run(
    named: &NamedPolicy,
    pauses: bool,
    streams: &mut Streams<'_>,
) -> Result<Ending, CommandError> {
    let mut target = Target::find(named).await?;
    let is_paused = target.rollout()["paused"] == true;
    let done = match (pauses, is_paused) {
        (true, true) => "is paused already",
        (false, false) => "is not paused",
        (true, false) => "paused",
        (false, true) => "resumed",
    };
    if pauses != is_paused {
        target.patch(Patch::Merge(json!({"spec": {"rollout": {"paused": pauses}}}))).await?;
    }
    writeln!(streams.output, "{} {done}", target.shown())?;
    let rollout = target.rollout();
    let leaves_pods = matches!(rollout["strategy"].as_str(), None | Some("OnRecreate"));
    if pauses && leaves_pods && rollout["repair"] != true {
        writeln!(
            streams.messages,
            "spec.rollout.strategy is OnRecreate: running pods are left as they are in any case"
        )?;
    }
    Ok(Ending::Clean)
}
