//! Harness of the end-to-end tests: drives `kubectl` and `helm` as their users do, against the
//! cluster that `KUBECONFIG` names, and looks at nothing but what they answer.
//!
//! `make test-e2e` brings a cluster up, installs the chart and runs the tests; `e2e/cluster/cluster
//! run cargo test -p e2e` runs them against what is there.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test harness reports what went wrong by panicking"
)]

pub mod certificates;
pub mod command;
pub mod installation;
pub mod load;
pub mod manifests;
mod namespace;
mod pod;
pub mod process;
pub mod second_webhook;
mod waiting;
pub mod watch;

pub use namespace::TestNamespace;
pub use pod::Pod;
pub use waiting::{eventually, stays};
