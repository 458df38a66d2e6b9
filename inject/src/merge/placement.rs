//! Where the containers go. `First` and `Last` each form one block in policy order; `before` and
//! `after` attach a sidecar to another container. What is there already keeps its place
//! (`order.rs`).

use std::collections::{HashMap, HashSet};

use crate::{
    Conflict,
    content::{Content, Placement, Sidecar},
    journal::{Insertion, Insertions},
    policy::ContainerList,
};

use super::{Merge, Taken, order::places};

/// A policy that cannot be placed.
pub(crate) struct Misplaced {
    /// Position of the policy among the selected ones.
    pub(crate) policy: usize,
    /// Why not.
    pub(crate) conflict: Conflict,
}

impl<'s> Merge<'_, 's> {
    /// Finds the policies that have to give way so that each of these sidecars has its place: those
    /// whose target is missing, or else the lowest-ordered of each circle.
    pub(crate) fn misplaced(&self, sidecars: &[Taken<'s>]) -> Vec<Misplaced> {
        let mut misplaced = Vec::new();
        for list in [ContainerList::InitContainers, ContainerList::Containers] {
            let of_list = sidecars.iter().filter(|taken| taken.sidecar.list == list);
            let placed: Vec<Taken<'s>> =
                of_list.filter(|taken| target(taken.sidecar).is_some()).copied().collect();
            if placed.is_empty() {
                continue;
            }
            let of_pod = self.list_names(list);
            let ours: HashMap<&str, Taken<'s>> = sidecars
                .iter()
                .filter(|taken| taken.sidecar.list == list)
                .map(|taken| (taken.sidecar.name.as_str(), *taken))
                .collect();
            let is_missing = |taken: &Taken<'s>| {
                target(taken.sidecar)
                    .is_some_and(|target| !ours.contains_key(target) && !of_pod.contains(&target))
            };
            let before = misplaced.len();
            misplaced.extend(placed.iter().filter(|taken| is_missing(taken)).map(|taken| {
                Misplaced {
                    policy: taken.policy,
                    conflict: Conflict::PlacementTarget {
                        container: taken.sidecar.name.clone(),
                        target: target(taken.sidecar).unwrap_or_default().to_owned(),
                        list,
                        left_out: None,
                    },
                }
            }));
            if misplaced.len() == before {
                let lowest = placed.iter().filter_map(|taken| lowest_in_circle(*taken, &ours));
                misplaced.extend(lowest.map(|taken| Misplaced {
                    policy: taken.policy,
                    conflict: Conflict::PlacementCycle {
                        container: taken.sidecar.name.clone(),
                        target: target(taken.sidecar).unwrap_or_default().to_owned(),
                    },
                }));
            }
        }
        misplaced
    }

    /// Whether a policy that had to give way would have its place by now.
    pub(crate) fn has_targets(&self, content: &Content) -> bool {
        content.sidecars.iter().all(|sidecar| {
            target(sidecar).is_none_or(|target| {
                self.list_names(sidecar.list).contains(&target)
                    || self
                        .sidecars
                        .iter()
                        .map(|taken| taken.sidecar)
                        .any(|taken| taken.list == sidecar.list && taken.name == target)
                    || content.has_sidecar(target)
            })
        })
    }

    /// The insertions that bring the missing sidecars into the pod's two lists.
    pub(super) fn insertions(&self) -> Result<Vec<Insertions>, Conflict> {
        [ContainerList::InitContainers, ContainerList::Containers]
            .into_iter()
            .map(|list| {
                let present = match list {
                    ContainerList::InitContainers => self.spec.init_containers.is_some(),
                    ContainerList::Containers => self.spec.containers.is_some(),
                };
                Ok(Insertions { list, present, items: self.insertions_into(list)? })
            })
            .collect()
    }

    fn insertions_into(&self, list: ContainerList) -> Result<Vec<Insertion>, Conflict> {
        let names = self.list_names(list);
        let ours: Vec<&Sidecar> = self
            .sidecars
            .iter()
            .map(|taken| taken.sidecar)
            .filter(|sidecar| sidecar.list == list)
            .collect();
        if ours.iter().all(|sidecar| names.contains(&sidecar.name.as_str())) {
            return Ok(Vec::new());
        }
        let places = places(&names, &ours).into_iter().enumerate();
        let items = places.map(|(earlier, (gap, sidecar))| {
            let json = match &sidecar.from_app {
                None => sidecar.rendered.json.clone(),
                Some(from) => self.completed(sidecar, from)?.into(),
            };
            let successor = names.get(gap).map(|name| (*name).to_owned());
            Ok(Insertion { position: gap + earlier, successor, json })
        });
        items.collect()
    }

    /// The names of the containers in a list of the pod.
    fn list_names(&self, list: ContainerList) -> Vec<&str> {
        let containers = match list {
            ContainerList::InitContainers => &self.spec.init_containers,
            ContainerList::Containers => &self.spec.containers,
        };
        containers.iter().flatten().map(|found| found.name.as_str()).collect()
    }
}

/// The container beside which a sidecar goes.
fn target(sidecar: &Sidecar) -> Option<&str> {
    match &sidecar.placement {
        Placement::First | Placement::Last => None,
        Placement::Before(target) | Placement::After(target) => Some(target),
    }
}

/// The lowest-ordered sidecar of the circle into which this one leads, if it does.
fn lowest_in_circle<'s>(from: Taken<'s>, names: &HashMap<&str, Taken<'s>>) -> Option<Taken<'s>> {
    let mut seen: Vec<Taken<'s>> = vec![from];
    let mut visited: HashSet<&str> = HashSet::from([from.sidecar.name.as_str()]);
    let mut current = from;
    loop {
        current = *names.get(target(current.sidecar)?)?;
        if !visited.insert(&current.sidecar.name) {
            let start = seen.iter().position(|found| found.sidecar.name == current.sidecar.name)?;
            return seen[start..].iter().copied().max_by_key(|found| found.policy);
        }
        seen.push(current);
    }
}
