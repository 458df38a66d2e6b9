//! The API of `sidecarpolicy.dev`: the kinds `SidecarPolicy` and `ClusterSidecarPolicy`, their
//! shared spec and status, their schema, and the label and annotation keys.
//!
//! No client and no I/O: what a policy means is decided in the crate `inject`.

mod crd;
pub mod keys;
mod policy;
mod schema;
mod spec;
mod status;

pub use crd::custom_resource_definitions;
pub use policy::{ClusterSidecarPolicy, SidecarPolicy};
pub use spec::{
    Activation, AppContainers, AppEnv, ConflictAction, ContainersIncluded, EnvMerge, FailurePolicy,
    Fallback, File, HostNetwork, MatchCondition, Mode, OperatingSystem, OptOut, Parameter,
    ParameterType, Placement, PlacementBlock, PodPatch, PolicySpec, RelativePlacement, Rollout,
    RolloutStrategy, Sidecar, SidecarType, Volume,
};
pub use status::{Overhead, PodCounts, PolicyStatus, SkippedPods};

/// API group of both kinds.
pub const GROUP: &str = "sidecarpolicy.dev";
/// API version of both kinds.
pub const VERSION: &str = "v1alpha1";
