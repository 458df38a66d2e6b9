//! Whether two parts of policies are sure to be different, whatever their expressions give.

use k8s_openapi::api::core::v1 as core;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{
    canonical::Canonical,
    validation::{has_expression, known},
};

/// What Kubernetes calls a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Container,
    Volume,
    Mount,
}

/// The first field in which two parts are different for sure; none if they can be equal.
///
/// What our version of Kubernetes does not know is not compared: an API server that does not know
/// it either stores both alike.
pub(super) fn difference(kind: Kind, left: &str, right: &str, ignored: &[&str]) -> Option<String> {
    if left == right {
        return None;
    }
    let (left, right) = masked(left, right, ignored)?;
    match kind {
        Kind::Container => first_difference::<core::Container>(&left, &right),
        Kind::Volume => first_difference::<core::Volume>(&left, &right),
        Kind::Mount => first_difference::<core::VolumeMount>(&left, &right),
    }
}

/// Both parts without the fields in which an expression stands on either side.
fn masked(left: &str, right: &str, ignored: &[&str]) -> Option<(Fields, Fields)> {
    let read = |json: &str| serde_json::from_str::<Fields>(json).ok();
    let (mut left, mut right) = (read(left)?, read(right)?);
    for field in ignored {
        left.remove(*field);
        right.remove(*field);
    }
    mask_fields(&mut left, &mut right);
    Some((left, right))
}

type Fields = Map<String, Value>;

fn mask_fields(left: &mut Fields, right: &mut Fields) {
    let names: Vec<String> = left.keys().chain(right.keys()).cloned().collect();
    for name in names {
        let is_open = |fields: &Fields| fields.get(&name).is_some_and(is_open);
        if is_open(left) || is_open(right) {
            left.remove(&name);
            right.remove(&name);
            continue;
        }
        let (mut nothing, mut none) = (Value::Null, Value::Null);
        mask(
            left.get_mut(&name).unwrap_or(&mut nothing),
            right.get_mut(&name).unwrap_or(&mut none),
        );
    }
}

fn mask(left: &mut Value, right: &mut Value) {
    match (left, right) {
        (Value::Object(left), Value::Object(right)) => mask_fields(left, right),
        (Value::Object(fields), _) | (_, Value::Object(fields)) => {
            mask_fields(fields, &mut Fields::new());
        }
        (Value::Array(left), Value::Array(right)) => {
            for (left, right) in left.iter_mut().zip(right) {
                mask(left, right);
            }
        }
        _ => {}
    }
}

/// Whether a value depends on an expression: one that is one, or a list with one for an element, which
/// may become several.
fn is_open(value: &Value) -> bool {
    match value {
        Value::String(text) => has_expression(text),
        Value::Array(list) => {
            list.iter().any(|element| element.as_str().is_some_and(has_expression))
        }
        _ => false,
    }
}

fn first_difference<T: DeserializeOwned + Serialize>(
    left: &Fields,
    right: &Fields,
) -> Option<String> {
    let (Value::Object(left), Value::Object(right)) = (known::<T>(left)?, known::<T>(right)?)
    else {
        return None;
    };
    let differs = |name: &&String| {
        let alone = |fields: &Fields| {
            let value = fields.get(*name).cloned().unwrap_or(Value::Null);
            let alone: Fields = [((*name).clone(), value)].into_iter().collect();
            Canonical::read(&Value::Object(alone).to_string())
        };
        alone(&left) != alone(&right)
    };
    left.keys().chain(right.keys()).find(differs).cloned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::{Kind, difference};

    #[rstest]
    #[case(json!({"image": "a:1"}), json!({"image": "a:2"}), Some("image"))]
    #[case(json!({"image": "a:${params.tag}"}), json!({"image": "a:2"}), None)]
    #[case(json!({"image": "a:${params.tag}", "tty": true}), json!({"image": "a:2"}), Some("tty"))]
    #[case(json!({"args": ["${params.list}"]}), json!({"args": ["a", "b"]}), None)]
    #[case(json!({"args": ["a"]}), json!({"args": ["a", "b"]}), Some("args"))]
    #[case(json!({"env": [{"name": "A", "value": "${x}"}]}), json!({"env": [{"name": "A"}]}), None)]
    #[case(json!({"env": [{"name": "A", "value": "${x}"}]}), json!({"env": [{"name": "B"}]}), Some("env"))]
    #[case(json!({"securityContext": {"runAsUser": "${x}"}}), json!({}), None)]
    #[case(json!({"ports": [{"containerPort": "${x}"}]}), json!({"ports": [{"containerPort": 1}]}), None)]
    #[case(json!({"ports": [{"containerPort": 1, "protocol": "TCP"}]}), json!({"ports": [{"containerPort": 1}]}), None)]
    #[case(json!({"resources": {"limits": {"cpu": 1}}}), json!({"resources": {"limits": {"cpu": "1000m"}}}), None)]
    #[case(json!({"newer": 1}), json!({"newer": 2}), None)]
    #[case(json!({"args": ["$${HOME}"]}), json!({"args": ["a"]}), Some("args"))]
    fn containers(#[case] left: Value, #[case] right: Value, #[case] expected: Option<&str>) {
        for (left, right) in [(&left, &right), (&right, &left)] {
            let found = difference(Kind::Container, &left.to_string(), &right.to_string(), &[]);
            assert_eq!(found.as_deref(), expected);
        }
    }
}
