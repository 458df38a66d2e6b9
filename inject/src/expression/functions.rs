//! The functions of expressions: their names as in CEL and in Kubernetes' extension of it, their
//! types, and what they do.

use super::{
    evaluate::{Evaluated, Evaluation, overflow, text_of},
    program::Type,
    value::{Str, Value},
};

/// What each piece that `split` makes costs, in steps.
const STEPS_OF_A_PIECE: usize = 5;

/// A function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Contains,
    StartsWith,
    EndsWith,
    LowerAscii,
    UpperAscii,
    Trim,
    Replace,
    Split,
    Join,
    Substring,
    IndexOf,
    LastIndexOf,
    ToText,
    ToInteger,
    ToDouble,
}

/// The functions written behind a value, as in `value.trim()`; `matches` is a function, too, but has
/// its pattern compiled.
const METHODS: [(&str, Function); 13] = [
    ("size", Function::Size),
    ("contains", Function::Contains),
    ("startsWith", Function::StartsWith),
    ("endsWith", Function::EndsWith),
    ("lowerAscii", Function::LowerAscii),
    ("upperAscii", Function::UpperAscii),
    ("trim", Function::Trim),
    ("replace", Function::Replace),
    ("split", Function::Split),
    ("join", Function::Join),
    ("substring", Function::Substring),
    ("indexOf", Function::IndexOf),
    ("lastIndexOf", Function::LastIndexOf),
];

/// The functions written around a value, as in `int(value)`.
const GLOBALS: [(&str, Function); 4] = [
    ("size", Function::Size),
    ("string", Function::ToText),
    ("int", Function::ToInteger),
    ("double", Function::ToDouble),
];

/// All functions by name, `matches` aside.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    METHODS.iter().chain(&GLOBALS).map(|(name, _)| *name)
}

impl Function {
    /// Finds a function by name; the error names those that there are.
    pub(super) fn find(name: &str, is_method: bool) -> Result<Self, String> {
        let functions: &[(&str, Self)] = if is_method { &METHODS } else { &GLOBALS };
        if let Some((_, function)) = functions.iter().find(|(known, _)| *known == name) {
            return Ok(*function);
        }
        let names = |functions: &[(&'static str, Self)]| {
            functions.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        };
        Err(if is_method && GLOBALS.iter().any(|(known, _)| *known == name) {
            format!("{name} is written around its value: {name}(value)")
        } else if !is_method && METHODS.iter().any(|(known, _)| *known == name) || name == "matches"
        {
            format!("{name} is written behind its value: value.{name}(…)")
        } else if is_method {
            format!(
                "there is no function {name}; there are {}, matches, all, exists, exists_one, filter and map",
                names(&METHODS)
            )
        } else {
            format!("there is no function {name}; there are {} and has", names(&GLOBALS))
        })
    }

    /// The type of the result; the error says what the function takes.
    pub(super) fn result(self, arguments: &[Type]) -> Result<Type, &'static str> {
        let fit = |wanted: &[Type]| {
            arguments.len() == wanted.len()
                && arguments.iter().zip(wanted).all(|(own, wanted)| own.fits(wanted))
        };
        let text = Type::Text;
        let (takes, result, fits): (_, _, bool) = match self {
            Self::Size => (
                "a string, a list or a map",
                Type::Integer,
                matches!(arguments, [Type::Text | Type::List(_) | Type::Map(_) | Type::Any]),
            ),
            Self::Contains | Self::StartsWith | Self::EndsWith => {
                ("a string behind a string", Type::Boolean, fit(&[text.clone(), text]))
            }
            Self::LowerAscii | Self::UpperAscii | Self::Trim => {
                ("nothing, behind a string", Type::Text, fit(&[text]))
            }
            Self::Replace => (
                "two strings behind a string: what is replaced, and by what",
                Type::Text,
                fit(&[text.clone(), text.clone(), text]),
            ),
            Self::Split => {
                ("a separator behind a string", Type::list(Type::Text), fit(&[text.clone(), text]))
            }
            Self::Join => (
                "a separator (or nothing) behind a list of strings",
                Type::Text,
                fit(&[Type::list(text.clone()), text.clone()]) || fit(&[Type::list(text)]),
            ),
            Self::Substring => (
                "a start (and an end) behind a string",
                Type::Text,
                fit(&[text.clone(), Type::Integer]) || fit(&[text, Type::Integer, Type::Integer]),
            ),
            Self::IndexOf | Self::LastIndexOf => {
                ("a string behind a string", Type::Integer, fit(&[text.clone(), text]))
            }
            Self::ToText | Self::ToInteger | Self::ToDouble => {
                let is_scalar =
                    matches!(arguments, [Type::Text | Type::Integer | Type::Double | Type::Any])
                        || (self == Self::ToText && arguments == [Type::Boolean]);
                let result = match self {
                    Self::ToText => Type::Text,
                    Self::ToInteger => Type::Integer,
                    _ => Type::Double,
                };
                ("a string or a number", result, is_scalar)
            }
        };
        if fits { Ok(result) } else { Err(takes) }
    }
}

impl<'f> Evaluation<'f, '_> {
    /// Calls a function on values.
    pub(super) fn call(&mut self, function: Function, arguments: &[Value<'f>]) -> Evaluated<'f> {
        let Some(first) = arguments.first() else { return Err("takes a value".to_owned()) };
        match function {
            Function::Size => self.size(first),
            Function::ToText => to_text(first),
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
                if !matches!(function, Function::StartsWith | Function::EndsWith) {
                    self.charge_text(text.as_str().len())?;
                }
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
                let times = whole.matches(old).take(self.left() + 1).count();
                self.charge(times)?;
                let length = times
                    .checked_mul(new.len())
                    .and_then(|added| (whole.len() - times * old.len()).checked_add(added))
                    .unwrap_or(usize::MAX);
                self.text_of_length(length)?;
                Value::owned(&whole.replace(old, new))
            }
            Function::Split => {
                let separator = argument(0)?;
                let mut pieces = Vec::new();
                let mut start = 0;
                for piece in whole.split(separator) {
                    self.charge(STEPS_OF_A_PIECE)?;
                    // An empty separator stands between characters, not before the first.
                    if !separator.is_empty() || !piece.is_empty() {
                        pieces.push(slice(text, start, start + piece.len()));
                    }
                    start += piece.len() + separator.len();
                }
                Value::list(pieces)
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
                self.charge(entries.scanned())?;
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
}

fn to_text<'f>(value: &Value<'f>) -> Evaluated<'f> {
    if let Value::Text(_) = value {
        return Ok(value.clone());
    }
    value.scalar_text().map(|text| Value::owned(&text)).ok_or_else(|| {
        format!("string() takes a string, a number or a bool, not {}", value.type_name())
    })
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
