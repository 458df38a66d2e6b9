//! Which of the candidates go into a pod together, each whole or not at all.
//!
//! Policies are attempted in their order. What one of them gives up changes what another may add,
//! so rounds are repeated until one of them stands, and until the pod as it would be then gives
//! the same answer once more: admission may ask a second time.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Conflict, Notice, Policy, Reason,
    content::Content,
    journal::Journal,
    merge::{Merge, PodEdits, Taken},
    pod::{Pod, Spec},
    pod_security::Enforced,
};

use super::Candidate;

/// How it ended for a candidate.
pub(super) enum Settled {
    In { reason: Reason, notices: Vec<Notice> },
    Out(Conflict),
}

/// What changes, and what of that concerns the metadata of the pod; nothing may.
pub(super) type Edits<'s> = Option<(Journal, PodEdits<'s>)>;

/// Finds the policies that go in together, each whole or not at all. An error is a part of the pod
/// that cannot be read: then nothing goes in.
pub(super) fn settle<'s>(
    pod: &Pod<'_>,
    spec: &Spec<'_>,
    enforced: Option<Enforced>,
    candidates: &'s [Candidate<'_>],
) -> Result<(Vec<Settled>, Edits<'s>), Conflict> {
    let mut rounds = Rounds::new(candidates);
    loop {
        let enforced_candidates = candidates.iter().filter(|candidate| candidate.policy.enforced);
        let separators = enforced_candidates.flat_map(|candidate| candidate.content.separators());
        let mut merge =
            Merge::new(&pod.metadata, spec, enforced, rounds.entering(), separators.collect())?;
        let mut settled = rounds.attempt_all(&mut merge)?;
        if rounds.leaves_names_to_the_app(&settled, spec)
            || rounds.drops_misplaced(&merge)
            || rounds.retries_placeable(&merge)
            || rounds.asks_once_more(&settled)
        {
            continue;
        }
        check_audited_placement(&merge, candidates, &mut settled);
        return Ok((settled, merge.into_journal()?));
    }
}

/// What one round leaves to the next.
struct Rounds<'s, 'a> {
    candidates: &'s [Candidate<'a>],
    /// The order in which candidates are attempted, by position.
    order: Vec<usize>,
    /// Those that are not attempted, and why.
    dropped: BTreeMap<usize, Conflict>,
    /// Those that got one more chance after their target was missing: each gets one, so that this
    /// ends.
    retried: BTreeSet<usize>,
    /// Those that went in when a round stood.
    entered: BTreeSet<usize>,
}

impl<'s, 'a> Rounds<'s, 'a> {
    fn new(candidates: &'s [Candidate<'a>]) -> Self {
        Self {
            candidates,
            order: (0..candidates.len()).collect(),
            dropped: BTreeMap::new(),
            retried: BTreeSet::new(),
            entered: BTreeSet::new(),
        }
    }

    /// The policies that may go in.
    fn entering(&self) -> Vec<(&'s Policy, &'s Content)> {
        let candidates = self.candidates.iter().enumerate();
        let entering = candidates.filter(|(position, candidate)| {
            !self.dropped.contains_key(position) && candidate.policy.enforced
        });
        entering.map(|(_, Candidate { policy, content })| (*policy, &**content)).collect()
    }

    /// Attempts each policy in order against the pod and the policies before it.
    fn attempt_all(&self, merge: &mut Merge<'_, 's>) -> Result<Vec<Settled>, Conflict> {
        let positions = 0..self.candidates.len();
        let mut settled: Vec<Option<Settled>> = positions
            .map(|position| self.dropped.get(&position).cloned().map(Settled::Out))
            .collect();
        // A policy may need what one after it brings, such as a volume or a grace period, or bring
        // nothing but what others bring too; a second call would find it there. So it waits until
        // nothing more comes.
        loop {
            let mut progress = false;
            let mut waiting = Vec::new();
            for &position in &self.order {
                if settled[position].is_some() {
                    continue;
                }
                match attempt(merge, position, &self.candidates[position]) {
                    Err(conflict @ Conflict::MalformedPod(_)) => return Err(conflict),
                    Err(
                        conflict @ (Conflict::VolumeMissing { .. }
                        | Conflict::Demand { .. }
                        | Conflict::PodSecurity { .. }
                        | Conflict::PodResources { .. }),
                    ) => {
                        waiting.push((position, conflict));
                    }
                    Err(conflict) => settled[position] = Some(Settled::Out(conflict)),
                    Ok(done) => {
                        settled[position] = Some(done);
                        progress = true;
                    }
                }
            }
            if waiting.is_empty() || !progress {
                for (position, conflict) in waiting {
                    settled[position] = Some(Settled::Out(conflict));
                }
                return Ok(settled.into_iter().flatten().collect());
            }
        }
    }

    /// Drops policies in conflict that took a container of the pod for their sidecar: it is the
    /// app's then, and the others' to add to. Says whether there are any.
    fn leaves_names_to_the_app(&mut self, settled: &[Settled], spec: &Spec<'_>) -> bool {
        let before = self.dropped.len();
        for (position, settled) in settled.iter().enumerate() {
            let Candidate { policy, content } = &self.candidates[position];
            if let Settled::Out(conflict) = settled
                && policy.enforced
                && names_container(content, spec)
            {
                self.dropped.entry(position).or_insert_with(|| conflict.clone());
            }
        }
        self.dropped.len() > before
    }

    /// Drops policies with a sidecar that cannot stand where it belongs. Says whether there are any.
    fn drops_misplaced(&mut self, merge: &Merge<'_, 's>) -> bool {
        let misplaced = merge.misplaced(merge.sidecars());
        if misplaced.is_empty() {
            return false;
        }
        // What gives way may be all that kept others out. Those that gave way stay out, so that
        // this ends.
        self.dropped.retain(|_, conflict| gave_way(conflict));
        self.dropped.extend(misplaced.into_iter().map(|found| (found.policy, found.conflict)));
        true
    }

    /// Lets policies in again whose target is there by now: what gave way may have kept another
    /// policy out that brings the target of a third. Says whether there are any.
    fn retries_placeable(&mut self, merge: &Merge<'_, 's>) -> bool {
        let placeable: Vec<usize> = self
            .dropped
            .iter()
            .filter(|(position, conflict)| {
                matches!(conflict, Conflict::PlacementTarget { .. })
                    && !self.retried.contains(*position)
                    && merge.has_targets(&self.candidates[**position].content)
            })
            .map(|(position, _)| *position)
            .collect();
        self.dropped.retain(|position, _| !placeable.contains(position));
        self.retried.extend(&placeable);
        !placeable.is_empty()
    }

    /// Asks the policies that left their names to the app once more, as a second call would: after
    /// those that went in. Since they were dropped, what kept them out may have been kept out by what
    /// they left. Says whether there are any; each time more have gone in, so that this ends.
    fn asks_once_more(&mut self, settled: &[Settled]) -> bool {
        if self.dropped.values().all(gave_way) {
            return false;
        }
        let before = self.entered.len();
        let entered = settled.iter().enumerate().filter(|(position, settled)| {
            matches!(settled, Settled::In { .. }) && self.candidates[*position].policy.enforced
        });
        self.entered.extend(entered.map(|(position, _)| position));
        if self.entered.len() == before {
            return false;
        }
        self.order.sort_unstable_by_key(|position| (!self.entered.contains(position), *position));
        self.dropped.retain(|_, conflict| gave_way(conflict));
        true
    }
}

/// Whether a policy gave way for want of a place; else it left its name to the app.
fn gave_way(conflict: &Conflict) -> bool {
    matches!(conflict, Conflict::PlacementTarget { .. } | Conflict::PlacementCycle { .. })
}

fn attempt<'s>(
    merge: &mut Merge<'_, 's>,
    position: usize,
    candidate: &'s Candidate<'_>,
) -> Result<Settled, Conflict> {
    let additions = merge.attempt(candidate.policy, &candidate.content)?;
    let notices = additions.notices.clone();
    if !candidate.policy.enforced {
        return Ok(Settled::In { reason: Reason::WouldInject, notices });
    }
    let reason = if additions.nothing_new { Reason::AlreadyInjected } else { Reason::Injected };
    merge.take(position, additions);
    Ok(Settled::In { reason, notices })
}

/// Whether a sidecar of the policy has the name of a container of the pod.
fn names_container(content: &Content, spec: &Spec<'_>) -> bool {
    spec.all_containers().any(|(_, _, container)| content.has_sidecar(container.name.as_str()))
}

/// An audited policy takes no place, but is told whether it would have one.
fn check_audited_placement<'s>(
    merge: &Merge<'_, 's>,
    candidates: &'s [Candidate<'_>],
    settled: &mut [Settled],
) {
    for (position, candidate) in candidates.iter().enumerate() {
        if candidate.policy.enforced || !matches!(settled[position], Settled::In { .. }) {
            continue;
        }
        let own = candidate.content.sidecars.iter();
        let own = own.map(|sidecar| Taken { sidecar, policy: position });
        let all: Vec<Taken<'s>> = merge.sidecars().iter().copied().chain(own).collect();
        let misplaced = merge.misplaced(&all).into_iter().find(|found| found.policy == position);
        if let Some(misplaced) = misplaced {
            settled[position] = Settled::Out(misplaced.conflict);
        }
    }
}
