//! Which other policy stands behind a conflict, so that people know whom to talk to.
//!
//! It is found by what the policies that are in bring, not by who put it there: so a second call,
//! which finds it in the pod, says the same as the first.

use crate::{
    Conflict, LeftOut, Namespace, Pod, Policy, PolicySet, Reason,
    content::Content,
    merge::{is_meant, trimmed},
    pod::Spec,
    select,
};

use super::{Candidate, Decision, named, settlement::Settled};

/// Most conflicts of a pod whose causes are looked for: for each one, all policies that reach the
/// namespace are gone through.
const MOST: usize = 8;

/// What was decided on.
pub(super) struct Circumstances<'c, 'a> {
    pub(super) pod: &'c Pod<'c>,
    pub(super) spec: &'c Spec<'c>,
    pub(super) namespace: &'c Namespace,
    pub(super) policies: &'c PolicySet,
    pub(super) candidates: &'c [Candidate<'a>],
    /// The policies that were left out before they met what the pod has.
    pub(super) refused: &'c [Decision<'a>],
}

impl Circumstances<'_, '_> {
    /// Names in the first conflicts the policies that stand behind them, where some do.
    pub(super) fn name_causes(&self, settled: &mut [Settled]) {
        let conflicts = settled.iter().enumerate();
        let conflicts = conflicts.filter(|(_, settled)| matches!(settled, Settled::Out(_)));
        let first: Vec<usize> = conflicts.map(|(position, _)| position).take(MOST).collect();
        for position in first {
            let Settled::Out(conflict) = &settled[position] else { continue };
            let mut conflict = conflict.clone();
            Cause { of: self, settled }.name_in(&mut conflict);
            settled[position] = Settled::Out(conflict);
        }
    }
}

/// Finds what stands behind a conflict.
struct Cause<'c> {
    of: &'c Circumstances<'c, 'c>,
    settled: &'c [Settled],
}

impl Cause<'_> {
    fn name_in(&self, conflict: &mut Conflict) {
        match conflict {
            Conflict::ContainerName { container, list, policy } => {
                *policy = self.that_brings(|found, _| found.brings_container(container, *list));
            }
            Conflict::VolumeName { volume, policy } => {
                *policy = self.that_brings(|_, content| content.has_volume(volume));
            }
            Conflict::MountPathTaken { container, path, volume, policy, .. } => {
                *policy =
                    self.that_brings(|_, content| self.mounts(content, container, path, volume));
            }
            Conflict::HostPort { other: Some(other), policy, .. } => {
                *policy = self.that_brings(|_, content| content.has_sidecar(other));
            }
            Conflict::VolumeMissing { volume, left_out, .. } => {
                *left_out = self.left_out(|found| found.body.volumes.contains(volume));
            }
            Conflict::PlacementTarget { target, list, left_out, .. } => {
                *left_out = self.left_out(|found| found.brings_container(target, *list));
            }
            _ => {}
        }
    }

    /// The first policy in the pod that brings what is looked for.
    fn that_brings(&self, brings: impl Fn(&Policy, &Content) -> bool) -> Option<String> {
        let mut all = self.of.candidates.iter().zip(self.settled);
        let found = all.find(|(candidate, settled)| {
            matches!(settled, Settled::In { .. })
                && candidate.policy.enforced
                && brings(candidate.policy, &candidate.content)
        });
        found.map(|(candidate, _)| named(candidate.policy))
    }

    /// A policy that would bring what is looked for and is not in the pod: the first one that was
    /// decided on, or else the first one that was not.
    fn left_out(&self, brings: impl Fn(&Policy) -> bool) -> Option<LeftOut> {
        let refused = self.of.refused.iter().map(|decision| (decision.policy, &decision.reason));
        let refused = refused.filter(|(policy, _)| brings(policy));
        let all = self.of.candidates.iter().zip(self.settled);
        let settled = all.filter(|(candidate, _)| brings(candidate.policy));
        let settled = settled.filter_map(|(candidate, settled)| match settled {
            Settled::In { .. } if candidate.policy.enforced => None,
            Settled::In { reason, .. } => Some((candidate.policy, why(reason))),
            Settled::Out(conflict) => Some((candidate.policy, in_conflict(conflict))),
        });
        let decided = refused.map(|(policy, reason)| (policy, why(reason))).chain(settled);
        let first = decided.min_by(|(left, _), (right, _)| left.order().cmp(&right.order()));
        let (policy, why) = first.or_else(|| self.not_asked(brings))?;
        Some(LeftOut { policy: named(policy), why })
    }

    /// The first policy that the index did not even find; those that select this pod go before
    /// those that select others.
    fn not_asked(&self, brings: impl Fn(&Policy) -> bool) -> Option<(&Policy, String)> {
        let Circumstances { pod, namespace, policies, .. } = self.of;
        let all = policies.reaching(&namespace.name).filter(|policy| brings(policy));
        let out = all.filter_map(|policy| {
            let metadata = &pod.metadata;
            let selection = select::select_by_metadata(
                policy,
                &metadata.labels,
                &metadata.annotations,
                namespace,
            );
            let reason = selection.refused?;
            (!matches!(reason, Reason::NamespaceNotSelected(_))).then_some((policy, reason))
        });
        let selects_others = |reason: &Reason| matches!(reason, Reason::PodNotSelected(_));
        let first = out.min_by(|(left, why), (right, other)| {
            let by_selector = selects_others(why).cmp(&selects_others(other));
            by_selector.then_with(|| left.order().cmp(&right.order()))
        });
        first.map(|(policy, reason)| (policy, reason.to_string()))
    }

    /// Whether the content mounts the volume at the path of the app's container.
    fn mounts(&self, content: &Content, container: &str, path: &str, volume: &str) -> bool {
        let mut containers = self.of.spec.all_containers();
        let Some((list, ..)) = containers.find(|(_, _, found)| found.name.as_str() == container)
        else {
            return false;
        };
        let mut entries =
            content.app_containers.iter().filter(|entry| is_meant(entry, list, container));
        entries.any(|entry| {
            let mut mounts = entry.mounts.iter();
            mounts.any(|mount| mount.volume == volume && trimmed(&mount.path) == trimmed(path))
        })
    }
}

fn why(reason: &Reason) -> String {
    match reason {
        Reason::Conflict(conflict) => in_conflict(conflict),
        reason => reason.to_string(),
    }
}

/// Its own message says more.
fn in_conflict(conflict: &Conflict) -> String {
    format!("it was left out too ({})", conflict.as_str())
}
