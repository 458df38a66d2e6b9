//! The edits of an outcome, addressed by name, and their RFC 6902 patch.
//!
//! Edits know which parents are absent: the first element of an absent list or map brings the whole
//! list or map with it. Values are JSON text that was rendered when the policy was compiled.

use std::borrow::Cow;

use crate::{json, policy::ContainerList};

/// What to change in an object. Prints as a JSON patch that is the same for equal edits.
#[derive(Debug, Default)]
pub struct Journal<'a> {
    pub(crate) metadata: Vec<MetadataEdits<'a>>,
    pub(crate) volumes: ListEdits<'a>,
    pub(crate) containers: Vec<ContainerEdits<'a>>,
    pub(crate) insertions: Vec<Insertions<'a>>,
}

impl Journal<'_> {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metadata.iter().all(MetadataEdits::is_empty)
            && self.volumes.items.is_empty()
            && self.containers.iter().all(ContainerEdits::is_empty)
            && self.insertions.iter().all(|insertions| insertions.items.is_empty())
    }

    /// Appends the JSON patch, a list of operations, to `out`.
    pub fn write(&self, out: &mut String) {
        let mut patch = Patch { out, operations: 0 };
        patch.out.push('[');
        for edits in &self.metadata {
            edits.write(&mut patch);
        }
        self.volumes.write(&mut patch, "/spec/volumes");
        for edits in self.containers.iter().filter(|edits| !edits.is_empty()) {
            edits.write(&mut patch);
        }
        for insertions in &self.insertions {
            insertions.write(&mut patch);
        }
        patch.out.push(']');
    }
}

/// A JSON patch that is being written.
struct Patch<'o> {
    out: &'o mut String,
    operations: usize,
}

impl Patch<'_> {
    /// Starts an operation; the caller completes the path and then calls `value`.
    fn operation(&mut self, name: &str, pointer: &str) {
        if self.operations > 0 {
            self.out.push(',');
        }
        self.operations += 1;
        self.out.push_str("{\"op\":\"");
        self.out.push_str(name);
        self.out.push_str("\",\"path\":\"");
        self.out.push_str(pointer);
    }

    fn value(&mut self, json: &str) {
        self.out.push_str("\",\"value\":");
        self.out.push_str(json);
        self.out.push('}');
    }

    fn list(&mut self, items: &[&str]) {
        self.out.push_str("\",\"value\":[");
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.out.push_str(item);
        }
        self.out.push_str("]}");
    }
}

/// Edits of the labels and annotations of an object or a pod template.
#[derive(Debug)]
pub(crate) struct MetadataEdits<'a> {
    /// JSON pointer of the metadata.
    pub(crate) pointer: &'static str,
    /// Whether the metadata is there.
    pub(crate) present: bool,
    pub(crate) labels: MapEdits<'a>,
    pub(crate) annotations: MapEdits<'a>,
}

impl MetadataEdits<'_> {
    fn is_empty(&self) -> bool {
        self.labels.changes.is_empty() && self.annotations.changes.is_empty()
    }

    fn write(&self, patch: &mut Patch<'_>) {
        if self.is_empty() {
            return;
        }
        let maps = [("labels", &self.labels), ("annotations", &self.annotations)];
        if self.present {
            for (field, map) in maps {
                map.write(patch, self.pointer, field);
            }
            return;
        }
        let mut value = String::from("{");
        for (field, map) in maps.into_iter().filter(|(_, map)| !map.changes.is_empty()) {
            if value.len() > 1 {
                value.push(',');
            }
            json::push_string(&mut value, field);
            value.push(':');
            map.push_whole(&mut value);
        }
        value.push('}');
        patch.operation("add", self.pointer);
        patch.value(&value);
    }
}

/// Edits of a string map.
#[derive(Debug, Default)]
pub(crate) struct MapEdits<'a> {
    /// Whether the map is there.
    pub(crate) present: bool,
    pub(crate) changes: Vec<(Cow<'a, str>, MapChange)>,
}

/// What happens to one key of a map.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MapChange {
    Add(String),
    Replace(String),
    Remove,
}

impl<'a> MapEdits<'a> {
    /// Sets a key that now has the value `found`.
    pub(crate) fn set(&mut self, key: impl Into<Cow<'a, str>>, found: Option<&str>, value: String) {
        match found {
            Some(found) if found == value => {}
            Some(_) => self.changes.push((key.into(), MapChange::Replace(value))),
            None => self.changes.push((key.into(), MapChange::Add(value))),
        }
    }

    /// Removes a key that now has the value `found`.
    pub(crate) fn remove(&mut self, key: impl Into<Cow<'a, str>>, found: Option<&str>) {
        if found.is_some() {
            self.changes.push((key.into(), MapChange::Remove));
        }
    }

    fn write(&self, patch: &mut Patch<'_>, pointer: &str, field: &str) {
        if self.changes.is_empty() {
            return;
        }
        if !self.present {
            let mut value = String::new();
            self.push_whole(&mut value);
            patch.operation("add", pointer);
            json::push_pointer_segment(patch.out, field);
            patch.value(&value);
            return;
        }
        for (key, change) in &self.changes {
            let (name, value) = match change {
                MapChange::Add(value) => ("add", Some(value)),
                MapChange::Replace(value) => ("replace", Some(value)),
                MapChange::Remove => ("remove", None),
            };
            patch.operation(name, pointer);
            json::push_pointer_segment(patch.out, field);
            json::push_pointer_segment(patch.out, key);
            match value {
                Some(value) => patch.value(&json::string(value)),
                None => patch.out.push_str("\"}"),
            }
        }
    }

    fn push_whole(&self, out: &mut String) {
        out.push('{');
        let mut first = true;
        for (key, change) in &self.changes {
            let (MapChange::Add(value) | MapChange::Replace(value)) = change else { continue };
            if !std::mem::take(&mut first) {
                out.push(',');
            }
            json::push_string(out, key);
            out.push(':');
            json::push_string(out, value);
        }
        out.push('}');
    }
}

/// Elements added to a list, each as JSON.
#[derive(Debug, Default)]
pub(crate) struct ListEdits<'a> {
    /// Whether the list is there.
    pub(crate) present: bool,
    /// Whether they go before the elements that are there; else after them.
    pub(crate) before: bool,
    pub(crate) items: Vec<&'a str>,
}

impl ListEdits<'_> {
    fn write(&self, patch: &mut Patch<'_>, pointer: &str) {
        if self.items.is_empty() {
            return;
        }
        if !self.present {
            patch.operation("add", pointer);
            patch.list(&self.items);
            return;
        }
        if self.before {
            for item in self.items.iter().rev() {
                Self::write_element(patch, pointer, "/0", item);
            }
        } else {
            for item in &self.items {
                Self::write_element(patch, pointer, "/-", item);
            }
        }
    }

    fn write_element(patch: &mut Patch<'_>, pointer: &str, place: &str, item: &str) {
        patch.operation("add", pointer);
        patch.out.push_str(place);
        patch.value(item);
    }
}

/// Edits of one container of the app's.
#[derive(Debug)]
pub(crate) struct ContainerEdits<'a> {
    pub(crate) list: ContainerList,
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) env: ListEdits<'a>,
    pub(crate) env_from: ListEdits<'a>,
    pub(crate) mounts: ListEdits<'a>,
    /// Absent fields that are set: name and JSON.
    pub(crate) fields: Vec<(&'static str, &'a str)>,
}

impl ContainerEdits<'_> {
    fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, list)| list.items.is_empty()) && self.fields.is_empty()
    }

    fn lists(&self) -> [(&'static str, &ListEdits<'_>); 3] {
        [("env", &self.env), ("envFrom", &self.env_from), ("volumeMounts", &self.mounts)]
    }

    fn write(&self, patch: &mut Patch<'_>) {
        let pointer = format!("/spec/{}/{}", self.list.field(), self.index);
        // An index alone could meet another container; the test stops the patch if it does.
        patch.operation("test", &pointer);
        patch.out.push_str("/name");
        patch.value(&json::string(&self.name));
        for (field, list) in self.lists() {
            list.write(patch, &format!("{pointer}/{field}"));
        }
        for (field, value) in &self.fields {
            patch.operation("add", &pointer);
            json::push_pointer_segment(patch.out, field);
            patch.value(value);
        }
    }
}

/// Containers put into a list, in the order in which they are put.
#[derive(Debug)]
pub(crate) struct Insertions<'a> {
    pub(crate) list: ContainerList,
    /// Elements now in the list; `None` if it is absent.
    pub(crate) present: Option<usize>,
    /// Position in the list as it is by then, and the container as JSON.
    pub(crate) items: Vec<(usize, &'a str)>,
}

impl Insertions<'_> {
    fn write(&self, patch: &mut Patch<'_>) {
        if self.items.is_empty() {
            return;
        }
        let pointer = format!("/spec/{}", self.list.field());
        let Some(mut length) = self.present else {
            let mut whole = Vec::with_capacity(self.items.len());
            for (position, item) in &self.items {
                whole.insert(*position, *item);
            }
            patch.operation("add", &pointer);
            patch.list(&whole);
            return;
        };
        for (position, item) in &self.items {
            let place = if *position == length { "-".to_owned() } else { position.to_string() };
            patch.operation("add", &pointer);
            json::push_pointer_segment(patch.out, &place);
            patch.value(item);
            length += 1;
        }
    }
}
