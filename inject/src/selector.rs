//! Label selectors, compiled: what the API server calls `matchLabels` and `matchExpressions`.

use crds::keys;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{problem::Problems, select::Lookup};

/// A compiled label selector; without requirements it matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
}

/// One requirement of a selector.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    operator: Operator,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operator {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

/// A label that every matching object has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand<'s> {
    /// Its key.
    pub(crate) key: &'s str,
    /// The values of which it has one; `None`: any value will do.
    pub(crate) values: Option<&'s [String]>,
}

impl Selector {
    /// Whether labels satisfy every requirement.
    pub fn matches(&self, labels: &impl Lookup) -> bool {
        self.requirements.iter().all(|requirement| requirement.is_met(labels))
    }

    /// Compiles a selector found at `path`; absent selectors match everything.
    pub(crate) fn compile(
        selector: Option<&LabelSelector>,
        path: &str,
        problems: &mut Problems,
    ) -> Self {
        let Some(selector) = selector else { return Self::default() };
        let mut requirements = Vec::new();
        for (key, value) in selector.match_labels.iter().flatten() {
            check_key(key, &format!("{path}.matchLabels"), problems);
            check_value(value, &format!("{path}.matchLabels.{key}"), problems);
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In(vec![value.clone()]),
            });
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let path = format!("{path}.matchExpressions[{index}]");
            check_key(&expression.key, &format!("{path}.key"), problems);
            let mut values = expression.values.clone().unwrap_or_default();
            for (position, value) in values.iter().enumerate() {
                check_value(value, &format!("{path}.values[{position}]"), problems);
            }
            // A value that is named twice must not make the index find the policy twice.
            values.sort_unstable();
            values.dedup();
            let operator = match (expression.operator.as_str(), values.is_empty()) {
                ("In", false) => Operator::In(values),
                ("NotIn", false) => Operator::NotIn(values),
                ("Exists", true) => Operator::Exists,
                ("DoesNotExist", true) => Operator::DoesNotExist,
                ("In" | "NotIn", true) => {
                    problems.add(format!("{path}.values"), "must name at least one value");
                    continue;
                }
                ("Exists" | "DoesNotExist", false) => {
                    problems.add(
                        format!("{path}.values"),
                        format!("must be empty with operator {}", expression.operator),
                    );
                    continue;
                }
                (other, _) => {
                    problems.add(
                        format!("{path}.operator"),
                        format!("{other:?} is not one of In, NotIn, Exists, DoesNotExist"),
                    );
                    continue;
                }
            };
            requirements.push(Requirement { key: expression.key.clone(), operator });
        }
        Self { requirements }
    }

    /// The labels that every matching object has. The index of a policy set finds the policy by one
    /// of them.
    pub(crate) fn demands(&self) -> impl Iterator<Item = Demand<'_>> {
        self.requirements.iter().filter_map(|Requirement { key, operator }| match operator {
            Operator::In(values) => Some(Demand { key, values: Some(values) }),
            Operator::Exists => Some(Demand { key, values: None }),
            Operator::NotIn(_) | Operator::DoesNotExist => None,
        })
    }

    /// The keys of the labels that decide.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|requirement| requirement.key.as_str())
    }

    /// The first requirement that labels do not meet, in words.
    pub(crate) fn unmet(&self, labels: &impl Lookup) -> Option<String> {
        let unmet = self.requirements.iter().find(|requirement| !requirement.is_met(labels))?;
        let key = &unmet.key;
        let found = labels.value(key);
        Some(match (&unmet.operator, found) {
            (Operator::In(values), Some(found)) => {
                format!("label {key} is {found:?}, not {}", one_of(values))
            }
            (Operator::In(values), None) => {
                format!("label {key} is absent, not {}", one_of(values))
            }
            (Operator::NotIn(_), found) => {
                format!("label {key} is {:?}", found.unwrap_or_default())
            }
            (Operator::Exists, _) => format!("label {key} is absent"),
            (Operator::DoesNotExist, _) => format!("label {key} is present"),
        })
    }
}

impl Requirement {
    fn is_met(&self, labels: &impl Lookup) -> bool {
        let found = labels.value(&self.key);
        match &self.operator {
            Operator::In(values) => {
                found.is_some_and(|found| values.iter().any(|value| value == found))
            }
            Operator::NotIn(values) => {
                !found.is_some_and(|found| values.iter().any(|value| value == found))
            }
            Operator::Exists => found.is_some(),
            Operator::DoesNotExist => found.is_none(),
        }
    }
}

fn one_of(values: &[String]) -> String {
    match values {
        [value] => format!("{value:?}"),
        values => format!("one of {values:?}"),
    }
}

/// Checks a label key. The API server refuses a whole webhook configuration for one that is wrong,
/// so it must not get that far.
fn check_key(key: &str, path: &str, problems: &mut Problems) {
    let (prefix, name) = match key.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, key),
    };
    let valid = !name.is_empty() && is_label_text(name) && prefix.is_none_or(is_dns_subdomain);
    if !valid {
        problems.add(path, format!("{key:?} is not a label key"));
    } else if key == keys::INJECTED {
        // A second call would find another answer.
        problems.add(
            path,
            format!("{key:?} is written by the webhook itself; select by a label of the app's"),
        );
    }
}

fn check_value(value: &str, path: &str, problems: &mut Problems) {
    if !is_label_text(value) {
        problems.add(
            path,
            format!(
                "{value:?} is not a label value: at most 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends"
            ),
        );
    }
}

/// Whether text can be a label value, or, if it is not empty, the name of a label key.
fn is_label_text(text: &str) -> bool {
    let alphanumeric = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && alphanumeric(bytes.first())
        && alphanumeric(bytes.last())
}

fn is_dns_subdomain(text: &str) -> bool {
    let label = |label: &str| {
        label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}
