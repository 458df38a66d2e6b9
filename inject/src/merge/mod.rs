//! How what policies put in meets what a pod has. A policy is attempted as a whole against the pod
//! and the policies before it; only an attempt without conflict is taken over. Where everything
//! goes, and what sidecars take over from the app, is worked out when all policies are settled.

mod app_containers;
mod copy;
mod host_aliases;
mod mounts;
mod order;
mod placement;
mod pod;
mod pod_resources;
mod ports;
mod resources;
mod safety;
mod sidecars;
mod variables;
mod volumes;

use std::{collections::BTreeMap, sync::Arc};

use crds::keys;

use crate::{
    Conflict, Notice, Policy,
    content::{AppContainers, Content, Rendered, Sidecar, Volume},
    journal::{Journal, ListEdits},
    pod::{Metadata, Spec},
    pod_security::Enforced,
    record,
};

use app_containers::{AppContainer, AppContainerAdditions};
pub(crate) use app_containers::{is_meant, names_match};
pub(crate) use mounts::trimmed;
pub(crate) use order::Order;
pub(crate) use pod::{ANNOTATIONS, OTHER_ANNOTATIONS, PodEdits};
use volumes::PodVolume;

/// A pod and what was taken over into it so far.
pub(crate) struct Merge<'p, 's> {
    metadata: &'p Metadata<'p>,
    spec: &'p Spec<'p>,
    /// The Pod Security level that the namespace enforces.
    enforced: Option<Enforced>,
    pod_volumes: Vec<PodVolume<'p>>,
    app_containers: Vec<AppContainer<'p, 's>>,
    volumes: Vec<&'s Volume>,
    pod: PodEdits<'s>,
    sidecars: Vec<Taken<'s>>,
    /// All policies that may go in.
    entering: Vec<(&'s Policy, &'s Content)>,
    /// By variable, what stands between values that the policies add to it.
    separators: Vec<(&'s str, &'s str)>,
    changed: bool,
}

/// A sidecar that was taken over.
#[derive(Clone, Copy)]
pub(crate) struct Taken<'s> {
    pub(crate) sidecar: &'s Sidecar,
    /// Position of its policy among the selected ones.
    pub(crate) policy: usize,
}

/// What a policy adds to a pod, found to be without conflict.
pub(crate) struct Additions<'s> {
    volumes: Vec<&'s Volume>,
    app_containers: Vec<AppContainerAdditions<'s>>,
    pod: PodEdits<'s>,
    pub(crate) sidecars: Vec<&'s Sidecar>,
    /// Whether all of it was there already.
    pub(crate) nothing_new: bool,
    /// What people should know.
    pub(crate) notices: Vec<Notice>,
}

impl<'p, 's> Merge<'p, 's> {
    /// Starts with a pod; `entering` are the policies that may go in, so that the names of their sidecars are
    /// not the app's, `separators` what stands between values that policies add to a variable.
    pub(crate) fn new(
        metadata: &'p Metadata<'p>,
        spec: &'p Spec<'p>,
        enforced: Option<Enforced>,
        entering: Vec<(&'s Policy, &'s Content)>,
        separators: Vec<(&'s str, &'s str)>,
    ) -> Result<Self, Conflict> {
        Ok(Self {
            metadata,
            spec,
            enforced,
            pod_volumes: volumes::read(spec)?,
            app_containers: app_containers::read(spec, |name| {
                entering.iter().any(|(_, content)| content.has_sidecar(name))
            }),
            volumes: Vec::new(),
            pod: PodEdits::default(),
            sidecars: Vec::new(),
            entering,
            separators,
            changed: false,
        })
    }

    /// What the policy would add, or the first thing that is in its way.
    pub(crate) fn attempt(
        &self,
        policy: &Policy,
        content: &'s Content,
    ) -> Result<Additions<'s>, Conflict> {
        let conflict = match self.attempt_all(policy, content, &content.app_containers) {
            Err(conflict) if self.was_put_in(policy, content) => conflict,
            other => return other,
        };
        // What is in the way came later, if all but the app's containers is there.
        match self.attempt_all(policy, content, &[]) {
            Ok(additions) if additions.nothing_new => Ok(additions),
            _ => Err(conflict),
        }
    }

    /// What the policy would add, with these of its entries for the app's containers.
    fn attempt_all(
        &self,
        policy: &Policy,
        content: &'s Content,
        entries: &'s [Arc<AppContainers>],
    ) -> Result<Additions<'s>, Conflict> {
        let mut notices = Vec::new();
        let volumes = self.attempt_volumes(content)?;
        let pod = self.attempt_pod(&content.pod, &mut notices)?;
        let mut app_containers = self.attempt_app_containers(content, entries, &mut notices)?;
        let sidecars = self.attempt_sidecars(policy, content, &mut notices)?;
        let is_complete =
            |container: &AppContainerAdditions<'_>| container.meant && container.is_empty();
        if app_containers.iter().any(is_complete) && self.was_put_in(policy, content) {
            app_containers.clear();
        }
        let all_there = sidecars.iter().all(|sidecar| self.is_placed(sidecar));
        let nothing_new = volumes.is_empty()
            && pod.is_empty()
            && app_containers.iter().all(AppContainerAdditions::is_empty)
            && all_there;
        // What is there already has passed the API server.
        if !nothing_new {
            self.check_demands(content, &pod, &app_containers)?;
            self.check_pod_security(content)?;
            self.check_pod_resources(&sidecars)?;
        }
        Ok(Additions { volumes, app_containers, pod, sidecars, nothing_new, notices })
    }

    /// Takes over what an attempt found.
    pub(crate) fn take(&mut self, policy: usize, additions: Additions<'s>) {
        self.changed |= !additions.nothing_new;
        self.volumes.extend(additions.volumes);
        self.pod.take(additions.pod);
        for container in additions.app_containers {
            if let Some(found) = self.app_containers.get_mut(container.position) {
                found.take(container);
            }
        }
        let sidecars = additions.sidecars.into_iter();
        self.sidecars.extend(sidecars.map(|sidecar| Taken { sidecar, policy }));
    }

    /// The sidecars that were taken over, in policy order.
    pub(crate) fn sidecars(&self) -> &[Taken<'s>] {
        &self.sidecars
    }

    /// The edits of everything that was taken over, and those of the pod's metadata. `None` without
    /// any.
    pub(crate) fn into_journal(self) -> Result<Option<(Journal, PodEdits<'s>)>, Conflict> {
        if !self.changed {
            return Ok(None);
        }
        let insertions = self.insertions()?;
        let mut journal = Journal { insertions, ..Journal::default() };
        journal.spec = self.pod.spec_edits(self.spec)?;
        let volumes = ListEdits {
            present: self.spec.volumes.is_some(),
            before: false,
            items: self.volumes.iter().map(|volume| volume.rendered.json.clone()).collect(),
        };
        journal.spec.lists.insert(0, ("volumes", volumes));
        let containers = self.app_containers.into_iter().map(AppContainer::into_edits);
        journal.containers = containers.collect::<Result<_, _>>()?;
        Ok(Some((journal, self.pod)))
    }

    /// Whether a volume is there for a container to mount.
    fn has_volume(&self, content: &Content, name: &str) -> bool {
        content.has_volume(name)
            || self.volumes.iter().any(|volume| volume.name == name)
            || self.pod_volumes.iter().any(|volume| volume.name.as_str() == name)
    }

    /// Whether an earlier call put the policy in: the pod says so, and its sidecars and volumes are there.
    /// Containers that lack something of it came later, from another webhook; what they would have got must
    /// not depend on whether that one calls for a second round.
    ///
    /// Anyone can write what the pod says. So it does not count for a policy that has to be in whole or
    /// refuses the pod.
    fn was_put_in(&self, policy: &Policy, content: &Content) -> bool {
        let of_pod = |name: &str| self.pod_volumes.iter().any(|found| found.name.as_str() == name);
        let parts = content.sidecars.len() + content.volumes.len();
        parts > 0
            && !policy.denies_conflicts
            && content.sidecars.iter().all(|sidecar| self.container_of_pod(&sidecar.name).is_some())
            && content.volumes.iter().all(|volume| of_pod(&volume.name))
            && self.recorded().is_some_and(|recorded| {
                recorded.get(&policy.id.to_string()) == Some(&policy.revision)
            })
    }

    /// The revisions of the policies that an earlier call put in, as it wrote on the pod.
    fn recorded(&self) -> Option<BTreeMap<String, String>> {
        record::read(&self.metadata.annotations, keys::INJECTED)
    }
}

/// The JSON of parts, to be written.
fn json_of<'r>(parts: impl IntoIterator<Item = &'r Rendered>) -> Vec<Arc<str>> {
    parts.into_iter().map(|part| part.json.clone()).collect()
}

/// A part of the pod that cannot be read.
pub(crate) fn malformed(part: &str, error: &serde_json::Error) -> Conflict {
    Conflict::MalformedPod(format!("{part}: {error}"))
}
