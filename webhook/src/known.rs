//! What the watches told so far, and the snapshot it makes. No I/O.
//!
//! A list that begins anew replaces what was known only when it is complete, so a lost watch takes
//! nothing away in between.

use std::{
    collections::HashMap,
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crds::PolicySpec;
use inject::{Invalid, Namespace, Policy, PolicyId, compile, revision_of_content, with_content};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::{Resource, ResourceExt as _, core::PartialObjectMeta, runtime::watcher::Event};
use serde::Deserialize as _;
use serde_json::Value;

use crate::{
    cache::{Snapshot, Unusable},
    previous::WatchedPolicy,
};

/// A change of something that is watched.
pub(crate) enum Change {
    /// Of a `SidecarPolicy`.
    Policy(Event<WatchedPolicy>),
    /// Of a `ClusterSidecarPolicy`.
    ClusterPolicy(Event<WatchedPolicy>),
    /// Of a namespace.
    Namespace(Event<PartialObjectMeta<NamespaceObject>>),
}

/// Everything known, and the lists that are still arriving.
#[derive(Default)]
pub(crate) struct Known {
    snapshot: Snapshot,
    namespaced: Listing<PolicyId, Compiled>,
    cluster: Listing<PolicyId, Compiled>,
    namespaces: Listing<String, Arc<Namespace>>,
}

/// Which of the two kinds of policies.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Namespaced,
    Cluster,
}

impl Known {
    /// Takes a change over. False while it changes nothing that requests could see.
    pub(crate) fn take(&mut self, change: Change) -> bool {
        match change {
            Change::Namespace(event) => self.take_namespace(event),
            Change::Policy(event) => self.take_policy(Kind::Namespaced, event),
            Change::ClusterPolicy(event) => self.take_policy(Kind::Cluster, event),
        }
    }

    /// Everything known; `None` until everything was listed once.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let complete =
            self.namespaced.complete && self.cluster.complete && self.namespaces.complete;
        complete.then(|| Snapshot { synced: true, ..self.snapshot.clone() })
    }

    fn take_policy(&mut self, kind: Kind, event: Event<WatchedPolicy>) -> bool {
        match event {
            Event::Init => self.policies(kind).begin(),
            Event::InitApply(watched) => {
                let compiled = self.compiled(&watched);
                self.policies(kind).add(watched.object.id(), compiled)
            }
            Event::InitDone => {
                let listed = self.policies(kind).finish();
                self.replace_policies(kind, listed)
            }
            Event::Apply(watched) => {
                let compiled = self.compiled(&watched);
                self.set_policy(watched.object.id(), compiled)
            }
            Event::Delete(watched) => self.remove_policy(&watched.object.id()),
        }
    }

    fn policies(&mut self, kind: Kind) -> &mut Listing<PolicyId, Compiled> {
        match kind {
            Kind::Namespaced => &mut self.namespaced,
            Kind::Cluster => &mut self.cluster,
        }
    }

    fn replace_policies(&mut self, kind: Kind, listed: HashMap<PolicyId, Compiled>) -> bool {
        let served = self.snapshot.policies.iter().map(|policy| &policy.id);
        let known = served.chain(self.snapshot.rejected.keys());
        let gone = known.filter(|id| Kind::of(id) == kind && !listed.contains_key(id));
        for id in gone.cloned().collect::<Vec<_>>() {
            self.remove_policy(&id);
        }
        for (id, compiled) in listed {
            self.set_policy(id, compiled);
        }
        true
    }

    fn set_policy(&mut self, id: PolicyId, compiled: Compiled) -> bool {
        let Snapshot { policies, rejected, unusable, .. } = &mut self.snapshot;
        match compiled {
            Compiled::Served { policy, previous } => {
                if policies.get(&id).is_some_and(|known| Arc::ptr_eq(known, &policy)) {
                    return false;
                }
                rejected.remove_mut(&id);
                match previous {
                    Some(previous) => unusable.insert_mut(id, previous),
                    None => {
                        unusable.remove_mut(&id);
                    }
                }
                policies.insert(policy);
            }
            Compiled::Rejected(generation) => {
                if rejected.get(&id) == Some(&generation) {
                    return false;
                }
                policies.remove(&id);
                unusable.remove_mut(&id);
                rejected.insert_mut(id, generation);
            }
        }
        true
    }

    fn remove_policy(&mut self, id: &PolicyId) -> bool {
        self.snapshot.policies.remove(id);
        self.snapshot.rejected.remove_mut(id);
        self.snapshot.unusable.remove_mut(id);
        true
    }

    /// Compiles a policy, unless it was compiled before: status is written far more often than spec,
    /// and after a lost watch everything is listed again.
    fn compiled(&self, watched: &WatchedPolicy) -> Compiled {
        let id = watched.object.id();
        let unusable = self.snapshot.unusable.get(&id);
        match self.snapshot.policies.get(&id) {
            Some(known) if is_of(known, unusable, watched) => {
                Compiled::Served { policy: Arc::clone(known), previous: unusable.cloned() }
            }
            _ => compiled(watched),
        }
    }

    fn take_namespace(&mut self, event: Event<PartialObjectMeta<NamespaceObject>>) -> bool {
        let known = &mut self.snapshot.namespaces;
        match event {
            Event::Init => self.namespaces.begin(),
            Event::InitApply(object) => {
                let namespace = namespace(&object);
                self.namespaces.add(namespace.name.clone(), Arc::new(namespace))
            }
            Event::InitDone => {
                *known = self.namespaces.finish().into_iter().collect();
                true
            }
            Event::Apply(object) => {
                let namespace = namespace(&object);
                if known.get(&namespace.name).is_some_and(|known| **known == namespace) {
                    return false;
                }
                known.insert_mut(namespace.name.clone(), Arc::new(namespace));
                true
            }
            Event::Delete(object) => known.remove_mut(&object.name_any()),
        }
    }
}

impl Kind {
    fn of(id: &PolicyId) -> Self {
        if id.namespace.is_some() { Self::Namespaced } else { Self::Cluster }
    }
}

/// A list of one kind of objects.
struct Listing<K, V> {
    /// What has arrived of the list that is under way.
    arriving: HashMap<K, V>,
    /// Whether there was a whole list once.
    complete: bool,
}

impl<K, V> Default for Listing<K, V> {
    fn default() -> Self {
        Self { arriving: HashMap::new(), complete: false }
    }
}

// Nothing of a list is to be seen before it is complete.
impl<K: Hash + Eq, V> Listing<K, V> {
    fn begin(&mut self) -> bool {
        self.arriving.clear();
        false
    }

    fn add(&mut self, key: K, value: V) -> bool {
        self.arriving.insert(key, value);
        false
    }

    fn finish(&mut self) -> HashMap<K, V> {
        self.complete = true;
        std::mem::take(&mut self.arriving)
    }
}

/// A policy, or the generation of one that does not compile.
enum Compiled {
    Served { policy: Arc<Policy>, previous: Option<Unusable> },
    Rejected(i64),
}

/// Why a policy is left out.
#[derive(Debug, thiserror::Error)]
enum CompileError {
    #[error("spec: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("compiling it caused a panic; please report the policy")]
    Panic,
}

/// Why new pods are not kept at the previous revision.
#[derive(Debug, thiserror::Error)]
enum PreviousError {
    #[error("its stored content is not the one that its name says")]
    Unbelievable,
    #[error("its stored content: {0}")]
    Json(#[from] serde_json::Error),
    #[error("its content does not go with the rest of the spec: {0}")]
    Invalid(#[from] Invalid),
}

/// Whether a policy was compiled from this spec: the API server counts its generations. Its status
/// counts only with a partition.
fn is_of(policy: &Policy, unusable: Option<&Unusable>, watched: &WatchedPolicy) -> bool {
    let keeps_the_same = || match &watched.previous {
        Some(kept) if unusable.is_some_and(|found| found.revision == kept.revision) => true,
        kept => policy.kept() == kept.as_ref().map(|kept| (kept.revision.as_str(), kept.share)),
    };
    let object = &watched.object;
    object.metadata.uid.as_deref() == Some(policy.uid.as_str())
        && object.metadata.generation == Some(policy.generation)
        && (policy.partition.is_none() || keeps_the_same())
}

fn compiled(watched: &WatchedPolicy) -> Compiled {
    let object = &watched.object;
    let generation = object.metadata.generation.unwrap_or_default();
    // Whatever is wrong with one policy, the others go on.
    let compiled = catch_unwind(AssertUnwindSafe(|| compile_policy(watched, generation)));
    match compiled.unwrap_or(Err(CompileError::Panic)) {
        Ok((policy, previous)) => Compiled::Served { policy: Arc::new(policy), previous },
        Err(error) => {
            let policy = object.id();
            tracing::warn!(%policy, generation, %error, "a policy does not compile and is left out");
            Compiled::Rejected(generation)
        }
    }
}

/// The policy, and what is wrong with the content of the revision that it should keep pods at.
fn compile_policy(
    watched: &WatchedPolicy,
    generation: i64,
) -> Result<(Policy, Option<Unusable>), CompileError> {
    let object = &watched.object;
    let spec = PolicySpec::deserialize(&object.spec)?;
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    let policy = compile(object.id(), uid, generation, &spec)?;
    let Some(kept) = &watched.previous else { return Ok((policy, None)) };
    // It may be there the next time.
    let Some(content) = &kept.content else { return Ok((policy, None)) };
    let revision = &kept.revision;
    match compile_previous(&policy, &spec, content, revision) {
        Ok(previous) => Ok((policy.keeping(previous, kept.share), None)),
        Err(error) => {
            tracing::warn!(policy = %policy.id, revision, %error, "no pod is kept at the previous revision");
            Ok((policy, Some(Unusable { revision: revision.clone(), why: error.to_string() })))
        }
    }
}

/// The policy with the content of its previous revision.
fn compile_previous(
    policy: &Policy,
    spec: &PolicySpec,
    content: &Value,
    revision: &str,
) -> Result<Policy, PreviousError> {
    if revision_of_content(content) != revision {
        return Err(PreviousError::Unbelievable);
    }
    let spec = with_content(spec, content)?;
    let mut previous = compile(policy.id.clone(), &policy.uid, policy.generation, &spec)?;
    // Another release may have written the same content in other words.
    revision.clone_into(&mut previous.revision);
    Ok(previous)
}

fn namespace(object: &PartialObjectMeta<NamespaceObject>) -> Namespace {
    Namespace {
        name: object.name_any(),
        labels: object.meta().labels.clone().unwrap_or_default(),
        annotations: object.meta().annotations.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
#[path = "known_tests.rs"]
mod tests;
