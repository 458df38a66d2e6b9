//! The webhook through its router and over real TLS, without a cluster.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that fails here says where")]

mod fixture;
mod limits;
mod reviews;
mod tls;
