//! What the watches told so far, and the snapshot it makes. No I/O.
//!
//! A list that begins anew replaces what was known only when it is complete, so a lost watch takes
//! nothing away in between.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use crds::PolicySpec;
use inject::{Invalid, Namespace, Policy, PolicyId, PolicySet, compile};
use k8s_openapi::api::core::v1::Namespace as NamespaceObject;
use kube::{
    Resource, ResourceExt as _, api::DynamicObject, core::PartialObjectMeta,
    runtime::watcher::Event,
};
use serde::Deserialize as _;
use serde_json::Value;

use crate::cache::Snapshot;

/// A change of something that is watched.
pub(crate) enum Change {
    /// Of a `SidecarPolicy`.
    Policy(Event<DynamicObject>),
    /// Of a `ClusterSidecarPolicy`.
    ClusterPolicy(Event<DynamicObject>),
    /// Of a namespace.
    Namespace(Event<PartialObjectMeta<NamespaceObject>>),
}

/// Everything known, and the lists that are still arriving.
#[derive(Default)]
pub(crate) struct Known {
    namespaced: Listed<PolicyId, Compiled>,
    cluster: Listed<PolicyId, Compiled>,
    namespaces: Listed<String, Arc<Namespace>>,
    policies: PolicySet,
}

impl Known {
    /// Takes a change over. False while it changes nothing that requests could see.
    pub(crate) fn take(&mut self, change: Change) -> bool {
        match change {
            Change::Namespace(event) => self.namespaces.take(event, |object| {
                let namespace = namespace(object);
                (namespace.name.clone(), Arc::new(namespace))
            }),
            Change::Policy(event) => {
                let changed = policy_changed(&event);
                let visible = self.namespaced.take(event, |object| (id(object), compiled(object)));
                self.follow(changed, visible)
            }
            Change::ClusterPolicy(event) => {
                let changed = policy_changed(&event);
                let visible = self.cluster.take(event, |object| (id(object), compiled(object)));
                self.follow(changed, visible)
            }
        }
    }

    /// Everything known; `None` until everything was listed once.
    pub(crate) fn snapshot(&self) -> Option<Snapshot> {
        let complete =
            self.namespaced.complete && self.cluster.complete && self.namespaces.complete;
        complete.then(|| Snapshot {
            synced: true,
            policies: self.policies.clone(),
            rejected: self.rejected(),
            namespaces: self.namespaces.known.clone(),
        })
    }

    /// Brings the set of policies up to date: by one policy, or altogether after a list.
    fn follow(&mut self, changed: Option<PolicyId>, visible: bool) -> bool {
        match changed {
            Some(id) => self.update(&id),
            None if visible => self.rebuild(),
            None => {}
        }
        visible
    }

    fn update(&mut self, id: &PolicyId) {
        let list = if id.namespace.is_some() { &self.namespaced } else { &self.cluster };
        match list.known.get(id) {
            Some(Compiled::Served(policy)) => self.policies.insert(Arc::clone(policy)),
            Some(Compiled::Rejected(_)) | None => self.policies.remove(id),
        }
    }

    fn rebuild(&mut self) {
        self.policies = PolicySet::default();
        for compiled in self.namespaced.known.values().chain(self.cluster.known.values()) {
            if let Compiled::Served(policy) = compiled {
                self.policies.insert(Arc::clone(policy));
            }
        }
    }

    fn rejected(&self) -> BTreeMap<PolicyId, i64> {
        let all = self.namespaced.known.iter().chain(&self.cluster.known);
        all.filter_map(|(id, compiled)| match compiled {
            Compiled::Rejected(generation) => Some((id.clone(), *generation)),
            Compiled::Served(_) => None,
        })
        .collect()
    }
}

/// The objects of one kind.
struct Listed<K, V> {
    known: HashMap<K, V>,
    /// The list that is still arriving.
    arriving: HashMap<K, V>,
    /// Whether there was a whole list once.
    complete: bool,
}

impl<K, V> Default for Listed<K, V> {
    fn default() -> Self {
        Self { known: HashMap::new(), arriving: HashMap::new(), complete: false }
    }
}

impl<K: Hash + Eq, V> Listed<K, V> {
    /// Takes an event over. False while it changes nothing that is known.
    fn take<T>(&mut self, event: Event<T>, read: impl Fn(&T) -> (K, V)) -> bool {
        match event {
            Event::Init => {
                self.arriving.clear();
                return false;
            }
            Event::InitApply(object) => {
                self.arriving.extend([read(&object)]);
                return false;
            }
            Event::InitDone => {
                self.known = std::mem::take(&mut self.arriving);
                self.complete = true;
            }
            Event::Apply(object) => self.known.extend([read(&object)]),
            Event::Delete(object) => {
                self.known.remove(&read(&object).0);
            }
        }
        true
    }
}

/// A policy, or the generation of one that does not compile.
enum Compiled {
    Served(Arc<Policy>),
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

fn policy_changed(event: &Event<DynamicObject>) -> Option<PolicyId> {
    match event {
        Event::Apply(object) | Event::Delete(object) => Some(id(object)),
        Event::Init | Event::InitApply(_) | Event::InitDone => None,
    }
}

fn id(object: &DynamicObject) -> PolicyId {
    PolicyId { namespace: object.namespace(), name: object.name_any() }
}

fn compiled(object: &DynamicObject) -> Compiled {
    let generation = object.metadata.generation.unwrap_or_default();
    // Whatever is wrong with one policy, the others go on.
    let compiled = catch_unwind(AssertUnwindSafe(|| compile_object(object, generation)));
    match compiled.unwrap_or(Err(CompileError::Panic)) {
        Ok(policy) => Compiled::Served(Arc::new(policy)),
        Err(error) => {
            let policy = id(object);
            tracing::warn!(%policy, generation, %error, "a policy does not compile and is left out");
            Compiled::Rejected(generation)
        }
    }
}

fn compile_object(object: &DynamicObject, generation: i64) -> Result<Policy, CompileError> {
    let spec = PolicySpec::deserialize(object.data.get("spec").unwrap_or(&Value::Null))?;
    let uid = object.metadata.uid.as_deref().unwrap_or_default();
    Ok(compile(id(object), uid, generation, &spec)?)
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
