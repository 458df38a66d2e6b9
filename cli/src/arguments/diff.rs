//! `kubectl sidecar diff`

use clap::Args;

use super::Asked;

/// Show what injection changes in manifests, as a unified diff of YAML.
///
/// The policies are those of the cluster, or with -p those of files, which needs no cluster. Both sides are written in the style of
/// kubectl, so that only what changes is shown, whatever the style of the file. What was not
/// injected, and why, is said by explain.
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

Exit codes, as those of kubectl diff:
  0  nothing changes
  1  something changes, or the pods of an object would be refused
  2  could not run";
