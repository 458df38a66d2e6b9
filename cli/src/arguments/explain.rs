//! `kubectl sidecar explain`

use clap::Args;

use super::Asked;
use crate::output::ReportFormat;

/// Say for each policy whether it goes into pods, or went into them, and why.
///
/// Of a running pod: what was injected when it was created, at which revision, or why not; and beside that what
/// would be decided if it was created anew: whether it is outdated and what changed in the policy since,
/// whether it misses a policy or has one that is no longer for it.
///
/// Of a workload: what its next pods get, and how its running pods stand to that.
///
/// Of manifests: what their pods would get.
///
/// The reason names the selector, match condition, annotation or conflict that decided. Of a policy that goes in, it
/// tells which containers it brings, and what the app keeps of its own.
///
/// The policies are those of the cluster, or with -p those of files. With -f and -p no cluster is needed. A Namespace
/// among the manifests gives its labels and annotations to the pods in it; those of other namespaces come
/// from the cluster, if one is asked.
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
  # Why does this pod not have its sidecar
  kubectl sidecar explain pod/api-6d4b75cb6d-hznx7 -n shop

  # What the next pods of a Deployment get, and what those that run have
  kubectl sidecar explain deploy/api

  # What a Deployment of the cluster would get from a policy that is not there yet
  kubectl sidecar explain deploy/api -p log-shipper.yaml

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
