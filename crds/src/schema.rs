//! Structural schemas of spec and status, generated from the Rust types.
//!
//! Fields of Kubernetes' own types come from k8s-openapi ([`kubernetes`]), value checks are CEL
//! rules ([`rules`]). This file turns what schemars generates into what the API server takes.

mod kubernetes;
pub(crate) mod rules;
mod unions;

pub(crate) use kubernetes::{Open, Unnamed, atomic_map, pod_security_context};
pub(crate) use unions::{AnyValue, copy_from_app, placement, resources_from_app};

use kube_core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use schemars::transform::{AddNullable, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::{PolicySpec, PolicyStatus};

/// Says that a map or union may hold what the schema does not know.
const PRESERVE_UNKNOWN_FIELDS: &str = "x-kubernetes-preserve-unknown-fields";
/// Says that a value is an integer or a string.
const INT_OR_STRING: &str = "x-kubernetes-int-or-string";

/// Schema of the spec that both kinds share; defaults are named in the descriptions.
pub(crate) fn spec() -> Schema {
    let mut schema = generate::<PolicySpec>();
    describe_default(&mut schema);
    make_structural(&mut schema);
    schema
}

/// Schema of the status that both kinds share.
pub(crate) fn status() -> Schema {
    let mut schema = generate::<PolicyStatus>();
    make_structural(&mut schema);
    if let Some(conditions) = schema.pointer_mut("/properties/conditions")
        && let Ok(conditions) = conditions.try_into()
    {
        keyed_by(conditions, "type");
    }
    schema
}

/// Makes a list one whose entries are merged by their `name`, which has to be unique.
pub(crate) fn keyed_by_name(schema: &mut Schema) {
    keyed_by(schema, "name");
}

fn keyed_by(schema: &mut Schema, key: &str) {
    schema.insert("x-kubernetes-list-type".to_owned(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".to_owned(), Value::from(vec![key]));
}

fn generate<T: JsonSchema>() -> Schema {
    SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Names a field's default in its description. A default in the schema itself would be written
/// into the stored object, and inside lists GitOps tools see that as drift.
fn describe_default(schema: &mut Schema) {
    transform_subschemas(&mut describe_default, schema);
    let default = match schema.get("default") {
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(value @ (Value::Bool(_) | Value::Number(_))) => value.to_string(),
        _ => return,
    };
    annotate(schema, &format!("default: {default}"));
}

/// Shortens the description to its first sentence and adds a note in brackets to it.
fn annotate(schema: &mut Schema, note: &str) {
    if let Some(Value::String(description)) = schema.get_mut("description") {
        let sentence = first_sentence(description);
        *description = format!("{} ({note}).", sentence.trim_end_matches('.'));
    }
}

fn make_structural(schema: &mut Schema) {
    transform_subschemas(&mut make_structural, schema);
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    for keyword in ["default", "nullable", "title"] {
        object.remove(keyword);
    }
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = first_sentence(description);
    }
    if let Some(Value::Array(required)) = object.get_mut("required") {
        required.sort_by(|a, b| a.as_str().cmp(&b.as_str()));
        required.dedup();
    }
}

/// The first sentence of a description, on one line.
fn first_sentence(description: &str) -> String {
    let paragraph = description.split("\n\n").next().unwrap_or_default();
    let line = paragraph.split_whitespace().collect::<Vec<_>>().join(" ");
    let end = line
        .match_indices(". ")
        .find(|(at, _)| ends_sentence(&line[..*at], &line[at + 2..]))
        .map_or(line.len(), |(at, _)| at + 1);
    line[..end].to_owned()
}

/// Whether the full stop between these two ends a sentence rather than an abbreviation.
fn ends_sentence(before: &str, after: &str) -> bool {
    let abbreviation = ["e.g", "i.e"].iter().any(|abbreviation| before.ends_with(abbreviation));
    !abbreviation && !after.starts_with(char::is_lowercase)
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn description_is_cut_after_its_first_sentence() {
        assert_eq!(
            first_sentence("Path to\nmount, e.g. `/var. x`. Cannot be updated.\n\nMore."),
            "Path to mount, e.g. `/var. x`."
        );
        assert_eq!(first_sentence("No full stop"), "No full stop");
    }
}
