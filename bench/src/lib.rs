//! What the measurements share: recorded reviews, generated policies, servers and the load.
//!
//! `replay` starts a null server and the webhook side by side and sends both the same recorded
//! reviews; `record` is how the reviews were taken from a real API server. See docs/performance.md.

pub mod cluster;
pub mod connection;
pub mod corpora;
pub mod https_server;
pub mod identity;
pub mod load;
pub mod null_webhook;
pub mod policies;
pub mod server_process;
pub mod stand_in;
pub mod summary;
