//! Label selectors, compiled: what the API server calls `matchLabels` and `matchExpressions`.

use std::collections::BTreeMap;

use crds::keys;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::{problem::Problems, select::Lookup, validation};

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

    /// A label key and the values of which every matching object has one, if a requirement says so.
    pub(crate) fn equality(&self) -> Option<(&str, &[String])> {
        self.demands().find_map(|demand| Some((demand.key, demand.values?)))
    }

    /// The keys that requirements are about.
    pub(crate) fn keys(&self) -> impl Iterator<Item = &str> {
        self.requirements.iter().map(|requirement| requirement.key.as_str())
    }

    /// This selector without the requirements about a key.
    pub(crate) fn without(&self, key: &str) -> Self {
        let requirements = self.requirements.iter().filter(|requirement| requirement.key != key);
        Self { requirements: requirements.cloned().collect() }
    }

    /// A selector that demands one value of a label.
    pub(crate) fn of_value(key: &str, value: &str) -> Self {
        let operator = Operator::In(vec![value.to_owned()]);
        Self { requirements: vec![Requirement { key: key.to_owned(), operator }] }
    }

    /// Labels that both selectors match; none if no labels do. Exact, because requirements about
    /// different keys do not depend on one another and there is always another value of a label.
    #[must_use]
    pub fn overlap(&self, other: &Self) -> Option<BTreeMap<String, String>> {
        let mut by_key: BTreeMap<&str, Vec<&Operator>> = BTreeMap::new();
        for requirement in self.requirements.iter().chain(&other.requirements) {
            by_key.entry(&requirement.key).or_default().push(&requirement.operator);
        }
        let mut labels = BTreeMap::new();
        for (key, operators) in by_key {
            // A label that may be absent is.
            if !operators.iter().all(|operator| operator.allows(None)) {
                labels.insert(key.to_owned(), common_value(&operators)?);
            }
        }
        Some(labels)
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
        self.operator.allows(labels.value(&self.key))
    }
}

impl Operator {
    fn allows(&self, found: Option<&str>) -> bool {
        let is_among = |values: &[String]| {
            found.is_some_and(|found| values.iter().any(|value| value == found))
        };
        match self {
            Self::In(values) => is_among(values),
            Self::NotIn(values) => !is_among(values),
            Self::Exists => found.is_some(),
            Self::DoesNotExist => found.is_none(),
        }
    }
}

/// A value of a label that meets all requirements.
fn common_value(operators: &[&Operator]) -> Option<String> {
    let allows = |value: &str| operators.iter().all(|operator| operator.allows(Some(value)));
    let mut named = operators.iter().flat_map(|operator| match operator {
        Operator::In(values) => values.as_slice(),
        _ => &[],
    });
    if let Some(value) = named.find(|value| allows(value)) {
        return Some(value.clone());
    }
    // Of these, one more than there are values to avoid is free.
    let avoided = operators.iter().map(|operator| match operator {
        Operator::NotIn(values) => values.len(),
        _ => 0,
    });
    (0..=avoided.sum()).map(|number: usize| format!("any-{number}")).find(|value| allows(value))
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
    if !validation::is_label_key(key) {
        problems.add(path, format!("{key:?} {}", validation::LABEL_KEY));
    } else if key == keys::INJECTED {
        // A second call would find another answer.
        problems.add(
            path,
            format!("{key:?} is written by the webhook itself; select by a label of the app's"),
        );
    }
}

fn check_value(value: &str, path: &str, problems: &mut Problems) {
    if !validation::is_label_value(value) {
        problems.add(path, format!("{value:?} {}", validation::LABEL_VALUE));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::{Operator, Requirement, Selector};

    /// Few keys and values, so that requirements meet one another.
    fn selector() -> impl Strategy<Value = Selector> {
        let values = prop::collection::btree_set("[abc]", 1..3)
            .prop_map(|values| values.into_iter().collect::<Vec<_>>());
        let operator = prop_oneof![
            values.clone().prop_map(Operator::In),
            values.prop_map(Operator::NotIn),
            Just(Operator::Exists),
            Just(Operator::DoesNotExist),
        ];
        let requirement =
            ("[xyz]", operator).prop_map(|(key, operator)| Requirement { key, operator });
        prop::collection::vec(requirement, 0..4).prop_map(|requirements| Selector { requirements })
    }

    fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
        prop::collection::btree_map("[xyz]", "[abcd]", 0..4)
    }

    proptest! {
        #[test]
        fn selectors_that_do_not_overlap_share_no_labels(
            left in selector(),
            right in selector(),
            labels in labels(),
        ) {
            match left.overlap(&right) {
                None => prop_assert!(!(left.matches(&labels) && right.matches(&labels))),
                Some(example) => {
                    prop_assert!(left.matches(&example) && right.matches(&example));
                }
            }
        }

        #[test]
        fn an_overlap_has_no_direction(left in selector(), right in selector()) {
            prop_assert_eq!(left.overlap(&right), right.overlap(&left));
        }
    }
}
