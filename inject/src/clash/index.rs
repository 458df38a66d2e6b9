//! Finds the policies that a policy clashes with, without asking all.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Clash, Footprint, clash};
use crate::PolicyId;

/// Most clashes that are told of one policy.
const MOST: usize = 8;

/// Policies by what they claim. Two that share nothing are never compared, nor two that are found to
/// reach different namespaces, or pods with different values of a label, by their first look.
#[derive(Clone, Debug, Default)]
pub struct ClashIndex {
    footprints: HashMap<PolicyId, Arc<Footprint>>,
    claims: HashMap<Claim, Claimants>,
}

/// Something that only one policy can have in a pod, or that depends on another having it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Claim {
    Container(String),
    /// A container is placed beside the one of this name.
    PlacedBeside(String),
    Volume(String),
    MountPath(String),
    HostPort(i64),
    SetsLabel(String),
    SelectsByLabel(String),
}

/// Those who claim the same, by the namespace they reach.
#[derive(Clone, Debug, Default)]
struct Claimants {
    in_namespace: HashMap<String, ByLabel>,
    elsewhere: ByLabel,
}

/// By a label of which they demand a value.
#[derive(Clone, Debug, Default)]
struct ByLabel {
    demanding: HashMap<String, HashMap<String, Vec<Arc<Footprint>>>>,
    others: Vec<Arc<Footprint>>,
}

impl ClashIndex {
    /// Adds a policy, or replaces the one of the same identity.
    pub fn insert(&mut self, footprint: Footprint) {
        self.remove(&footprint.id);
        let footprint = Arc::new(footprint);
        for claim in claims_of(&footprint) {
            self.claims.entry(claim).or_default().insert(&footprint);
        }
        self.footprints.insert(footprint.id.clone(), footprint);
    }

    /// Removes a policy.
    pub fn remove(&mut self, id: &PolicyId) {
        let Some(footprint) = self.footprints.remove(id) else { return };
        for claim in claims_of(&footprint) {
            if let Some(claimants) = self.claims.get_mut(&claim) {
                claimants.remove(&footprint);
                if claimants.is_empty() {
                    self.claims.remove(&claim);
                }
            }
        }
    }

    /// The policies that a policy clashes with, by identity; at most eight. The policy may be in the
    /// index or not.
    #[must_use]
    pub fn clashes(&self, footprint: &Footprint) -> Vec<Clash> {
        let mut met: BTreeMap<&PolicyId, &Footprint> = BTreeMap::new();
        for claim in wanted_by(footprint) {
            if let Some(claimants) = self.claims.get(&claim) {
                // Whoever selects by a label that is set is compared whatever it selects.
                let narrowed = !matches!(claim, Claim::SetsLabel(_) | Claim::SelectsByLabel(_));
                claimants.visit(footprint, narrowed, &mut |other| {
                    if other.id != footprint.id {
                        met.insert(&other.id, other);
                    }
                });
            }
        }
        met.values().filter_map(|other| clash(footprint, other)).take(MOST).collect()
    }
}

impl Claimants {
    fn insert(&mut self, footprint: &Arc<Footprint>) {
        match footprint.namespace_names() {
            Some(names) => {
                for name in names {
                    self.in_namespace.entry(name.clone()).or_default().insert(footprint);
                }
            }
            None => self.elsewhere.insert(footprint),
        }
    }

    fn remove(&mut self, footprint: &Footprint) {
        match footprint.namespace_names() {
            Some(names) => {
                for name in names {
                    if let Some(found) = self.in_namespace.get_mut(name) {
                        found.remove(footprint);
                        if found.is_empty() {
                            self.in_namespace.remove(name);
                        }
                    }
                }
            }
            None => self.elsewhere.remove(footprint),
        }
    }

    fn is_empty(&self) -> bool {
        self.in_namespace.is_empty() && self.elsewhere.is_empty()
    }

    fn visit<'a>(
        &'a self,
        footprint: &Footprint,
        narrowed: bool,
        visit: &mut impl FnMut(&'a Footprint),
    ) {
        match footprint.namespace_names() {
            Some(names) => {
                for found in names.iter().filter_map(|name| self.in_namespace.get(name)) {
                    found.visit(footprint, narrowed, visit);
                }
            }
            None => {
                for found in self.in_namespace.values() {
                    found.visit(footprint, narrowed, visit);
                }
            }
        }
        self.elsewhere.visit(footprint, narrowed, visit);
    }
}

impl ByLabel {
    fn insert(&mut self, footprint: &Arc<Footprint>) {
        match footprint.pods.equality() {
            Some((key, values)) => {
                let by_value = self.demanding.entry(key.to_owned()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(Arc::clone(footprint));
                }
            }
            None => self.others.push(Arc::clone(footprint)),
        }
    }

    fn remove(&mut self, footprint: &Footprint) {
        let Some((key, values)) = footprint.pods.equality() else {
            return self.others.retain(|other| other.id != footprint.id);
        };
        let Some(by_value) = self.demanding.get_mut(key) else { return };
        for value in values {
            if let Some(found) = by_value.get_mut(value) {
                found.retain(|other| other.id != footprint.id);
                if found.is_empty() {
                    by_value.remove(value);
                }
            }
        }
        if by_value.is_empty() {
            self.demanding.remove(key);
        }
    }

    fn is_empty(&self) -> bool {
        self.demanding.is_empty() && self.others.is_empty()
    }

    fn visit<'a>(
        &'a self,
        footprint: &Footprint,
        narrowed: bool,
        visit: &mut impl FnMut(&'a Footprint),
    ) {
        let demanded = footprint.pods.equality().filter(|_| narrowed);
        for (key, by_value) in &self.demanding {
            match demanded {
                Some((own, values)) if own == key => {
                    let found = values.iter().filter_map(|value| by_value.get(value));
                    found.flatten().for_each(|other| visit(other));
                }
                _ => by_value.values().flatten().for_each(|other| visit(other)),
            }
        }
        self.others.iter().for_each(|other| visit(other));
    }
}

/// Under what a policy is found.
fn claims_of(footprint: &Footprint) -> impl Iterator<Item = Claim> {
    let containers = footprint.containers.iter();
    let targets = containers.clone().filter_map(|container| container.target.clone());
    containers
        .map(|container| Claim::Container(container.name.clone()))
        .chain(targets.map(Claim::PlacedBeside))
        .chain(footprint.volumes.iter().map(|volume| Claim::Volume(volume.name.clone())))
        .chain(footprint.mounts.iter().map(|mount| Claim::MountPath(mount.place.clone())))
        .chain(footprint.host_ports.iter().map(|port| Claim::HostPort(port.number)))
        .chain(footprint.labels.iter().cloned().map(Claim::SetsLabel))
        .chain(footprint.pods.keys().map(|key| Claim::SelectsByLabel(key.to_owned())))
}

/// Under what the policies are found that it may clash with.
fn wanted_by(footprint: &Footprint) -> impl Iterator<Item = Claim> {
    claims_of(footprint).flat_map(|claim| match claim {
        Claim::Container(name) => {
            vec![Claim::Container(name.clone()), Claim::PlacedBeside(name)]
        }
        Claim::PlacedBeside(name) => vec![Claim::Container(name)],
        Claim::SetsLabel(key) => vec![Claim::SelectsByLabel(key)],
        Claim::SelectsByLabel(key) => vec![Claim::SetsLabel(key)],
        claim => vec![claim],
    })
}
