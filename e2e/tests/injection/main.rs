//! What a policy does to the pods of a working installation. Every test has a namespace of its own,
//! so that all can run side by side.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test reports what went wrong by panicking"
)]

mod authors;
mod catalogue;
mod clashes;
mod conflicts;
mod corpus;
mod mirror_pods;
mod pod_security;
mod reinvocation;
mod repetition;
mod requests;
mod selection;
mod shapes;
mod sidecars;
mod status;
mod validation;
mod workloads;

use std::time::Duration;

/// How long the cluster may take for anything that is not started yet.
const DEADLINE: Duration = Duration::from_secs(90);
