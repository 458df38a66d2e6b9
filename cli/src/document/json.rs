//! Manifests as JSON: read with every number as it is spelled, written compactly or indented.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Node, Value, scalar};

/// As deep as the YAML reader goes; deeper nesting could exhaust the stack.
const DEPTH_LIMIT: usize = 255;

impl Node {
    /// Reads a JSON value; every node of it gets the line.
    pub(crate) fn from_json(text: &str, line: usize) -> Result<Self, serde_json::Error> {
        read(text, line, 0)
    }

    /// The node as compact JSON.
    pub(crate) fn to_json(&self) -> String {
        let mut out = String::new();
        self.write_json(&mut out, None);
        out
    }

    /// Appends the node as JSON. With a depth, it is indented as something that deep inside.
    pub(crate) fn write_json(&self, out: &mut String, depth: Option<usize>) {
        match &self.value {
            Value::Null => out.push_str("null"),
            Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Value::Number(spelled) => match scalar::number_as_json(spelled) {
                Some(json) => out.push_str(&json),
                None => out.push_str(spelled),
            },
            Value::Text(text) => push_string(out, text),
            Value::List(items) => write_all(out, depth, ['[', ']'], items, |out, depth, item| {
                item.write_json(out, depth);
            }),
            Value::Map(entries) => {
                write_all(out, depth, ['{', '}'], entries, |out, depth, (key, node)| {
                    push_string(out, key);
                    out.push_str(if depth.is_some() { ": " } else { ":" });
                    node.write_json(out, depth);
                });
            }
        }
    }
}

fn write_all<T>(
    out: &mut String,
    depth: Option<usize>,
    [open, close]: [char; 2],
    elements: &[T],
    mut write: impl FnMut(&mut String, Option<usize>, &T),
) {
    out.push(open);
    let inner = depth.map(|depth| depth + 1);
    for (position, element) in elements.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        break_line(out, inner);
        write(out, inner, element);
    }
    if !elements.is_empty() {
        break_line(out, depth);
    }
    out.push(close);
}

fn break_line(out: &mut String, depth: Option<usize>) {
    if let Some(depth) = depth {
        out.push('\n');
        out.extend(std::iter::repeat_n("    ", depth));
    }
}

/// Appends text as a JSON string, which is a double-quoted YAML scalar too: what YAML would not
/// take as it is, is escaped.
pub(super) fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            character if scalar::is_printable(character) => out.push(character),
            // All characters that are not printable are of the basic plane.
            character => {
                use fmt::Write as _;
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
        }
    }
    out.push('"');
}

fn read(text: &str, line: usize, depth: usize) -> Result<Node, serde_json::Error> {
    if depth > DEPTH_LIMIT {
        return Err(serde_json::Error::custom(format!("nested deeper than {DEPTH_LIMIT} levels")));
    }
    let text = text.trim_start();
    let value = match text.as_bytes().first() {
        Some(b'{') => {
            let Entries(entries) = serde_json::from_str(text)?;
            let entries = entries.into_iter();
            Value::Map(
                entries
                    .map(|(key, raw)| Ok((key, read(raw.get(), line, depth + 1)?)))
                    .collect::<Result<_, serde_json::Error>>()?,
            )
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            let items = items.into_iter().map(|raw| read(raw.get(), line, depth + 1));
            Value::List(items.collect::<Result<_, _>>()?)
        }
        Some(b'"') => Value::Text(serde_json::from_str(text)?),
        _ => match serde_json::from_str(text)? {
            serde_json::Value::Bool(value) => Value::Bool(value),
            serde_json::Value::Number(_) => Value::Number(text.trim_end().to_owned()),
            _ => Value::Null,
        },
    };
    Ok(Node { line, value })
}

/// Keys and values of an object, in their order.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;

        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys = std::collections::HashSet::new();
                let mut entries = Vec::new();
                while let Some((key, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if !keys.insert(key.clone()) {
                        return Err(A::Error::custom(format!(
                            "the key {key:?} stands twice in one object"
                        )));
                    }
                    entries.push((key, value));
                }
                Ok(Entries(entries))
            }
        }

        deserializer.deserialize_map(EntriesVisitor)
    }
}
