//! `kubectl sidecar version`

use super::{Ending, Error, Streams};

/// Prints the version of this program.
pub(super) fn run(streams: &mut Streams<'_>) -> Result<Ending, Error> {
    writeln!(streams.output, "kubectl-sidecar {}", env!("CARGO_PKG_VERSION"))?;
    Ok(Ending::Clean)
}
