//! The functions of expressions: their names as in CEL and in Kubernetes' extension of it, and
//! their types. What they do is in [`evaluate`](super::evaluate).

use super::program::Type;

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
