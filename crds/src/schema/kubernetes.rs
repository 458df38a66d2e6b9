//! Schemas of Kubernetes' own types, opened for newer fields and for expressions.
//!
//! The API server prunes fields that a schema does not know, so every object in here preserves
//! them: a policy may use fields of a Kubernetes newer than this build. Integers become
//! int-or-string, because a field may hold one whole `${…}` in the place of its number. So may
//! booleans, and a union of boolean and text has no type; the descriptions name the type, and what
//! the API server then lets pass is refused when the policy is compiled.

use std::borrow::Cow;
use std::marker::PhantomData;

use k8s_openapi::api::core::v1::PodSecurityContext;
use schemars::transform::transform_subschemas;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;

use super::{INT_OR_STRING, PRESERVE_UNKNOWN_FIELDS, annotate};

/// An expression, for fields where no other text makes sense.
const EXPRESSION: &str = r"^\$\{";
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
    open(&mut schema);
    schema.remove(PRESERVE_UNKNOWN_FIELDS);
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
    let is = |schema: &Schema, name: &str| schema.get("type").is_some_and(|kind| kind == name);
    // `kubectl explain` shows no type for these two.
    if is(schema, "integer") {
        schema.remove("type");
        schema.remove("format");
        schema.insert(INT_OR_STRING.to_owned(), true.into());
        annotate(schema, "integer");
    } else if is(schema, "boolean") {
        schema.remove("type");
        schema.insert(PRESERVE_UNKNOWN_FIELDS.to_owned(), true.into());
        // Checks text only, so that true and false pass.
        schema.insert("pattern".to_owned(), EXPRESSION.into());
        annotate(schema, "boolean");
    }
    if is(schema, "object") && schema.get("additionalProperties").is_none() {
        schema.insert(PRESERVE_UNKNOWN_FIELDS.to_owned(), true.into());
    }
    for name in ["env", "volumeMounts", "ports"] {
        if let Some(Value::Object(list)) = schema.pointer_mut(&format!("/properties/{name}")) {
            list.insert("maxItems".to_owned(), MAX_CONTAINER_LIST.into());
        }
    }
}
