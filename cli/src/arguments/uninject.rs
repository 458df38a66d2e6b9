//! `kubectl sidecar uninject`

use clap::Args;

use super::Files;
use crate::output::Format;

/// Print manifests without what the policies put into them.
///
/// The opposite of inject, and like it works offline. Taken out is what the same policies would put
/// in again, and nothing else:
///
/// A policy is taken out of pods only if their annotation sidecarpolicy.dev/injected names it, all of it
/// is there, and nobody altered its sidecars. Otherwise it stays whole, and why is said on
/// standard error. All policies that the annotation names have to be given, as they were when they were
/// injected.
///
/// What the app would have had itself stays: a volume, mount, variable, label or field that stands
/// before something of the app's, since injection adds at the end. Containers of the policies are
/// taken out wherever they stand.
///
/// A value that was added to a variable (merge: Append) is taken off its end. A grace period that was
/// raised stays, because nothing tells what it was before; standard error says so.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct UninjectArguments {
    #[command(flatten)]
    pub(crate) files: Files,

    /// How the manifests are written.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,
}

const EXAMPLES: &str = "\
Examples:
  # What the manifest was before it was injected
  kubectl sidecar uninject -f injected.yaml -p log-shipper.yaml

  # Change a policy of manifests that are kept injected
  kubectl sidecar uninject -f app.yaml -p old/ | kubectl sidecar inject -f - -p new/

Exit codes:
  0  done, also where nothing had to be taken out
  1  done, but something that was injected could not be taken out, or not be put back as it was
  2  could not run; nothing was written";
