//! The cluster that a command asks: how it is reached, and its objects as they are stored.
//!
//! Only commands that need a cluster start a runtime and open connections; the others stay as fast
//! as they are.

mod connection;
mod error;
mod objects;
mod policies;
mod resource;

pub(crate) use connection::{Cluster, run};
pub(crate) use error::{Error, Right};
pub(crate) use resource::Resource;
