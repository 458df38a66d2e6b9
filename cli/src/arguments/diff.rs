//! `kubectl sidecar diff`

use clap::Args;

use super::Asked;

/// Show what injection changes in manifests or in objects of the cluster, as a unified diff of YAML.
///
/// Of a workload it shows what injection changes in its next pods; of a running pod, what it would change if the
/// pod was created anew. Both sides are written in the style of kubectl, so that only what changes is shown, whatever the style
/// of the file. What is not injected, and why, is said by explain.
///
/// The policies are those of the cluster, or with -p those of files. With -f and -p no cluster is needed.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) asked: Asked,
}

const EXAMPLES: &str = "\
Examples:
  # What a policy changes in a Deployment
  kubectl sidecar diff -f deployment.yaml -p log-shipper.yaml

  # What the policies of the cluster change in it
  kubectl sidecar diff -f deployment.yaml

  # What they change in a Deployment of the cluster
  kubectl sidecar diff deploy/api -n shop

  # What a policy that is not there yet would change in it
  kubectl sidecar diff deploy/api -p log-shipper.yaml

Exit codes, as those of kubectl diff:
  0  nothing changes
  1  something changes, or the pods of an object would be refused
  2  could not run";
