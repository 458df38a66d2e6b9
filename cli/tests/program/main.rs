//! The built program: what it prints, what it says, how it ends.

#![allow(clippy::expect_used, reason = "a test that fails here says where")]

mod fixture;
mod inject;
mod manifests;
mod policies;
mod program;
