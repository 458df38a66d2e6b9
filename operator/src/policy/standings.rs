//! How pods of one shape stand to each policy, and what there is to tell when that changes. The decision is
//! `inject`'s.

use std::sync::Arc;

use inject::{Namespace, Policy, PolicyId, Reason};

use super::{
    pod::Shape,
    tally::{Standing, Tally},
};
use crate::{events::What, rollout::PodState};

/// A policy that compiles, and the pods counted for it.
pub(super) struct Counted {
    /// Shared by the standings of its pods.
    pub(super) id: Arc<PolicyId>,
    /// The policy.
    pub(super) policy: Arc<Policy>,
    /// The policy as pods name it in their annotations.
    pub(super) key: String,
    /// The pods.
    pub(super) tally: Tally,
}

/// How a pod stands to the policies that concern it.
pub(super) type Standings = Arc<[(Arc<PolicyId>, Standing)]>;

impl Counted {
    /// How a pod of this shape stands to this policy; `None` when it does not concern it.
    pub(super) fn standing(
        &self,
        shape: &Shape,
        selected: &inject::Pod<'_>,
        namespace: &Namespace,
    ) -> Option<Standing> {
        let template = &shape.template;
        let revision = template.injected.get(&self.key);
        let skipped = template.skipped.get(&self.key);
        let refused = inject::select(&self.policy, selected, namespace).refused;
        // Not all that its conditions may read is kept: what the webhook recorded counts.
        if self.policy.is_decided_at_admission(refused.as_ref()) {
            return revision
                .map(|revision| self.injected(shape, revision))
                .or_else(|| skipped.map(|reason| Standing::Skipped(Arc::clone(reason))));
        }
        match refused {
            Some(Reason::OptedOut(_)) => Some(Standing::OptedOut),
            Some(Reason::Conflict(conflict)) if revision.is_none() => {
                let word = || conflict.as_str().into();
                Some(Standing::Skipped(skipped.cloned().unwrap_or_else(word)))
            }
            Some(_) => revision.map(|_| Standing::Surplus),
            None => Some(match (revision, skipped) {
                (Some(revision), _) => self.injected(shape, revision),
                (None, Some(reason)) => Standing::Skipped(Arc::clone(reason)),
                (None, None) => Standing::Missing,
            }),
        }
    }

    fn injected(&self, shape: &Shape, revision: &Arc<str>) -> Standing {
        let current = **revision == *self.policy.revision;
        let ready = self.is_ready(shape, current);
        let containers = self.policy.containers().map(|(name, _)| name);
        let resources = self.tally.shared(shape.template.resources(containers));
        Standing::Injected { revision: Arc::clone(revision), current, ready, resources }
    }

    /// Pods of this shape as a rollout sees them; `None` when they should not have this policy.
    pub(super) fn state<'p>(&self, shape: &'p Shape, standing: &Standing) -> Option<PodState<'p>> {
        match standing {
            Standing::Injected { current: true, ready, .. } => {
                Some(PodState::Current { ready: *ready })
            }
            Standing::Injected { .. } => {
                Some(PodState::Outdated { revision: shape.template.injected.get(&self.key)? })
            }
            Standing::Missing => Some(PodState::Missing),
            Standing::Skipped(_) => Some(PodState::Skipped),
            Standing::OptedOut | Standing::Surplus => None,
        }
    }

    /// Whether all injected containers are ready. A pod of another revision may lack some of them.
    fn is_ready(&self, shape: &Shape, current: bool) -> bool {
        shape.has_started()
            && self.policy.containers().all(|(name, _)| shape.is_ready(name).unwrap_or(!current))
    }
}

/// How it stands to this policy.
pub(super) fn standing_to<'s>(standings: &'s Standings, id: &PolicyId) -> Option<&'s Standing> {
    standings.iter().find(|(of, _)| **of == *id).map(|(_, standing)| standing)
}

/// The standings of one that the other does not have.
pub(super) fn difference(of: &Standings, other: &Standings) -> Vec<(Arc<PolicyId>, Standing)> {
    of.iter().filter(|standing| !other.contains(standing)).cloned().collect()
}

/// What there is to tell about pods that stand to policies as they do now.
pub(super) fn all_news<'s>(
    before: &'s Standings,
    after: &'s Standings,
    is_new: bool,
) -> impl Iterator<Item = (Arc<PolicyId>, What)> + use<'s> {
    after.iter().filter_map(move |(id, standing)| {
        let known = standing_to(before, id).filter(|_| !is_new);
        Some((Arc::clone(id), news(known, standing, is_new)?))
    })
}

/// What there is to tell about a pod that stands to a policy as it does now.
fn news(before: Option<&Standing>, now: &Standing, is_new: bool) -> Option<What> {
    match now {
        Standing::Missing if before != Some(now) => Some(What::Missing),
        Standing::Injected { .. } if is_new => Some(What::Injected),
        Standing::Skipped(reason) if is_new => Some(What::Skipped(Arc::clone(reason))),
        _ => None,
    }
}
