//! Templates: JSON values with `${…}` in their texts.
//!
//! A value goes into the tree as one leaf, or as whole elements of the list that it stands in, and
//! never into text that is parsed again: whatever an annotation holds, it cannot add a field. The
//! type of the field decides what an expression may give there.

mod leaf;

use std::fmt;

use serde_json::{Map, Value};

use crate::{facts::Facts, parameters::Parameters, problem::Problems, shape::Shape};
use leaf::{Leaf, Rendered};

/// A value of a policy, compiled.
pub(crate) enum Compiled {
    /// No expression is in it; `$${` has become `${`.
    Constant(Value),
    /// It has to be rendered for each pod.
    Template(Template),
}

/// A JSON value with expressions.
pub(crate) struct Template(Node);

enum Node {
    Constant(Value),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
    Leaf(Box<Leaf>),
}

/// An expression that gave no usable value for a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EvaluationError {
    /// Path of the field, such as `spec.sidecars[0].image`.
    pub(crate) path: String,
    /// The expression, as written.
    pub(crate) expression: String,
    /// What was missing or wrong, and what to do.
    pub(crate) message: String,
}

impl fmt::Display for EvaluationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ${{{}}}: {}", self.path, self.expression, self.message)
    }
}

impl std::error::Error for EvaluationError {}

impl Template {
    /// Compiles a value that stands at a path of the policy. Its shape is asked for only if something in
    /// it has to be compiled.
    pub(crate) fn compile<'s>(
        value: Value,
        shape: impl FnOnce() -> &'s Shape,
        path: &str,
        parameters: &Parameters,
        problems: &mut Problems,
    ) -> Compiled {
        if !may_vary(&value) {
            return Compiled::Constant(value);
        }
        match (Compiler { parameters, problems }).compile(&value, shape(), path) {
            Node::Constant(value) => Compiled::Constant(value),
            node => Compiled::Template(Self(node)),
        }
    }

    /// Renders the value for a pod.
    pub(crate) fn render(&self, facts: &Facts<'_, '_>) -> Result<Value, EvaluationError> {
        self.0.render(&|leaf| leaf.render(facts))
    }
}

/// Whether a value holds an expression, or the literal `$${`. Most hold none.
fn may_vary(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("${"),
        Value::Array(list) => list.iter().any(may_vary),
        Value::Object(fields) => {
            fields.iter().any(|(key, value)| key.contains("${") || may_vary(value))
        }
        _ => false,
    }
}

struct Compiler<'c> {
    parameters: &'c Parameters,
    problems: &'c mut Problems,
}

impl Compiler<'_> {
    fn compile(&mut self, value: &Value, shape: &Shape, path: &str) -> Node {
        match value {
            Value::String(text) => self.leaf(text, shape, path, false),
            Value::Array(list) => {
                let element = |(position, element): (usize, &Value)| {
                    let path = format!("{path}[{position}]");
                    match element {
                        Value::String(text) => self.leaf(text, shape.element(), &path, true),
                        other => self.compile(other, shape.element(), &path),
                    }
                };
                Node::list(list.iter().enumerate().map(element).collect())
            }
            Value::Object(map) => {
                let mut nodes = Vec::with_capacity(map.len());
                for (key, value) in map {
                    let path = format!("{path}.{key}");
                    if key.contains("${") {
                        self.problems.add(
                            &path,
                            "a key cannot hold an expression (${…}); write the key itself",
                        );
                    }
                    nodes.push((key.clone(), self.compile(value, shape.field(key), &path)));
                }
                Node::object(nodes)
            }
            other => Node::Constant(other.clone()),
        }
    }

    fn leaf(&mut self, text: &str, shape: &Shape, path: &str, in_list: bool) -> Node {
        if !text.contains("${") {
            return Node::Constant(text.into());
        }
        match Leaf::compile(text, shape, path, in_list, self.parameters) {
            Ok(Ok(leaf)) => Node::Leaf(Box::new(leaf)),
            Ok(Err(constant)) => Node::Constant(constant.into()),
            Err(message) => {
                self.problems.add(path, message);
                Node::Constant(Value::Null)
            }
        }
    }
}

impl Node {
    fn list(nodes: Vec<Self>) -> Self {
        if nodes.iter().all(|node| matches!(node, Self::Constant(_))) {
            let constants = nodes.into_iter().filter_map(Self::into_constant);
            Self::Constant(Value::Array(constants.collect()))
        } else {
            Self::List(nodes)
        }
    }

    fn object(nodes: Vec<(String, Self)>) -> Self {
        if nodes.iter().all(|(_, node)| matches!(node, Self::Constant(_))) {
            let constants =
                nodes.into_iter().filter_map(|(key, node)| Some((key, node.into_constant()?)));
            Self::Constant(Value::Object(constants.collect()))
        } else {
            Self::Object(nodes)
        }
    }

    fn into_constant(self) -> Option<Value> {
        match self {
            Self::Constant(value) => Some(value),
            _ => None,
        }
    }

    fn render<E>(&self, leaf: &impl Fn(&Leaf) -> Result<Rendered, E>) -> Result<Value, E> {
        match self {
            Self::Constant(value) => Ok(value.clone()),
            Self::Leaf(text) => leaf(text).map(Rendered::into_value),
            Self::List(nodes) => {
                let mut list = Vec::with_capacity(nodes.len());
                for node in nodes {
                    match node {
                        Self::Leaf(text) => match leaf(text)? {
                            Rendered::One(value) => list.push(value),
                            Rendered::Elements(values) => list.extend(values),
                        },
                        other => list.push(other.render(leaf)?),
                    }
                }
                Ok(Value::Array(list))
            }
            Self::Object(nodes) => {
                let mut object = Map::with_capacity(nodes.len());
                for (key, node) in nodes {
                    object.insert(key.clone(), node.render(leaf)?);
                }
                Ok(Value::Object(object))
            }
        }
    }
}

#[cfg(test)]
#[path = "template/template_tests.rs"]
mod tests;
