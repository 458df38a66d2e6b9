//! From a program and facts to a value, in a bounded number of steps.
//!
//! A step is a node of the program, an element or entry looked at, or 16 bytes of text searched or
//! written: twenty nanoseconds at most. The number is the same for the same facts, however fast the
//! machine is.

use std::{cmp::Ordering, rc::Rc};

use super::{
    program::{Iteration, Node},
    syntax::Operator,
    value::Value,
};
use crate::facts::{EntriesRef, FactValue, Facts};

/// Steps that one evaluation may take: about a millisecond.
const STEPS: u32 = 50_000;
/// Longest text that an expression may make or give, in bytes.
const MAX_TEXT: usize = 64 << 10;

pub(super) type Evaluated<'f> = Result<Value<'f>, String>;

/// Evaluates a program.
pub(super) fn evaluate<'f>(program: &'f Node, facts: &'f Facts<'f, '_>) -> Evaluated<'f> {
    let allowed = facts.steps.get().min(STEPS);
    let mut evaluation = Evaluation { facts, steps: allowed, element: None };
    let value = evaluation.value(program).and_then(|value| {
        let size = evaluation.size_of(&value)?;
        let left = facts.output.get().checked_sub(size).ok_or(
            "what the expressions of this policy put into the pod is too long; make it shorter",
        )?;
        facts.output.set(left);
        Ok(value)
    });
    facts.steps.set(facts.steps.get() - (allowed - evaluation.steps));
    value
}

pub(super) struct Evaluation<'f, 'p> {
    facts: &'f Facts<'f, 'p>,
    steps: u32,
    element: Option<Value<'f>>,
}

impl<'f> Evaluation<'f, '_> {
    /// Steps left.
    pub(super) fn left(&self) -> usize {
        self.steps as usize
    }

    pub(super) fn charge(&mut self, steps: usize) -> Result<(), String> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(|| {
            "takes too many steps: the pod or its namespace holds too much for it; read less"
                .to_owned()
        })
    }

    pub(super) fn charge_text(&mut self, bytes: usize) -> Result<(), String> {
        self.charge(bytes / 16)
    }

    fn value(&mut self, node: &'f Node) -> Evaluated<'f> {
        self.charge(1)?;
        match node {
            Node::Null => Ok(Value::Null),
            Node::Boolean(boolean) => Ok(Value::Boolean(*boolean)),
            Node::Integer(integer) => Ok(Value::Integer(*integer)),
            Node::Double(double) => Ok(Value::Double(*double)),
            Node::Text(text) => Ok(Value::borrowed(text)),
            Node::Fact(fact, path) => match self.facts.get(*fact)? {
                Some(FactValue::Text(text)) => Ok(Value::borrowed(text)),
                Some(FactValue::Boolean(boolean)) => Ok(Value::Boolean(boolean)),
                Some(FactValue::Entries(entries)) => Ok(Value::Entries(entries)),
                None => Err(format!("the pod has no {path}; write has({path}) ? {path} : …")),
            },
            Node::HasFact(fact) => Ok(Value::Boolean(self.facts.get(*fact)?.is_some())),
            Node::Parameter(position, name) => {
                let value = self.facts.parameters().get(*position);
                value.map(Value::of_parameter).ok_or_else(|| {
                    format!(
                        "params.{name} is not set; write has(params.{name}) ? params.{name} : …"
                    )
                })
            }
            Node::HasParameter(position) => {
                Ok(Value::Boolean(self.facts.parameters().get(*position).is_some()))
            }
            Node::Element => self.element.clone().ok_or_else(|| "has no element here".to_owned()),
            Node::Index(operand, index) => self.index(operand, index),
            Node::HasKey(operand, key) => {
                let map = self.value(operand)?;
                Ok(Value::Boolean(self.look_up(&map, key)?.is_some()))
            }
            Node::List(elements) => {
                let elements = elements.iter().map(|element| self.value(element));
                Ok(Value::list(elements.collect::<Result<_, _>>()?))
            }
            Node::Map(entries) => {
                let entries =
                    entries.iter().map(|(key, value)| Ok((self.value(key)?, self.value(value)?)));
                Ok(Value::Map(Rc::new(entries.collect::<Result<_, String>>()?)))
            }
            Node::Not(operand) => Ok(Value::Boolean(!self.boolean(operand)?)),
            Node::Negate(operand) => match self.value(operand)? {
                Value::Integer(integer) => {
                    integer.checked_neg().map(Value::Integer).ok_or_else(overflow)
                }
                Value::Double(double) => Ok(Value::Double(-double)),
                other => Err(format!("- takes a number, not {}", other.type_name())),
            },
            Node::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                self.binary(*operator, &left, &right)
            }
            Node::All(operands) => self.decide(operands, false),
            Node::Any(operands) => self.decide(operands, true),
            Node::Conditional(parts) => {
                let [condition, yes, no] = parts.as_ref();
                let chosen = if self.boolean(condition)? { yes } else { no };
                self.value(chosen)
            }
            Node::Call(function, arguments) => {
                let arguments: Vec<_> = arguments
                    .iter()
                    .map(|argument| self.value(argument))
                    .collect::<Result<_, _>>()?;
                self.call(*function, &arguments)
            }
            Node::Matches(text, pattern) => {
                let text = self.value(text)?;
                let text = text_of(&text, "matches")?;
                // A table look-up for each byte is dearer than a comparison.
                self.charge(text.len() / 4)?;
                Ok(Value::Boolean(pattern.matches(text)))
            }
            Node::Iterate(iteration, range, body) => self.iterate(*iteration, range, body),
            Node::MapWhere(parts) => {
                let [range, condition, result] = parts.as_ref();
                let mut results = Vec::new();
                for element in self.elements(range)? {
                    self.element = Some(element);
                    if self.boolean(condition)? {
                        results.push(self.value(result)?);
                    }
                }
                Ok(Value::list(results))
            }
        }
    }

    fn boolean(&mut self, node: &'f Node) -> Result<bool, String> {
        match self.value(node)? {
            Value::Boolean(boolean) => Ok(boolean),
            other => Err(format!("a condition has to be a bool, not {}", other.type_name())),
        }
    }

    /// `||` and `&&`: the first operand that decides does so, errors of others notwithstanding.
    fn decide(&mut self, operands: &'f [Node], deciding: bool) -> Evaluated<'f> {
        let mut failed = None;
        for operand in operands {
            match self.boolean(operand) {
                Ok(boolean) if boolean == deciding => return Ok(Value::Boolean(deciding)),
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(Value::Boolean(!deciding)), Err)
    }

    fn iterate(&mut self, iteration: Iteration, range: &'f Node, body: &'f Node) -> Evaluated<'f> {
        let (mut results, mut count, mut failed) = (Vec::new(), 0, None);
        for element in self.elements(range)? {
            self.element = Some(element.clone());
            match iteration {
                Iteration::Map => results.push(self.value(body)?),
                Iteration::Filter => {
                    if self.boolean(body)? {
                        results.push(element);
                    }
                }
                Iteration::ExistsOne => count += u32::from(self.boolean(body)?),
                Iteration::All | Iteration::Exists => {
                    let deciding = iteration == Iteration::Exists;
                    match self.boolean(body) {
                        Ok(boolean) if boolean == deciding => return Ok(Value::Boolean(deciding)),
                        Ok(_) => {}
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
            }
        }
        match iteration {
            Iteration::Map | Iteration::Filter => Ok(Value::list(results)),
            Iteration::ExistsOne => Ok(Value::Boolean(count == 1)),
            Iteration::All => failed.map_or(Ok(Value::Boolean(true)), Err),
            Iteration::Exists => failed.map_or(Ok(Value::Boolean(false)), Err),
        }
    }

    /// The elements of a list, or the keys of a map.
    fn elements(&mut self, range: &'f Node) -> Result<Vec<Value<'f>>, String> {
        match self.value(range)? {
            Value::List(elements) => {
                self.charge(elements.len())?;
                Ok(elements.to_vec())
            }
            Value::Map(entries) => Ok(entries.iter().map(|(key, _)| key.clone()).collect()),
            Value::Entries(entries) => {
                self.charge(entries.scanned())?;
                Ok(entries.keys().map(Value::borrowed).collect())
            }
            other => Err(format!("{} cannot be gone through", other.type_name())),
        }
    }

    fn index(&mut self, operand: &'f Node, index: &'f Node) -> Evaluated<'f> {
        let (value, index) = (self.value(operand)?, self.value(index)?);
        match (&value, &index) {
            (Value::List(elements), Value::Integer(position)) => {
                let element = usize::try_from(*position).ok().and_then(|at| elements.get(at));
                element.cloned().ok_or_else(|| {
                    format!("there is no element {position} in a list of {}", elements.len())
                })
            }
            (Value::Map(_) | Value::Entries(_), Value::Text(key)) => {
                let key = key.as_str();
                self.look_up(&value, key)?.ok_or_else(|| {
                    let key = crate::parameters::shortened(key);
                    let map = match operand {
                        Node::Fact(_, path) => path,
                        _ => "the map",
                    };
                    format!("{map} has no {key:?}; write {key:?} in {map} ? {map}[{key:?}] : …")
                })
            }
            _ => Err(format!("{} cannot be indexed by {}", value.type_name(), index.type_name())),
        }
    }

    fn look_up(&mut self, map: &Value<'f>, key: &str) -> Result<Option<Value<'f>>, String> {
        match map {
            Value::Entries(entries) => self.look_up_entry(*entries, key),
            Value::Map(entries) => {
                self.charge(entries.len())?;
                let found = entries.iter().find(|(found, _)| found.as_str() == Some(key));
                Ok(found.map(|(_, value)| value.clone()))
            }
            other => Err(format!("{} has no fields", other.type_name())),
        }
    }

    fn look_up_entry(
        &mut self,
        entries: EntriesRef<'f>,
        key: &str,
    ) -> Result<Option<Value<'f>>, String> {
        self.charge(entries.scanned())?;
        Ok(entries.get(key).map(Value::borrowed))
    }

    fn binary(&mut self, operator: Operator, left: &Value<'f>, right: &Value<'f>) -> Evaluated<'f> {
        use Ordering::{Greater, Less};
        let wrong = || {
            let (left, right) = (left.type_name(), right.type_name());
            format!("{} does not take {left} and {right}", operator.symbol())
        };
        let order = |is: fn(Ordering) -> bool| {
            let is_number =
                |value: &Value<'_>| matches!(value, Value::Integer(_) | Value::Double(_));
            match left.compare(right) {
                Some(order) => Ok(Value::Boolean(is(order))),
                // NaN is neither less nor greater than anything.
                None if is_number(left) && is_number(right) => Ok(Value::Boolean(false)),
                None => Err(wrong()),
            }
        };
        match operator {
            Operator::Equal => Ok(Value::Boolean(self.equal(left, right)?)),
            Operator::NotEqual => Ok(Value::Boolean(!self.equal(left, right)?)),
            Operator::Less => order(|order| order == Less),
            Operator::LessOrEqual => order(|order| order != Greater),
            Operator::Greater => order(|order| order == Greater),
            Operator::GreaterOrEqual => order(|order| order != Less),
            Operator::In => self.contains(left, right),
            Operator::Add => self.add(left, right).transpose().unwrap_or_else(|| Err(wrong())),
            _ => arithmetic(operator, left, right).transpose().unwrap_or_else(|| Err(wrong())),
        }
    }

    /// Joins texts or lists, or adds numbers; `None` for other types.
    fn add(&mut self, left: &Value<'f>, right: &Value<'f>) -> Result<Option<Value<'f>>, String> {
        match (left, right) {
            (Value::Text(left), Value::Text(right)) => {
                let (left, right) = (left.as_str(), right.as_str());
                self.text_of_length(left.len() + right.len())?;
                Ok(Some(Value::owned(&[left, right].concat())))
            }
            (Value::List(left), Value::List(right)) => {
                self.charge(left.len() + right.len())?;
                Ok(Some(Value::list(left.iter().chain(right.iter()).cloned().collect())))
            }
            _ => arithmetic(Operator::Add, left, right),
        }
    }

    fn contains(&mut self, element: &Value<'f>, container: &Value<'f>) -> Evaluated<'f> {
        let found = match container {
            Value::List(elements) => {
                let mut found = false;
                for other in elements.iter() {
                    found = self.equal(element, other)?;
                    if found {
                        break;
                    }
                }
                found
            }
            Value::Map(_) | Value::Entries(_) => {
                let key = text_of(element, "in")?;
                self.look_up(container, key)?.is_some()
            }
            other => return Err(format!("in takes a list or a map, not {}", other.type_name())),
        };
        Ok(Value::Boolean(found))
    }

    fn equal(&mut self, left: &Value<'f>, right: &Value<'f>) -> Result<bool, String> {
        self.charge(1)?;
        match (left, right) {
            (Value::Null, Value::Null) => Ok(true),
            (Value::Text(left), Value::Text(right)) => {
                let (left, right) = (left.as_str(), right.as_str());
                if left.len() == right.len() {
                    self.charge_text(left.len())?;
                }
                Ok(left == right)
            }
            (Value::List(left), Value::List(right)) => {
                if left.len() != right.len() {
                    return Ok(false);
                }
                for (left, right) in left.iter().zip(right.iter()) {
                    if !self.equal(left, right)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (Value::Map(_) | Value::Entries(_), Value::Map(_) | Value::Entries(_)) => {
                Err("maps cannot be compared; compare their values".to_owned())
            }
            _ => Ok(left.compare(right) == Some(Ordering::Equal)),
        }
    }

    /// Charges for a new text, and refuses one that is too long.
    pub(super) fn text_of_length(&mut self, bytes: usize) -> Result<(), String> {
        if bytes > MAX_TEXT {
            return Err(format!("makes a text of more than {} KiB", MAX_TEXT >> 10));
        }
        self.charge_text(bytes)
    }

    /// What a result counts for.
    fn size_of(&mut self, value: &Value<'f>) -> Result<usize, String> {
        let size = match value {
            Value::Text(text) => text.as_str().len(),
            Value::List(elements) => {
                let mut size = 0;
                for element in elements.iter() {
                    self.charge(1)?;
                    size += 8 + element.as_str().map_or(0, str::len);
                }
                size
            }
            _ => 8,
        };
        if size > MAX_TEXT {
            return Err(format!("gives more than {} KiB", MAX_TEXT >> 10));
        }
        Ok(size)
    }
}

impl Value<'_> {
    /// A number or boolean as text.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        match self {
            Self::Integer(integer) => Some(integer.to_string()),
            Self::Double(double) => Some(double.to_string()),
            Self::Boolean(boolean) => Some(boolean.to_string()),
            _ => None,
        }
    }
}

fn arithmetic<'f>(
    operator: Operator,
    left: &Value<'f>,
    right: &Value<'f>,
) -> Result<Option<Value<'f>>, String> {
    Ok(Some(match (left, right) {
        (Value::Integer(left), Value::Integer(right)) => {
            if *right == 0 && matches!(operator, Operator::Divide | Operator::Remainder) {
                return Err("divides by zero".to_owned());
            }
            let result = match operator {
                Operator::Add => left.checked_add(*right),
                Operator::Subtract => left.checked_sub(*right),
                Operator::Multiply => left.checked_mul(*right),
                Operator::Divide => left.checked_div(*right),
                Operator::Remainder => left.checked_rem(*right),
                _ => return Ok(None),
            };
            Value::Integer(result.ok_or_else(overflow)?)
        }
        (Value::Double(left), Value::Double(right)) => Value::Double(match operator {
            Operator::Add => left + right,
            Operator::Subtract => left - right,
            Operator::Multiply => left * right,
            Operator::Divide => left / right,
            _ => return Ok(None),
        }),
        _ => return Ok(None),
    }))
}

pub(super) fn overflow() -> String {
    "leaves the range of whole numbers (64 bits)".to_owned()
}

pub(super) fn text_of<'v>(value: &'v Value<'_>, by: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("{by} takes a string, not {}", value.type_name()))
}
