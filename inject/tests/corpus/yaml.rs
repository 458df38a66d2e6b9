//! YAML for people to review: in flow style what fits on a line, every number as it was written.

use std::fmt::Write as _;

use crate::patch_laws::document::{Content, Document, decode};

const WIDTH: usize = 120;

/// Prints a document.
pub(crate) fn print(document: &Document) -> String {
    let mut out = String::new();
    block(&mut out, document, 0);
    out
}

/// Prints a list or map that goes over several lines; each begins at the indent.
fn block(out: &mut String, document: &Document, indent: usize) {
    let margin = " ".repeat(indent);
    match &document.content {
        Content::Map(members) if !members.is_empty() => {
            for (position, (key, value)) in members.iter().enumerate() {
                if position > 0 || out.ends_with('\n') || out.is_empty() {
                    out.push_str(&margin);
                }
                out.push_str(&scalar(key));
                out.push(':');
                child(out, value, indent, indent + 2);
            }
        }
        Content::List(items) if !items.is_empty() => {
            for item in items {
                out.push_str(&margin);
                out.push('-');
                child(out, item, indent, indent + 2);
            }
        }
        _ => {
            out.push_str(&flow(document));
            out.push('\n');
        }
    }
}

/// Prints what stands behind a colon or dash.
fn child(out: &mut String, value: &Document, indent: usize, deeper: usize) {
    let flat = flow(value);
    let behind_dash = out.ends_with('-');
    let column = out.len() - out.rfind('\n').map_or(0, |at| at + 1);
    let is_top_level = indent == 0 && !behind_dash;
    let fits = column + 1 + flat.chars().count() <= WIDTH && !(is_top_level && is_deep(value));
    if fits || matches!(value.content, Content::Literal(_)) {
        out.push(' ');
        out.push_str(&flat);
        out.push('\n');
    } else if behind_dash {
        // The first key stands beside the dash.
        out.push(' ');
        if matches!(value.content, Content::List(_)) {
            out.push_str(&flat);
            out.push('\n');
        } else {
            block(out, value, deeper);
        }
    } else {
        out.push('\n');
        let is_list = matches!(value.content, Content::List(_));
        block(out, value, if is_list { indent } else { deeper });
    }
}

fn is_deep(document: &Document) -> bool {
    matches!(&document.content, Content::Map(members) if members.len() > 1)
}

fn flow(document: &Document) -> String {
    match &document.content {
        Content::Literal(literal) => scalar(literal),
        Content::List(items) => {
            format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", "))
        }
        Content::Map(members) => {
            let member =
                |(key, value): &(String, Document)| format!("{}: {}", scalar(key), flow(value));
            format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(", "))
        }
    }
}

/// A literal of JSON in YAML: text without quotes where it needs none.
fn scalar(literal: &str) -> String {
    if !literal.starts_with('"') {
        return literal.to_owned();
    }
    let text = decode(literal);
    let plain = |character: char| character.is_ascii_alphanumeric() || "_./-".contains(character);
    let first = text.chars().next().unwrap_or(' ');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = (first.is_ascii_alphabetic() || first == '/')
        && text.chars().all(|character| plain(character) || character == ':')
        && !text.ends_with(':')
        && !word.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        return text;
    }
    let mut quoted = String::new();
    for character in serde_json::to_string(&text).unwrap().chars() {
        // Line ends and invisible characters of Unicode, which YAML would fold or refuse.
        if matches!(character, '\u{7f}'..='\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}') {
            write!(quoted, "\\u{:04x}", u32::from(character)).unwrap();
        } else {
            quoted.push(character);
        }
    }
    quoted
}
