//! A compiled policy: everything that a request needs, worked out when the policy changes.

use std::{cmp::Reverse, fmt};

use crds::{Activation, FailurePolicy, HostNetwork, OperatingSystem, OptOut};

use crate::{
    Conflict, PolicyId, Reason, Selector, Share, body::Body, expression::Expression,
    parameters::Parameters, partition::Previous,
};

/// A compiled policy. Made by [`compile`](crate::compile).
pub struct Policy {
    /// Which policy.
    pub id: PolicyId,
    /// `metadata.uid` of the policy.
    pub uid: String,
    /// `metadata.generation` that was compiled.
    pub generation: i64,
    /// Content hash of what goes in.
    pub revision: String,
    /// Order among policies: higher goes first.
    pub priority: i32,
    /// False in mode `Audit`: what would happen is computed, nothing is patched or denied.
    pub enforced: bool,
    /// What an absent webhook means.
    pub failure_policy: FailurePolicy,
    /// Labels of the pods that are reached.
    pub pod_selector: Selector,
    /// Labels of the namespaces that are reached.
    pub namespace_selector: Selector,
    /// The pods that stay on the previous revision, once it is [known](Policy::keeping).
    pub partition: Share,
    pub(crate) activation: Activation,
    pub(crate) opt_out: OptOut,
    pub(crate) operating_system: OperatingSystem,
    pub(crate) host_network: HostNetwork,
    pub(crate) denies_conflicts: bool,
    pub(crate) parameters: Parameters,
    pub(crate) match_conditions: Vec<MatchCondition>,
    pub(crate) body: Body,
    pub(crate) previous: Option<Previous>,
}

/// A condition on a pod, compiled.
pub(crate) struct MatchCondition {
    pub(crate) name: String,
    pub(crate) expression: Expression,
    pub(crate) reads_what_varies: bool,
}

impl fmt::Debug for Policy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Policy")
            .field("id", &self.id)
            .field("generation", &self.generation)
            .field("revision", &self.revision)
            .finish_non_exhaustive()
    }
}

impl Policy {
    /// The containers that the policy puts in: name and list.
    pub fn containers(&self) -> impl Iterator<Item = (&str, ContainerList)> {
        self.body.sidecars.iter().map(|(name, list)| (name.as_str(), *list))
    }

    /// Whether it puts a container of this name into this list.
    pub(crate) fn brings_container(&self, name: &str, list: ContainerList) -> bool {
        self.containers().any(|found| found == (name, list))
    }

    /// The policy, with a share of the pods kept at its previous revision: `previous` is the same
    /// policy with the content of that revision.
    #[must_use]
    pub fn keeping(self, previous: Self, share: Share) -> Self {
        Self { previous: Some(Previous { policy: Box::new(previous), share }), ..self }
    }

    /// The revision that a share of the pods is kept at, and that share.
    #[must_use]
    pub fn kept(&self) -> Option<(&str, Share)> {
        let previous = self.previous.as_ref()?;
        Some((&previous.policy.revision, previous.share))
    }

    /// Names of the parameters that pods can set, those of the previous revision included.
    pub(crate) fn parameter_names(&self) -> impl Iterator<Item = &str> {
        let previous = self.previous.as_ref().map(|previous| &previous.policy.parameters);
        let removed = previous.into_iter().flat_map(Parameters::names);
        let removed = removed.filter(|name| self.parameters.names().all(|known| known != *name));
        self.parameters.names().chain(removed)
    }

    /// Whether of a running pod only what the webhook recorded counts: its match conditions have the last
    /// word, and may read what pods of one template differ in, and what is set after admission:
    /// annotations that are not the product's, `spec.hostname` or `spec.nodeName`. `refused` is what
    /// [`select`](crate::select) says of the pod as it runs.
    #[must_use]
    pub fn is_decided_at_admission(&self, refused: Option<&Reason>) -> bool {
        self.match_conditions.iter().any(|condition| condition.reads_what_varies)
            && matches!(
                refused,
                None | Some(
                    Reason::ConditionNotMet(_) | Reason::Conflict(Conflict::MatchCondition { .. })
                )
            )
    }

    /// Sort key of the policy order.
    pub(crate) fn order(&self) -> impl Ord + '_ {
        policy_order(self.priority, &self.id)
    }
}

/// Sort key of the policy order: priority descending, cluster kind first, then name.
pub(crate) fn policy_order(priority: i32, id: &PolicyId) -> impl Ord + '_ {
    (Reverse(priority), id.namespace.is_some(), &id.name)
}

/// One of the two container lists of a pod that a policy can add to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ContainerList {
    /// `spec.initContainers`: init containers and native sidecars.
    InitContainers,
    /// `spec.containers`.
    Containers,
}

impl ContainerList {
    /// Name of the list in a pod spec.
    #[must_use]
    pub fn field(self) -> &'static str {
        match self {
            Self::InitContainers => "initContainers",
            Self::Containers => "containers",
        }
    }
}
