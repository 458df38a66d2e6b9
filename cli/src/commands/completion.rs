//! `kubectl sidecar completion`

use clap::CommandFactory;

use super::{Ending, Error, Streams};
use crate::arguments::{Arguments, CompletionArguments};

/// Prints the completion script for a shell.
pub(super) fn run(
    arguments: &CompletionArguments,
    streams: &mut Streams<'_>,
) -> Result<Ending, Error> {
    // clap_complete panics where it cannot write, so it writes to memory.
    let mut script = Vec::new();
    let mut command = Arguments::command().bin_name("kubectl-sidecar");
    clap_complete::generate(arguments.shell, &mut command, "kubectl-sidecar", &mut script);
    streams.output.write_all(&script)?;
    Ok(Ending::Clean)
}
