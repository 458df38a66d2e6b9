//! The app's containers: mounts, variables, probes and hooks, only where absent.

use std::{cell::OnceCell, fmt};

use crds::ContainersIncluded;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

use crate::{
    Conflict, Policy,
    canonical::Canonical,
    journal::{ContainerEdits, ListEdits},
    pod::{Container, Named, Spec, Text, read_from_object},
    policy::{AppContainers, AppField, ContainerList, Mount, Variable},
    reader::{self, Raw},
};

use super::{Merge, malformed};

/// A container of the app's, and what was taken over into it so far.
pub(super) struct AppContainer<'p, 's> {
    list: ContainerList,
    index: usize,
    container: &'p Container<'p>,
    env_names: OnceCell<Vec<Named<'p>>>,
    mounts: OnceCell<Vec<PodMount<'p>>>,
    taken: AppContainerAdditions<'s>,
}

/// What goes into one of the app's containers.
#[derive(Default)]
pub(super) struct AppContainerAdditions<'s> {
    /// Which of the app's containers, as a position in the merge.
    pub(super) position: usize,
    env: Vec<&'s Variable>,
    env_from: Vec<&'s str>,
    mounts: Vec<&'s Mount>,
    fields: Vec<(AppField, &'s str)>,
}

impl AppContainerAdditions<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.env.is_empty()
            && self.env_from.is_empty()
            && self.mounts.is_empty()
            && self.fields.is_empty()
    }
}

/// A volume mount that a container of the app's has.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[serde(remote = "Self")]
struct PodMount<'p> {
    #[serde(borrow, default)]
    name: Text<'p>,
    #[serde(borrow, default)]
    mount_path: Text<'p>,
}

read_from_object!(PodMount);

/// The app's containers: all whose name no selected policy gives a sidecar.
pub(super) fn read<'p, 's>(
    spec: &'p Spec<'p>,
    is_sidecar: impl Fn(&str) -> bool,
) -> Vec<AppContainer<'p, 's>> {
    let lists = [
        (ContainerList::InitContainers, &spec.init_containers),
        (ContainerList::Containers, &spec.containers),
    ];
    lists
        .into_iter()
        .flat_map(|(list, containers)| {
            containers.iter().flatten().enumerate().map(move |(index, found)| (list, index, found))
        })
        .filter(|(_, _, container)| !is_sidecar(container.name.as_str()))
        .map(|(list, index, container)| AppContainer {
            list,
            index,
            container,
            env_names: OnceCell::new(),
            mounts: OnceCell::new(),
            taken: AppContainerAdditions::default(),
        })
        .collect()
}

impl<'s> Merge<'_, 's> {
    /// What the policy would add to the app's containers.
    pub(super) fn attempt_app_containers(
        &self,
        policy: &'s Policy,
        kept: &mut Vec<String>,
    ) -> Result<Vec<AppContainerAdditions<'s>>, Conflict> {
        let mut additions = Vec::new();
        if policy.app_containers.is_empty() {
            return Ok(additions);
        }
        for (position, container) in self.app_containers.iter().enumerate() {
            let mut addition = AppContainerAdditions { position, ..Default::default() };
            for entry in &policy.app_containers {
                if !container.is_meant_by(entry) {
                    continue;
                }
                for mount in &entry.mounts {
                    if !self.has_volume(policy, &mount.volume) {
                        return Err(Conflict::VolumeMissing {
                            container: container.name().to_owned(),
                            volume: mount.volume.clone(),
                        });
                    }
                }
                container.attempt(entry, &mut addition, kept)?;
            }
            additions.push(addition);
        }
        Ok(additions)
    }
}

impl<'p, 's> AppContainer<'p, 's> {
    fn name(&self) -> &str {
        self.container.name.as_str()
    }

    fn is_meant_by(&self, entry: &AppContainers) -> bool {
        let included = match entry.include {
            ContainersIncluded::All => true,
            ContainersIncluded::Containers => self.list == ContainerList::Containers,
            ContainersIncluded::InitContainers => self.list == ContainerList::InitContainers,
        };
        let named = || entry.names.iter().any(|pattern| glob_matches(pattern, self.name()));
        included && (entry.names.is_empty() || named())
    }

    fn attempt(
        &self,
        entry: &'s AppContainers,
        addition: &mut AppContainerAdditions<'s>,
        kept: &mut Vec<String>,
    ) -> Result<(), Conflict> {
        for mount in &entry.mounts {
            self.attempt_mount(mount, addition)?;
        }
        for variable in &entry.env {
            self.attempt_variable(variable, addition, kept)?;
        }
        for source in &entry.env_from {
            let stored = Canonical::read_raw(self.container.env_from);
            let planned = addition.env_from.iter().chain(&self.taken.env_from);
            let there = source.forms().any(|form| form.is_in(&stored))
                || planned.into_iter().any(|planned| source.is(&Canonical::read(planned)));
            if !there {
                addition.env_from.push(&source.json);
            }
        }
        for (field, json) in &entry.fields {
            self.attempt_field(*field, json, addition, kept);
        }
        Ok(())
    }

    fn attempt_mount(
        &self,
        mount: &'s Mount,
        addition: &mut AppContainerAdditions<'s>,
    ) -> Result<(), Conflict> {
        let wanted = trimmed(&mount.path);
        let mounts = self.pod_mounts()?;
        let of_pod = mounts.iter().position(|found| trimmed(found.mount_path.as_str()) == wanted);
        if let Some(position) = of_pod {
            let raw = Canonical::read_raw(self.container.volume_mounts);
            return if mount.rendered.is(&raw.element(position)) {
                Ok(())
            } else {
                Err(self.path_taken(mount, mounts[position].name.as_str()))
            };
        }
        let planned = addition.mounts.iter().chain(&self.taken.mounts);
        match planned.into_iter().find(|found| trimmed(&found.path) == wanted) {
            None => addition.mounts.push(mount),
            Some(found) if mount.rendered.is(&Canonical::read(&found.rendered.json)) => {}
            Some(found) => return Err(self.path_taken(mount, &found.volume)),
        }
        Ok(())
    }

    fn path_taken(&self, mount: &Mount, volume: &str) -> Conflict {
        Conflict::MountPathTaken {
            container: self.name().to_owned(),
            path: mount.path.clone(),
            volume: volume.to_owned(),
        }
    }

    fn attempt_variable(
        &self,
        variable: &'s Variable,
        addition: &mut AppContainerAdditions<'s>,
        kept: &mut Vec<String>,
    ) -> Result<(), Conflict> {
        let name = variable.name.as_str();
        let planned = addition.env.iter().chain(&self.taken.env).find(|other| other.name == name);
        let of_pod = self.env_names()?.iter().any(|found| found.name.as_str() == name);
        match planned {
            Some(planned) if planned.json == variable.json => {}
            None if !of_pod => addition.env.push(variable),
            None if self.has_equal_variable(variable) => {}
            _ => kept.push(format!("container {:?} keeps its own variable {name}", self.name())),
        }
        Ok(())
    }

    fn has_equal_variable(&self, variable: &Variable) -> bool {
        Canonical::read(&variable.json).is_in(&Canonical::read_raw(self.container.env))
    }

    fn attempt_field(
        &self,
        field: AppField,
        json: &'s str,
        addition: &mut AppContainerAdditions<'s>,
        kept: &mut Vec<String>,
    ) {
        // The API server refuses probes and hooks in containers that run to completion.
        if self.list == ContainerList::InitContainers && !self.container.restarts_always() {
            return;
        }
        let of_pod = match field {
            AppField::LivenessProbe => self.container.liveness_probe,
            AppField::ReadinessProbe => self.container.readiness_probe,
            AppField::StartupProbe => self.container.startup_probe,
            AppField::Lifecycle => self.container.lifecycle,
        };
        let planned = addition.fields.iter().chain(&self.taken.fields);
        let found = of_pod.map(Raw::get).or_else(|| {
            planned.into_iter().find(|(planned, _)| *planned == field).map(|(_, json)| *json)
        });
        match found {
            None => addition.fields.push((field, json)),
            Some(found) if Canonical::read(found) == Canonical::read(json) => {}
            Some(_) => {
                kept.push(format!("container {:?} keeps its own {}", self.name(), field.name()));
            }
        }
    }

    fn env_names(&self) -> Result<&[Named<'p>], Conflict> {
        read_once(&self.env_names, self.container.env, self.name(), "env")
    }

    fn pod_mounts(&self) -> Result<&[PodMount<'p>], Conflict> {
        read_once(&self.mounts, self.container.volume_mounts, self.name(), "volumeMounts")
    }

    pub(super) fn take(&mut self, additions: AppContainerAdditions<'s>) {
        self.taken.env.extend(additions.env);
        // Of two sources the later one decides: the app's come last, and before them those of the
        // policies, the first policy's nearest.
        self.taken.env_from.splice(0..0, additions.env_from);
        self.taken.mounts.extend(additions.mounts);
        self.taken.fields.extend(additions.fields);
    }

    pub(super) fn into_edits(self) -> ContainerEdits<'s> {
        let list = |found: Option<Raw<'_>>, items| ListEdits {
            present: found.is_some(),
            before: false,
            items,
        };
        let taken = self.taken;
        ContainerEdits {
            list: self.list,
            index: self.index,
            name: self.container.name.as_str().to_owned(),
            env: list(
                self.container.env,
                taken.env.into_iter().map(|variable| variable.json.as_str()).collect(),
            ),
            env_from: ListEdits { before: true, ..list(self.container.env_from, taken.env_from) },
            mounts: list(
                self.container.volume_mounts,
                taken.mounts.into_iter().map(|mount| mount.rendered.json.as_str()).collect(),
            ),
            fields: taken.fields.into_iter().map(|(field, json)| (field.name(), json)).collect(),
        }
    }
}

/// Reads the elements of a raw list, the first time it is asked for.
fn read_once<'c, 'p, T: Deserialize<'p>>(
    cell: &'c OnceCell<Vec<T>>,
    raw: Option<Raw<'p>>,
    container: &str,
    field: &str,
) -> Result<&'c [T], Conflict> {
    if let Some(found) = cell.get() {
        return Ok(found);
    }
    let elements = raw.map_or_else(|| Ok(Vec::new()), |raw| reader::read(raw.get()));
    let elements = elements
        .map_err(|error| malformed(&format!("{field} of container {container:?}"), &error))?;
    Ok(cell.get_or_init(|| elements))
}

fn trimmed(path: &str) -> &str {
    let trimmed = path.trim_end_matches('/');
    if trimmed.is_empty() { path } else { trimmed }
}

/// Whether a name matches a pattern in which `*` stands for any characters.
fn glob_matches(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(start) else { return false };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let end = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some(found) = name.find(piece) else { return false };
        name = &name[found + piece.len()..];
    }
    name.ends_with(end)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::glob_matches;

    #[rstest]
    #[case("app", "app", true)]
    #[case("app", "app2", false)]
    #[case("*", "anything", true)]
    #[case("app-*", "app-1", true)]
    #[case("app-*", "web-1", false)]
    #[case("*-app", "web-app", true)]
    #[case("a*b*c", "a-b-b-c", true)]
    #[case("a*b*c", "a-c", false)]
    #[case("ab*ba", "aba", false)]
    fn globs(#[case] pattern: &str, #[case] name: &str, #[case] matches: bool) {
        assert_eq!(glob_matches(pattern, name), matches);
    }
}
