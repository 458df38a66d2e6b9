//! `kubectl sidecar explain`

use clap::Args;

use super::Files;
use crate::output::ReportFormat;

/// Say for each policy whether it goes into the pods of manifests, and why.
///
/// Works offline: policies and manifests come from files. The reason names the selector, match
/// condition, annotation or conflict that decided. Of a policy that goes in, it tells which containers it
/// brings, and what the app keeps of its own.
///
/// A Namespace among the manifests gives its labels and annotations to the pods in it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) files: Files,

    /// How the answer is written.
    #[arg(short, long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) output: ReportFormat,
}

const EXAMPLES: &str = "\
Examples:
  # Why does my Deployment not get its sidecar
  kubectl sidecar explain -f deployment.yaml -p policies/

  # The policies that go into nothing of a chart
  helm template ./chart | kubectl sidecar explain -f - -p policies/ -o json |
    jq '.objects[] | {name, left_out: [.policies[] | select(.injected | not) | .policy]}'

Exit codes:
  0  done
  1  done, but the pods of an object would be refused
  2  could not run";
