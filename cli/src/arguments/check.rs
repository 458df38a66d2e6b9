//! `kubectl sidecar check`

use clap::Args;

use super::ClusterArguments;
use crate::output::ReportFormat;

/// Find out whether the installation works, or with --pre whether it can be installed.
///
/// Looks at the API server, the custom resource definitions, the programs, the webhook configurations, and
/// the rights of operator and webhook; has the API server call the webhook, by a dry run that stores nothing;
/// and names what else changes pods. Each line is ok, a warning or failed, with a hint what to do.
/// What you may not look at is a warning, or failed where nothing could be said without it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CheckArguments {
    /// Check what an installation needs, before there is one.
    #[arg(long)]
    pub(crate) pre: bool,

    /// Namespace of the operator; otherwise found by the chart's labels, and with --pre
    /// sidecar-policy-system.
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,

    /// Also show the API server a pod in this namespace, by a dry run, for each policy that reaches it.
    #[arg(long, value_name = "NAMESPACE", conflicts_with = "pre")]
    pub(crate) pods_in: Option<String>,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,

    #[command(flatten)]
    pub(crate) cluster: ClusterArguments,
}

const EXAMPLES: &str = "\
Examples:
  # Can the chart be installed here, by me
  kubectl sidecar check --pre

  # Does the installation work
  kubectl sidecar check

  # Would pods of the namespace shop get their sidecars now
  kubectl sidecar check --pods-in shop

  # What failed, in a script
  kubectl sidecar check -o json | jq -r '.checks[] | select(.state == \"failed\") | .message'

Exit codes:
  0  nothing failed; there may be warnings
  1  something failed
  2  could not run: no cluster that answers";
