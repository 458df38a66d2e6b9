//! Which pods each policy should have reached, and has. Pure: events in; counts, news and the pods
//! that a rollout is about out.
//!
//! A change of a pod costs by the policies of its namespace; a change of a policy or a namespace by
//! the pods it can reach. Every decision is `inject`'s.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crds::{Overhead, PodCounts, SkippedPods};
use inject::{Conflict, Exclusions, Namespace, Policy, PolicyId, Reason};

use super::{
    pod::{Pod, Template, WatchedPod},
    tally::{Standing, Tally},
};
use crate::{
    events::{News, What},
    rollout::{PodState, RolloutPod},
};

/// Most news, and most pods that came without a policy, that wait to be told; what comes beyond is
/// not told.
const NEWS: usize = 512;

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
    news: Vec<News>,
    missed: Vec<Missed>,
}

/// A pod that was created without a policy that selects it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// The policy.
    pub(super) policy: Arc<PolicyId>,
    /// When the pod was created, as Unix time.
    pub(super) created: i64,
}

/// A policy that compiles, and the pods counted for it.
struct Counted {
    /// Shared by the standings of its pods.
    id: Arc<PolicyId>,
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
    standings: Standings,
}

/// How a pod stands to the policies that concern it.
type Standings = Vec<(Arc<PolicyId>, Standing)>;

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
            news: Vec::new(),
            missed: Vec::new(),
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
        let shared = Arc::new(id.clone());
        self.policies.insert(id.clone(), Counted { id: shared, policy, key, tally });
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
        let (standings, is_new) = match entry.pods.get_mut(&name) {
            Some(before) if before.pod == pod => return,
            Some(before) => (std::mem::take(&mut before.standings), before.pod.uid != pod.uid),
            None => (Vec::new(), true),
        };
        let before = entry.pods.insert(name.clone(), PodEntry { pod, standings });
        if let Some(before) = before {
            self.forget_template(&before.pod.template);
        }
        self.recount_pod(&namespace, &name, is_new);
    }

    /// A pod is gone.
    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(entry) = self.namespaces.get_mut(namespace) else { return };
        let Some(removed) = entry.pods.remove(name) else { return };
        let full_name = format!("{namespace}/{name}");
        for (id, standing) in &removed.standings {
            if let Some(counted) = self.policies.get_mut(&**id) {
                counted.tally.remove(standing, &full_name);
                self.changed.insert((**id).clone());
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

    /// What the injected containers of a policy ask for over all pods that have it; `None` if nothing.
    pub(super) fn overhead(&self, id: &PolicyId) -> Option<Overhead> {
        self.policies.get(id)?.tally.overhead()
    }

    /// How many pods run each revision of a policy.
    pub(super) fn running(&self, id: &PolicyId) -> Option<&BTreeMap<Arc<str>, i64>> {
        self.policies.get(id).map(|counted| counted.tally.running())
    }

    /// The pods that should have a policy, in the order of their names, and those of them that are
    /// being deleted.
    pub(super) fn rollout_pods(&self, id: &PolicyId) -> Vec<RolloutPod<'_>> {
        let Some(counted) = self.policies.get(id) else { return Vec::new() };
        let entries: Vec<_> = match &id.namespace {
            Some(namespace) => self.namespaces.get_key_value(namespace).into_iter().collect(),
            None => self.namespaces.iter().collect(),
        };
        let policy = &id.to_string();
        let mut pods: Vec<_> = entries
            .into_iter()
            .flat_map(|(namespace, entry)| {
                let facts = entry.facts.as_ref();
                entry.pods.iter().filter_map(move |(name, pod)| {
                    let state = match pod.standings.iter().find(|(of, _)| **of == *id) {
                        Some((_, standing)) => counted.state(&pod.pod, standing),
                        None if pod.pod.ending => {
                            let selected = inject::read(&pod.pod.template.selected).ok()?;
                            let standing = counted.standing(&pod.pod, &selected, facts?)?;
                            counted.state(&pod.pod, &standing)
                        }
                        None => None,
                    };
                    Some(rollout_pod(namespace, name, &pod.pod, policy, state?))
                })
            })
            .collect();
        pods.sort_unstable_by_key(|pod| (pod.namespace, pod.name));
        pods
    }

    /// What happened to pods since this was last asked.
    pub(super) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// The pods that came without a policy since this was last asked.
    pub(super) fn take_missed(&mut self) -> Vec<Missed> {
        std::mem::take(&mut self.missed)
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
            self.recount_pod(namespace, &pod, false);
        }
    }

    /// `is_new`: the pod was not there before.
    fn recount_pod(&mut self, namespace: &str, name: &str, is_new: bool) {
        if !self.counting {
            return;
        }
        let Some(entry) = self.namespaces.get(namespace) else { return };
        let Some(pod) = entry.pods.get(name) else { return };
        let standings = self.standings(entry, &pod.pod);
        if !is_new && standings == pod.standings {
            return;
        }
        let Some(entry) = self.namespaces.get_mut(namespace) else { return };
        let Some(pod) = entry.pods.get_mut(name) else { return };
        let before = std::mem::replace(&mut pod.standings, standings.clone());
        let full_name = format!("{namespace}/{name}");
        for (id, standing) in &before {
            if let Some(counted) = self.policies.get_mut(&**id) {
                counted.tally.remove(standing, &full_name);
                self.changed.insert((**id).clone());
            }
        }
        for (id, standing) in standings {
            let Some(counted) = self.policies.get_mut(&*id) else { continue };
            let known = before.iter().find(|(of, _)| *of == id).map(|(_, standing)| standing);
            if let Some(what) = news(known.filter(|_| !is_new), &standing, is_new)
                && counted.policy.enforced
                && self.news.len() < NEWS
            {
                self.news.push(News {
                    policy: Arc::clone(&id),
                    revision: counted.policy.revision.clone(),
                    namespace: namespace.to_owned(),
                    pod: name.to_owned(),
                    uid: pod.pod.uid,
                    owner: pod.pod.template.owner.clone(),
                    what,
                });
            }
            if is_new
                && standing == Standing::Missing
                && counted.policy.enforced
                && self.missed.len() < NEWS
            {
                self.missed.push(Missed { policy: Arc::clone(&id), created: pod.pod.created });
            }
            counted.tally.add(standing, &full_name);
            self.changed.insert((*id).clone());
        }
    }

    /// How a pod stands to every policy that can concern it.
    fn standings(&self, entry: &NamespaceEntry, pod: &Pod) -> Standings {
        let Some(namespace) = &entry.facts else { return Vec::new() };
        if pod.ending {
            return Vec::new();
        }
        let own = entry
            .policies
            .iter()
            .map(|name| PolicyId::namespaced(namespace.name.clone(), name.clone()));
        let Ok(selected) = inject::read(&pod.template.selected) else { return Vec::new() };
        self.cluster_policies
            .iter()
            .cloned()
            .chain(own)
            .filter_map(|id| {
                let counted = self.policies.get(&id)?;
                let standing = counted.standing(pod, &selected, namespace)?;
                Some((Arc::clone(&counted.id), standing))
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
    fn standing(
        &self,
        pod: &Pod,
        selected: &inject::Pod<'_>,
        namespace: &Namespace,
    ) -> Option<Standing> {
        let template = &pod.template;
        let revision = template.injected.get(&self.key);
        let skipped = template.skipped.get(&self.key);
        let refused = inject::select(&self.policy, selected, namespace).refused;
        // Annotations that its conditions may read are not kept: what the webhook recorded counts.
        if self.policy.reads_annotations() && decided_by_conditions(refused.as_ref()) {
            return revision
                .map(|revision| self.injected(pod, revision))
                .or_else(|| skipped.map(|reason| Standing::Skipped(Arc::clone(reason))));
        }
        match refused {
            Some(Reason::OptedOut) => Some(Standing::OptedOut),
            Some(Reason::Conflict(conflict)) if revision.is_none() => {
                let word = || conflict.as_str().into();
                Some(Standing::Skipped(skipped.cloned().unwrap_or_else(word)))
            }
            Some(_) => revision.map(|_| Standing::Surplus),
            None => Some(match (revision, skipped) {
                (Some(revision), _) => self.injected(pod, revision),
                (None, Some(reason)) => Standing::Skipped(Arc::clone(reason)),
                (None, None) => Standing::Missing,
            }),
        }
    }

    fn injected(&self, pod: &Pod, revision: &Arc<str>) -> Standing {
        let current = **revision == *self.policy.revision;
        let ready = self.is_ready(pod, current);
        let containers = self.policy.containers().map(|(name, _)| name);
        let resources = self.tally.shared(pod.template.resources(containers));
        Standing::Injected { revision: Arc::clone(revision), current, ready, resources }
    }

    /// The pod as a rollout sees it; `None` when it should not have this policy.
    fn state<'p>(&self, pod: &'p Pod, standing: &Standing) -> Option<PodState<'p>> {
        match standing {
            Standing::Injected { current: true, ready, .. } => {
                Some(PodState::Current { ready: *ready })
            }
            Standing::Injected { .. } => {
                Some(PodState::Outdated { revision: pod.template.injected.get(&self.key)? })
            }
            Standing::Missing => Some(PodState::Missing),
            Standing::Skipped(_) => Some(PodState::Skipped),
            Standing::OptedOut | Standing::Surplus => None,
        }
    }

    /// Whether all injected containers are ready. A pod of another revision may lack some of them.
    fn is_ready(&self, pod: &Pod, current: bool) -> bool {
        pod.has_started()
            && self.policy.containers().all(|(name, _)| pod.is_ready(name).unwrap_or(!current))
    }
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

fn rollout_pod<'i>(
    namespace: &'i str,
    name: &'i str,
    pod: &'i Pod,
    policy: &str,
    state: PodState<'i>,
) -> RolloutPod<'i> {
    RolloutPod {
        namespace,
        name,
        uid: pod.uid,
        placed_by: pod.placed_by(policy),
        owner: pod.template.owner.as_ref(),
        state,
        available: pod.available,
        ending: pod.ending,
        created: pod.created,
        changed: pod.changed,
        is_windows: pod.template.is_windows(),
    }
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;

/// Whether match conditions have, or would have, the last word.
fn decided_by_conditions(refused: Option<&Reason>) -> bool {
    matches!(
        refused,
        None | Some(Reason::ConditionNotMet(_) | Reason::Conflict(Conflict::MatchCondition { .. }))
    )
}
