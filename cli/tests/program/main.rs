//! The built program: what it prints, what it says, how it ends.

#![allow(clippy::expect_used, reason = "a test that fails here says where")]

mod catalog;
mod check;
mod cluster;
mod diff;
mod explain;
mod export;
mod fixture;
mod inject;
mod lint;
mod manifests;
mod policies;
mod policy_tests;
mod program;
mod rollout;
mod stand_in;
mod uninject;
