//! `kubectl sidecar test`

use clap::{Args, ValueHint};

/// Test policies: inject them into example manifests and compare with what is expected.
///
/// Works offline. A test is a folder with an input.yaml. Folders are looked for in the folder named and below it.
/// A test without policies of its own uses those of the nearest folder above it, up to the
/// folder named. Objects and policies that name no namespace are in the namespace default.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TestArguments {
    /// The folder.
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) folder: String,

    /// Write what comes out to expected.yaml; read it before you commit it.
    #[arg(long)]
    pub(crate) update: bool,
}

const EXAMPLES: &str = "\
Files of a test:
  policy.yaml    the policies; or a folder policies/
  input.yaml     the manifests that they are asked about
  expected.yaml  the decisions about each object as comments, and the injected manifests

Examples:
  # Test the policies of a repository
  kubectl sidecar test policies/

  # Take over what a changed policy does
  kubectl sidecar test policies/ --update && git diff policies/

Exit codes:
  0  every test gives what is expected
  1  a test gives something else
  2  could not run: no tests, or files that cannot be read or used";
