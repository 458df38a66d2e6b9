//! Which pods each policy should have reached, and has. Pure: events in; counts, news and the pods
//! that a rollout is about out.
//!
//! Pods of one shape stand alike to every policy, and are decided on once: a change of a pod costs by the
//! policies of its namespace, a change of a policy or a namespace by the shapes of the pods that it can
//! reach. Every decision is `inject`'s.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use crds::{Overhead, PodCounts, SkippedPods};
use inject::{Exclusions, Namespace, Policy, PolicyId};

use super::{
    pod::{Pod, Shape, Template, WatchedPod},
    standings::{Counted, Standings, all_news, difference, standing_to},
    tally::Standing,
};
use crate::{
    events::{News, What},
    owner::Uid,
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

#[derive(Default)]
struct NamespaceEntry {
    /// Its labels and annotations; `None` until it was seen.
    facts: Option<Namespace>,
    /// Names of the policies of this namespace.
    policies: BTreeSet<String>,
    pods: HashMap<Box<str>, PodEntry>,
    groups: HashMap<Arc<Shape>, Group>,
}

struct PodEntry {
    pod: Pod,
    shape: Arc<Shape>,
}

/// The pods of one shape in one namespace.
#[derive(Default)]
struct Group {
    /// How many of them count: those that are not being deleted.
    pods: i64,
    standings: Standings,
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
            news: Vec::new(),
            missed: Vec::new(),
        }
    }

    /// Everything has been listed: counts from now on.
    pub(super) fn start_counting(&mut self) {
        self.counting = true;
        let namespaces: Vec<String> = self.namespaces.keys().cloned().collect();
        for namespace in namespaces {
            self.recount_namespace(&namespace, None);
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
            self.recount_namespace(&name, None);
        }
    }

    /// A namespace is gone.
    pub(super) fn remove_namespace(&mut self, name: &str) {
        if let Some(entry) = self.namespaces.get_mut(name) {
            entry.facts = None;
            self.recount_namespace(name, None);
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
        let Some((pod, mut shape)) = watched.into_pod() else {
            return self.remove_pod(&namespace, &name);
        };
        shape.template = self.shared(shape.template);
        let shape = self.grouped(&namespace, shape);
        let Some(entry) = self.namespaces.get_mut(&namespace) else { return };
        let known = entry.pods.get(&*name);
        if known.is_some_and(|known| known.pod == pod && known.shape == shape) {
            return;
        }
        let is_new = known.is_none_or(|known| known.pod.uid != pod.uid);
        let pod = PodEntry { pod, shape };
        let after = entry.count(&pod, 1);
        let before = entry.pods.insert(name.as_str().into(), pod);
        let standings = before.as_ref().map(|before| entry.count(before, -1)).unwrap_or_default();
        self.stands_otherwise(&namespace, &name, &standings, &after, is_new);
        if let Some(before) = before {
            self.forget_shape(&namespace, before.shape);
        }
    }

    /// A pod is gone.
    pub(super) fn remove_pod(&mut self, namespace: &str, name: &str) {
        let Some(entry) = self.namespaces.get_mut(namespace) else { return };
        let Some(removed) = entry.pods.remove(name) else { return };
        let standings = entry.count(&removed, -1);
        self.tally(&standings, -1);
        self.forget_shape(namespace, removed.shape);
        self.forget_if_empty(namespace);
    }

    /// Forgets the pods that are not listed any more.
    pub(super) fn retain_pods(&mut self, listed: &HashSet<Uid>) {
        let known = self.namespaces.iter().flat_map(|(namespace, entry)| {
            entry.pods.iter().map(move |(name, pod)| (namespace, name, pod.pod.uid))
        });
        let gone: Vec<(String, Box<str>)> = known
            .filter(|(.., uid)| !listed.contains(uid))
            .map(|(namespace, name, _)| (namespace.clone(), name.clone()))
            .collect();
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
        let Some(counted) = self.policies.get(id) else { return Default::default() };
        let (counts, mut skipped) = counted.tally.read();
        if !skipped.is_empty() {
            self.find_examples(id, &mut skipped);
        }
        (counts, skipped)
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
        let policy = &id.to_string();
        let mut pods: Vec<_> = self
            .reached(id)
            .flat_map(|(namespace, entry)| {
                let facts = entry.facts.as_ref();
                entry.pods.iter().filter_map(move |(name, pod)| {
                    let shape = &*pod.shape;
                    let state = if pod.pod.ending {
                        let text = shape.selected();
                        let selected = inject::read(&text).ok()?;
                        let standing = counted.standing(shape, &selected, facts?)?;
                        counted.state(shape, &standing)
                    } else {
                        let standings = &entry.groups.get(shape)?.standings;
                        counted.state(shape, standing_to(standings, id)?)
                    };
                    Some(rollout_pod(namespace, name, pod, policy, state?))
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

    /// The namespaces that a policy reaches as far as its kind goes.
    fn reached(&self, id: &PolicyId) -> impl Iterator<Item = (&String, &NamespaceEntry)> {
        let own = id.namespace.as_ref().and_then(|own| self.namespaces.get_key_value(own));
        let all = id.namespace.is_none().then(|| self.namespaces.iter());
        own.into_iter().chain(all.into_iter().flatten())
    }

    /// Names a pod for each reason: the first one by namespace and name.
    fn find_examples(&self, id: &PolicyId, skipped: &mut [SkippedPods]) {
        let mut first: Vec<Option<(&str, &str)>> = vec![None; skipped.len()];
        for (namespace, entry) in self.reached(id) {
            let reason_of = |group: &Group| match standing_to(&group.standings, id) {
                Some(Standing::Skipped(reason)) => {
                    skipped.iter().position(|listed| *listed.reason == **reason)
                }
                _ => None,
            };
            let shapes: HashMap<_, _> = entry
                .groups
                .iter()
                .filter_map(|(shape, group)| Some((Arc::as_ptr(shape), reason_of(group)?)))
                .collect();
            if shapes.is_empty() {
                continue;
            }
            for (name, pod) in entry.pods.iter().filter(|(_, pod)| !pod.pod.ending) {
                let Some(reason) = shapes.get(&Arc::as_ptr(&pod.shape)) else { continue };
                let found = (namespace.as_str(), &**name);
                let Some(first) = first.get_mut(*reason) else { continue };
                *first = Some(first.map_or(found, |first| first.min(found)));
            }
        }
        for (listed, first) in skipped.iter_mut().zip(first) {
            listed.example = first.map(|(namespace, name)| format!("{namespace}/{name}"));
        }
    }

    /// Counts anew how pods stand to one policy.
    fn recount_policy(&mut self, id: &PolicyId) {
        let namespaces: Vec<String> = self.reached(id).map(|(name, _)| name.clone()).collect();
        for namespace in namespaces {
            self.recount_namespace(&namespace, Some(id));
        }
    }

    /// Counts anew how the pods of a namespace stand to one policy, or to all.
    fn recount_namespace(&mut self, namespace: &str, only: Option<&PolicyId>) {
        if !self.counting {
            return;
        }
        let Some(entry) = self.namespaces.get(namespace) else { return };
        let shapes: Vec<Arc<Shape>> = entry.groups.keys().cloned().collect();
        let mut news: HashMap<*const Shape, Vec<(Arc<PolicyId>, What)>> = HashMap::new();
        for shape in &shapes {
            let Some(entry) = self.namespaces.get(namespace) else { return };
            let Some(group) = entry.groups.get(shape) else { continue };
            let before = Arc::clone(&group.standings);
            let pods = group.pods;
            let after = match only {
                Some(id) => self.standings_with(entry, shape, &before, id),
                None => self.standings(entry, shape),
            };
            if after == before {
                continue;
            }
            self.tally(&difference(&before, &after), -pods);
            self.tally(&difference(&after, &before), pods);
            let told: Vec<_> = all_news(&before, &after, false).collect();
            if pods > 0 && !told.is_empty() {
                news.insert(Arc::as_ptr(shape), told);
            }
            let entry = self.namespaces.get_mut(namespace);
            if let Some(group) = entry.and_then(|entry| entry.groups.get_mut(shape)) {
                group.standings = after;
            }
        }
        if !news.is_empty() {
            self.tell_of_pods(namespace, &news);
        }
    }

    /// Tells of every pod of some shapes what there is to tell.
    fn tell_of_pods(
        &mut self,
        namespace: &str,
        news: &HashMap<*const Shape, Vec<(Arc<PolicyId>, What)>>,
    ) {
        let Some(entry) = self.namespaces.get(namespace) else { return };
        let told = entry.pods.iter().filter(|(_, pod)| !pod.pod.ending).flat_map(|(name, pod)| {
            let what = news.get(&Arc::as_ptr(&pod.shape)).into_iter().flatten();
            what.filter_map(|(id, what)| self.news_of(namespace, name, pod, id, what))
        });
        let room = NEWS.saturating_sub(self.news.len());
        let told: Vec<News> = told.take(room).collect();
        self.news.extend(told);
    }

    /// A pod stands otherwise than before. `is_new`: it was not there before.
    fn stands_otherwise(
        &mut self,
        namespace: &str,
        name: &str,
        before: &Standings,
        after: &Standings,
        is_new: bool,
    ) {
        if !is_new && before == after {
            return;
        }
        self.tally(before, -1);
        self.tally(after, 1);
        let Some(entry) = self.namespaces.get(namespace) else { return };
        let Some(pod) = entry.pods.get(name) else { return };
        let told: Vec<News> = all_news(before, after, is_new)
            .filter_map(|(id, what)| self.news_of(namespace, name, pod, &id, &what))
            .collect();
        let created = pod.pod.created.into();
        for news in told {
            if is_new && news.what == What::Missing && self.missed.len() < NEWS {
                self.missed.push(Missed { policy: Arc::clone(&news.policy), created });
            }
            if self.news.len() < NEWS {
                self.news.push(news);
            }
        }
    }

    /// Nothing is told of a policy that only watches.
    fn news_of(
        &self,
        namespace: &str,
        name: &str,
        pod: &PodEntry,
        id: &Arc<PolicyId>,
        what: &What,
    ) -> Option<News> {
        let policy = &self.policies.get(&**id)?.policy;
        policy.enforced.then(|| News {
            policy: Arc::clone(id),
            revision: policy.revision.clone(),
            namespace: namespace.to_owned(),
            pod: name.to_owned(),
            uid: pod.pod.uid,
            owner: pod.shape.template.owner.clone(),
            what: what.clone(),
        })
    }

    /// So many more pods stand like this.
    fn tally(&mut self, standings: &[(Arc<PolicyId>, Standing)], pods: i64) {
        for (id, standing) in standings {
            if let Some(counted) = self.policies.get_mut(&**id) {
                counted.tally.count(standing, pods);
                self.changed.insert((**id).clone());
            }
        }
    }

    /// How pods of a shape stand to every policy that can concern them.
    fn standings(&self, entry: &NamespaceEntry, shape: &Shape) -> Standings {
        let Some(namespace) = &entry.facts else { return Standings::default() };
        let own = entry
            .policies
            .iter()
            .map(|name| PolicyId::namespaced(namespace.name.clone(), name.clone()));
        let text = shape.selected();
        let Ok(selected) = inject::read(&text) else { return Standings::default() };
        self.cluster_policies
            .iter()
            .cloned()
            .chain(own)
            .filter_map(|id| {
                let counted = self.policies.get(&id)?;
                let standing = counted.standing(shape, &selected, namespace)?;
                Some((Arc::clone(&counted.id), standing))
            })
            .collect()
    }

    /// The same standings, but for one policy.
    fn standings_with(
        &self,
        entry: &NamespaceEntry,
        shape: &Shape,
        standings: &Standings,
        id: &PolicyId,
    ) -> Standings {
        let text = shape.selected();
        let selected = inject::read(&text).ok();
        let now = self.policies.get(id).and_then(|counted| {
            let standing = counted.standing(shape, &selected?, entry.facts.as_ref()?)?;
            Some((Arc::clone(&counted.id), standing))
        });
        let others = standings.iter().filter(|(of, _)| **of != *id).cloned();
        if standing_to(standings, id) == now.as_ref().map(|(_, standing)| standing) {
            return Arc::clone(standings);
        }
        others.chain(now).collect()
    }

    /// The same shape as pods of the namespace share it already. One that is new is decided on.
    fn grouped(&mut self, namespace: &str, shape: Shape) -> Arc<Shape> {
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        if let Some((known, _)) = entry.groups.get_key_value(&shape) {
            return Arc::clone(known);
        }
        let standings = match self.namespaces.get(namespace) {
            Some(entry) if self.counting => self.standings(entry, &shape),
            _ => Standings::default(),
        };
        let shape = Arc::new(shape);
        let entry = self.namespaces.entry(namespace.to_owned()).or_default();
        entry.groups.insert(Arc::clone(&shape), Group { pods: 0, standings });
        shape
    }

    /// Forgets a shape, and its template, that no pod has any more.
    fn forget_shape(&mut self, namespace: &str, shape: Arc<Shape>) {
        // One is the group's, one is ours.
        if Arc::strong_count(&shape) > 2 {
            return;
        }
        if let Some(entry) = self.namespaces.get_mut(namespace) {
            entry.groups.remove(&shape);
        }
        let template = Arc::clone(&shape.template);
        drop(shape);
        // One is the set's, one is ours.
        if Arc::strong_count(&template) <= 2 {
            self.templates.remove(&template);
        }
    }

    fn shared(&mut self, template: Arc<Template>) -> Arc<Template> {
        if let Some(known) = self.templates.get(&template) {
            return Arc::clone(known);
        }
        self.templates.insert(Arc::clone(&template));
        template
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

impl NamespaceEntry {
    /// One more or one less pod of its shape counts. Gives how it stands to policies.
    fn count(&mut self, pod: &PodEntry, by: i64) -> Standings {
        match self.groups.get_mut(&pod.shape) {
            Some(group) if !pod.pod.ending => {
                group.pods += by;
                Arc::clone(&group.standings)
            }
            _ => Standings::default(),
        }
    }
}

fn rollout_pod<'i>(
    namespace: &'i str,
    name: &'i str,
    PodEntry { pod, shape }: &'i PodEntry,
    policy: &str,
    state: PodState<'i>,
) -> RolloutPod<'i> {
    RolloutPod {
        namespace,
        name,
        uid: pod.uid,
        placed_by: pod.placed_by(policy),
        owner: shape.template.owner.as_ref(),
        state,
        available: pod.available,
        ending: pod.ending,
        created: pod.created.into(),
        changed: pod.changed.into(),
        is_windows: shape.template.is_windows(),
    }
}

#[cfg(test)]
#[path = "index_tests/mod.rs"]
mod tests;
