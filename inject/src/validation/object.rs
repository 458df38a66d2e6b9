//! A part of a policy as validation reads it: its fields, its path, and whether expressions may still
//! stand in it.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use crate::{problem::Problems, quantity::Quantity};

/// The fields of an object.
pub(crate) type Fields = Map<String, Value>;

/// Largest number that the API server takes in a field of 32 bits.
pub(super) const LARGEST: i64 = i32::MAX as i64;

/// How far a part has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// As written: text with an expression has no value yet, so nothing is said of it.
    Written,
    /// Every expression has its value: what looks like one is text.
    Rendered,
}

/// Whether text holds an expression: `${`, unless it is the literal `$${`.
pub(crate) fn has_expression(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let literal = rest[..at].ends_with('$');
        if !literal {
            return true;
        }
        rest = &rest[at + 2..];
    }
    false
}

/// An object inside a policy.
#[derive(Clone)]
pub(crate) struct Object<'a> {
    fields: &'a Fields,
    path: String,
    stage: Stage,
}

impl<'a> Object<'a> {
    pub(super) fn new(fields: &'a Fields, path: impl Into<String>, stage: Stage) -> Self {
        Self { fields, path: path.into(), stage }
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn stage(&self) -> Stage {
        self.stage
    }

    pub(super) fn fields(&self) -> &'a Fields {
        self.fields
    }

    /// Path of a field.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.path)
    }

    /// The value of a field; none if it is absent or null.
    pub(super) fn value(&self, name: &str) -> Option<&'a Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// The text of a field as far as it is known: none for an expression.
    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name)?.as_str().filter(|text| self.is_known(text))
    }

    /// The text of a field, where empty text means the same as none.
    pub(super) fn filled(&self, name: &str) -> Option<&'a str> {
        self.text(name).filter(|text| !text.is_empty())
    }

    pub(super) fn number(&self, name: &str) -> Option<i64> {
        self.value(name)?.as_i64()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    pub(super) fn object(&self, name: &str) -> Option<Self> {
        let fields = self.value(name)?.as_object()?;
        Some(Self { fields, path: self.at(name), stage: self.stage })
    }

    /// The objects in a list.
    pub(super) fn objects(&self, name: &str) -> Vec<Self> {
        let elements = self.value(name).and_then(Value::as_array).into_iter().flatten().enumerate();
        elements
            .filter_map(|(index, element)| {
                let path = format!("{}[{index}]", self.at(name));
                Some(Self { fields: element.as_object()?, path, stage: self.stage })
            })
            .collect()
    }

    /// The texts in a list as far as they are known, with their paths.
    pub(super) fn texts(&self, name: &str) -> Vec<(String, &'a str)> {
        let elements = self.value(name).and_then(Value::as_array).into_iter().flatten().enumerate();
        elements
            .filter_map(|(index, element)| {
                let text = element.as_str().filter(|text| self.is_known(text))?;
                Some((format!("{}[{index}]", self.at(name)), text))
            })
            .collect()
    }

    /// The numbers in a list, with their paths.
    pub(super) fn numbers(&self, name: &str) -> Vec<(String, i64)> {
        let elements = self.value(name).and_then(Value::as_array).into_iter().flatten().enumerate();
        elements
            .filter_map(|(index, element)| {
                Some((format!("{}[{index}]", self.at(name)), element.as_i64()?))
            })
            .collect()
    }

    /// The entries of a map of texts as far as they are known.
    pub(super) fn entries(&self, name: &str) -> Vec<(&'a str, &'a str)> {
        let map = self.value(name).and_then(Value::as_object).into_iter().flatten();
        map.filter_map(|(key, value)| {
            Some((key.as_str(), value.as_str().filter(|text| self.is_known(text))?))
        })
        .collect()
    }

    /// Number of elements in a list.
    pub(super) fn length(&self, name: &str) -> usize {
        self.value(name).and_then(Value::as_array).map_or(0, Vec::len)
    }

    /// The text of a quantity as far as it is known; numbers are quantities too.
    pub(super) fn quantity_text(&self, name: &str) -> Option<String> {
        match self.value(name)? {
            Value::String(text) => self.is_known(text).then(|| text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// A quantity; text that is none is a problem.
    pub(super) fn quantity(&self, name: &str, problems: &mut Problems) -> Option<Quantity> {
        let text = self.quantity_text(name)?;
        // The API server cuts white space off at the end.
        let quantity = Quantity::parse(text.trim_end());
        if quantity.is_none() {
            let message = format!("{text:?} is not a quantity; write one such as 100m or 64Mi");
            problems.add(self.at(name), message);
        }
        quantity
    }

    /// Demands a field that is there and not empty.
    pub(super) fn require(&self, name: &str, problems: &mut Problems) {
        if !self.has(name) || self.value(name).and_then(Value::as_str).is_some_and(str::is_empty) {
            problems.add(self.at(name), "is missing");
        }
    }

    /// Demands one of some words, if the field is there; empty text counts as absent.
    pub(super) fn word(&self, name: &str, words: &[&str], problems: &mut Problems) {
        if self.filled(name).is_some() {
            self.strict_word(name, words, problems);
        }
    }

    /// Demands one of some words, if the field is there.
    pub(super) fn strict_word(&self, name: &str, words: &[&str], problems: &mut Problems) {
        if let Some(found) = self.text(name)
            && !words.contains(&found)
        {
            let message = format!("{found:?} is not one of {}", words.join(", "));
            problems.add(self.at(name), message);
        }
    }

    /// Demands a number in a range, if the field is there.
    pub(super) fn range(&self, name: &str, range: RangeInclusive<i64>, problems: &mut Problems) {
        if let Some(found) = self.number(name) {
            in_range(found, &range, self.at(name), problems);
        }
    }

    fn is_known(&self, text: &str) -> bool {
        self.stage == Stage::Rendered || !has_expression(text)
    }
}

/// Demands a number in a range.
pub(super) fn in_range(
    found: i64,
    range: &RangeInclusive<i64>,
    path: String,
    problems: &mut Problems,
) {
    if range.contains(&found) {
        return;
    }
    let message = match (*range.start(), *range.end()) {
        (start, LARGEST | i64::MAX) if found < start => format!("must be at least {start}"),
        (start, end) => format!("must be a number from {start} to {end}"),
    };
    problems.add(path, message);
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::has_expression;

    #[rstest]
    #[case("${params.level}", true)]
    #[case("a-${b}-c", true)]
    #[case("$${HOME}", false)]
    #[case("$${HOME} and ${b}", true)]
    #[case("$HOME $(HOME) {}", false)]
    #[case("", false)]
    fn expressions(#[case] text: &str, #[case] expected: bool) {
        assert_eq!(has_expression(text), expected);
    }
}
