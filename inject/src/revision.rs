//! The content hash of what a policy puts in. Selectors, mode and rollout are not in it.

use std::fmt::Write as _;

use crds::PolicySpec;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Hexadecimal digits kept: 80 bits, and short enough for an object name beside a policy's.
const DIGITS: usize = 20;

/// The first 20 hexadecimal digits of the SHA-256 of what goes in, written with sorted keys.
pub(crate) fn revision(spec: &PolicySpec) -> String {
    let content = json!({
        "sidecars": spec.sidecars,
        "volumes": spec.volumes,
        "files": spec.files,
        "appContainers": spec.app_containers,
        "pod": spec.pod,
        "parameters": spec.parameters,
    });
    let mut text = String::new();
    push_sorted(&mut text, &content);
    let mut digits = String::with_capacity(64);
    for byte in Sha256::digest(text.as_bytes()) {
        let _ = write!(digits, "{byte:02x}");
    }
    digits.truncate(DIGITS);
    digits
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
