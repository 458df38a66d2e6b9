//! Parts of a policy read as the types of Kubernetes: fields of a wrong type are refused, fields that
//! our version of Kubernetes does not know are listed.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::object::{Fields, Object, Stage, has_expression};
use crate::problem::Problems;

/// Maps whose values are quantities.
const QUANTITY_MAPS: [&str; 2] = ["limits", "requests"];
/// Fields that are quantities.
const QUANTITIES: [&str; 2] = ["sizeLimit", "divisor"];

/// Checks that the fields have the types that `T` gives them. Unknown fields pass.
pub(super) fn check<T: DeserializeOwned>(object: &Object<'_>, problems: &mut Problems) {
    // Most parts read as they are; only the others are worth a copy.
    if T::deserialize(object.fields()).is_ok() {
        return;
    }
    let typed = serde_path_to_error::deserialize::<_, T>(readable(object.fields(), object.stage()));
    if let Err(error) = typed {
        let inside = error.path().to_string();
        let path = if inside == "." { object.path().to_owned() } else { object.at(&inside) };
        problems.add(path, format!("has the wrong type: {}", error.inner()));
    }
}

/// The part without the fields that `T` does not know; none if it does not read as one.
pub(crate) fn known<T: DeserializeOwned + Serialize>(fields: &Fields) -> Option<Value> {
    let typed: T = serde_json::from_value(readable(fields, Stage::Written)).ok()?;
    serde_json::to_value(typed).ok()
}

/// Paths of the fields that `T` does not know.
pub(super) fn unknown<T: DeserializeOwned + Serialize>(
    fields: &Fields,
    path: &str,
    unknown: &mut Vec<String>,
) {
    let written = readable(fields, Stage::Written);
    let typed = T::deserialize(&written).and_then(serde_json::to_value);
    if let Ok(typed) = typed {
        compare(&written, &typed, path, unknown);
    }
}

fn compare(written: &Value, typed: &Value, path: &str, unknown: &mut Vec<String>) {
    match (written, typed) {
        (Value::Object(written), Value::Object(typed)) => {
            for (name, value) in written.iter().filter(|(_, value)| !value.is_null()) {
                let path = format!("{path}.{name}");
                match typed.get(name) {
                    Some(typed) => compare(value, typed, &path, unknown),
                    None => unknown.push(path),
                }
            }
        }
        (Value::Array(written), Value::Array(typed)) => {
            for (index, (written, typed)) in written.iter().zip(typed).enumerate() {
                compare(written, typed, &format!("{path}[{index}]"), unknown);
            }
        }
        _ => {}
    }
}

/// The fields as the types read them: quantities as text, and expressions left out, since theirs is
/// the type of their value.
fn readable(fields: &Fields, stage: Stage) -> Value {
    let is_expression =
        |value: &Value| stage == Stage::Written && value.as_str().is_some_and(has_expression);
    let readable = fields.iter().filter(|(_, value)| !is_expression(value)).map(|(name, value)| {
        let value = match value {
            Value::Object(map) if QUANTITY_MAPS.contains(&name.as_str()) => {
                let entries = map.iter().filter(|(_, value)| !is_expression(value));
                entries.map(|(name, value)| (name.clone(), quantity(value))).collect()
            }
            value if QUANTITIES.contains(&name.as_str()) => quantity(value),
            Value::Object(map) => readable(map, stage),
            Value::Array(list) => list
                .iter()
                .map(|element| match element {
                    Value::Object(map) => readable(map, stage),
                    element => element.clone(),
                })
                .collect(),
            value => value.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(readable.collect())
}

fn quantity(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(number.to_string()),
        value => value.clone(),
    }
}
