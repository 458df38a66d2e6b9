//! The bounds that the schema of the two kinds sets: numbers of elements, lengths of texts, and ranges.
//! Types and names are checked where a policy is read and compiled.

use serde_json::Value;

/// The schemas of both kinds.
pub(super) struct Schemas {
    namespaced: Value,
    cluster: Value,
}

impl Schemas {
    /// The schemas that the cluster has.
    pub(super) fn new() -> serde_json::Result<Self> {
        let [namespaced, cluster] = crds::custom_resource_definitions()?;
        let schema = |definition| -> serde_json::Result<Value> {
            let mut definition = serde_json::to_value(definition)?;
            let schema = definition.pointer_mut("/spec/versions/0/schema/openAPIV3Schema");
            Ok(schema.map(Value::take).unwrap_or_default())
        };
        Ok(Self { namespaced: schema(namespaced)?, cluster: schema(cluster)? })
    }

    /// What of a policy is out of bounds: path and message.
    pub(super) fn exceeded(&self, is_cluster: bool, policy: &Value) -> Vec<(String, String)> {
        let mut exceeded = Vec::new();
        let schema = if is_cluster { &self.cluster } else { &self.namespaced };
        check(schema, policy, "", &mut exceeded);
        exceeded
    }
}

fn check(schema: &Value, value: &Value, path: &str, exceeded: &mut Vec<(String, String)>) {
    let mut bound = |keyword: &str, is_kept: &dyn Fn(f64) -> bool, words: &str| {
        let Some(bound) = schema.get(keyword).and_then(Value::as_f64) else { return };
        if !is_kept(bound) {
            exceeded.push((path.to_owned(), format!("{words} {bound}")));
        }
    };
    // No length of what fits into memory is beyond the whole numbers of a float.
    #[expect(clippy::cast_precision_loss, reason = "lengths are small")]
    let number = |length: usize| length as f64;
    match value {
        Value::Array(items) => {
            let length = number(items.len());
            bound("maxItems", &|most| length <= most, "has too many elements; the most are");
            bound("minItems", &|least| length >= least, "has too few elements; the least are");
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), exceeded);
                }
            }
        }
        Value::Object(members) => {
            let length = number(members.len());
            bound("maxProperties", &|most| length <= most, "has too many keys; the most are");
            bound("minProperties", &|least| length >= least, "has too few keys; the least are");
            for (key, member) in members {
                let known = schema.get("properties").and_then(|properties| properties.get(key));
                if let Some(schema) = known.or_else(|| schema.get("additionalProperties")) {
                    let separator = if path.is_empty() { "" } else { "." };
                    check(schema, member, &format!("{path}{separator}{key}"), exceeded);
                }
            }
        }
        Value::String(text) => {
            let length = number(text.chars().count());
            bound("maxLength", &|most| length <= most, "is too long; the most characters are");
            bound("minLength", &|least| length >= least, "is too short; the least characters are");
        }
        Value::Number(found) => {
            let found = found.as_f64().unwrap_or_default();
            bound("maximum", &|most| found <= most, "is too large; the largest is");
            bound("minimum", &|least| found >= least, "is too small; the smallest is");
        }
        Value::Null | Value::Bool(_) => {}
    }
}
