//! The cluster that a command asks: how it is reached, and its objects as they are stored.
//!
//! Only commands that need a cluster start a runtime and open connections; the others stay as fast
//! as they are.

mod connection;
mod error;
mod installation;
mod objects;
mod policies;
mod policy_name;
mod reference;
mod resource;
mod revisions;
mod writes;

pub(crate) use connection::{Cluster, run};
pub(crate) use error::{Error, Right};
pub(crate) use installation::{Installation, Installed, USUAL_NAMESPACE, usual_exclusions};
pub(crate) use objects::Selection;
pub(crate) use policies::{Absence, PolicyObjects, StoredPolicies, StoredPolicy};
pub(crate) use policy_name::{PolicyName, Scope};
pub(crate) use reference::Reference;
pub(crate) use resource::Resource;
pub(crate) use revisions::Revision;
pub(crate) use writes::Applying;
