//! Finds the policies that a policy may clash with, without asking all.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::Arc,
};

use super::Footprint;
use crate::PolicyId;

/// Policies by what they claim. Two that share nothing are never compared, nor two that claim the
/// same in equal words, nor two that are found to reach different namespaces, or pods with different
/// values of a label, by their first look.
#[derive(Clone, Debug, Default)]
pub struct ClashIndex {
    footprints: HashMap<PolicyId, Arc<Footprint>>,
    claims: HashMap<Claim, Claimants>,
}

/// Hash of the words in which something is claimed: those who claim it in equal words share it.
/// `None`: nobody shares it.
type Words = Option<u64>;

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
    demanding: HashMap<String, HashMap<String, Vec<Claimant>>>,
    others: Vec<Claimant>,
}

#[derive(Clone, Debug)]
struct Claimant {
    words: Words,
    footprint: Arc<Footprint>,
}

/// For whom claimants are looked up.
struct Look<'l> {
    footprint: &'l Footprint,
    /// Only those are wanted that can demand the same value of a label.
    narrowed: bool,
}

impl ClashIndex {
    /// Adds a policy, or replaces the one of the same identity.
    pub fn insert(&mut self, footprint: Footprint) {
        self.remove(&footprint.id);
        let footprint = Arc::new(footprint);
        for (claim, words) in claims_of(&footprint) {
            let claimant = Claimant { words, footprint: Arc::clone(&footprint) };
            self.claims.entry(claim).or_default().insert(&claimant);
        }
        self.footprints.insert(footprint.id.clone(), footprint);
    }

    /// Removes a policy.
    pub fn remove(&mut self, id: &PolicyId) {
        let Some(footprint) = self.footprints.remove(id) else { return };
        for (claim, _) in claims_of(&footprint) {
            if let Some(claimants) = self.claims.get_mut(&claim) {
                claimants.remove(&footprint);
                if claimants.is_empty() {
                    self.claims.remove(&claim);
                }
            }
        }
    }

    /// A policy of the index.
    #[must_use]
    pub fn get(&self, id: &PolicyId) -> Option<&Footprint> {
        self.footprints.get(id).map(|footprint| &**footprint)
    }

    /// The policies that may clash with a policy, in the order of their precedence: all that do, and
    /// some that do not. The policy may be in the index or not.
    #[must_use]
    pub fn rivals(&self, footprint: &Footprint) -> Vec<&Footprint> {
        let mut rivals: Vec<&Footprint> = Vec::new();
        for (claim, shared) in wanted_by(footprint) {
            // Whoever selects by a label that is set is compared whatever it selects.
            let narrowed = !matches!(claim, Claim::SetsLabel(_) | Claim::SelectsByLabel(_));
            if let Some(claimants) = self.claims.get(&claim) {
                let look = Look { footprint, narrowed };
                claimants.visit(&look, &mut |claimant| {
                    let is_equal = shared.is_some() && claimant.words == shared;
                    if !is_equal && claimant.footprint.id != footprint.id {
                        rivals.push(&claimant.footprint);
                    }
                });
            }
        }
        rivals.sort_unstable_by(|left, right| left.precedence().cmp(&right.precedence()));
        rivals.dedup_by(|left, right| left.id == right.id);
        rivals
    }
}

impl Claimants {
    fn insert(&mut self, claimant: &Claimant) {
        match claimant.footprint.namespace_names() {
            Some(names) => {
                for name in names {
                    self.in_namespace.entry(name.clone()).or_default().insert(claimant);
                }
            }
            None => self.elsewhere.insert(claimant),
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

    fn visit<'a>(&'a self, look: &Look<'_>, visit: &mut impl FnMut(&'a Claimant)) {
        match look.footprint.namespace_names() {
            Some(names) => {
                for found in names.iter().filter_map(|name| self.in_namespace.get(name)) {
                    found.visit(look, visit);
                }
            }
            None => {
                for found in self.in_namespace.values() {
                    found.visit(look, visit);
                }
            }
        }
        self.elsewhere.visit(look, visit);
    }
}

impl ByLabel {
    fn insert(&mut self, claimant: &Claimant) {
        match claimant.footprint.pods.equality() {
            Some((key, values)) => {
                let by_value = self.demanding.entry(key.to_owned()).or_default();
                for value in values {
                    by_value.entry(value.clone()).or_default().push(claimant.clone());
                }
            }
            None => self.others.push(claimant.clone()),
        }
    }

    fn remove(&mut self, footprint: &Footprint) {
        let Some((key, values)) = footprint.pods.equality() else {
            return self.others.retain(|other| other.footprint.id != footprint.id);
        };
        let Some(by_value) = self.demanding.get_mut(key) else { return };
        for value in values {
            if let Some(found) = by_value.get_mut(value) {
                found.retain(|other| other.footprint.id != footprint.id);
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

    fn visit<'a>(&'a self, look: &Look<'_>, visit: &mut impl FnMut(&'a Claimant)) {
        let demanded = look.footprint.pods.equality().filter(|_| look.narrowed);
        for (key, by_value) in &self.demanding {
            match demanded {
                Some((own, values)) if own == key => {
                    let found = values.iter().filter_map(|value| by_value.get(value));
                    found.flatten().for_each(&mut *visit);
                }
                _ => by_value.values().flatten().for_each(&mut *visit),
            }
        }
        self.others.iter().for_each(visit);
    }
}

/// Under what a policy is found, and in which words it claims that.
fn claims_of(footprint: &Footprint) -> impl Iterator<Item = (Claim, Words)> {
    let alone = |claim| (claim, None);
    let containers = footprint.containers.iter().map(|container| {
        let words = words(&(container.is_ordinary, &container.placement, &container.json));
        (Claim::Container(container.name.clone()), Some(words))
    });
    let volumes = footprint
        .volumes
        .iter()
        .map(|volume| (Claim::Volume(volume.name.clone()), Some(words(&volume.json))));
    let mounts = footprint
        .mounts
        .iter()
        .map(|mount| (Claim::MountPath(mount.place.clone()), Some(words(&mount.json))));
    let targets = footprint.containers.iter().filter_map(|container| container.target.clone());
    let host_ports = footprint.host_ports.iter().map(|port| Claim::HostPort(port.number));
    let labels = footprint.labels.iter().cloned().map(Claim::SetsLabel);
    let selected = footprint.pods.keys().map(|key| Claim::SelectsByLabel(key.to_owned()));
    let unshared = targets.map(Claim::PlacedBeside).chain(host_ports).chain(labels).chain(selected);
    containers.chain(volumes).chain(mounts).chain(unshared.map(alone))
}

fn words(claimed: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    claimed.hash(&mut hasher);
    hasher.finish()
}

/// Under what the policies are found that it may clash with, and in which words those may claim it.
fn wanted_by(footprint: &Footprint) -> impl Iterator<Item = (Claim, Words)> {
    claims_of(footprint).flat_map(|(claim, words)| match claim {
        Claim::Container(name) => {
            vec![(Claim::PlacedBeside(name.clone()), None), (Claim::Container(name), words)]
        }
        Claim::PlacedBeside(name) => vec![(Claim::Container(name), None)],
        Claim::SetsLabel(key) => vec![(Claim::SelectsByLabel(key), None)],
        Claim::SelectsByLabel(key) => vec![(Claim::SetsLabel(key), None)],
        claim => vec![(claim, words)],
    })
}
