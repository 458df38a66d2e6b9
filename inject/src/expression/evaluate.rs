//! From a program and facts to a value, in a bounded number of steps.
//!
//! A step is a node of the program, 64 bytes of text read or written, or eight entries of a map
//! searched; ten nanoseconds or so. The number is the same for the same facts, however fast the
//! machine is.

use std::{cmp::Ordering, rc::Rc};

use super::{
    functions::Function,
    program::{Iteration, Node},
    syntax::Operator,
    value::{Str, Value},
};
use crate::facts::{EntriesRef, FactValue, Facts};

/// Steps that one evaluation may take: about a millisecond.
const STEPS: u32 = 50_000;
/// Longest text that an expression may make or give, in bytes.
const MAX_TEXT: usize = 64 << 10;

type Evaluated<'f> = Result<Value<'f>, String>;

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

struct Evaluation<'f, 'p> {
    facts: &'f Facts<'f, 'p>,
    steps: u32,
    element: Option<Value<'f>>,
}

impl<'f> Evaluation<'f, '_> {
    fn charge(&mut self, steps: usize) -> Result<(), String> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.steps.checked_sub(steps));
        self.steps = left.unwrap_or(0);
        left.map(|_| ()).ok_or_else(|| {
            "takes too many steps: the pod or its namespace holds too much for it; read less"
                .to_owned()
        })
    }

    fn charge_text(&mut self, bytes: usize) -> Result<(), String> {
        self.charge(bytes / 64)
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
                self.charge(text.len() / 8)?;
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
                self.charge(elements.len() / 8)?;
                Ok(elements.to_vec())
            }
            Value::Map(entries) => Ok(entries.iter().map(|(key, _)| key.clone()).collect()),
            Value::Entries(entries) => {
                self.charge(entries.scanned() / 8)?;
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
                self.charge(entries.len() / 8)?;
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
        self.charge(entries.scanned() / 8)?;
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
                self.charge((left.len() + right.len()) / 8)?;
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

    fn call(&mut self, function: Function, arguments: &[Value<'f>]) -> Evaluated<'f> {
        let Some(first) = arguments.first() else { return Err("takes a value".to_owned()) };
        match function {
            Function::Size => self.size(first),
            Function::ToText => self.to_text(first),
            Function::ToInteger => to_integer(first),
            Function::ToDouble => to_double(first),
            Function::Join => {
                let separator =
                    arguments.get(1).map_or(Ok(""), |separator| text_of(separator, "join"))?;
                self.join(first, separator)
            }
            _ => {
                let Value::Text(text) = first else {
                    return Err(format!("a string is wanted, not {}", first.type_name()));
                };
                self.charge_text(text.as_str().len())?;
                self.text_function(function, text, &arguments[1..])
            }
        }
    }

    fn text_function(
        &mut self,
        function: Function,
        text: &Str<'f>,
        arguments: &[Value<'f>],
    ) -> Evaluated<'f> {
        let whole = text.as_str();
        let argument = |position: usize| {
            arguments.get(position).map_or(Ok(""), |argument| text_of(argument, "this function"))
        };
        Ok(match function {
            Function::Contains => Value::Boolean(whole.contains(argument(0)?)),
            Function::StartsWith => Value::Boolean(whole.starts_with(argument(0)?)),
            Function::EndsWith => Value::Boolean(whole.ends_with(argument(0)?)),
            Function::LowerAscii => {
                self.text_of_length(whole.len())?;
                Value::owned(&whole.to_ascii_lowercase())
            }
            Function::UpperAscii => {
                self.text_of_length(whole.len())?;
                Value::owned(&whole.to_ascii_uppercase())
            }
            Function::Trim => {
                let start = whole.len() - whole.trim_start().len();
                slice(text, start, start + whole.trim().len())
            }
            Function::Replace => {
                let (old, new) = (argument(0)?, argument(1)?);
                let times = whole.matches(old).count();
                let length = times
                    .checked_mul(new.len())
                    .and_then(|added| (whole.len() - times * old.len()).checked_add(added))
                    .unwrap_or(usize::MAX);
                self.charge(times / 8)?;
                self.text_of_length(length)?;
                Value::owned(&whole.replace(old, new))
            }
            Function::Split => {
                let separator = argument(0)?;
                let pieces: Vec<&str> = if separator.is_empty() {
                    self.charge(whole.len() / 8)?;
                    whole.split("").filter(|piece| !piece.is_empty()).collect()
                } else {
                    self.charge(whole.matches(separator).count() / 8)?;
                    whole.split(separator).collect()
                };
                let start_of = |piece: &str| piece.as_ptr() as usize - whole.as_ptr() as usize;
                let piece = |piece: &&str| {
                    let start = start_of(piece);
                    slice(text, start, start + piece.len())
                };
                Value::list(pieces.iter().map(piece).collect())
            }
            Function::IndexOf => position(whole, whole.find(argument(0)?)),
            Function::LastIndexOf => position(whole, whole.rfind(argument(0)?)),
            Function::Substring => {
                let start = byte_at(whole, arguments.first())?;
                let end = if arguments.len() > 1 {
                    byte_at(whole, arguments.get(1))?
                } else {
                    whole.len()
                };
                if start > end {
                    return Err("substring: the end lies before the start".to_owned());
                }
                slice(text, start, end)
            }
            Function::Size
            | Function::Join
            | Function::ToText
            | Function::ToInteger
            | Function::ToDouble => return Err("a string is wanted".to_owned()),
        })
    }

    fn size(&mut self, value: &Value<'f>) -> Evaluated<'f> {
        let size = match value {
            Value::Text(text) => {
                self.charge_text(text.as_str().len())?;
                text.as_str().chars().count()
            }
            Value::List(elements) => elements.len(),
            Value::Map(entries) => entries.len(),
            Value::Entries(entries) => {
                self.charge(entries.scanned() / 8)?;
                entries.keys().count()
            }
            other => return Err(format!("{} has no size", other.type_name())),
        };
        Ok(Value::Integer(i64::try_from(size).unwrap_or(i64::MAX)))
    }

    fn join(&mut self, list: &Value<'f>, separator: &str) -> Evaluated<'f> {
        let Value::List(elements) = list else {
            return Err(format!("join takes a list, not {}", list.type_name()));
        };
        let mut joined = String::new();
        for (position, element) in elements.iter().enumerate() {
            let element = text_of(element, "join")?;
            let separator = if position == 0 { "" } else { separator };
            self.charge(1)?;
            self.text_of_length(joined.len() + separator.len() + element.len())?;
            joined.push_str(separator);
            joined.push_str(element);
        }
        Ok(Value::owned(&joined))
    }

    fn to_text(&mut self, value: &Value<'f>) -> Evaluated<'f> {
        if let Value::Text(_) = value {
            return Ok(value.clone());
        }
        value.scalar_text().map(|text| Value::owned(&text)).ok_or_else(|| {
            format!("string() takes a string, a number or a bool, not {}", value.type_name())
        })
    }

    /// Charges for a new text, and refuses one that is too long.
    fn text_of_length(&mut self, bytes: usize) -> Result<(), String> {
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

fn overflow() -> String {
    "leaves the range of whole numbers (64 bits)".to_owned()
}

fn text_of<'v>(value: &'v Value<'_>, by: &str) -> Result<&'v str, String> {
    value.as_str().ok_or_else(|| format!("{by} takes a string, not {}", value.type_name()))
}

/// A part of a text, borrowed where the text is.
fn slice<'f>(text: &Str<'f>, start: usize, end: usize) -> Value<'f> {
    match text {
        Str::Borrowed(text) => Value::borrowed(text.get(start..end).unwrap_or_default()),
        Str::Shared(text) => Value::owned(text.get(start..end).unwrap_or_default()),
    }
}

/// The byte position of a character.
fn byte_at(text: &str, character: Option<&Value<'_>>) -> Result<usize, String> {
    let Some(Value::Integer(character)) = character else {
        return Err("substring takes whole numbers".to_owned());
    };
    let mut positions = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    usize::try_from(*character)
        .ok()
        .and_then(|character| positions.nth(character))
        .ok_or_else(|| format!("substring: there is no character {character}"))
}

/// The character position of a byte, -1 for none.
fn position<'f>(text: &str, byte: Option<usize>) -> Value<'f> {
    let characters = byte.map(|byte| text[..byte].chars().count());
    Value::Integer(characters.and_then(|at| i64::try_from(at).ok()).unwrap_or(-1))
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "the range is checked"
)]
fn to_integer<'f>(value: &Value<'f>) -> Evaluated<'f> {
    match value {
        Value::Integer(integer) => Ok(Value::Integer(*integer)),
        Value::Double(double) if *double >= i64::MIN as f64 && *double < i64::MAX as f64 => {
            Ok(Value::Integer(*double as i64))
        }
        Value::Double(_) => Err(overflow()),
        Value::Text(text) => text.as_str().parse().map(Value::Integer).map_err(|_| {
            let text = crate::parameters::shortened(text.as_str());
            format!("int() cannot read {text:?} as a whole number")
        }),
        other => Err(format!("int() takes a string or a number, not {}", other.type_name())),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as CEL says")]
fn to_double<'f>(value: &Value<'f>) -> Evaluated<'f> {
    match value {
        Value::Integer(integer) => Ok(Value::Double(*integer as f64)),
        Value::Double(double) => Ok(Value::Double(*double)),
        Value::Text(text) => text.as_str().parse().map(Value::Double).map_err(|_| {
            let text = crate::parameters::shortened(text.as_str());
            format!("double() cannot read {text:?} as a number")
        }),
        other => Err(format!("double() takes a string or a number, not {}", other.type_name())),
    }
}
