//! Which pods each policy should have reached, and has. Pure: events in, counts out.
//!
//! A change of a pod costs by the policies of its namespace; a change of a policy or a namespace by
//! the pods it can reach. Every decision is `inject`'s.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crds::{PodCounts, SkippedPods};
use inject::{Exclusions, Namespace, Policy, PolicyId, Reason};

use super::pod::{Pod, Template, WatchedPod};

/// Most reasons that a status lists.
const REASONS: usize = 10;

/// Policies, namespaces and pods, and how they stand to each other.
pub(super) struct Index {
    exclusions: Exclusions,
    policies: HashMap<PolicyId, Counted>,
    /// Policies of the cluster kind.
    cluster_policies: BTreeSet<PolicyId>,
    namespaces: HashMap<String, NamespaceEntry>,
    templates: HashSet<Arc<Template>>,
    /// Nothing is counted before all has been listed once.
    counting: bool,
    changed: BTreeSet<PolicyId>,
}

/// A policy that compiles, and the pods counted for it.
struct Counted {
    policy: Arc<Policy>,
    /// The policy as pods name it in their annotations.
    key: String,
    tally: Tally,
}

#[derive(Default)]
struct NamespaceEntry {
    /// Its labels and annotations; `None` until it was seen.
    facts: Option<Namespace>,
    /// Names of the policies of this namespace.
    policies: BTreeSet<String>,
    pods: HashMap<String, PodEntry>,
}

struct PodEntry {
    pod: Pod,
    standings: Vec<(PolicyId, Standing)>,
}

/// How a pod stands to a policy that concerns it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Injected { current: bool, ready: bool },
    Skipped(Arc<str>),
    Missing,
    OptedOut,
    Surplus,
}

/// Running counts of one policy.
#[derive(Default)]
struct Tally {
    current: i64,
    outdated: i64,
    ready: i64,
    missing: i64,
    opted_out: i64,
    surplus: i64,
    /// Reason -> pods as `namespace/name`.
    skipped: BTreeMap<Arc<str>, BTreeSet<String>>,
}

impl Index {
    /// An empty index that counts nothing yet.
    pub(super) fn new(exclusions: Exclusions) -> Self {
        Self {
            exclusions,
            policies: HashMap::new(),
            cluster_policies: BTreeSet::new(),
            namespaces: HashMap::new(),
            templates: HashSet::new(),
            counting: false,
            changed: BTreeSet::new(),
        }
    }

    /// Everything has been listed: counts from now on.
    pub(super) fn start_counting(&mut self) {
        self.counting = true;
        let namespaces: Vec<String> = self.namespaces.keys().cloned().collect();
        for namespace in namespaces {
            self.recount_namespace(&namespace);
        }
        self.changed.extend(self.policies.keys().cloned());
    }

    /// Adds a compiled policy or takes the place of the one before.
    pub(super) fn set_policy(&mut self, policy: Arc<Policy>) {
        let id = policy.id.clone();
        match &id.namespace {
            None => {
                self.cluster_policies.insert(id.clone());
            }
            Some(namespace) => {
                self.namespaces
                    .entry(namespace.clone())
                    .or_default()
                    .policies
                    .insert(id.name.clone());
            }
        }
        let tally = self.policies.remove(&id).map(|before| before.tally).unwrap_or_default();
        let key = id.to_string();
        self.policies.insert(id.clone(), Counted { policy, key, tally });
        self.recount_policy(&id);
    }

    /// Removes a policy, because it is gone or does not compile.
    pub(super) fn remove_policy(&mut self, id: &PolicyId) {
        if self.policies.remove(id).is_none() {
            return;
        }
        match &id.namespace {
            None => {
                self.cluster_policies.remove(id);
            }
            Some(namespace) => {
                if let Some(entry) = self.namespaces.get_mut(namespace) {
                    entry.policies.remove(&id.name);
                }
            }
        }
        self.recount_policy(id);
        if let Some(namespace) = &id.namespace {
            self.forget_if_empty(namespace);
        }
        self.changed.remove(id);
    }

    /// A namespace was seen.
    pub(super) fn set_namespace(&mut self, facts: Namespace) {
        if self.exclusions.contains(&facts.name) {
            return;
        }
        let name = facts.name.clone();
        let entry = self.namespaces.entry(name.clone()).or_default();
        if entry.facts.as_ref() != Some(&facts) {
            entry.facts = Some(facts);
            self.recount_namespace(&name);
        }
    }

    /// A namespace is gone.
    pub(super) fn remove_namespace(&mut self, name: &str) {
        if let Some(entry) = self.namespaces.get_mut(name) {
            entry.facts = None;
            self.recount_namespace(name);
            self.forget_if_empty(name);
        }
    }

    /// Forgets the namespaces that are not listed any more.
    pub(super) fn retain_namespaces(&mut self, listed: &HashSet<String>) {
        let gone: Vec<String> =
            self.namespaces.keys().filter(|name| !listed.contains(*name)).cloned().collect();
        for name in gone {
            self.remove_namespace(&name);
        }
    }

    /// A pod was seen.
    pub(super) fn set_pod(&mut self, watched: WatchedPod) {
        let (Some(namespace), Some(name)) =
            (watched.metadata.namespace.clone(), watched.metadata.name.clone())
        else {
            return;
        };
        if self.exclusions.contains(&namespace) {
            return;
        }
        let Some(mut pod) = watched.into_pod() else {
            return self.remove_pod(&namespace, &name);
        };
        pod.template = self.shared(pod.template);
        let entry = self.namespaces.entry(namespace.clone()).or_default();
        let standings = match entry.pods.get_mut(&name) {
            Some(before) if before.pod == pod => return,
            Some(before) => std::mem::take(&mut before.standings),
            None => Vec::new(),
        };
        let before = entry.pods.insert(name.clone(), PodEntry { pod, standings });
        if let Some(before) = before {
            self.forget_template(&before.pod.template);
        }
        self.recount_pod(&namespace, &name);
    }

    /// A pod is gone.
    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(entry) = self.namespaces.get_mut(namespace) else { return };
        let Some(removed) = entry.pods.remove(name) else { return };
        let full_name = format!("{namespace}/{name}");
        for (id, standing) in &removed.standings {
            if let Some(counted) = self.policies.get_mut(id) {
                counted.tally.remove(standing, &full_name);
                self.changed.insert(id.clone());
            }
        }
        self.forget_template(&removed.pod.template);
        self.forget_if_empty(namespace);
    }

    /// Forgets the pods that are not listed any more: `(namespace, name)`.
    pub(super) fn retain_pods(&mut self, listed: &HashSet<(String, String)>) {
        let known = self.namespaces.iter().flat_map(|(namespace, entry)| {
            entry.pods.keys().map(|name| (namespace.clone(), name.clone()))
        });
        let gone: Vec<_> = known.filter(|pod| !listed.contains(pod)).collect();
        for (namespace, name) in gone {
            self.remove_pod(&namespace, &name);
        }
    }

    /// Whether the counts of any policy changed.
    pub(super) fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// The policies whose counts changed since this was last asked.
    pub(super) fn take_changed(&mut self) -> BTreeSet<PolicyId> {
        std::mem::take(&mut self.changed)
    }

    /// The counts of a policy, and why pods were skipped, most frequent first.
    pub(super) fn counts(&self, id: &PolicyId) -> (PodCounts, Vec<SkippedPods>) {
        self.policies.get(id).map(|counted| counted.tally.read()).unwrap_or_default()
    }

    fn recount_policy(&mut self, id: &PolicyId) {
        if let Some(namespace) = &id.namespace {
            return self.recount_namespace(namespace);
        }
        let namespaces: Vec<String> = self.namespaces.keys().cloned().collect();
        for namespace in namespaces {
            self.recount_namespace(&namespace);
        }
    }

    fn recount_namespace(&mut self, namespace: &str) {
        let Some(entry) = self.namespaces.get(namespace) else { return };
        let pods: Vec<String> = entry.pods.keys().cloned().collect();
        for pod in pods {
            self.recount_pod(namespace, &pod);
        }
    }

    fn recount_pod(&mut self, namespace: &str, name: &str) {
        if !self.counting {
            return;
        }
        let Some(entry) = self.namespaces.get(namespace) else { return };
        let Some(pod) = entry.pods.get(name) else { return };
        let standings = self.standings(entry, &pod.pod);
        if standings == pod.standings {
            return;
        }
        let Some(entry) = self.namespaces.get_mut(namespace) else { return };
        let Some(pod) = entry.pods.get_mut(name) else { return };
        let before = std::mem::replace(&mut pod.standings, standings.clone());
        let full_name = format!("{namespace}/{name}");
        for (id, standing) in &before {
            if let Some(counted) = self.policies.get_mut(id) {
                counted.tally.remove(standing, &full_name);
                self.changed.insert(id.clone());
            }
        }
        for (id, standing) in standings {
            if let Some(counted) = self.policies.get_mut(&id) {
                counted.tally.add(standing, &full_name);
                self.changed.insert(id);
            }
        }
    }

    /// How a pod stands to every policy that can concern it.
    fn standings(&self, entry: &NamespaceEntry, pod: &Pod) -> Vec<(PolicyId, Standing)> {
        let Some(namespace) = &entry.facts else { return Vec::new() };
        let own = entry
            .policies
            .iter()
            .map(|name| PolicyId::namespaced(namespace.name.clone(), name.clone()));
        self.cluster_policies
            .iter()
            .cloned()
            .chain(own)
            .filter_map(|id| {
                let standing = self.policies.get(&id)?.standing(pod, namespace)?;
                Some((id, standing))
            })
            .collect()
    }

    fn shared(&mut self, template: Arc<Template>) -> Arc<Template> {
        if let Some(known) = self.templates.get(&template) {
            return Arc::clone(known);
        }
        self.templates.insert(Arc::clone(&template));
        template
    }

    /// Forgets a template that no pod has any more.
    fn forget_template(&mut self, template: &Arc<Template>) {
        // One is the set's, one is ours.
        if Arc::strong_count(template) <= 2 {
            self.templates.remove(template);
        }
    }

    fn forget_if_empty(&mut self, namespace: &str) {
        let empty = |entry: &NamespaceEntry| {
            entry.facts.is_none() && entry.pods.is_empty() && entry.policies.is_empty()
        };
        if self.namespaces.get(namespace).is_some_and(empty) {
            self.namespaces.remove(namespace);
        }
    }
}

impl Counted {
    /// How the pod stands to this policy; `None` when it does not concern it.
    fn standing(&self, pod: &Pod, namespace: &Namespace) -> Option<Standing> {
        let template = &pod.template;
        let revision = template.injected.get(&self.key);
        match inject::select(&self.policy, &template.subject(), namespace).refused {
            Some(Reason::OptedOut) => Some(Standing::OptedOut),
            Some(_) => revision.map(|_| Standing::Surplus),
            None => Some(match (revision, template.skipped.get(&self.key)) {
                (Some(revision), _) => {
                    let current = *revision == self.policy.revision;
                    Standing::Injected { current, ready: self.is_ready(pod, current) }
                }
                (None, Some(reason)) => Standing::Skipped(Arc::clone(reason)),
                (None, None) => Standing::Missing,
            }),
        }
    }

    /// Whether all injected containers are ready. A pod of another revision may lack some of them.
    fn is_ready(&self, pod: &Pod, current: bool) -> bool {
        pod.has_started()
            && self.policy.containers().all(|(name, _)| pod.is_ready(name).unwrap_or(!current))
    }
}

impl Tally {
    fn add(&mut self, standing: Standing, pod: &str) {
        if let Standing::Skipped(reason) = standing {
            self.skipped.entry(reason).or_default().insert(pod.to_owned());
        } else {
            self.count(&standing, 1);
        }
    }

    fn remove(&mut self, standing: &Standing, pod: &str) {
        let Standing::Skipped(reason) = standing else { return self.count(standing, -1) };
        if let Some(pods) = self.skipped.get_mut(reason) {
            pods.remove(pod);
            if pods.is_empty() {
                self.skipped.remove(reason);
            }
        }
    }

    fn count(&mut self, standing: &Standing, by: i64) {
        match standing {
            Standing::Injected { current, ready } => {
                *(if *current { &mut self.current } else { &mut self.outdated }) += by;
                self.ready += if *ready { by } else { 0 };
            }
            Standing::Missing => self.missing += by,
            Standing::OptedOut => self.opted_out += by,
            Standing::Surplus => self.surplus += by,
            Standing::Skipped(_) => {}
        }
    }

    fn read(&self) -> (PodCounts, Vec<SkippedPods>) {
        let mut skipped: Vec<SkippedPods> = self
            .skipped
            .iter()
            .map(|(reason, pods)| SkippedPods {
                reason: reason.to_string(),
                count: i64::try_from(pods.len()).unwrap_or(i64::MAX),
                example: pods.first().cloned(),
            })
            .collect();
        let skipped_pods: i64 = skipped.iter().map(|reason| reason.count).sum();
        skipped.sort_by(|left, right| {
            right.count.cmp(&left.count).then_with(|| left.reason.cmp(&right.reason))
        });
        skipped.truncate(REASONS);
        let injected = self.current + self.outdated;
        let counts = PodCounts {
            matched: injected + skipped_pods + self.missing,
            injected,
            current: self.current,
            outdated: self.outdated,
            missing: self.missing,
            ready: self.ready,
            opted_out: self.opted_out,
            skipped: skipped_pods,
            surplus: self.surplus,
        };
        (counts, skipped)
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
