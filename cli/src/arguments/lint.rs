//! `kubectl sidecar lint`

use clap::{Args, ValueHint};

use crate::output::LintFormat;

/// Find what is wrong with policies, and what is likely to hurt.
///
/// Works offline. Errors are what the cluster would refuse, and clashes: two policies that can meet on a pod and
/// cannot both go in. Warnings are fields that this version of Kubernetes does not know.
/// Advice is about what is legal and better otherwise. Each finding has a rule, a file and line, the
/// path of the field, and what to do about it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LintArguments {
    /// Policies of either kind: files, folders (their .yaml, .yml and .json files), or - for standard
    /// input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// Namespace of policies that name none.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,

    /// How the findings are written.
    #[arg(short, long, value_enum, default_value_t = LintFormat::Text)]
    pub(crate) output: LintFormat,
}

const EXAMPLES: &str = "\
Examples:
  # All policies of a folder
  kubectl sidecar lint -f policies/

  # For a code scanning service
  kubectl sidecar lint -f policies/ -o sarif > policies.sarif

Exit codes:
  0  no errors; there may be warnings and advice
  1  errors
  2  could not run: files that cannot be read, or without any policy";
