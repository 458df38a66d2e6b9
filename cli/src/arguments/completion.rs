//! `kubectl sidecar completion`

use clap::Args;
use clap_complete::Shell;

/// Print the completion script for a shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CompletionArguments {
    /// The shell.
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

const EXAMPLES: &str = "\
The script completes the program under its own name, kubectl-sidecar.

Examples:
  # bash, for this session
  source <(kubectl sidecar completion bash)

  # fish, for every session
  kubectl sidecar completion fish > ~/.config/fish/completions/kubectl-sidecar.fish";
