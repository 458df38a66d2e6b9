//! The edits of an outcome, addressed by name, and their RFC 6902 patch.
//!
//! Edits know which parents are absent: the first element of an absent list or map brings the whole
//! list or map with it. Values are JSON text that was rendered when the policy was compiled.

use std::{borrow::Cow, sync::Arc};

use crate::{json, policy::ContainerList};

/// What to change in an object. Prints as a JSON patch that is the same for equal edits.
#[derive(Debug, Default)]
pub struct Journal {
    pub(crate) metadata: Vec<MetadataEdits>,
    pub(crate) spec: SpecEdits,
    pub(crate) containers: Vec<ContainerEdits>,
    pub(crate) insertions: Vec<Insertions>,
}

impl Journal {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.metadata.iter().all(MetadataEdits::is_empty)
            && self.spec.is_empty()
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
        self.spec.write(&mut patch);
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

    /// Stops the patch unless the element there has this name: an index alone could meet another.
    fn test_name(&mut self, pointer: &str, name: &str) {
        self.test(pointer, "name", name);
    }

    /// Stops the patch unless a field of the element there has this text.
    fn test(&mut self, pointer: &str, field: &str, text: &str) {
        self.operation("test", pointer);
        json::push_pointer_segment(self.out, field);
        self.value(&json::string(text));
    }

    fn list<T: AsRef<str>>(&mut self, items: &[T]) {
        self.out.push_str("\",\"value\":[");
        for (position, item) in items.iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.out.push_str(item.as_ref());
        }
        self.out.push_str("]}");
    }
}

/// Edits of the labels and annotations of an object or a pod template.
#[derive(Debug)]
pub(crate) struct MetadataEdits {
    /// JSON pointer of the metadata.
    pub(crate) pointer: &'static str,
    /// Whether the metadata is there.
    pub(crate) present: bool,
    pub(crate) labels: MapEdits,
    pub(crate) annotations: MapEdits,
}

impl MetadataEdits {
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
pub(crate) struct MapEdits {
    /// Whether the map is there.
    pub(crate) present: bool,
    pub(crate) changes: Vec<(Cow<'static, str>, MapChange)>,
}

/// What happens to one key of a map.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MapChange {
    Add(String),
    Replace(String),
    Remove,
}

impl MapEdits {
    /// Sets a key that now has the value `found`.
    pub(crate) fn set(
        &mut self,
        key: impl Into<Cow<'static, str>>,
        found: Option<&str>,
        value: String,
    ) {
        match found {
            Some(found) if found == value => {}
            Some(_) => self.changes.push((key.into(), MapChange::Replace(value))),
            None => self.changes.push((key.into(), MapChange::Add(value))),
        }
    }

    /// Removes a key that now has the value `found`.
    pub(crate) fn remove(&mut self, key: impl Into<Cow<'static, str>>, found: Option<&str>) {
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

/// Edits of the spec beside its containers.
#[derive(Debug, Default)]
pub(crate) struct SpecEdits {
    /// Host aliases that get more hostnames.
    pub(crate) host_aliases: Vec<HostAliasEdit>,
    /// Elements added to lists of the spec, by the name of the list.
    pub(crate) lists: Vec<(&'static str, ListEdits)>,
    /// Fields that are set.
    pub(crate) fields: Vec<FieldEdit>,
}

/// Hostnames added to a host alias.
#[derive(Debug)]
pub(crate) struct HostAliasEdit {
    /// Position of the alias in its list.
    pub(crate) index: usize,
    /// Its address.
    pub(crate) ip: String,
    pub(crate) hostnames: ListEdits,
}

/// A field that is set.
#[derive(Debug)]
pub(crate) struct FieldEdit {
    /// JSON pointer of the field.
    pub(crate) pointer: &'static str,
    /// Whether it has a value now.
    pub(crate) present: bool,
    /// The value as JSON.
    pub(crate) json: String,
}

impl SpecEdits {
    pub(crate) fn is_empty(&self) -> bool {
        self.host_aliases.is_empty()
            && self.lists.iter().all(|(_, list)| list.items.is_empty())
            && self.fields.is_empty()
    }

    fn write(&self, patch: &mut Patch<'_>) {
        for edit in &self.host_aliases {
            let pointer = format!("/spec/hostAliases/{}", edit.index);
            patch.test(&pointer, "ip", &edit.ip);
            edit.hostnames.write(patch, &format!("{pointer}/hostnames"));
        }
        for (name, list) in &self.lists {
            list.write(patch, &format!("/spec/{name}"));
        }
        for field in &self.fields {
            patch.operation(if field.present { "replace" } else { "add" }, field.pointer);
            patch.value(&field.json);
        }
    }
}

/// Elements added to a list, each as JSON.
#[derive(Debug, Default)]
pub(crate) struct ListEdits {
    /// Whether the list is there.
    pub(crate) present: bool,
    /// Whether they go before the elements that are there; else after them.
    pub(crate) before: bool,
    pub(crate) items: Vec<Arc<str>>,
}

impl ListEdits {
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
pub(crate) struct ContainerEdits {
    pub(crate) list: ContainerList,
    pub(crate) index: usize,
    pub(crate) name: String,
    /// Variables of the app's that get a longer value.
    pub(crate) values: Vec<ValueEdit>,
    pub(crate) env: ListEdits,
    pub(crate) env_from: ListEdits,
    pub(crate) mounts: ListEdits,
    /// Absent fields that are set: name and JSON.
    pub(crate) fields: Vec<(&'static str, Arc<str>)>,
}

/// A new value of a variable.
#[derive(Debug)]
pub(crate) struct ValueEdit {
    /// Position of the variable in its list.
    pub(crate) index: usize,
    pub(crate) name: String,
    /// Whether it has a value now.
    pub(crate) present: bool,
    pub(crate) value: String,
}

impl ContainerEdits {
    fn is_empty(&self) -> bool {
        self.lists().iter().all(|(_, list)| list.items.is_empty())
            && self.fields.is_empty()
            && self.values.is_empty()
    }

    fn lists(&self) -> [(&'static str, &ListEdits); 3] {
        [("env", &self.env), ("envFrom", &self.env_from), ("volumeMounts", &self.mounts)]
    }

    fn write(&self, patch: &mut Patch<'_>) {
        let pointer = format!("/spec/{}/{}", self.list.field(), self.index);
        patch.test_name(&pointer, &self.name);
        for edit in &self.values {
            let variable = format!("{pointer}/env/{}", edit.index);
            patch.test_name(&variable, &edit.name);
            patch.operation(if edit.present { "replace" } else { "add" }, &variable);
            patch.out.push_str("/value");
            patch.value(&json::string(&edit.value));
        }
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
pub(crate) struct Insertions {
    pub(crate) list: ContainerList,
    /// Whether the list is there.
    pub(crate) present: bool,
    pub(crate) items: Vec<Insertion>,
}

/// A container put into a list.
#[derive(Debug)]
pub(crate) struct Insertion {
    /// Position in the list as it is by then.
    pub(crate) position: usize,
    /// Name of the container that stands there by then, and gives way; `None` at the end.
    pub(crate) successor: Option<String>,
    /// The container as JSON.
    pub(crate) json: Arc<str>,
}

impl Insertions {
    fn write(&self, patch: &mut Patch<'_>) {
        if self.items.is_empty() {
            return;
        }
        let pointer = format!("/spec/{}", self.list.field());
        if !self.present {
            let mut whole = Vec::with_capacity(self.items.len());
            for insertion in &self.items {
                whole.insert(insertion.position, &*insertion.json);
            }
            patch.operation("add", &pointer);
            patch.list(&whole);
            return;
        }
        for insertion in &self.items {
            let place = match (&insertion.successor, insertion.position) {
                (None, _) => "-".to_owned(),
                (Some(_), 0) => "0".to_owned(),
                (Some(successor), position) => {
                    patch.test_name(&format!("{pointer}/{position}"), successor);
                    position.to_string()
                }
            };
            patch.operation("add", &pointer);
            json::push_pointer_segment(patch.out, &place);
            patch.value(&insertion.json);
        }
    }
}
