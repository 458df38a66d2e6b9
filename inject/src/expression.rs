//! CEL expressions over the facts of a request.
//!
//! The language is CEL; what reads and evaluates it is our own, because an expression is evaluated
//! while a pod waits, and may be written by one tenant of many. The crate `cel` clones whole maps
//! for one look-up, cannot be told to stop, overflows the stack at 20 brackets, and takes
//! milliseconds to parse; here values are borrowed, steps are counted, and depth is bounded. The
//! tests compare with it.
//!
//! Text becomes a tree ([`syntax`]), the tree a program whose names and types are checked
//! ([`check`]), and the program a value ([`evaluate`]).

mod check;
mod evaluate;
mod functions;
mod kubernetes;
mod lexer;
mod program;
mod syntax;
mod value;

use crate::{
    facts::{Facts, Object},
    parameters::Parameters,
};

use check::Checker;
pub(crate) use kubernetes::{Added, translate};
use program::Node;
pub(crate) use program::Type;
pub(crate) use syntax::until_brace;
pub(crate) use value::Value;

/// Longest expression inside `${…}`, in bytes.
const MAX_TEMPLATE: usize = 1024;
/// Longest match condition, in bytes; the schema has the same bound.
const MAX_CONDITION: usize = 4096;

/// A compiled expression.
pub(crate) struct Expression {
    program: Node,
    result: Type,
}

/// Text that is not an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    at: usize,
    message: String,
}

impl SyntaxError {
    fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }

    /// The message with the place in the text that it is about.
    pub(crate) fn describe(&self, text: &str) -> String {
        let character = text.char_indices().take_while(|(at, _)| *at < self.at).count() + 1;
        format!("{} (at character {character})", self.message)
    }
}

impl Expression {
    /// Compiles the expression of a `${…}`.
    pub(crate) fn in_template(text: &str, parameters: &Parameters) -> Result<Self, String> {
        Self::compile(text, MAX_TEMPLATE, &Object::VARIABLES, parameters)
    }

    /// Compiles a match condition, which has to give a boolean.
    pub(crate) fn condition(text: &str, parameters: &Parameters) -> Result<Self, String> {
        let [pod, namespace, workload, _] = Object::VARIABLES;
        let variables = [pod, namespace, workload];
        let condition = Self::compile(text, MAX_CONDITION, &variables, parameters)?;
        match &condition.result {
            Type::Boolean | Type::Any => Ok(condition),
            other => Err(format!("gives {other}, but a condition has to be true or false (bool)")),
        }
    }

    fn compile(
        text: &str,
        longest: usize,
        variables: &[(&'static str, Object)],
        parameters: &Parameters,
    ) -> Result<Self, String> {
        if text.len() > longest {
            return Err(format!("has {} bytes; an expression has at most {longest}", text.len()));
        }
        let compiled =
            syntax::parse(text).and_then(|syntax| Checker::check(&syntax, variables, parameters));
        let (program, result) = compiled.map_err(|error| error.describe(text))?;
        Ok(Self { program, result })
    }

    /// The type that the result will have.
    pub(crate) fn result(&self) -> &Type {
        &self.result
    }

    /// Evaluates the expression; the error says what was missing or wrong.
    pub(crate) fn evaluate<'f>(&'f self, facts: &'f Facts<'f, '_>) -> Result<Value<'f>, String> {
        evaluate::evaluate(&self.program, facts)
    }

    /// Evaluates a match condition.
    pub(crate) fn is_true(&self, facts: &Facts<'_, '_>) -> Result<bool, String> {
        match self.evaluate(facts)? {
            Value::Boolean(boolean) => Ok(boolean),
            other => Err(format!("gave {}, but a condition has to give a bool", other.type_name())),
        }
    }
}

#[cfg(test)]
#[path = "expression/expression_tests.rs"]
pub(crate) mod tests;
