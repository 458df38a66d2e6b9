//! Values of expressions, borrowed from the request where they can be.

use std::{cmp::Ordering, rc::Rc};

use crate::{facts::EntriesRef, parameters::ParameterValue};

/// A value.
#[derive(Clone)]
pub(crate) enum Value<'f> {
    Null,
    Boolean(bool),
    Integer(i64),
    Double(f64),
    Text(Str<'f>),
    List(Rc<Vec<Value<'f>>>),
    Map(Rc<Vec<(Value<'f>, Value<'f>)>>),
    /// Labels or annotations.
    Entries(EntriesRef<'f>),
}

/// Text that is cheap to clone.
#[derive(Clone)]
pub(crate) enum Str<'f> {
    Borrowed(&'f str),
    Shared(Rc<str>),
}

impl Str<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Shared(text) => text,
        }
    }
}

impl<'f> Value<'f> {
    pub(super) fn borrowed(text: &'f str) -> Self {
        Self::Text(Str::Borrowed(text))
    }

    pub(super) fn owned(text: &str) -> Self {
        Self::Text(Str::Shared(text.into()))
    }

    pub(super) fn list(elements: Vec<Self>) -> Self {
        Self::List(Rc::new(elements))
    }

    pub(super) fn of_parameter(value: &'f ParameterValue) -> Self {
        match value {
            ParameterValue::Text(text)
            | ParameterValue::Quantity(text)
            | ParameterValue::Duration(text) => Self::borrowed(text),
            ParameterValue::Integer(integer) => Self::Integer(*integer),
            ParameterValue::Number(number) => Self::Double(*number),
            ParameterValue::Boolean(boolean) => Self::Boolean(*boolean),
            ParameterValue::List(list) => {
                Self::list(list.iter().map(|text| Self::borrowed(text)).collect())
            }
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text.as_str()),
            _ => None,
        }
    }

    /// CEL's name of the type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean(_) => "bool",
            Self::Integer(_) => "int",
            Self::Double(_) => "double",
            Self::Text(_) => "string",
            Self::List(_) => "list",
            Self::Map(_) | Self::Entries(_) => "map",
        }
    }

    /// Order of two numbers, strings or booleans; `None` for what has no order.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Double(left), Self::Double(right)) => left.partial_cmp(right),
            (Self::Integer(left), Self::Double(right)) => compare_mixed(*left, *right),
            (Self::Double(left), Self::Integer(right)) => {
                compare_mixed(*right, *left).map(Ordering::reverse)
            }
            (Self::Text(left), Self::Text(right)) => Some(left.as_str().cmp(right.as_str())),
            (Self::Boolean(left), Self::Boolean(right)) => Some(left.cmp(right)),
            _ => None,
        }
    }
}

/// Compares without rounding the integer: beyond 2^53 not every one is a double.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "bounds are checked"
)]
fn compare_mixed(integer: i64, double: f64) -> Option<Ordering> {
    if double.is_nan() {
        return None;
    }
    if double >= i64::MAX as f64 {
        return Some(Ordering::Less);
    }
    if double < i64::MIN as f64 {
        return Some(Ordering::Greater);
    }
    let whole = double.trunc();
    Some(integer.cmp(&(whole as i64)).then(0.0_f64.partial_cmp(&(double - whole))?))
}
