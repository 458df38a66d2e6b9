//! A manifest as a tree that keeps what a JSON value loses: the spelling of numbers, and the line
//! that each value stands on.
//!
//! `serde_json::Value` turns 18446744073709551617 into 18446744073709552000. Its feature
//! `arbitrary_precision` would not, but it would change `Value` for webhook and operator too.

mod json;
mod patch;
#[cfg(test)]
mod round_trips;
mod scalar;
mod yaml_reader;
mod yaml_writer;

pub(crate) use patch::PatchError;

/// A value of a manifest.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Line of the file, from 1: that of the key where the value has one.
    pub(crate) line: usize,
    pub(crate) value: Value,
}

/// What a [`Node`] is.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// The number as it is spelled in the file, such as `0x10` or `1e3`.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// Keys are unique and in the order of the file.
    Map(Vec<(String, Node)>),
}

impl Node {
    /// The value of a key, if this is a map that has it.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find_map(|(found, node)| (found == key).then_some(node))
    }

    /// The value of a key to change, if this is a map that has it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        let Value::Map(entries) = &mut self.value else { return None };
        entries.iter_mut().find_map(|(found, node)| (found == key).then_some(node))
    }

    /// The node that the keys lead to.
    pub(crate) fn descend(&self, keys: &[&str]) -> Option<&Node> {
        keys.iter().try_fold(self, |node, key| node.get(key))
    }

    /// The node to change that the keys lead to.
    pub(crate) fn descend_mut(&mut self, keys: &[&str]) -> Option<&mut Node> {
        keys.iter().try_fold(self, |node, key| node.get_mut(key))
    }

    /// The text, if this is text.
    pub(crate) fn text(&self) -> Option<&str> {
        let Value::Text(text) = &self.value else { return None };
        Some(text)
    }

    /// The text that a key holds.
    pub(crate) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The integer, if this is one.
    pub(crate) fn integer(&self) -> Option<i64> {
        let Value::Number(spelled) = &self.value else { return None };
        spelled.parse().ok()
    }

    /// The elements; none unless this is a list.
    pub(crate) fn items(&self) -> &[Node] {
        let Value::List(items) = &self.value else { return &[] };
        items
    }

    /// The elements to change; none unless this is a list.
    pub(crate) fn items_mut(&mut self) -> &mut [Node] {
        let Value::List(items) = &mut self.value else { return &mut [] };
        items
    }

    /// Keys and values; none unless this is a map.
    pub(crate) fn entries(&self) -> &[(String, Node)] {
        let Value::Map(entries) = &self.value else { return &[] };
        entries
    }

    /// Line of the field that a path such as `spec.sidecars[0].image` leads to, or of the nearest
    /// field above it that exists.
    pub(crate) fn line_of(&self, path: &str) -> usize {
        let mut node = self;
        for segment in path.split(['.', '[']) {
            let next = match segment.strip_suffix(']') {
                Some(index) => index.parse().ok().and_then(|index: usize| node.items().get(index)),
                None => node.get(segment),
            };
            match next {
                Some(next) => node = next,
                None => break,
            }
        }
        node.line
    }
}
