//! One text with expressions, and what the field that it stands in takes.

use serde_json::{Number, Value};

use super::EvaluationError;
use crate::{
    expression::{self, Expression, Type, until_brace},
    facts::{Facts, Object},
    parameters::{Parameters, shortened},
    quantity::Quantity,
    shape::Shape,
};

/// What a text with expressions has become.
pub(super) enum Rendered {
    One(Value),
    /// They take the place of the text in the list that it stands in.
    Elements(Vec<Value>),
}

impl Rendered {
    /// The value of a field that is no element of a list.
    pub(super) fn into_value(self) -> Value {
        match self {
            Self::One(value) => value,
            Self::Elements(values) => Value::Array(values),
        }
    }
}

/// A text with at least one expression.
pub(super) struct Leaf {
    path: String,
    target: Target,
    /// It is an element of a list, whose place the elements of another can take.
    in_list: bool,
    content: Content,
}

enum Content {
    /// The whole text is one expression, which keeps its type where the field takes it.
    Whole(Part),
    /// Text around expressions.
    Mixed(Vec<Segment>),
}

enum Segment {
    Text(String),
    Expression(Part),
}

struct Part {
    text: String,
    expression: Expression,
}

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Text,
    Integer,
    Number,
    Boolean,
    Quantity,
    IntegerOrText,
    /// Whatever the expression gives.
    Unknown,
}

impl Leaf {
    /// Compiles a text that holds `${`. Without an expression in it, gives the text with `$${`
    /// unescaped as the inner error.
    pub(super) fn compile(
        text: &str,
        shape: &Shape,
        path: &str,
        in_list: bool,
        parameters: &Parameters,
    ) -> Result<Result<Self, String>, String> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if rest[..at].ends_with('$') {
                literal.push_str(&rest[..at]);
                literal.push('{');
                rest = &rest[at + 2..];
                continue;
            }
            literal.push_str(&rest[..at]);
            if !literal.is_empty() {
                segments.push(Segment::Text(std::mem::take(&mut literal)));
            }
            let part = Part::compile(&rest[at + 2..], parameters)?;
            rest = &rest[at + 2 + part.text.len() + 1..];
            segments.push(Segment::Expression(part));
        }
        literal.push_str(rest);
        if segments.is_empty() {
            return Ok(Err(literal));
        }
        if !literal.is_empty() {
            segments.push(Segment::Text(literal));
        }
        let content = match <[Segment; 1]>::try_from(segments) {
            Ok([Segment::Expression(part)]) => Content::Whole(part),
            Ok(other) => Content::Mixed(other.into()),
            Err(segments) => Content::Mixed(segments),
        };
        let target = Target::of(shape)?;
        let leaf = Self { path: path.to_owned(), target, in_list, content };
        leaf.check()?;
        Ok(Ok(leaf))
    }

    /// Checks by types that the field will take what the expressions give.
    fn check(&self) -> Result<(), String> {
        match &self.content {
            Content::Whole(part) => {
                let kind = match part.expression.result() {
                    Type::List(element) if self.in_list => element,
                    kind => kind,
                };
                self.target.takes(kind, self.in_list).map_err(|wrong| part.refused(&wrong))
            }
            Content::Mixed(segments) => {
                if matches!(self.target, Target::Integer | Target::Number | Target::Boolean) {
                    return Err(format!(
                        "takes {}, so it can only be one whole ${{…}}, without text around it",
                        self.target.name()
                    ));
                }
                segments.iter().try_for_each(|segment| match segment {
                    Segment::Text(_) => Ok(()),
                    Segment::Expression(part) => Target::Text
                        .takes(part.expression.result(), false)
                        .map_err(|wrong| part.refused(&wrong)),
                })
            }
        }
    }

    /// Renders the field.
    pub(super) fn render(&self, facts: &Facts<'_, '_>) -> Result<Rendered, EvaluationError> {
        match &self.content {
            Content::Whole(part) => match self.evaluate(part, facts)? {
                expression::Value::List(elements)
                    if self.in_list || self.target == Target::Unknown =>
                {
                    let elements = elements.iter().map(|element| self.convert(element, part));
                    elements.collect::<Result<_, _>>().map(Rendered::Elements)
                }
                value => self.convert(&value, part).map(Rendered::One),
            },
            Content::Mixed(segments) => {
                self.render_mixed(segments, facts).map(|text| Rendered::One(text.into()))
            }
        }
    }

    fn render_mixed(
        &self,
        segments: &[Segment],
        facts: &Facts<'_, '_>,
    ) -> Result<String, EvaluationError> {
        let mut rendered = String::new();
        for segment in segments {
            match segment {
                Segment::Text(text) => rendered.push_str(text),
                Segment::Expression(part) => {
                    let value = self.evaluate(part, facts)?;
                    let text = text(&value).ok_or_else(|| {
                        self.error(
                            part,
                            format!("gave {}, where text is wanted", value.type_name()),
                        )
                    })?;
                    rendered.push_str(&text);
                }
            }
        }
        if self.target == Target::Quantity && Quantity::parse(&rendered).is_none() {
            let part = segments.iter().find_map(|segment| match segment {
                Segment::Expression(part) => Some(part),
                Segment::Text(_) => None,
            });
            return Err(EvaluationError {
                path: self.path.clone(),
                expression: part.map(|part| part.text.clone()).unwrap_or_default(),
                message: not_a_quantity(&rendered),
            });
        }
        Ok(rendered)
    }

    fn evaluate<'f>(
        &'f self,
        part: &'f Part,
        facts: &'f Facts<'f, '_>,
    ) -> Result<expression::Value<'f>, EvaluationError> {
        part.expression.evaluate(facts).map_err(|message| self.error(part, message))
    }

    fn convert(
        &self,
        value: &expression::Value<'_>,
        part: &Part,
    ) -> Result<Value, EvaluationError> {
        self.target.convert(value).map_err(|message| self.error(part, message))
    }

    fn error(&self, part: &Part, message: String) -> EvaluationError {
        EvaluationError { path: self.path.clone(), expression: part.text.clone(), message }
    }
}

impl Part {
    /// Compiles the expression that begins `text` and ends before a `}`.
    fn compile(text: &str, parameters: &Parameters) -> Result<Self, String> {
        let expression = until_brace(text).map_err(|error| {
            let beginning = text.split(['}', '\n']).next().unwrap_or_default();
            let error = error.describe(text);
            format!("${{{}…: {error}; for a literal ${{ write $${{", shortened(beginning))
        })?;
        let is_number = !expression.trim().is_empty()
            && expression.trim().bytes().all(|byte| byte.is_ascii_digit());
        let compiled = if is_number {
            Err("is a number only".to_owned())
        } else {
            Expression::in_template(expression, parameters)
        };
        let hint = if is_number || !begins_like_an_expression(expression) {
            format!("; for a literal ${{{0}}} write $${{{0}}}", shortened(expression))
        } else {
            String::new()
        };
        compiled
            .map(|compiled| Self { text: expression.to_owned(), expression: compiled })
            .map_err(|wrong| format!("${{{}}}: {wrong}{hint}", shortened(expression)))
    }

    fn refused(&self, wrong: &str) -> String {
        format!("${{{}}}: {wrong}", shortened(&self.text))
    }
}

/// Whether the first word is one that expressions know: else it may be meant for a shell.
fn begins_like_an_expression(text: &str) -> bool {
    const WORDS: [&str; 8] = ["params", "has", "size", "string", "int", "double", "true", "false"];
    let text = text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '!' | '-' | '('));
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = &text[..end];
    WORDS.contains(&word)
        || Object::VARIABLES.iter().any(|(name, _)| *name == word)
        || text.starts_with(['"', '\'', '[', '{'])
}

impl Target {
    fn of(shape: &Shape) -> Result<Self, String> {
        Ok(match shape {
            Shape::Text => Self::Text,
            Shape::Integer => Self::Integer,
            Shape::Number => Self::Number,
            Shape::Boolean => Self::Boolean,
            Shape::Quantity => Self::Quantity,
            Shape::IntegerOrText => Self::IntegerOrText,
            Shape::Unknown => Self::Unknown,
            Shape::List(_) => {
                return Err(
                    "takes a list; write [\"${…}\"], whose place the elements of a list take"
                        .to_owned(),
                );
            }
            Shape::Map(_) | Shape::Object(_) => {
                return Err("takes an object; expressions stand in its fields".to_owned());
            }
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::Boolean => "true or false",
            Self::Quantity => "a quantity",
            Self::IntegerOrText => "a whole number or text",
            Self::Unknown => "a value",
        }
    }

    /// Whether the field takes a type; the error says what to do.
    fn takes(self, kind: &Type, in_list: bool) -> Result<(), String> {
        let fits = match kind {
            Type::Any => true,
            Type::Null | Type::Map(_) => false,
            Type::List(element) => {
                self == Self::Unknown
                    && !in_list
                    && matches!(
                        **element,
                        Type::Any | Type::Boolean | Type::Integer | Type::Double | Type::Text
                    )
            }
            Type::Text => !matches!(self, Self::Integer | Self::Number | Self::Boolean),
            Type::Integer => self != Self::Boolean,
            Type::Double => !matches!(self, Self::Boolean | Self::Integer | Self::IntegerOrText),
            Type::Boolean => matches!(self, Self::Boolean | Self::Text | Self::Unknown),
        };
        if fits {
            return Ok(());
        }
        let hint = match (self, kind) {
            (Self::Integer | Self::Number, Type::Text) => {
                "; use a parameter of type Integer, or int(…)"
            }
            (Self::Integer | Self::IntegerOrText, Type::Double) => "; write int(…)",
            (Self::Boolean, Type::Text) => {
                "; use a parameter of type Boolean, or a comparison such as … == 'true'"
            }
            (_, Type::List(_)) => {
                "; join it with .join(','), or let it be a whole element of a list"
            }
            (_, Type::Map(_)) => "; choose one of its values, as in labels['app']",
            _ => "",
        };
        Err(format!("gives {kind}, and {} is wanted here{hint}", self.name()))
    }

    /// The JSON that stands in the field.
    fn convert(self, value: &expression::Value<'_>) -> Result<Value, String> {
        use expression::Value as V;
        let wrong = || format!("gave {}, and {} is wanted here", value.type_name(), self.name());
        match (self, value) {
            (_, V::Null | V::List(_) | V::Map(_) | V::Entries(_)) => Err(wrong()),
            (Self::Text, value) => text(value).map(Value::String).ok_or_else(wrong),
            (Self::Quantity, value) => {
                let text = text(value).ok_or_else(wrong)?;
                if matches!(value, V::Boolean(_)) || Quantity::parse(&text).is_none() {
                    return Err(not_a_quantity(&text));
                }
                scalar(value)
            }
            (Self::Integer | Self::Number | Self::IntegerOrText, V::Integer(_))
            | (Self::Number, V::Double(_))
            | (Self::Boolean, V::Boolean(_))
            | (Self::IntegerOrText, V::Text(_))
            | (Self::Unknown, _) => scalar(value),
            _ => Err(wrong()),
        }
    }
}

fn scalar(value: &expression::Value<'_>) -> Result<Value, String> {
    use expression::Value as V;
    Ok(match value {
        V::Boolean(boolean) => Value::Bool(*boolean),
        V::Integer(integer) => Value::Number((*integer).into()),
        V::Double(double) => Value::Number(
            Number::from_f64(*double)
                .ok_or_else(|| format!("gave {double}, which is no number"))?,
        ),
        V::Text(text) => Value::String(text.as_str().to_owned()),
        other => return Err(format!("gave {}, where a single value is wanted", other.type_name())),
    })
}

fn text(value: &expression::Value<'_>) -> Option<String> {
    value.as_str().map(str::to_owned).or_else(|| value.scalar_text())
}

fn not_a_quantity(text: &str) -> String {
    format!("gave {:?}, which is not a quantity such as 100m or 64Mi", shortened(text))
}
