//! Parameters: what a policy declares, and the values that workload owners set by annotation.
//!
//! A value is checked against its declaration before any expression can read it, and one that does
//! not fit is a failure of that policy. It is never parsed as anything but its own type.

mod constraints;
mod value;

use std::{borrow::Cow, fmt};

use crds::{Parameter, ParameterType, keys};

use crate::{PolicyId, problem::Problems, select::Lookup};
use constraints::Constraints;
pub(crate) use value::ParameterValue;

/// Longest value that an annotation may set, in bytes.
const MAX_VALUE: usize = 4096;

/// Values that may fit a parameter of which nothing but its declaration is known.
const SAMPLES: [&str; 16] = [
    "1",
    "sample",
    "true",
    "1s",
    "1Mi",
    "a",
    "A",
    "a1",
    "a-1",
    "1.0.0",
    "v1.0.0",
    "10.0.0.1",
    "example.org",
    "example.org:443",
    "https://example.org",
    "/sample",
];

/// The parameters that a policy declares, compiled.
#[derive(Default)]
pub(crate) struct Parameters {
    declared: Vec<Declaration>,
}

struct Declaration {
    name: String,
    kind: ParameterType,
    /// The annotation that sets it.
    annotation: String,
    constraints: Constraints,
    default: Option<ParameterValue>,
    required: bool,
}

/// The values of all parameters for one pod.
#[derive(Debug, Default)]
pub(crate) struct Values<'p> {
    /// In the order of the declarations; `None`: neither set nor with a default.
    values: Vec<Option<Cow<'p, ParameterValue>>>,
}

/// A parameter whose value does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadParameter {
    /// The annotation that sets it.
    pub(crate) annotation: String,
    /// What is wrong, and what would be right.
    pub(crate) message: String,
}

impl fmt::Display for BadParameter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "annotation {} {}", self.annotation, self.message)
    }
}

impl std::error::Error for BadParameter {}

impl Parameters {
    /// Compiles the parameters that a policy declares.
    pub(crate) fn compile(id: &PolicyId, declared: &[Parameter], problems: &mut Problems) -> Self {
        let mut compiled: Vec<Declaration> = Vec::with_capacity(declared.len());
        for (index, parameter) in declared.iter().enumerate() {
            let path = format!("spec.parameters[{index}]");
            if !is_name(&parameter.name) {
                problems.add(
                    format!("{path}.name"),
                    format!(
                        "{:?} must begin with a lower-case letter and hold at most 21 letters and digits, because expressions read it as params.NAME",
                        parameter.name
                    ),
                );
            }
            if compiled.iter().any(|other| other.name == parameter.name) {
                problems.add(
                    format!("{path}.name"),
                    format!("{:?} is used twice; rename one", parameter.name),
                );
                continue;
            }
            compiled.push(Declaration::compile(id, parameter, &path, problems));
        }
        Self { declared: compiled }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.declared.is_empty()
    }

    /// Names, in the order of the declarations.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(|declaration| declaration.name.as_str())
    }

    /// The values for a pod: from the nearest level whose annotations set one (the pod, then its
    /// namespace), else the default.
    pub(crate) fn values(&self, levels: [&dyn Lookup; 2]) -> Result<Values<'_>, BadParameter> {
        let values = self.declared.iter().map(|declaration| declaration.value(levels));
        Ok(Values { values: values.collect::<Result<_, _>>()? })
    }

    /// Annotations with a value for each parameter that has to be set. The error names one for which no
    /// value is known.
    pub(crate) fn samples(&self) -> Result<Vec<(String, String)>, String> {
        let required = self.declared.iter().filter(|declaration| declaration.required);
        required.map(Declaration::sample).collect()
    }

    /// Position, type and whether every pod has a value.
    pub(crate) fn find(&self, name: &str) -> Option<(usize, ParameterType, bool)> {
        let position = self.declared.iter().position(|declaration| declaration.name == name)?;
        let declaration = &self.declared[position];
        let always = declaration.required || declaration.default.is_some();
        Some((position, declaration.kind, always))
    }
}

impl Values<'_> {
    /// The value of the parameter at a position that [`Parameters::find`] gave.
    pub(crate) fn get(&self, position: usize) -> Option<&ParameterValue> {
        self.values.get(position)?.as_deref()
    }
}

impl Declaration {
    fn compile(id: &PolicyId, parameter: &Parameter, path: &str, problems: &mut Problems) -> Self {
        let constraints = Constraints::compile(parameter, path, problems);
        let default = parameter.default_value.as_ref().and_then(|default| {
            let value = ParameterValue::from_json(parameter.kind, default)
                .and_then(|value| constraints.check(&value).map(|()| value));
            value
                .map_err(|wrong| {
                    let found = default.to_string();
                    let message = format!("is {}; it {wrong}", shortened(&found));
                    problems.add(format!("{path}.default"), message);
                })
                .ok()
        });
        if parameter.required && parameter.default_value.is_some() {
            problems.add(
                format!("{path}.required"),
                "has no meaning beside a default; leave one of them out",
            );
        }
        let prefix = if id.namespace.is_some() {
            keys::PARAMETER_PREFIX
        } else {
            keys::CLUSTER_PARAMETER_PREFIX
        };
        Self {
            name: parameter.name.clone(),
            kind: parameter.kind,
            annotation: format!("{prefix}{}.{}", id.name, parameter.name),
            constraints,
            default,
            required: parameter.required,
        }
    }

    /// The annotation with a value that fits.
    fn sample(&self) -> Result<(String, String), String> {
        let fits = |text: &String| {
            ParameterValue::from_text(self.kind, text)
                .is_ok_and(|value| self.constraints.check(&value).is_ok())
        };
        let values = SAMPLES.iter().map(|&text| text.to_owned());
        let value = self.constraints.bounds().chain(values).find(fits).ok_or_else(|| {
            format!(
                "parameter {} is required, and no value is known that is {}",
                self.name,
                self.constraints.describe(self.kind)
            )
        })?;
        Ok((self.annotation.clone(), value))
    }

    fn value(
        &self,
        levels: [&dyn Lookup; 2],
    ) -> Result<Option<Cow<'_, ParameterValue>>, BadParameter> {
        let bad = |message| BadParameter { annotation: self.annotation.clone(), message };
        let found = levels
            .into_iter()
            .zip(["", "of the namespace "])
            .find_map(|(level, of)| Some((level.value(&self.annotation)?, of)));
        let Some((text, of)) = found else {
            if self.required {
                return Err(bad(format!(
                    "is missing; the policy requires it: set it to {}",
                    self.constraints.describe(self.kind)
                )));
            }
            return Ok(self.default.as_ref().map(Cow::Borrowed));
        };
        if text.len() > MAX_VALUE {
            return Err(bad(format!(
                "{of}has {} bytes; a value has at most {MAX_VALUE}",
                text.len()
            )));
        }
        let value = ParameterValue::from_text(self.kind, text)
            .and_then(|value| self.constraints.check(&value).map(|()| value));
        value
            .map(|value| Some(Cow::Owned(value)))
            .map_err(|wrong| bad(format!("{of}is {}; it {wrong}", shortened(&format!("{text:?}")))))
    }
}

/// Whether a name is one that expressions and annotation keys can hold.
fn is_name(name: &str) -> bool {
    name.len() <= 21
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// A text for messages: its beginning, where it is long.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(text, 64)
}

/// The beginning of a text, of at most so many characters.
pub(crate) fn shortened_to(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        None => text.into(),
        Some((end, _)) => format!("{}…", &text[..end]).into(),
    }
}

#[cfg(test)]
#[path = "parameters/parameters_tests.rs"]
mod tests;
