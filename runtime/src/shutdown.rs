//! The signal to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Waits until the process is asked to stop: SIGTERM, or SIGINT from a terminal.
pub async fn requested() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
