//! The app's containers: mounts, variables, probes and hooks, only where absent.

use std::{cell::OnceCell, sync::Arc};

use crds::ContainersIncluded;
use serde::Deserialize;

use crate::{
    Conflict, Notice,
    canonical::Canonical,
    content::{AppContainers, AppField, Content, Mount, Rendered, Variable},
    journal::{ContainerEdits, ListEdits},
    pod::{Container, Named, Spec},
    policy::ContainerList,
    reader::{self, Raw},
};

use super::{Merge, json_of, malformed, mounts::PodMount, variables::with_value};

/// A container of the app's, and what was taken over into it so far.
pub(super) struct AppContainer<'p, 's> {
    list: ContainerList,
    index: usize,
    container: &'p Container<'p>,
    pub(super) env_names: OnceCell<Vec<Named<'p>>>,
    pub(super) env_texts: OnceCell<Vec<Raw<'p>>>,
    pub(super) mounts: OnceCell<Vec<PodMount<'p>>>,
    pub(super) mount_texts: OnceCell<Vec<Raw<'p>>>,
    env_from: OnceCell<Canonical>,
    taken: AppContainerAdditions<'s>,
}

/// What goes into one of the app's containers.
#[derive(Default)]
pub(super) struct AppContainerAdditions<'s> {
    /// Which of the app's containers, as a position in the merge.
    pub(super) position: usize,
    /// Whether the policy means this container.
    pub(super) meant: bool,
    pub(super) env: Vec<&'s Variable>,
    /// Longer values of variables, the newest last.
    pub(super) values: Vec<(&'s str, String)>,
    pub(super) env_from: Vec<&'s Rendered>,
    pub(super) mounts: Vec<&'s Mount>,
    fields: Vec<(AppField, &'s Rendered)>,
    /// Entries of the policy whose hooks are added.
    pub(super) hooks_of: Vec<usize>,
}

impl AppContainerAdditions<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.env.is_empty()
            && self.values.is_empty()
            && self.env_from.is_empty()
            && self.mounts.is_empty()
            && self.fields.is_empty()
    }
}

/// The app's containers: all whose name no policy that goes in gives a sidecar.
pub(super) fn read<'p, 's>(
    spec: &'p Spec<'p>,
    is_sidecar: impl Fn(&str) -> bool,
) -> Vec<AppContainer<'p, 's>> {
    spec.all_containers()
        .filter(|(_, _, container)| !is_sidecar(container.name.as_str()))
        .map(|(list, index, container)| AppContainer {
            list,
            index,
            container,
            env_names: OnceCell::new(),
            env_texts: OnceCell::new(),
            mounts: OnceCell::new(),
            mount_texts: OnceCell::new(),
            env_from: OnceCell::new(),
            taken: AppContainerAdditions::default(),
        })
        .collect()
}

impl<'s> Merge<'_, 's> {
    /// What the policy would add to the app's containers by these of its entries.
    pub(super) fn attempt_app_containers(
        &self,
        content: &Content,
        entries: &'s [Arc<AppContainers>],
        notices: &mut Vec<Notice>,
    ) -> Result<Vec<AppContainerAdditions<'s>>, Conflict> {
        let mut additions = Vec::new();
        if entries.is_empty() {
            return Ok(additions);
        }
        for (position, container) in self.app_containers.iter().enumerate() {
            let mut addition = AppContainerAdditions { position, ..Default::default() };
            for (index, entry) in entries.iter().enumerate() {
                if !is_meant(entry, container.list, container.name()) {
                    continue;
                }
                addition.meant = true;
                for mount in &entry.mounts {
                    if !self.has_volume(content, &mount.volume) {
                        return Err(Conflict::VolumeMissing {
                            container: container.name().to_owned(),
                            volume: mount.volume.clone(),
                            left_out: None,
                        });
                    }
                }
                if container.attempt(entry, &self.separators, &mut addition, notices)? {
                    addition.hooks_of.push(index);
                }
            }
            additions.push(addition);
        }
        Ok(additions)
    }
}

impl<'p, 's> AppContainer<'p, 's> {
    pub(super) fn name(&self) -> &str {
        self.container.name.as_str()
    }

    pub(super) fn list(&self) -> ContainerList {
        self.list
    }

    pub(super) fn get(&self) -> &'p Container<'p> {
        self.container
    }

    /// What was taken over into it so far.
    pub(super) fn taken(&self) -> &AppContainerAdditions<'s> {
        &self.taken
    }

    /// Whether one of these names or globs is the container's.
    pub(super) fn is_named_by(&self, patterns: &[String]) -> bool {
        names_match(patterns, self.name())
    }

    /// Whether the hooks of the entry are added.
    fn attempt(
        &self,
        entry: &'s AppContainers,
        separators: &[(&str, &str)],
        addition: &mut AppContainerAdditions<'s>,
        notices: &mut Vec<Notice>,
    ) -> Result<bool, Conflict> {
        for mount in &entry.mounts {
            self.attempt_mount(mount, addition)?;
        }
        for variable in &entry.env {
            self.attempt_variable(variable, separators, addition, notices)?;
        }
        for source in &entry.env_from {
            let stored = self.env_from.get_or_init(|| Canonical::read_raw(self.container.env_from));
            let mut planned = addition.env_from.iter().chain(&self.taken.env_from);
            let there = source.forms().any(|form| form.is_in(stored))
                || planned.any(|planned| source.equals(planned));
            if !there {
                addition.env_from.push(source);
            }
        }
        let mut adds_hooks = false;
        for (field, rendered) in &entry.fields {
            let added = self.attempt_field(*field, rendered, addition, notices);
            adds_hooks |= added && *field == AppField::Lifecycle;
        }
        Ok(adds_hooks)
    }

    /// Whether the field is added.
    fn attempt_field(
        &self,
        field: AppField,
        rendered: &'s Rendered,
        addition: &mut AppContainerAdditions<'s>,
        notices: &mut Vec<Notice>,
    ) -> bool {
        // The API server refuses probes and hooks in containers that run to completion.
        if self.list == ContainerList::InitContainers && !self.container.restarts_always() {
            return false;
        }
        let of_pod = match field {
            AppField::LivenessProbe => self.container.liveness_probe,
            AppField::ReadinessProbe => self.container.readiness_probe,
            AppField::StartupProbe => self.container.startup_probe,
            AppField::Lifecycle => self.container.lifecycle,
        };
        let planned = addition.fields.iter().chain(&self.taken.fields);
        let planned = || planned.into_iter().find(|(planned, _)| *planned == field);
        let there = match of_pod {
            Some(found) => Some(rendered.is(&Canonical::read(found.get()))),
            None => planned().map(|(_, planned)| rendered.equals(planned)),
        };
        match there {
            None => addition.fields.push((field, rendered)),
            Some(true) => {}
            Some(false) => notices
                .push(Notice::FieldKept { container: self.name().to_owned(), field: field.name() }),
        }
        there.is_none()
    }

    pub(super) fn take(&mut self, additions: AppContainerAdditions<'s>) {
        self.taken.env.extend(additions.env);
        self.taken.values.extend(additions.values);
        // Of two sources the later one decides: the app's come last, and before them those of the
        // policies, the first policy's nearest.
        self.taken.env_from.splice(0..0, additions.env_from);
        self.taken.mounts.extend(additions.mounts);
        self.taken.fields.extend(additions.fields);
    }

    pub(super) fn into_edits(self) -> Result<ContainerEdits, Conflict> {
        let list = |found: Option<Raw<'_>>, items| ListEdits {
            present: found.is_some(),
            before: false,
            items,
        };
        let values = self.value_edits()?;
        let taken = &self.taken;
        let value_of = |name: &str| taken.values.iter().rev().find(|(found, _)| *found == name);
        let env = taken.env.iter().map(|variable| match value_of(&variable.name) {
            Some((name, value)) => with_value(name, value).into(),
            None => variable.rendered.json.clone(),
        });
        let env_from = json_of(taken.env_from.iter().copied());
        let mounts = json_of(taken.mounts.iter().map(|mount| &mount.rendered));
        let fields = taken.fields.iter();
        Ok(ContainerEdits {
            list: self.list,
            index: self.index,
            name: self.name().to_owned(),
            values,
            env: list(self.container.env, env.collect()),
            env_from: ListEdits { before: true, ..list(self.container.env_from, env_from) },
            mounts: list(self.container.volume_mounts, mounts),
            fields: fields.map(|(field, json)| (field.name(), json.json.clone())).collect(),
        })
    }
}

/// Whether an entry of a policy means the app's container of this name in this list.
pub(crate) fn is_meant(entry: &AppContainers, list: ContainerList, name: &str) -> bool {
    let included = match entry.include {
        ContainersIncluded::All => true,
        ContainersIncluded::Containers => list == ContainerList::Containers,
        ContainersIncluded::InitContainers => list == ContainerList::InitContainers,
    };
    included && names_match(&entry.names, name)
}

/// Whether a name is one of these or matches a glob among them; without any, every name does.
pub(crate) fn names_match(patterns: &[String], name: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| glob_matches(pattern, name))
}

/// Reads the elements of a raw list, the first time it is asked for.
pub(super) fn read_once<'c, 'p, T: Deserialize<'p>>(
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
