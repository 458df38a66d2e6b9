//! Schemas of fields that the Rust types keep as raw JSON values.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::PRESERVE_UNKNOWN_FIELDS;

/// Any value: its type depends on another field, so the validating webhook checks it.
pub(crate) struct AnyValue;

impl JsonSchema for AnyValue {
    fn schema_name() -> Cow<'static, str> {
        "AnyValue".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ PRESERVE_UNKNOWN_FIELDS: true })
    }
}

/// `First`, `Last`, `{before: NAME}` or `{after: NAME}`.
///
/// A union of text and object has no type; each keyword here checks only values of its own type:
/// `pattern` text, the others objects.
pub(crate) fn placement(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        PRESERVE_UNKNOWN_FIELDS: true,
        "pattern": "^(First|Last)$",
        "maxProperties": 1,
        "anyOf": [{ "required": ["before"] }, { "required": ["after"] }],
        "properties": {
            "before": {
                "description": "Right before the container of this name.",
                "type": "string",
                "maxLength": 63,
            },
            "after": {
                "description": "Right after the container of this name.",
                "type": "string",
                "maxLength": 63,
            },
        },
    })
}

/// What a sidecar takes over from the app's containers.
pub(crate) fn copy_from_app(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "minProperties": 1,
        "properties": {
            "containers": {
                "description": "Names or globs of the app's containers to copy from (default: all).",
                "type": "array",
                "maxItems": 64,
                "items": { "type": "string", "maxLength": 253 },
            },
            "volumeMounts": {
                "description": "Whether their volume mounts are taken over (default: false).",
                "type": "boolean",
            },
            "env": {
                "description": "Names of the variables that are taken over, `valueFrom` included.",
                "type": "array",
                "maxItems": 128,
                "items": { "type": "string", "maxLength": 253 },
            },
        },
    })
}

/// Resources sized from the app's own containers.
pub(crate) fn resources_from_app(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "required": ["function"],
        "properties": {
            "function": {
                "description": "How the values of the app's containers become one.",
                "type": "string",
                "enum": ["Sum", "Max"],
            },
            "requests": shares("Requests as shares of the app's.", generator),
            "limits": shares("Limits as shares of the app's.", generator),
        },
    })
}

fn shares(description: &str, generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "description": description,
        "type": "object",
        "minProperties": 1,
        "properties": {
            "cpu": share("CPU as a share of the app's.", generator),
            "memory": share("Memory as a share of the app's.", generator),
        },
    })
}

fn share(description: &str, generator: &mut SchemaGenerator) -> Schema {
    let mut bound = |description: &str| {
        let mut schema = generator.subschema_for::<Quantity>();
        schema.insert("description".to_owned(), description.into());
        schema
    };
    json_schema!({
        "description": description,
        "type": "object",
        "required": ["percent"],
        "properties": {
            "percent": {
                "description": "Percentage of the app's value.",
                "type": "integer",
                "minimum": 1,
                "maximum": 1000,
            },
            "min": bound("Never less than this quantity."),
            "max": bound("Never more than this quantity."),
        },
    })
}
