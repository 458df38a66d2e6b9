//! The content of a policy, that is, what goes into pods, and its hash. Selectors, mode and rollout
//! are not in it.
//!
//! Contents are stored and compared over years: a field that is added to the schema must be left out
//! of its JSON while it has its default, or an upgrade of the product would be a new revision of
//! every policy.

use std::fmt::Write as _;

use crds::PolicySpec;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::PolicyId;

/// Hexadecimal digits kept: 80 bits, and short enough for an object name beside a policy's.
const DIGITS: usize = 20;
/// The fields of a spec that are its content.
const CONTENT: [&str; 6] = ["sidecars", "volumes", "files", "appContainers", "pod", "parameters"];

/// The revision of a policy: the hash of its content.
#[must_use]
pub fn revision(spec: &PolicySpec) -> String {
    revision_of_content(&revision_content(spec))
}

/// The content of a policy: the part of its spec that a revision stands for.
#[must_use]
pub fn revision_content(spec: &PolicySpec) -> Value {
    json!({
        "sidecars": spec.sidecars,
        "volumes": spec.volumes,
        "files": spec.files,
        "appContainers": spec.app_containers,
        "pod": spec.pod,
        "parameters": spec.parameters,
    })
}

/// The revision that a content has: the first 20 hexadecimal digits of the SHA-256 of its JSON,
/// written with sorted keys. A stored content is to be believed only if this is its revision.
#[must_use]
pub fn revision_of_content(content: &Value) -> String {
    let mut text = String::new();
    push_sorted(&mut text, content);
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits.truncate(DIGITS);
    digits
}

/// Name of the `ControllerRevision` that keeps a revision of a policy: in the policy's namespace, for
/// the cluster kind in the operator's.
#[must_use]
pub fn revision_name(policy: &PolicyId, revision: &str) -> String {
    format!("{}-{revision}", policy.name)
}

/// The spec with another content, as for going back to an earlier revision. Selectors, mode,
/// rollout and all else that is no content stay. A content that does not have the form of this
/// version's spec is an error.
pub fn with_content(spec: &PolicySpec, content: &Value) -> Result<PolicySpec, serde_json::Error> {
    let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(spec)?)?;
    for field in CONTENT {
        match content.get(field) {
            Some(value) => fields.insert(field.to_owned(), value.clone()),
            None => fields.remove(field),
        };
    }
    serde_json::from_value(Value::Object(fields))
}

/// Writes JSON with object keys in order, so that the order a file was written in does not count.
fn push_sorted(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_unstable_by_key(|(key, _)| key.as_str());
            out.push('{');
            for (position, (key, value)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                crate::json::push_string(out, key);
                out.push(':');
                push_sorted(out, value);
            }
            out.push('}');
        }
        Value::Array(list) => {
            out.push('[');
            for (position, value) in list.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                push_sorted(out, value);
            }
            out.push(']');
        }
        other => {
            let _ = write!(out, "{other}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(image: &str, priority: i32) -> PolicySpec {
        serde_json::from_value(json!({
            "priority": priority,
            "podSelector": { "matchLabels": { "app": "api" } },
            "sidecars": [{ "name": "shipper", "image": image, "futureField": { "b": 1, "a": 2.5 } }],
            "volumes": [{ "name": "logs", "emptyDir": {} }],
        }))
        .unwrap()
    }

    #[test]
    fn only_content_counts() {
        assert_eq!(revision(&spec("a:1", 0)), revision(&spec("a:1", 7)));
        assert_ne!(revision(&spec("a:1", 0)), revision(&spec("a:2", 0)));
        assert_eq!(revision(&spec("a:1", 0)).len(), DIGITS);
    }

    #[test]
    fn a_content_read_back_has_its_revision() {
        let text = revision_content(&spec("a:1", 0)).to_string();
        let read: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(revision_of_content(&read), revision(&spec("a:1", 0)));
        let altered: Value = serde_json::from_str(&text.replace("a:1", "a:2")).unwrap();
        assert_ne!(revision_of_content(&altered), revision(&spec("a:1", 0)));
    }

    #[test]
    fn an_earlier_content_is_put_back_and_nothing_else() {
        let (old, new) = (spec("a:1", 0), spec("a:2", 7));
        let back = with_content(&new, &revision_content(&old)).unwrap();
        assert_eq!(back, spec("a:1", 7));
        assert_eq!(revision(&back), revision(&old));
    }

    #[test]
    fn a_content_that_lacks_a_field_puts_none_in() {
        let back = with_content(&spec("a:1", 0), &json!({ "sidecars": [] })).unwrap();
        assert!(back.sidecars.is_empty() && back.volumes.is_empty() && back.pod.is_none());
    }

    #[test]
    fn a_content_of_another_form_is_an_error() {
        assert!(with_content(&spec("a:1", 0), &json!({ "sidecars": "none" })).is_err());
    }
}
