//! Schemas of Kubernetes' own types, opened for newer fields and for expressions.
//!
//! The API server prunes fields that a schema does not know, so every object in here preserves
//! them: a policy may use fields of a Kubernetes newer than this build. Integers become
//! int-or-string, because a field may hold one whole `${…}` in the place of its number. Booleans
//! stay booleans: a union of boolean and text has no type, and `kubectl explain` and the
//! API server's checks would lose the field for a use that is rare.

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::api::core::v1::PodSecurityContext;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::{INT_OR_STRING, PRESERVE_UNKNOWN_FIELDS, annotate};

/// Most entries of the lists `env`, `volumeMounts` and `ports` of one container.
const MAX_CONTAINER_LIST: u32 = 128;

/// A Kubernetes type that keeps fields this build does not know.
pub(crate) struct Open<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Open<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Open.{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = T::json_schema(generator);
        open(&mut schema);
        schema
    }
}

/// An [`Open`] Kubernetes type without its `name`, to stand beside a `name` of our own type.
pub(crate) struct Unnamed<T>(PhantomData<T>);

impl<T: JsonSchema> JsonSchema for Unnamed<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("Unnamed.{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Open::<T>::json_schema(generator);
        schema.remove("required");
        if let Some(Value::Object(properties)) = schema.get_mut("properties") {
            properties.remove("name");
        }
        schema
    }
}

/// `securityContext` of a pod: only what policies may add to.
pub(crate) fn pod_security_context(generator: &mut SchemaGenerator) -> Schema {
    let mut schema = PodSecurityContext::json_schema(generator);
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.retain(|name, _| matches!(name.as_str(), "fsGroup" | "supplementalGroups"));
    }
    schema
}

/// Completes a label selector: applied as one piece, and its operators are named.
pub(crate) fn atomic_map(schema: &mut Schema) {
    schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
    if let Some(Value::Object(operator)) =
        schema.pointer_mut("/properties/matchExpressions/items/properties/operator")
    {
        operator
            .insert("enum".to_owned(), Value::from(vec!["In", "NotIn", "Exists", "DoesNotExist"]));
    }
}

fn open(schema: &mut Schema) {
    transform_subschemas(&mut open, schema);
    let is_integer = schema.get("type").is_some_and(|kind| kind == "integer");
    if is_integer {
        schema.remove("type");
        schema.remove("format");
        schema.insert(INT_OR_STRING.to_owned(), true.into());
        // `kubectl explain` shows no type for these.
        annotate(schema, "integer");
    }
    if schema.get("type").is_some_and(|kind| kind == "object")
        && schema.get("additionalProperties").is_none()
    {
        schema.insert(PRESERVE_UNKNOWN_FIELDS.to_owned(), true.into());
    }
    for name in ["env", "volumeMounts", "ports"] {
        if let Some(Value::Object(list)) = schema.pointer_mut(&format!("/properties/{name}")) {
            list.insert("maxItems".to_owned(), MAX_CONTAINER_LIST.into());
        }
    }
}
