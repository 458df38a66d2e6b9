//! The heart: decides which policies reach a pod, what goes in, what is kept, what clashes and why.
//!
//! Pure and synchronous: raw JSON in, explicit edits out. Webhook, operator and command line all
//! ask this crate and decide nothing themselves.
//!
//! [`compile`] turns the spec of a policy into a [`Policy`]; a [`PolicySet`] finds the policies that
//! can match a pod; [`inject`] gives the [`Outcome`] for a pod, [`carry`] the one for a workload.

mod admission;
mod advice;
mod body;
mod canonical;
mod clash;
mod compile;
mod conflict;
mod content;
mod demands;
mod exclusions;
mod expression;
mod facts;
mod files;
mod identity;
mod injection;
mod journal;
mod json;
mod merge;
mod naming;
mod nested;
mod notice;
mod parameters;
mod partition;
mod pattern;
mod pod;
mod pod_security;
mod policy;
mod policy_set;
mod problem;
mod quantity;
mod reader;
mod reason;
mod record;
mod render;
mod requests;
mod revision;
mod sample;
mod select;
mod selector;
mod shape;
mod template;
mod validation;
mod workload;

pub use admission::{MutatingAdmissionPolicy, mutating_admission_policy};
pub use advice::{Advice, advice};
pub use clash::{Clash, ClashIndex, Collision, Footprint, clash};
pub use compile::compile;
pub use conflict::{Conflict, LeftOut};
pub use exclusions::Exclusions;
pub use files::volume_name as files_volume_name;
pub use identity::PolicyId;
pub use injection::{Decision, Outcome, Request, inject};
pub use journal::Journal;
pub use naming::came_with_name;
pub use notice::Notice;
pub use partition::{Place, Share, previous_revision};
pub use pod::{Entries, Metadata, Owner, Pod, Text};
pub use policy::{ContainerList, Policy};
pub use policy_set::PolicySet;
pub use problem::{Invalid, Problem};
pub use quantity::Quantity;
pub use reader::{Raw, read};
pub use reason::{Level, Reason};
pub use revision::{revision, revision_content, revision_name, revision_of_content, with_content};
pub use sample::{Sample, sample};
pub use select::{Lookup, Namespace, Selection, select};
pub use selector::Selector;
pub use validation::unknown_fields;
pub use workload::{Carried, Operation, Workload, WorkloadKind, carry, is_carried_key};
