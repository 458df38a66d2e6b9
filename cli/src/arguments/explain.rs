//! `kubectl sidecar explain`

use clap::Args;

use super::Asked;
use crate::output::ReportFormat;

/// Say for each policy whether it goes into the pods of manifests, and why.
///
/// The policies are those of the cluster, or with -p those of files, which needs no cluster. The reason names the selector, match
/// condition, annotation or conflict that decided. Of a policy that goes in, it tells which containers it
/// brings, and what the app keeps of its own.
///
/// A Namespace among the manifests gives its labels and annotations to the pods in it; labels and
/// annotations of others are those in the cluster, if one is asked.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) asked: Asked,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

const EXAMPLES: &str = "\
Examples:
  # Why would my Deployment not get its sidecar in the cluster
  kubectl sidecar explain -f deployment.yaml

  # The same without a cluster
  kubectl sidecar explain -f deployment.yaml -p policies/

  # The policies that go into nothing of a chart
  helm template ./chart | kubectl sidecar explain -f - -p policies/ -o json |
    jq '.objects[] | {name, left_out: [.policies[] | select(.injected | not) | .policy]}'

Exit codes:
  0  done
  1  done, but the pods of an object would be refused
  2  could not run";
