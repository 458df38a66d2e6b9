//! `kubectl sidecar status`

use clap::Args;

use super::ClusterArguments;
use crate::output::ListFormat;

/// Say how policies of the cluster stand: how many pods they reach, have and miss, and what they cost.
///
/// The counts are those that the operator writes into the status of each policy. Below the table stands what
/// people should look at: why a policy is not ready, why its rollout stopped, and why pods go without it.
///
///   MATCHED   pods that should have the policy: those with it, skipped and missing
///   OUTDATED  pods that have it at another revision
///   SKIPPED   pods that it could not be applied to
///   MISSING   pods that came without it: they are older, or the webhook did not answer
///   SURPLUS   pods that have it and are no longer meant to
///   CPU       what the containers that it brought ask for in all; so MEMORY
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, after_help = EXAMPLES)]
pub(crate) struct StatusArguments {
    /// Policies: a NAME of either kind, scp/NAME, cscp/NAME, cluster/NAME or NAMESPACE/NAME; otherwise all.
    #[arg(value_name = "POLICY")]
    pub(crate) policies: Vec<String>,

    /// Namespace of policies; otherwise the one of the context. Those of the cluster kind are shown in any case.
    #[arg(short, long, conflicts_with = "all_namespaces")]
    pub(crate) namespace: Option<String>,

    /// The policies of all namespaces.
    #[arg(short = 'A', long)]
    pub(crate) all_namespaces: bool,

    /// Go on, and show what changes: on a terminal the table anew, otherwise a line for each change.
    #[arg(short, long)]
    pub(crate) watch: bool,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = ListFormat::Table)]
    pub(crate) output: ListFormat,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

const EXAMPLES: &str = "\
Examples:
  # All policies of the cluster
  kubectl sidecar status -A

  # How a change reaches the pods
  kubectl sidecar status log-shipper -n shop --watch

  # The policies that miss pods
  kubectl sidecar status -A -o json | jq -r '.policies[] | select(.pods.missing > 0) | .name'

Exit codes:
  0  done, and every policy is ready
  1  done, and a policy is not ready
  2  could not run";
