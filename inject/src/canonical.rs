//! Comparison of parts of a pod as the API server would store them, so that "already there" is
//! decided by content: defaults and empty values count as absent, quantities compare by value.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::{quantity::Quantity, reader::Raw};

/// A JSON value with defaults and empty values removed and quantities in one form.
#[derive(Debug, PartialEq)]
pub(crate) struct Canonical(Option<Value>);

impl Canonical {
    /// Reads JSON text; text that is not JSON equals nothing of ours.
    pub(crate) fn read(json: &str) -> Self {
        Self(serde_json::from_str(json).ok().and_then(|value| canonical("", value)))
    }

    /// Reads a part that may be absent.
    pub(crate) fn read_raw(raw: Option<Raw<'_>>) -> Self {
        raw.map_or(Self(None), |raw| Self::read(raw.get()))
    }

    /// A field of an object.
    pub(crate) fn field(&self, name: &str) -> Self {
        Self(self.0.as_ref().and_then(|value| value.get(name)).cloned())
    }

    /// These container ports without the host ports that the API server fills in on the host
    /// network.
    pub(crate) fn without_filled_host_ports(mut self) -> Self {
        for port in self.0.iter_mut().filter_map(Value::as_array_mut).flatten() {
            if port.get("hostPort") == port.get("containerPort")
                && let Some(fields) = port.as_object_mut()
            {
                fields.remove("hostPort");
            }
        }
        self
    }

    /// Whether every element of this list is in the other one.
    pub(crate) fn elements_are_in(&self, other: &Self) -> bool {
        other.0.as_ref().is_none_or(Value::is_array)
            && self.elements().iter().all(|element| other.elements().contains(element))
    }

    /// Whether the value is an element of a list.
    pub(crate) fn is_in(&self, list: &Self) -> bool {
        self.0.as_ref().is_some_and(|value| list.elements().contains(value))
    }

    /// The fields in which two objects differ, by name, with the value in each.
    pub(crate) fn differences<'c>(
        &'c self,
        other: &'c Self,
    ) -> Vec<(&'c str, Option<&'c Value>, Option<&'c Value>)> {
        let fields = |object: &'c Self| object.0.as_ref().and_then(Value::as_object);
        let names: BTreeSet<&str> = [self, other]
            .into_iter()
            .filter_map(fields)
            .flatten()
            .map(|(name, _)| &**name)
            .collect();
        let value =
            |object: &'c Self, name: &str| fields(object).and_then(|fields| fields.get(name));
        let pairs = names.into_iter().map(|name| (name, value(self, name), value(other, name)));
        pairs.filter(|(_, own, others)| own != others).collect()
    }

    fn elements(&self) -> &[Value] {
        self.0.as_ref().and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }
}

/// `None` where the value means the same as an absent one.
fn canonical(key: &str, value: Value) -> Option<Value> {
    match value {
        Value::Bool(_) | Value::Number(_) if key == SECURITY_CONTEXT => Some(value),
        Value::Null | Value::Bool(false) => None,
        _ if key == "image.pullPolicy" => None,
        Value::String(text) if text.is_empty() || is_default_text(key, &text) => None,
        Value::Number(number) if number.as_f64() == Some(0.0) => None,
        Value::Number(number)
            if number.as_i64().is_some_and(|number| NUMBER_DEFAULTS.contains(&(key, number))) =>
        {
            None
        }
        value @ (Value::String(_) | Value::Number(_)) if is_quantity(key) => {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            match Quantity::parse(&text) {
                Some(quantity) if quantity.is_zero() => None,
                Some(quantity) => Some(format!("{quantity:?}").into()),
                None => Some(value),
            }
        }
        Value::Array(list) if list.is_empty() => None,
        // Elements stay even when empty: their number and order count.
        Value::Array(list) => Some(Value::Array(
            list.into_iter().map(|item| canonical("", item).unwrap_or(Value::Null)).collect(),
        )),
        Value::Object(map) => canonical_map(key, map),
        value => Some(value),
    }
}

fn canonical_map(key: &str, map: Map<String, Value>) -> Option<Value> {
    let mut canonical_map = Map::with_capacity(map.len());
    for (name, value) in map {
        let context = context(key, &name);
        if let Some(value) = canonical(context, value) {
            canonical_map.insert(name, value);
        }
    }
    (!canonical_map.is_empty()).then(|| canonical_map.into())
}

/// In it, and in what stands in it, `false` and 0 are other than nothing, and the API server keeps them.
const SECURITY_CONTEXT: &str = "securityContext";

/// What is known of a field, by the field that it stands in; the field's name where that says enough.
pub(crate) fn context<'n>(key: &str, name: &'n str) -> &'n str {
    if key == SECURITY_CONTEXT {
        return SECURITY_CONTEXT;
    }
    if matches!(key, "requests" | "limits" | "capacity") {
        return "quantity";
    }
    let own = OWN_DEFAULTS.iter().find(|(parent, field, ..)| (*parent, *field) == (key, name));
    own.map_or(name, |(_, _, context, _)| context)
}

/// Whether a value says the same as an absent one.
pub(crate) fn is_absent(context: &str, value: &Value) -> bool {
    canonical(context, value.clone()).is_none()
}

/// The fields that have a default in an object of this name only, each with it; any value of it
/// counts as absent where there is none.
pub(crate) fn defaults_in(key: &str) -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let own = OWN_DEFAULTS.iter().filter(move |(parent, ..)| *parent == key);
    own.map(|(_, field, _, default)| (*field, *default))
}

/// Whether what stands there is a quantity.
pub(crate) fn is_quantity(key: &str) -> bool {
    matches!(key, "quantity" | "sizeLimit" | "divisor" | "storage")
}

/// Defaults of the API server for text fields of containers and volumes.
pub(crate) const DEFAULTS: [(&str, &str); 8] = [
    ("protocol", "TCP"),
    ("scheme", "HTTP"),
    ("volumeMode", "Filesystem"),
    ("divisor", "0"),
    ("iscsiInterface", "default"),
    ("cachingMode", "ReadWrite"),
    ("storageMode", "ThinProvisioned"),
    ("keyring", "/etc/ceph/keyring"),
];

/// Those of fields whose name has another meaning elsewhere: object, field, what we call it, default.
const OWN_DEFAULTS: [(&str, &str, &str, Option<&str>); 8] = [
    ("fieldRef", "apiVersion", "fieldRef.apiVersion", Some("v1")),
    ("httpGet", "path", "httpGet.path", Some("/")),
    // It depends on the tag, and a pull policy may differ as it may for containers.
    ("image", "pullPolicy", "image.pullPolicy", None),
    ("rbd", "pool", "rbd.pool", Some("rbd")),
    ("rbd", "user", "rbd.user", Some("admin")),
    ("azureDisk", "kind", "azureDisk.kind", Some("Shared")),
    ("azureDisk", "fsType", "azureDisk.fsType", Some("ext4")),
    ("scaleIO", "fsType", "scaleIO.fsType", Some("xfs")),
];

fn is_default_text(key: &str, text: &str) -> bool {
    let own = OWN_DEFAULTS.iter().find(|(_, _, context, _)| *context == key);
    match own {
        Some((.., default)) => *default == Some(text),
        None => DEFAULTS.contains(&(key, text)),
    }
}

/// Defaults of the API server for number fields of containers and volumes.
pub(crate) const NUMBER_DEFAULTS: [(&str, i64); 6] = [
    ("defaultMode", 0o644),
    ("expirationSeconds", 3600),
    ("timeoutSeconds", 1),
    ("successThreshold", 1),
    ("periodSeconds", 10),
    ("failureThreshold", 3),
];

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(r#"{"name":"a","value":""}"#, r#"{"name":"a"}"#)]
    #[case(r#"{"emptyDir":{"sizeLimit":"1Gi"}}"#, r#"{"emptyDir":{"sizeLimit":"1024Mi"}}"#)]
    #[case(r#"{"name":"v","emptyDir":{}}"#, r#"{"name":"v","emptyDir":{"medium":""}}"#)]
    #[case(
        r#"{"secret":{"secretName":"s","defaultMode":420}}"#,
        r#"{"secret":{"secretName":"s"}}"#
    )]
    #[case(r#"{"periodSeconds":0}"#, r#"{"periodSeconds":10,"failureThreshold":3}"#)]
    #[case(
        r#"{"fieldRef":{"fieldPath":"metadata.name"}}"#,
        r#"{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}"#
    )]
    #[case(r#"{"containerPort":80}"#, r#"{"protocol":"TCP","containerPort":80}"#)]
    #[case(r#"{"emptyDir":{"sizeLimit":0}}"#, r#"{"emptyDir":{"sizeLimit":"0"}}"#)]
    #[case(
        r#"{"image":{"reference":"a:1"}}"#,
        r#"{"image":{"reference":"a:1","pullPolicy":"IfNotPresent"}}"#
    )]
    #[case(
        r#"{"azureDisk":{"diskName":"d","diskURI":"u"}}"#,
        r#"{"azureDisk":{"diskName":"d","diskURI":"u","cachingMode":"ReadWrite","fsType":"ext4","readOnly":false,"kind":"Shared"}}"#
    )]
    #[case(
        r#"{"rbd":{"monitors":["m"],"image":"i"}}"#,
        r#"{"rbd":{"monitors":["m"],"image":"i","pool":"rbd","user":"admin","keyring":"/etc/ceph/keyring"}}"#
    )]
    #[case(
        r#"{"scaleIO":{"volumeName":"v"}}"#,
        r#"{"scaleIO":{"volumeName":"v","storageMode":"ThinProvisioned","fsType":"xfs"}}"#
    )]
    #[case(r#"{"securityContext":{"capabilities":{"add":[]}}}"#, "{}")]
    fn the_api_server_stores_both_alike(#[case] left: &str, #[case] right: &str) {
        assert_eq!(Canonical::read(left), Canonical::read(right));
    }

    #[rstest]
    #[case(r#"{"name":"a","value":"1"}"#, r#"{"name":"a"}"#)]
    #[case(r#"["a",""]"#, r#"["a"]"#)]
    #[case(r#"{"readOnly":true}"#, r#"{"readOnly":false}"#)]
    #[case(r#"{"protocol":"UDP"}"#, r#"{"protocol":"TCP"}"#)]
    #[case(
        r#"{"securityContext":{"allowPrivilegeEscalation":false}}"#,
        r#"{"securityContext":{}}"#
    )]
    #[case(r#"{"securityContext":{"runAsUser":0}}"#, "{}")]
    #[case(r#"{"securityContext":{"windowsOptions":{"hostProcess":false}}}"#, "{}")]
    fn the_api_server_tells_them_apart(#[case] left: &str, #[case] right: &str) {
        assert_ne!(Canonical::read(left), Canonical::read(right));
    }
}
