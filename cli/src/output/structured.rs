//! Answers for scripts: one value, as JSON or YAML.

use std::io::{self, Write};

use serde::Serialize;

use super::Structured;
use crate::document::Node;

/// Writes an answer.
pub(crate) fn write_structured(
    answer: &impl Serialize,
    form: Structured,
    out: &mut dyn Write,
) -> io::Result<()> {
    match form {
        Structured::Json => out.write_all(json(answer)?.as_bytes()),
        Structured::Yaml => {
            let node = Node::from_json(&serde_json::to_string(answer)?, 1)?;
            out.write_all(node.to_yaml().as_bytes())
        }
    }
}

/// An answer as indented JSON that ends with a line break.
pub(crate) fn json(answer: &impl Serialize) -> io::Result<String> {
    let mut text = serde_json::to_string_pretty(answer)?;
    text.push('\n');
    Ok(text)
}
