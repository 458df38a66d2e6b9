//! What a policy demands of the value of a parameter, beside its type.

use std::cmp::Ordering;

use crds::{Parameter, ParameterType};
use serde_json::Value;

use super::{ParameterValue, shortened, value::describe};
use crate::{pattern::Pattern, problem::Problems};

/// The constraints of one parameter.
#[derive(Default)]
pub(super) struct Constraints {
    choices: Vec<ParameterValue>,
    pattern: Option<Pattern>,
    minimum: Option<ParameterValue>,
    maximum: Option<ParameterValue>,
}

impl Constraints {
    pub(super) fn compile(parameter: &Parameter, path: &str, problems: &mut Problems) -> Self {
        let kind = parameter.kind;
        let mut compiled = Self {
            pattern: pattern(parameter, path, problems),
            minimum: bound(kind, parameter.minimum.as_ref(), &format!("{path}.minimum"), problems),
            maximum: bound(kind, parameter.maximum.as_ref(), &format!("{path}.maximum"), problems),
            choices: Vec::new(),
        };
        if let (Some(minimum), Some(maximum)) = (&compiled.minimum, &compiled.maximum)
            && minimum.compare(maximum) == Some(Ordering::Greater)
        {
            problems.add(
                format!("{path}.minimum"),
                format!(
                    "{} is above the maximum {}; exchange them",
                    shown(minimum),
                    shown(maximum)
                ),
            );
        }
        for (index, choice) in parameter.choices.iter().enumerate() {
            let read = ParameterValue::from_json(element(kind), choice)
                .and_then(|value| compiled.check_bounds(&value).map(|()| value));
            match read {
                Ok(value) => compiled.choices.push(value),
                Err(wrong) => problems.add(
                    format!("{path}.enum[{index}]"),
                    format!("is {}; it {wrong}", shortened(&choice.to_string())),
                ),
            }
        }
        compiled
    }

    /// Checks a value of the right type; the error says what would be right.
    pub(super) fn check(&self, value: &ParameterValue) -> Result<(), String> {
        let ParameterValue::List(elements) = value else {
            return self.check_one(value);
        };
        for text in elements {
            self.check_one(&ParameterValue::Text(text.clone())).map_err(|wrong| {
                format!("holds {}, and each element {wrong}", shortened(&format!("{text:?}")))
            })?;
        }
        Ok(())
    }

    fn check_one(&self, value: &ParameterValue) -> Result<(), String> {
        if !self.choices.is_empty() && !self.choices.iter().any(|choice| choice.equals(value)) {
            return Err(format!("must be {}", self.choices_for_people()));
        }
        self.check_bounds(value)
    }

    fn check_bounds(&self, value: &ParameterValue) -> Result<(), String> {
        let is = |bound: &Option<ParameterValue>, wrong: Ordering| {
            bound.as_ref().is_some_and(|bound| value.compare(bound) == Some(wrong))
        };
        if is(&self.minimum, Ordering::Less) || is(&self.maximum, Ordering::Greater) {
            return Err(format!("must be {}", self.range_for_people().unwrap_or_default()));
        }
        match (&self.pattern, value) {
            (Some(pattern), ParameterValue::Text(text)) if !pattern.matches(text) => {
                Err(format!("must match the pattern {}", pattern.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Values that the constraints themselves name.
    pub(super) fn bounds(&self) -> impl Iterator<Item = String> {
        self.choices.iter().chain(&self.minimum).chain(&self.maximum).map(shown)
    }

    /// What a value has to look like, for messages.
    pub(super) fn describe(&self, kind: ParameterType) -> String {
        if !self.choices.is_empty() {
            let of =
                if kind == ParameterType::StringList { "a comma-separated list of " } else { "" };
            return format!("{of}{}", self.choices_for_people());
        }
        let mut text = describe(kind).to_owned();
        if let Some(range) = self.range_for_people() {
            text = format!("{text} {range}");
        }
        if let Some(pattern) = &self.pattern {
            text = format!("{text} that matches the pattern {}", pattern.as_str());
        }
        text
    }

    fn choices_for_people(&self) -> String {
        let choices: Vec<_> = self.choices.iter().map(shown).collect();
        match choices.as_slice() {
            [] => String::new(),
            [only] => only.clone(),
            [first @ .., last] => format!("{} or {last}", first.join(", ")),
        }
    }

    fn range_for_people(&self) -> Option<String> {
        match (&self.minimum, &self.maximum) {
            (None, None) => None,
            (Some(minimum), None) => Some(format!("from {} up", shown(minimum))),
            (None, Some(maximum)) => Some(format!("of at most {}", shown(maximum))),
            (Some(minimum), Some(maximum)) => {
                Some(format!("from {} to {}", shown(minimum), shown(maximum)))
            }
        }
    }
}

fn pattern(parameter: &Parameter, path: &str, problems: &mut Problems) -> Option<Pattern> {
    let text = parameter.pattern.as_ref()?;
    let path = format!("{path}.pattern");
    if !matches!(parameter.kind, ParameterType::String | ParameterType::StringList) {
        problems.add(
            path,
            format!("is for String and StringList; leave it out with {:?}", parameter.kind),
        );
        return None;
    }
    Pattern::compile(text).map_err(|wrong| problems.add(path, wrong)).ok()
}

fn bound(
    kind: ParameterType,
    bound: Option<&Value>,
    path: &str,
    problems: &mut Problems,
) -> Option<ParameterValue> {
    let bound = bound?;
    let has_order = matches!(
        kind,
        ParameterType::Integer
            | ParameterType::Number
            | ParameterType::Quantity
            | ParameterType::Duration
    );
    if !has_order {
        problems.add(
            path,
            format!("is for Integer, Number, Quantity and Duration; leave it out with {kind:?}"),
        );
        return None;
    }
    ParameterValue::from_json(kind, bound)
        .map_err(|wrong| {
            problems.add(path, format!("is {}; it {wrong}", shortened(&bound.to_string())));
        })
        .ok()
}

/// The type that an enum's entries have.
fn element(kind: ParameterType) -> ParameterType {
    if kind == ParameterType::StringList { ParameterType::String } else { kind }
}

fn shown(value: &ParameterValue) -> String {
    match value {
        ParameterValue::Text(text)
        | ParameterValue::Quantity(text)
        | ParameterValue::Duration(text) => shortened(text).into_owned(),
        ParameterValue::Integer(integer) => integer.to_string(),
        ParameterValue::Number(number) => number.to_string(),
        ParameterValue::Boolean(boolean) => boolean.to_string(),
        ParameterValue::List(list) => list.join(", "),
    }
}
