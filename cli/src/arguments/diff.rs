//! `kubectl sidecar diff`

use clap::Args;

use super::Files;

/// Show what injection changes in manifests, as a unified diff of YAML.
///
/// Works offline: policies and manifests come from files. Both sides are written in the style of
/// kubectl, so that only what changes is shown, whatever the style of the file. What was not
/// injected, and why, is said by explain.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct DiffArguments {
    #[command(flatten)]
    pub(crate) files: Files,
}

const EXAMPLES: &str = "\
Examples:
  # What a policy changes in a Deployment
  kubectl sidecar diff -f deployment.yaml -p log-shipper.yaml

Exit codes, as those of kubectl diff:
  0  nothing changes
  1  something changes, or the pods of an object would be refused
  2  could not run";
