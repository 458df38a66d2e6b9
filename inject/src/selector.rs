//! Label selectors, compiled: what the API server calls `matchLabels` and `matchExpressions`.

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
            requirements.push(Requirement {
                key: key.clone(),
                operator: Operator::In(vec![value.clone()]),
            });
        }
        for (index, expression) in selector.match_expressions.iter().flatten().enumerate() {
            let path = format!("{path}.matchExpressions[{index}]");
            check_key(&expression.key, &format!("{path}.key"), problems);
            let values = expression.values.clone().unwrap_or_default();
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

    /// A label key and the values of which a matching object has one, if a requirement says so.
    /// The index of a policy set finds the policy by them.
    pub(crate) fn equality(&self) -> Option<(&str, &[String])> {
        self.requirements.iter().find_map(|requirement| match &requirement.operator {
            Operator::In(values) => Some((requirement.key.as_str(), values.as_slice())),
            _ => None,
        })
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

fn check_key(key: &str, path: &str, problems: &mut Problems) {
    let name = key.rsplit('/').next().unwrap_or_default();
    let valid = !name.is_empty()
        && name.len() <= 63
        && key.matches('/').count() <= 1
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !valid {
        problems.add(path, format!("{key:?} is not a label key"));
    }
}
