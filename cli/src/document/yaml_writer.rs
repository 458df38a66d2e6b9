//! Writes a tree as YAML, in the block style that `kubectl` prints.

use super::{Node, Value, json, scalar};

impl Node {
    /// The node as a YAML document that ends with a line break.
    pub(crate) fn to_yaml(&self) -> String {
        let mut out = String::new();
        match &self.value {
            Value::Map(entries) if !entries.is_empty() => write_entries(&mut out, entries, 0),
            Value::List(items) if !items.is_empty() => write_items(&mut out, items, 0),
            _ => {
                write_inline(&mut out, self, 0);
                out.push('\n');
            }
        }
        out
    }
}

/// The first entry is written where the line stands, the others on lines of their own.
fn write_entries(out: &mut String, entries: &[(String, Node)], indent: usize) {
    for (position, (key, node)) in entries.iter().enumerate() {
        if position > 0 {
            push_indent(out, indent);
        }
        write_line(out, key);
        out.push(':');
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => {
                out.push('\n');
                push_indent(out, indent + 2);
                write_entries(out, entries, indent + 2);
            }
            Value::List(items) if !items.is_empty() => {
                out.push('\n');
                push_indent(out, indent);
                write_items(out, items, indent);
            }
            _ => {
                out.push(' ');
                write_inline(out, node, indent);
                out.push('\n');
            }
        }
    }
}

/// The first item is written where the line stands, the others on lines of their own.
fn write_items(out: &mut String, items: &[Node], indent: usize) {
    for (position, node) in items.iter().enumerate() {
        if position > 0 {
            push_indent(out, indent);
        }
        out.push_str("- ");
        match &node.value {
            Value::Map(entries) if !entries.is_empty() => write_entries(out, entries, indent + 2),
            Value::List(items) if !items.is_empty() => write_items(out, items, indent + 2),
            _ => {
                write_inline(out, node, indent);
                out.push('\n');
            }
        }
    }
}

/// A value that starts on the line of its key; the line break at its end is the caller's.
fn write_inline(out: &mut String, node: &Node, indent: usize) {
    match &node.value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(spelled) => out.push_str(spelled),
        Value::Text(text) => write_text(out, text, indent),
        Value::List(_) => out.push_str("[]"),
        Value::Map(_) => out.push_str("{}"),
    }
}

fn write_text(out: &mut String, text: &str, indent: usize) {
    if fits_block(text) {
        write_block(out, text, indent + 2);
    } else {
        write_line(out, text);
    }
}

/// Writes text on one line, quoted where it has to be.
fn write_line(out: &mut String, text: &str) {
    if !scalar::needs_quotes(text) {
        out.push_str(text);
    } else if text.contains('"') && text.chars().all(scalar::is_printable) {
        // JSON inside of an annotation stays readable.
        out.push('\'');
        out.push_str(&text.replace('\'', "''"));
        out.push('\'');
    } else {
        json::push_string(out, text);
    }
}

/// Whether text can stand as a literal block without an indentation indicator.
fn fits_block(text: &str) -> bool {
    text.contains('\n')
        && !text.starts_with([' ', '\t', '\n'])
        && text
            .chars()
            .all(|character| matches!(character, '\n' | '\t') || scalar::is_printable(character))
}

fn write_block(out: &mut String, text: &str, indent: usize) {
    let (chomping, lines) = match text.strip_suffix('\n') {
        None => ("-", text),
        Some(lines) if lines.ends_with('\n') => ("+", lines),
        Some(lines) => ("", lines),
    };
    out.push('|');
    out.push_str(chomping);
    for line in lines.split('\n') {
        out.push('\n');
        if !line.is_empty() {
            push_indent(out, indent);
            out.push_str(line);
        }
    }
}

fn push_indent(out: &mut String, indent: usize) {
    out.extend(std::iter::repeat_n(' ', indent));
}
