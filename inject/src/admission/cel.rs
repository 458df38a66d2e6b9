//! Pieces of CEL as the API server compiles it: literals, texts, patterns.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A value as CEL. The API server wants the elements of a list, and the values of a map, of one type,
/// so those of several are wrapped in `dyn()`. Null says the same as absent and is left out.
pub(super) fn literal(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::String(string) => text(string),
        Value::Array(list) => {
            let one_type = list.iter().all(Value::is_string) || list.iter().all(Value::is_i64);
            joined('[', list.iter().map(|element| wrapped(element, one_type)), ']')
        }
        Value::Object(map) => map_literal(map),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

fn map_literal(map: &Map<String, Value>) -> String {
    let entries = || map.iter().filter(|(_, value)| !value.is_null());
    let one_type = entries().all(|(_, value)| value.is_string());
    let entry =
        |(key, value): (&String, &Value)| format!("{}: {}", text(key), wrapped(value, one_type));
    joined('{', entries().map(entry), '}')
}

fn wrapped(value: &Value, one_type: bool) -> String {
    let literal = literal(value);
    if one_type { literal } else { format!("dyn({literal})") }
}

/// Elements between brackets.
pub(super) fn joined(
    open: char,
    elements: impl IntoIterator<Item = String>,
    close: char,
) -> String {
    let elements: Vec<String> = elements.into_iter().collect();
    format!("{open}{}{close}", elements.join(", "))
}

/// A list of texts.
pub(super) fn texts<'t>(texts: impl IntoIterator<Item = &'t str>) -> String {
    joined('[', texts.into_iter().map(text), ']')
}

/// A text.
pub(crate) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('\'');
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(out, "\\U{:08x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('\'');
    out
}

/// A field of a value: behind a dot where CEL takes it there, else in brackets.
pub(super) fn field(of: &str, name: &str) -> String {
    if is_identifier(name) { format!("{of}.{name}") } else { format!("{of}[{}]", text(name)) }
}

/// Whether a value has a field.
pub(super) fn has(of: &str, name: &str) -> String {
    if is_identifier(name) {
        format!("has({of}.{name})")
    } else {
        format!("{} in {of}", text(name))
    }
}

/// A list or map of an object, empty where it is absent.
pub(super) fn or_empty(of: &str, name: &str, empty: &str) -> String {
    format!("has({of}.{name}) ? {of}.{name} : {empty}")
}

fn is_identifier(name: &str) -> bool {
    // The words that CEL keeps for itself; no field of a pod is called so, a label may be.
    const RESERVED: [&str; 21] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
    ];
    let mut characters = name.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|rest| rest.is_ascii_alphanumeric() || rest == '_')
        && !RESERVED.contains(&name)
}

/// A pattern that matches this text and nothing else.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii_punctuation() && !matches!(character, '/' | '_' | '-' | ':' | '@') {
            out.push('\\');
        }
        out.push(character);
    }
    out
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!({"name": "a", "value": "b"}), "{'name': 'a', 'value': 'b'}")]
    #[case(json!({"name": "a", "port": 8080, "none": null}), "{'name': dyn('a'), 'port': dyn(8080)}")]
    #[case(json!(["a", "b"]), "['a', 'b']")]
    #[case(json!([{"a": "b"}, {"a": 1}]), "[dyn({'a': 'b'}), dyn({'a': dyn(1)})]")]
    #[case(json!({}), "{}")]
    #[case(json!("it's\n\\ a \"text\"\u{1}"), "'it\\'s\\n\\\\ a \"text\"\\U00000001'")]
    fn literals(#[case] value: Value, #[case] expected: &str) {
        assert_eq!(literal(&value), expected);
    }

    #[rstest]
    #[case("busybox:1.36", "busybox:1\\.36")]
    #[case("/var/a+b", "/var/a\\+b")]
    fn patterns(#[case] text: &str, #[case] expected: &str) {
        assert_eq!(escaped(text), expected);
    }
}
