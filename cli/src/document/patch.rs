//! Applies the JSON patch (RFC 6902) of the heart to a manifest.
//!
//! Crates that do so work on `serde_json::Value`, which does not keep the spelling of numbers.

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Node, Value};

/// A patch that does not fit the manifest it was made for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PatchError {
    #[error("the patch cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("the patch does not fit: operation {operation:?} finds nothing at {path}")]
    NotThere { operation: String, path: String },
    #[error("the patch does not fit: {path} has another value than the one it tests for")]
    OtherValue { path: String },
}

#[derive(Deserialize)]
struct Operation<'a> {
    op: String,
    path: String,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

impl Node {
    /// Applies a JSON patch whose paths start at this node.
    pub(crate) fn apply(&mut self, patch: &str) -> Result<(), PatchError> {
        let operations: Vec<Operation<'_>> = serde_json::from_str(patch)?;
        operations.iter().try_for_each(|operation| self.apply_one(operation))
    }

    fn apply_one(&mut self, operation: &Operation<'_>) -> Result<(), PatchError> {
        let not_there = || PatchError::NotThere {
            operation: operation.op.clone(),
            path: operation.path.clone(),
        };
        let line = self.line;
        let value = match operation.value {
            Some(raw) => Node::from_json(raw.get(), line)?,
            None => Node { line, value: Value::Null },
        };
        let (parent, last) = operation.path.rsplit_once('/').ok_or_else(not_there)?;
        let parent = self.at(parent).ok_or_else(not_there)?;
        let last = unescape(last);
        let done = match operation.op.as_str() {
            "add" => parent.add(&last, value),
            "remove" => parent.remove(&last),
            "replace" => parent.child_mut(&last).map(|child| *child = value),
            "test" => match parent.child_mut(&last) {
                Some(found) if found.to_json() == value.to_json() => Some(()),
                Some(_) => return Err(PatchError::OtherValue { path: operation.path.clone() }),
                None => None,
            },
            _ => None,
        };
        done.ok_or_else(not_there)
    }

    /// The node that a JSON pointer leads to.
    fn at(&mut self, pointer: &str) -> Option<&mut Node> {
        pointer
            .split('/')
            .skip(1)
            .try_fold(self, |node, segment| node.child_mut(&unescape(segment)))
    }

    fn child_mut(&mut self, segment: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::List(items) => items.get_mut(segment.parse::<usize>().ok()?),
            Value::Map(entries) => {
                entries.iter_mut().find_map(|(key, node)| (key == segment).then_some(node))
            }
            _ => None,
        }
    }

    fn add(&mut self, segment: &str, value: Node) -> Option<()> {
        match &mut self.value {
            Value::List(items) => {
                let index = if segment == "-" { items.len() } else { segment.parse().ok()? };
                if index > items.len() {
                    return None;
                }
                items.insert(index, value);
            }
            Value::Map(entries) => match entries.iter_mut().find(|(key, _)| key == segment) {
                Some((_, found)) => *found = value,
                None => entries.push((segment.to_owned(), value)),
            },
            _ => return None,
        }
        Some(())
    }

    fn remove(&mut self, segment: &str) -> Option<()> {
        match &mut self.value {
            Value::List(items) => {
                let index = segment.parse::<usize>().ok().filter(|index| *index < items.len())?;
                items.remove(index);
            }
            Value::Map(entries) => {
                let index = entries.iter().position(|(key, _)| key == segment)?;
                entries.remove(index);
            }
            _ => return None,
        }
        Some(())
    }
}

fn unescape(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patched(document: &str, patch: &str) -> Result<String, PatchError> {
        let mut node = Node::from_json(document, 1).expect("the document is JSON");
        node.apply(patch)?;
        Ok(node.to_json())
    }

    #[test]
    fn every_operation_of_the_heart_does_what_the_standard_says() {
        let document = r#"{"a/b":{"~":1},"list":[{"name":"x"},2],"big":18446744073709551617}"#;
        for (patch, expected) in [
            (
                r#"[{"op":"replace","path":"/a~1b/~0","value":2}]"#,
                r#"{"a/b":{"~":2},"list":[{"name":"x"},2],"big":18446744073709551617}"#,
            ),
            (
                r#"[{"op":"test","path":"/list/0/name","value":"x"},{"op":"add","path":"/list/0","value":{}}]"#,
                r#"{"a/b":{"~":1},"list":[{},{"name":"x"},2],"big":18446744073709551617}"#,
            ),
            (
                r#"[{"op":"add","path":"/list/-","value":1.10},{"op":"add","path":"/new","value":[]}]"#,
                r#"{"a/b":{"~":1},"list":[{"name":"x"},2,1.10],"big":18446744073709551617,"new":[]}"#,
            ),
            (
                r#"[{"op":"remove","path":"/a~1b"},{"op":"remove","path":"/list/0"}]"#,
                r#"{"list":[2],"big":18446744073709551617}"#,
            ),
        ] {
            assert_eq!(patched(document, patch).expect("the patch fits"), expected);
        }
    }

    #[test]
    fn a_patch_that_does_not_fit_says_where() {
        for (patch, message) in [
            (
                r#"[{"op":"test","path":"/list/0","value":2}]"#,
                "the patch does not fit: /list/0 has another value than the one it tests for",
            ),
            (
                r#"[{"op":"add","path":"/list/3","value":2}]"#,
                "the patch does not fit: operation \"add\" finds nothing at /list/3",
            ),
            (
                r#"[{"op":"remove","path":"/no/where"}]"#,
                "the patch does not fit: operation \"remove\" finds nothing at /no/where",
            ),
        ] {
            let error = patched(r#"{"list":[1,2]}"#, patch).expect_err("the patch does not fit");
            assert_eq!(error.to_string(), message);
        }
    }
}
