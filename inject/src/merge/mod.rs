//! How what policies put in meets what a pod has. A policy is attempted as a whole against the pod
//! and the policies before it; only an attempt without conflict is taken over.

mod app_containers;
mod host_ports;
mod placement;
mod sidecars;
mod volumes;

use crate::{
    Conflict, Policy,
    journal::{Journal, ListEdits},
    pod::{Named, Spec},
    policy::{Sidecar, Volume},
};

use app_containers::{AppContainer, AppContainerAdditions};

/// A pod spec and what was taken over into it so far.
pub(crate) struct Merge<'p, 's> {
    spec: &'p Spec<'p>,
    pod_volumes: Vec<Named<'p>>,
    app_containers: Vec<AppContainer<'p, 's>>,
    volumes: Vec<&'s Volume>,
    sidecars: Vec<&'s Sidecar>,
    changed: bool,
}

/// What a policy adds to a pod, found to be without conflict.
pub(crate) struct Additions<'s> {
    volumes: Vec<&'s Volume>,
    app_containers: Vec<AppContainerAdditions<'s>>,
    sidecars: Vec<&'s Sidecar>,
    /// Whether all of it was there already.
    pub(crate) nothing_new: bool,
    /// What of the app's stayed in the place of ours, in words.
    pub(crate) kept: Vec<String>,
}

impl<'p, 's> Merge<'p, 's> {
    /// Starts with a pod; `is_sidecar` says which container names are a selected policy's and so not
    /// the app's.
    pub(crate) fn new(
        spec: &'p Spec<'p>,
        is_sidecar: impl Fn(&str) -> bool,
    ) -> Result<Self, Conflict> {
        Ok(Self {
            spec,
            pod_volumes: volumes::read(spec)?,
            app_containers: app_containers::read(spec, is_sidecar),
            volumes: Vec::new(),
            sidecars: Vec::new(),
            changed: false,
        })
    }

    /// What the policy would add, or the first thing that is in its way.
    pub(crate) fn attempt(&self, policy: &'s Policy) -> Result<Additions<'s>, Conflict> {
        let mut kept = Vec::new();
        let volumes = volumes::attempt(policy, self.spec, &self.pod_volumes, &self.volumes)?;
        let app_containers = self.attempt_app_containers(policy, &mut kept)?;
        let sidecars = self.attempt_sidecars(policy, &mut kept)?;
        let all_there = sidecars.iter().all(|sidecar| self.is_placed(sidecar));
        Ok(Additions {
            nothing_new: volumes.is_empty()
                && app_containers.iter().all(AppContainerAdditions::is_empty)
                && all_there,
            volumes,
            app_containers,
            sidecars,
            kept,
        })
    }

    /// Takes over what an attempt found.
    pub(crate) fn take(&mut self, additions: Additions<'s>) {
        self.changed |= !additions.nothing_new;
        self.volumes.extend(additions.volumes);
        for container in additions.app_containers {
            if let Some(found) = self.app_containers.get_mut(container.position) {
                found.take(container);
            }
        }
        self.sidecars.extend(additions.sidecars);
    }

    /// The edits of everything that was taken over.
    pub(crate) fn into_journal(self) -> Journal<'s> {
        if !self.changed {
            return Journal::default();
        }
        let insertions = placement::place(self.spec, &self.sidecars);
        Journal {
            metadata: Vec::new(),
            volumes: ListEdits {
                present: self.spec.volumes.is_some(),
                before: false,
                items: self.volumes.iter().map(|volume| volume.rendered.json.as_str()).collect(),
            },
            containers: self.app_containers.into_iter().map(AppContainer::into_edits).collect(),
            insertions,
        }
    }

    /// Whether a volume is there for a container of this policy to mount.
    fn has_volume(&self, policy: &Policy, name: &str) -> bool {
        policy.volumes.iter().any(|volume| volume.name == name)
            || self.volumes.iter().any(|volume| volume.name == name)
            || self.pod_volumes.iter().any(|volume| volume.name.as_str() == name)
    }
}

/// A part of the pod that cannot be read.
pub(crate) fn malformed(part: &str, error: &serde_json::Error) -> Conflict {
    Conflict::MalformedPod(format!("{part}: {error}"))
}
