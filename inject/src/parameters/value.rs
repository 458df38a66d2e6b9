//! The value of a parameter, read from the text of an annotation or from the JSON of a policy.

use std::cmp::Ordering;

use crds::ParameterType;
use serde_json::Value;

use crate::quantity::Quantity;

/// A value that fits its type. Quantities and durations stay as they are written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ParameterValue {
    Text(String),
    Integer(i64),
    Number(f64),
    Boolean(bool),
    Quantity(String),
    Duration(String),
    List(Vec<String>),
}

impl ParameterValue {
    /// Reads the text of an annotation; the error says what would be right.
    pub(super) fn from_text(kind: ParameterType, text: &str) -> Result<Self, String> {
        without_control_characters(text)?;
        let trimmed = text.trim();
        match kind {
            ParameterType::String => Some(Self::Text(text.to_owned())),
            ParameterType::Integer => trimmed.parse().ok().map(Self::Integer),
            ParameterType::Number => {
                trimmed.parse().ok().filter(|number: &f64| number.is_finite()).map(Self::Number)
            }
            ParameterType::Boolean => match trimmed {
                "true" => Some(Self::Boolean(true)),
                "false" => Some(Self::Boolean(false)),
                _ => None,
            },
            ParameterType::Quantity => {
                Quantity::parse(trimmed).map(|_| Self::Quantity(trimmed.to_owned()))
            }
            ParameterType::Duration => {
                nanoseconds(trimmed).map(|_| Self::Duration(trimmed.to_owned()))
            }
            ParameterType::StringList => {
                let elements = text.split(',').map(str::trim).filter(|element| !element.is_empty());
                Some(Self::List(elements.map(str::to_owned).collect()))
            }
        }
        .ok_or_else(|| format!("must be {}", describe(kind)))
    }

    /// Reads JSON that a policy holds; the error says what would be right.
    pub(super) fn from_json(kind: ParameterType, value: &Value) -> Result<Self, String> {
        let read = match (kind, value) {
            (ParameterType::Integer, Value::Number(number)) => number.as_i64().map(Self::Integer),
            (ParameterType::Number, Value::Number(number)) => {
                number.as_f64().filter(|number| number.is_finite()).map(Self::Number)
            }
            (ParameterType::Boolean, Value::Bool(boolean)) => Some(Self::Boolean(*boolean)),
            (ParameterType::Quantity, Value::Number(number)) => {
                return Self::from_text(kind, &number.to_string());
            }
            (
                ParameterType::String | ParameterType::Quantity | ParameterType::Duration,
                Value::String(text),
            ) => {
                return Self::from_text(kind, text);
            }
            (ParameterType::StringList, Value::Array(list)) => {
                let element = |element: &Value| element.as_str().map(str::to_owned);
                let elements: Option<Vec<_>> = list.iter().map(element).collect();
                for element in elements.iter().flatten() {
                    without_control_characters(element)?;
                }
                elements.map(Self::List)
            }
            _ => None,
        };
        read.ok_or_else(|| {
            let hint = match (kind, value) {
                (ParameterType::String, Value::Number(_) | Value::Bool(_)) => "; put it in quotes",
                (
                    ParameterType::Integer | ParameterType::Number | ParameterType::Boolean,
                    Value::String(_),
                ) => "; write it without quotes",
                (ParameterType::StringList, Value::String(_)) => "; write [a, b]",
                _ => "",
            };
            format!("must be {}{hint}", describe(kind))
        })
    }

    /// Compares by value; `None` for values that have no order.
    pub(super) fn compare(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(left), Self::Integer(right)) => Some(left.cmp(right)),
            (Self::Number(left), Self::Number(right)) => left.partial_cmp(right),
            (Self::Quantity(left), Self::Quantity(right)) => {
                let (left, right) = (Quantity::parse(left)?, Quantity::parse(right)?);
                let less = |left: &Quantity, right: &Quantity| match (
                    left.is_negative(),
                    right.is_negative(),
                ) {
                    (true, false) => true,
                    (false, true) => false,
                    (false, false) => left.is_at_most(right),
                    (true, true) => right.is_at_most(left),
                };
                Some(match (less(&left, &right), less(&right, &left)) {
                    (true, true) => Ordering::Equal,
                    (true, false) => Ordering::Less,
                    _ => Ordering::Greater,
                })
            }
            (Self::Duration(left), Self::Duration(right)) => {
                Some(nanoseconds(left)?.cmp(&nanoseconds(right)?))
            }
            _ => None,
        }
    }

    /// Whether two values are the same, quantities and durations by value.
    pub(super) fn equals(&self, other: &Self) -> bool {
        self == other || self.compare(other) == Some(Ordering::Equal)
    }
}

/// What a value of a type looks like, for messages.
pub(super) fn describe(kind: ParameterType) -> &'static str {
    match kind {
        ParameterType::String => "text",
        ParameterType::Integer => "a whole number",
        ParameterType::Number => "a number",
        ParameterType::Boolean => "true or false",
        ParameterType::Quantity => "a quantity such as 100m or 64Mi",
        ParameterType::Duration => "a duration such as 30s, 500ms or 1h30m",
        ParameterType::StringList => "a comma-separated list",
    }
}

/// Line ends in a value could add lines to a configuration file that a policy brings along.
fn without_control_characters(text: &str) -> Result<(), String> {
    // The last two end lines for readers of older YAML.
    let ends_line = |character: char| matches!(character, '\u{2028}' | '\u{2029}');
    if text.chars().any(|character| character.is_control() || ends_line(character)) {
        return Err("must not hold line ends or other control characters".to_owned());
    }
    Ok(())
}

/// The length of a duration as Go writes it, in nanoseconds.
fn nanoseconds(text: &str) -> Option<i128> {
    let (sign, text) = match text.as_bytes().first()? {
        b'-' => (-1, &text[1..]),
        b'+' => (1, &text[1..]),
        _ => (1, text),
    };
    if text == "0" {
        return Some(0);
    }
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = rest.split_at(number_end);
        let unit_end = unit.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit.len());
        let (unit, remaining) = unit.split_at(unit_end);
        let scale: i128 = match unit {
            "ns" => 1,
            "us" | "µs" | "μs" => 1_000,
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            _ => return None,
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        // More digits would overflow, or lie below a nanosecond.
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 13 {
            return None;
        }
        let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
        let power = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        let length =
            digits(whole)?.checked_mul(scale)? + digits(fraction)?.checked_mul(scale)? / power;
        total = total.checked_add(length)?;
        rest = remaining;
    }
    // Go keeps durations in 64 bits.
    i64::try_from(total).ok().map(|total| sign * i128::from(total)).filter(|_| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("0", Some(0))]
    #[case("1h30m", Some(5_400_000_000_000))]
    #[case("500ms", Some(500_000_000))]
    #[case("1.5s", Some(1_500_000_000))]
    #[case("-2m", Some(-120_000_000_000))]
    #[case(".5s", Some(500_000_000))]
    #[case("2µs", Some(2_000))]
    #[case("", None)]
    #[case("-", None)]
    #[case("5", None)]
    #[case("s", None)]
    #[case("1.2.3s", None)]
    #[case("1d", None)]
    #[case("1 s", None)]
    #[case("9999999999999999999999h", None)]
    #[case("300000000h", None)]
    fn durations_as_in_go(#[case] text: &str, #[case] expected: Option<i128>) {
        assert_eq!(nanoseconds(text), expected);
    }
}
