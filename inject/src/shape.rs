//! Which type each field of a Kubernetes object has, as far as expressions ask: taken from the
//! schema that k8s-openapi generates, so that no field is listed by hand.

use std::{collections::BTreeMap, sync::LazyLock};

use k8s_openapi::api::core::v1::Pod;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

/// The shape of a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Text,
    Integer,
    Number,
    Boolean,
    Quantity,
    IntegerOrText,
    List(Box<Shape>),
    Map(Box<Shape>),
    Object(BTreeMap<String, Shape>),
    /// A field that our schema does not know.
    Unknown,
}

static UNKNOWN: Shape = Shape::Unknown;
static POD: LazyLock<Shape> = LazyLock::new(|| {
    let mut generator = SchemaSettings::openapi3().into_generator();
    let root = generator.subschema_for::<Pod>();
    let definitions = generator.take_definitions(false);
    shape(root.as_value(), &definitions)
});

impl Shape {
    /// A `Container`.
    pub(crate) fn container() -> &'static Self {
        pod(&["spec", "containers"]).element()
    }

    /// A `Volume`.
    pub(crate) fn volume() -> &'static Self {
        pod(&["spec", "volumes"]).element()
    }

    /// A `HostAlias`.
    pub(crate) fn host_alias() -> &'static Self {
        pod(&["spec", "hostAliases"]).element()
    }

    /// A `LocalObjectReference`.
    pub(crate) fn local_object_reference() -> &'static Self {
        pod(&["spec", "imagePullSecrets"]).element()
    }

    /// A `PodSecurityContext`.
    pub(crate) fn pod_security_context() -> &'static Self {
        pod(&["spec", "securityContext"])
    }

    /// A map of texts, such as labels.
    pub(crate) fn texts() -> &'static Self {
        pod(&["metadata", "labels"])
    }

    /// The shape of a field, or of an entry.
    pub(crate) fn field(&self, name: &str) -> &Self {
        match self {
            Self::Object(fields) => fields.get(name).unwrap_or(&UNKNOWN),
            Self::Map(value) => value,
            _ => &UNKNOWN,
        }
    }

    /// The shape of a list's elements.
    pub(crate) fn element(&self) -> &Self {
        match self {
            Self::List(element) => element,
            _ => &UNKNOWN,
        }
    }
}

fn pod(path: &[&str]) -> &'static Shape {
    path.iter().fold(&*POD, |shape, name| shape.field(name))
}

fn shape(schema: &Value, definitions: &Map<String, Value>) -> Shape {
    let reference = schema.get("$ref").and_then(Value::as_str);
    if let Some(name) = reference.and_then(|reference| reference.rsplit('/').next()) {
        // In the schema both are an integer or text.
        if name.ends_with(".resource.Quantity") {
            return Shape::Quantity;
        }
        return definitions.get(name).map_or(Shape::Unknown, |schema| shape(schema, definitions));
    }
    if schema.get("x-kubernetes-int-or-string").is_some_and(|value| value == true) {
        return Shape::IntegerOrText;
    }
    let below = |keyword: &str| {
        Box::new(schema.get(keyword).map_or(Shape::Unknown, |schema| shape(schema, definitions)))
    };
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => Shape::Text,
        Some("integer") => Shape::Integer,
        Some("number") => Shape::Number,
        Some("boolean") => Shape::Boolean,
        Some("array") => Shape::List(below("items")),
        Some("object") => match schema.get("properties").and_then(Value::as_object) {
            Some(properties) => {
                let field =
                    |(name, field): (&String, &Value)| (name.clone(), shape(field, definitions));
                Shape::Object(properties.iter().map(field).collect())
            }
            None => Shape::Map(below("additionalProperties")),
        },
        _ => Shape::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("image", Shape::Text)]
    #[case("args.[]", Shape::Text)]
    #[case("ports.[].containerPort", Shape::Integer)]
    #[case("ports.[].name", Shape::Text)]
    #[case("livenessProbe.httpGet.port", Shape::IntegerOrText)]
    #[case("livenessProbe.grpc.port", Shape::Integer)]
    #[case("livenessProbe.periodSeconds", Shape::Integer)]
    #[case("lifecycle.preStop.sleep.seconds", Shape::Integer)]
    #[case("volumeMounts.[].readOnly", Shape::Boolean)]
    #[case("env.[].value", Shape::Text)]
    #[case("envFrom.[].prefix", Shape::Text)]
    #[case("resources.limits.memory", Shape::Quantity)]
    #[case("securityContext.runAsNonRoot", Shape::Boolean)]
    #[case("securityContext.runAsUser", Shape::Integer)]
    #[case("env.[].valueFrom.resourceFieldRef.divisor", Shape::Quantity)]
    #[case("ofTomorrow", Shape::Unknown)]
    #[case("resources.ofTomorrow.deeper", Shape::Unknown)]
    fn fields_of_a_container(#[case] path: &str, #[case] expected: Shape) {
        let found = path.split('.').fold(Shape::container(), |shape, name| match name {
            "[]" => shape.element(),
            name => shape.field(name),
        });
        assert_eq!(*found, expected);
    }

    #[test]
    fn every_part_that_policies_bring_is_known() {
        for (shape, field, expected) in [
            (Shape::volume(), "name", Shape::Text),
            (Shape::volume().field("emptyDir"), "sizeLimit", Shape::Quantity),
            (Shape::volume().field("secret"), "defaultMode", Shape::Integer),
            (Shape::host_alias(), "ip", Shape::Text),
            (Shape::local_object_reference(), "name", Shape::Text),
            (Shape::pod_security_context(), "fsGroup", Shape::Integer),
            (Shape::texts(), "any", Shape::Text),
        ] {
            assert_eq!(*shape.field(field), expected, "{field}");
        }
    }
}
