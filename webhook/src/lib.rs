//! The admission webhook: HTTPS in, `AdmissionResponse` out.
//!
//! Every decision is made by `inject` on a [`Snapshot`](cache::Snapshot) of compiled policies that
//! watches keep up to date; a request makes no API call. [`router`](router::router) can be driven
//! without a socket, [`server`] puts it behind TLS.

pub mod admission;
pub mod answer;
pub mod body;
pub mod cache;
mod connection;
mod injections;
mod known;
pub mod metrics;
mod policy_object;
mod previous;
pub mod request_error;
pub mod review;
mod review_span;
pub mod router;
pub mod server;
mod validate;
pub mod watch;
