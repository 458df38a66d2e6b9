//! What webhook and operator both need: arguments, logs, metrics, health, TLS that reloads, the
//! leader lease, watches that begin again, objects read in part, and the signal to stop.

pub mod arguments;
pub mod health;
pub mod lease;
pub mod logging;
pub mod metrics;
pub mod object;
pub mod shutdown;
pub mod tls;
pub mod traces;
pub mod watch;
