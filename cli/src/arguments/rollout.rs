//! `kubectl sidecar rollout`

use std::time::Duration;

use clap::{Args, Subcommand};

use super::ClusterArguments;
use crate::output::{ListFormat, ReportFormat};

/// Follow and steer how running pods follow a change of a policy, as kubectl rollout does for workloads.
#[derive(Debug, Args)]
#[command(disable_help_subcommand = true)]
pub(crate) struct RolloutArguments {
    #[command(subcommand)]
    pub(crate) command: RolloutCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RolloutCommand {
    Status(RolloutStatusArguments),
    /// Stop the rollout of a policy where it is; new pods get the current revision all the same.
    Pause(NamedPolicy),
    /// Let a paused rollout go on.
    Resume(NamedPolicy),
    Undo(UndoArguments),
    History(HistoryArguments),
}

/// A policy of a cluster.
#[derive(Debug, Args)]
pub(crate) struct NamedPolicy {
    /// The policy: NAME, scp/NAME, cscp/NAME, cluster/NAME or NAMESPACE/NAME. A NAME alone is one of the
    /// namespace, or else one of the cluster kind.
    #[arg(value_name = "POLICY")]
    pub(crate) policy: String,

    /// Namespace of the policy; otherwise the one of the context.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

/// Wait until the rollout of a policy is done, and say how it ended.
///
/// It is done when the policy is ready, so that new pods get it, and every running pod that the rollout reaches has
/// the current revision. With the strategy OnRecreate running pods are left as they are. On a terminal, progress is
/// shown on standard error while it waits. A paused rollout, and one that waits for something else, is waited for.
#[derive(Debug, Args)]
#[command(after_help = STATUS_EXAMPLES)]
pub(crate) struct RolloutStatusArguments {
    #[command(flatten)]
    pub(crate) named: NamedPolicy,

    /// How long to wait, such as 90s, 10m or 1h; 0 waits without end.
    #[arg(long, default_value = "0", value_parser = duration)]
    pub(crate) timeout: Duration,

    /// Say how it stands, and do not wait.
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

const STATUS_EXAMPLES: &str = "\
Examples:
  # Wait at most ten minutes for a change to reach every pod
  kubectl apply -f log-shipper.yaml && kubectl sidecar rollout status log-shipper -n shop --timeout 10m

Exit codes:
  0  done: the rollout is complete, or the strategy leaves running pods as they are
  1  it is not: it stopped, the policy is not accepted, or time was up
  2  could not run";

/// Put an earlier revision of a policy back.
///
/// What the policy puts in becomes what it was at that revision; selectors, mode, rollout and all else stay. Running
/// pods follow by the same strategy.
#[derive(Debug, Args)]
#[command(after_help = UNDO_EXAMPLES)]
pub(crate) struct UndoArguments {
    #[command(flatten)]
    pub(crate) named: NamedPolicy,

    /// The revision, by its number or its hash as history lists them; otherwise the newest beside the current one.
    #[arg(long, value_name = "REVISION")]
    pub(crate) to_revision: Option<String>,
}

const UNDO_EXAMPLES: &str = "\
Examples:
  # Back to what it was before the last change, and wait for it
  kubectl sidecar rollout undo log-shipper -n shop
  kubectl sidecar rollout status log-shipper -n shop

  # Back to a revision of the history
  kubectl sidecar rollout undo log-shipper -n shop --to-revision 3";

/// List the revisions of a policy that are kept, the oldest first.
#[derive(Debug, Args)]
#[command(after_help = HISTORY_EXAMPLES)]
pub(crate) struct HistoryArguments {
    #[command(flatten)]
    pub(crate) named: NamedPolicy,

    /// Print what the policy put in at this revision, by its number or its hash.
    #[arg(long, value_name = "REVISION")]
    pub(crate) revision: Option<String>,

    /// How the list is written.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) output: ListFormat,
}

const HISTORY_EXAMPLES: &str = "\
Examples:
  # Which revisions there are
  kubectl sidecar rollout history log-shipper -n shop

  # What it put in at one of them
  kubectl sidecar rollout history log-shipper -n shop --revision 3";

/// A duration as kubectl takes it: `0`, `30s`, `5m`, `1h30m`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is no duration such as 90s, 10m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let mut seconds: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = match rest.as_bytes().get(digits) {
            Some(b'h') => 3600,
            Some(b'm') => 60,
            Some(b's') => 1,
            _ => return Err(wrong()),
        };
        let more = number.checked_mul(unit).and_then(|more| seconds.checked_add(more));
        seconds = more.ok_or_else(wrong)?;
        rest = &rest[digits + 1..];
    }
    if text.is_empty() { Err(wrong()) } else { Ok(Duration::from_secs(seconds)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_kubectl() {
        for (text, seconds) in [("0", 0), ("30s", 30), ("5m", 300), ("1h30m", 5400), ("0s", 0)] {
            assert_eq!(duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "5", "m", "5x", "-5s", "1.5m", "99999999999999999999s", "9999999999999999999h"]
        {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
