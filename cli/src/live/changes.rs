//! What changed in the content of a policy, field by field.

use std::fmt;

use serde_json::{Map, Value};

/// Most characters of a value that are shown.
const SHOWN: usize = 80;

/// A field of a policy that changed.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Change {
    /// Such as `sidecars[proxy].image`.
    pub(crate) path: String,
    /// `None` if the field is new.
    pub(crate) before: Option<Value>,
    /// `None` if the field is gone.
    pub(crate) after: Option<Value>,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, before, after } = self;
        match (before, after) {
            (Some(before), Some(after)) => {
                write!(formatter, "{path}: {} would be {}", shown(before), shown(after))
            }
            (None, Some(after)) => write!(formatter, "{path}: {} would come in", shown(after)),
            (Some(before), None) => write!(formatter, "{path}: {} would go", shown(before)),
            (None, None) => write!(formatter, "{path} would be another"),
        }
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= SHOWN {
        return text;
    }
    let beginning: String = text.chars().take(SHOWN).collect();
    format!("{beginning}…")
}

/// What changed from one content to another. Elements of lists are told by their names, where all of
/// them have one.
pub(super) fn between(before: &Value, after: &Value) -> Vec<Change> {
    let mut changes = Vec::new();
    compare("", Some(before), Some(after), &mut changes);
    changes
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, changes: &mut Vec<Change>) {
    let (before, after) =
        (before.filter(|value| !says_nothing(value)), after.filter(|value| !says_nothing(value)));
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            for key in keys(old, new) {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                compare(&path, old.get(key), new.get(key), changes);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            compare_lists(path, old, new, changes);
        }
        (before, after) if before == after => {}
        (before, after) => changes.push(Change {
            path: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

fn compare_lists(path: &str, old: &[Value], new: &[Value], changes: &mut Vec<Change>) {
    match (named(old), named(new)) {
        (Some(old), Some(new)) => {
            let told = changes.len();
            for name in keys(&old, &new) {
                compare(&format!("{path}[{name}]"), old.get(name), new.get(name), changes);
            }
            if changes.len() == told && !old.keys().eq(new.keys()) {
                changes.push(Change {
                    path: format!("{path}: the order"),
                    before: None,
                    after: None,
                });
            }
        }
        _ => {
            for position in 0..old.len().max(new.len()) {
                let path = format!("{path}[{position}]");
                compare(&path, old.get(position), new.get(position), changes);
            }
        }
    }
}

/// The elements by name, if each has one of its own.
fn named(list: &[Value]) -> Option<Map<String, Value>> {
    let mut named = Map::new();
    for element in list {
        let name = element.get("name")?.as_str()?;
        if named.insert(name.to_owned(), element.clone()).is_some() {
            return None;
        }
    }
    Some(named)
}

fn keys<'v>(
    old: &'v Map<String, Value>,
    new: &'v Map<String, Value>,
) -> impl Iterator<Item = &'v String> {
    old.keys().chain(new.keys().filter(|key| !old.contains_key(*key)))
}

fn says_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_are_told_field_by_field() {
        let before = json!({
            "sidecars": [
                {"name": "proxy", "image": "proxy:1", "args": ["a", "b"]},
                {"name": "old", "image": "old:1"},
            ],
            "volumes": [], "pod": null,
        });
        let after = json!({
            "sidecars": [
                {"name": "proxy", "image": "proxy:2", "args": ["a", "c"], "env": [{"name": "A", "value": "1"}]},
            ],
            "volumes": null, "pod": {"labels": {"a": "b"}},
        });
        let told: Vec<String> = between(&before, &after).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                r#"sidecars[proxy].image: "proxy:1" would be "proxy:2""#,
                r#"sidecars[proxy].args[1]: "b" would be "c""#,
                r#"sidecars[proxy].env: [{"name":"A","value":"1"}] would come in"#,
                r#"sidecars[old]: {"image":"old:1","name":"old"} would go"#,
                r#"pod: {"labels":{"a":"b"}} would come in"#,
            ]
            .map(|told| told
                .replace(r#"{"image":"old:1","name":"old"}"#, r#"{"name":"old","image":"old:1"}"#))
        );
        assert_eq!(between(&after, &after), []);
    }

    #[test]
    fn another_order_is_told_where_nothing_else_changed() {
        let list =
            |names: [&str; 2]| json!({ "sidecars": names.map(|name| json!({ "name": name })) });
        let changes = between(&list(["a", "b"]), &list(["b", "a"]));
        assert_eq!(
            changes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["sidecars: the order would be another"]
        );
    }
}
