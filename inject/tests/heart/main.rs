//! The heart through its public surface: tables by rule, goldens, and laws that hold for any input.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::needless_pass_by_value,
    reason = "a test that fails here says where, and values read best in place"
)]

mod advice;
mod append;
mod causes;
mod clashes;
mod conflicts;
mod expressions;
mod fixture;
mod from_app;
#[path = "../patch_laws/generators.rs"]
mod generators;
mod laws;
mod outcomes;
mod partition;
#[path = "../patch_laws/mod.rs"]
mod patch_laws;
mod placement;
mod pod_additions;
mod policies;
mod policy_laws;
mod refusals;
mod sample;
mod second_call;
mod verdicts;
mod workload_records;
mod workloads;
