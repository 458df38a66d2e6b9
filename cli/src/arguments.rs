//! The command line: what can be asked, and how.

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;

use crate::output::Format;

/// Asks the sidecar policies: the same decisions as in the cluster, at the command line.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-sidecar",
    bin_name = "kubectl sidecar",
    disable_help_subcommand = true,
    after_help = EXIT_CODES
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  done, and there are findings, such as a pod that would be refused
  2  could not run: wrong arguments, or files that cannot be read or used";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inject(InjectArguments),
    /// Print the version of this program.
    Version,
    Completion(CompletionArguments),
}

/// Print manifests with the sidecars that the policies put into them.
///
/// Works offline: policies and manifests come from files. Pods, and all that has a pod template
/// (Deployment, StatefulSet, DaemonSet, ReplicaSet, ReplicationController, Job, CronJob,
/// PodTemplate), change as they would at admission; everything else is written as it was read,
/// comments included. A document that changes is written anew as YAML: the order of its keys and
/// the comments above it stay, comments inside of it do not. What was not injected, and why, is
/// said on standard error.
///
/// A Namespace among the manifests gives its labels and annotations to the pods in it. Policies
/// among the manifests are passed through, not used.
#[derive(Debug, Args)]
#[command(after_help = INJECT_EXAMPLES)]
pub(crate) struct InjectArguments {
    /// Manifests: files, folders (their .yaml, .yml and .json files), or - for standard input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) filename: Vec<String>,

    /// Policies of either kind: files, folders, or - for standard input.
    #[arg(short, long, required = true, num_args = 1.., value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(crate) policy: Vec<String>,

    /// Namespace of manifests and policies that name none.
    #[arg(short, long, default_value = "default")]
    pub(crate) namespace: String,

    /// How the manifests are written.
    #[arg(short, long, value_enum, default_value_t = Format::Yaml)]
    pub(crate) output: Format,
}

const INJECT_EXAMPLES: &str = "\
Examples:
  # What becomes of a Deployment
  kubectl sidecar inject -f deployment.yaml -p log-shipper.yaml

  # Inject a rendered chart and apply it, with all policies of a folder
  helm template shop ./chart | kubectl sidecar inject -n shop -f - -p policies/ | kubectl apply -n shop -f -

  # The containers of each pod, as JSON
  kubectl sidecar inject -f app/ -p policies/ -o json | jq '.items[].spec.template.spec.containers'

Exit codes:
  0  done, also where nothing had to be injected
  1  done, but the pods of an object would be refused; the object was passed through as it was
  2  could not run; nothing was written";

/// Print the completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = COMPLETION_EXAMPLES)]
pub(crate) struct CompletionArguments {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

const COMPLETION_EXAMPLES: &str = "\
The script completes the program under its own name, kubectl-sidecar.

Examples:
  # bash, for this session
  source <(kubectl sidecar completion bash)

  # fish, for every session
  kubectl sidecar completion fish > ~/.config/fish/completions/kubectl-sidecar.fish";

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_are_consistent() {
        Arguments::command().debug_assert();
    }
}
