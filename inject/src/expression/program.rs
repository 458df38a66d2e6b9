//! A checked expression: names are resolved, types known, patterns compiled.

use std::fmt;

use super::{functions::Function, syntax::Operator};
use crate::{facts::Fact, pattern::Pattern};

/// The type of a value, by CEL's names for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// Known only when evaluated.
    Any,
    Null,
    Boolean,
    Integer,
    Double,
    Text,
    List(Box<Type>),
    /// A map of texts, or of whatever a literal holds, to values of a type.
    Map(Box<Type>),
}

impl Type {
    pub(crate) fn list(element: Self) -> Self {
        Self::List(Box::new(element))
    }

    pub(super) fn map(value: Self) -> Self {
        Self::Map(Box::new(value))
    }

    pub(super) fn is_number(&self) -> bool {
        matches!(self, Self::Integer | Self::Double)
    }

    /// Whether a value of this type can stand where the other is wanted.
    pub(super) fn fits(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::List(own), Self::List(wanted)) | (Self::Map(own), Self::Map(wanted)) => {
                own.fits(wanted)
            }
            _ => self == wanted,
        }
    }

    /// The type of what is one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::List(left), Self::List(right)) => Self::list(left.or(*right)),
            (Self::Map(left), Self::Map(right)) => Self::map(left.or(*right)),
            (left, right) if left == right => left,
            _ => Self::Any,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Any => "any",
            Self::Null => "null",
            Self::Boolean => "bool",
            Self::Integer => "int",
            Self::Double => "double",
            Self::Text => "string",
            Self::List(element) => return write!(formatter, "list({element})"),
            Self::Map(value) => return write!(formatter, "map({value})"),
        })
    }
}

/// A step of a program.
pub(super) enum Node {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(String),
    /// A fact, with its path for messages.
    Fact(Fact, String),
    HasFact(Fact),
    /// A parameter by position, with its name for messages.
    Parameter(usize, String),
    HasParameter(usize),
    /// The element that the iteration has come to.
    Element,
    Index(Box<Node>, Box<Node>),
    HasKey(Box<Node>, String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
    Not(Box<Node>),
    Negate(Box<Node>),
    Binary(Operator, Box<Node>, Box<Node>),
    All(Vec<Node>),
    Any(Vec<Node>),
    Conditional(Box<[Node; 3]>),
    Call(Function, Vec<Node>),
    Matches(Box<Node>, Box<Pattern>),
    Iterate(Iteration, Box<Node>, Box<Node>),
    /// `map` with a condition: range, condition, result.
    MapWhere(Box<[Node; 3]>),
}

/// What goes through a list, or through the keys of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Iteration {
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}
