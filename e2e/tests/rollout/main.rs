//! How running pods follow a policy that changes. Every test has a namespace of its own, so that all
//! can run side by side. Needs the chart's switches `rollout.inPlace` and `rollout.restart`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports what went wrong by panicking"
)]

mod command_line;
mod in_place;
mod partition;
mod policy;
mod repair;
mod restart;
mod revisions;

use std::time::Duration;

/// How long the cluster may take for anything.
const DEADLINE: Duration = Duration::from_secs(120);
