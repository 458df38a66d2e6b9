use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn declare(id: &PolicyId, declared: &Value) -> (Parameters, Vec<String>) {
    let declared: Vec<Parameter> = serde_json::from_value(declared.clone()).unwrap();
    let mut problems = Problems::default();
    let parameters = Parameters::compile(id, &declared, &mut problems);
    let problems = match problems.or_ok(()) {
        Ok(()) => Vec::new(),
        Err(invalid) => invalid.problems.iter().map(ToString::to_string).collect(),
    };
    (parameters, problems)
}

fn one(declared: &Value) -> Parameters {
    let (parameters, problems) = declare(&PolicyId::namespaced("shop", "p"), &json!([declared]));
    assert_eq!(problems, [""; 0]);
    parameters
}

fn annotated(value: &str) -> BTreeMap<String, String> {
    [("params.sidecarpolicy.dev/p.x".to_owned(), value.to_owned())].into()
}

fn set(declared: &Value, value: &str) -> Result<ParameterValue, String> {
    let parameters = one(declared);
    let values = parameters.values([&annotated(value), &BTreeMap::new()]);
    values.map(|values| values.get(0).unwrap().clone()).map_err(|bad| bad.to_string())
}

fn text(text: &str) -> ParameterValue {
    ParameterValue::Text(text.to_owned())
}

fn list(elements: &[&str]) -> ParameterValue {
    ParameterValue::List(elements.iter().map(|element| (*element).to_owned()).collect())
}

#[rstest]
#[case(json!({"type": "String"}), " a: b ", text(" a: b "))]
#[case(json!({"type": "String", "enum": ["a", "b"]}), "b", text("b"))]
#[case(json!({"type": "String", "pattern": "^[a-z]+$"}), "abc", text("abc"))]
#[case(json!({"type": "Integer"}), " -5 ", ParameterValue::Integer(-5))]
#[case(json!({"type": "Integer", "minimum": 1, "maximum": 5}), "5", ParameterValue::Integer(5))]
#[case(json!({"type": "Number"}), "1e3", ParameterValue::Number(1000.0))]
#[case(json!({"type": "Boolean"}), "true", ParameterValue::Boolean(true))]
#[case(json!({"type": "Quantity"}), "0.10", ParameterValue::Quantity("0.10".to_owned()))]
#[case(json!({"type": "Quantity", "enum": ["100m"]}), "0.1", ParameterValue::Quantity("0.1".to_owned()))]
#[case(json!({"type": "Quantity", "minimum": "64Mi", "maximum": "1Gi"}), "1024Mi", ParameterValue::Quantity("1024Mi".to_owned()))]
#[case(json!({"type": "Quantity", "minimum": -1}), "-500m", ParameterValue::Quantity("-500m".to_owned()))]
#[case(json!({"type": "Duration", "maximum": "1h"}), "60m", ParameterValue::Duration("60m".to_owned()))]
#[case(json!({"type": "StringList"}), "a, b ,,c", list(&["a", "b", "c"]))]
#[case(json!({"type": "StringList"}), "", list(&[]))]
#[case(json!({"type": "StringList", "enum": ["a", "b"]}), "b,a", list(&["b", "a"]))]
fn takes(#[case] mut declared: Value, #[case] value: &str, #[case] expected: ParameterValue) {
    declared["name"] = "x".into();
    assert_eq!(set(&declared, value), Ok(expected));
}

#[rstest]
#[case(json!({"type": "String", "enum": ["a", "b", "c"]}), "d", "is \"d\"; it must be a, b or c")]
#[case(json!({"type": "String", "pattern": "^[a-z]+$"}), "A", "is \"A\"; it must match the pattern ^[a-z]+$")]
#[case(json!({"type": "String"}), "a\nb", "is \"a\\nb\"; it must not hold line ends or other control characters")]
#[case(json!({"type": "String"}), "\u{0}", "is \"\\0\"; it must not hold line ends or other control characters")]
#[case(json!({"type": "Integer"}), "1.0", "is \"1.0\"; it must be a whole number")]
#[case(json!({"type": "Integer"}), "9223372036854775808", "is \"9223372036854775808\"; it must be a whole number")]
#[case(json!({"type": "Integer", "minimum": 1, "maximum": 65535}), "0", "is \"0\"; it must be from 1 to 65535")]
#[case(json!({"type": "Integer", "minimum": 1}), "0", "is \"0\"; it must be from 1 up")]
#[case(json!({"type": "Number"}), "NaN", "is \"NaN\"; it must be a number")]
#[case(json!({"type": "Number"}), "1e999", "is \"1e999\"; it must be a number")]
#[case(json!({"type": "Boolean"}), "yes", "is \"yes\"; it must be true or false")]
#[case(json!({"type": "Quantity"}), "64 MB", "is \"64 MB\"; it must be a quantity such as 100m or 64Mi")]
#[case(json!({"type": "Quantity", "maximum": "1Gi"}), "1025Mi", "is \"1025Mi\"; it must be of at most 1Gi")]
#[case(json!({"type": "Quantity", "minimum": "0"}), "-1", "is \"-1\"; it must be from 0 up")]
#[case(json!({"type": "Duration"}), "30", "is \"30\"; it must be a duration such as 30s, 500ms or 1h30m")]
#[case(json!({"type": "Duration", "minimum": "1s"}), "999ms", "is \"999ms\"; it must be from 1s up")]
#[case(json!({"type": "StringList", "enum": ["a"]}), "a,b", "is \"a,b\"; it holds \"b\", and each element must be a")]
#[case(json!({"type": "StringList", "pattern": "^a$"}), "a,b", "is \"a,b\"; it holds \"b\", and each element must match the pattern ^a$")]
fn refuses(#[case] mut declared: Value, #[case] value: &str, #[case] expected: &str) {
    declared["name"] = "x".into();
    let expected = format!("annotation params.sidecarpolicy.dev/p.x {expected}");
    assert_eq!(set(&declared, value), Err(expected));
}

#[test]
fn long_values_are_refused_and_shortened_in_messages() {
    let long = "a".repeat(MAX_VALUE + 1);
    let error = set(&json!({"name": "x"}), &long).unwrap_err();
    assert!(error.ends_with("has 4097 bytes; a value has at most 4096"), "{error}");
    let error = set(&json!({"name": "x", "enum": ["b"]}), &long[1..]).unwrap_err();
    assert!(error.len() < 200 && error.contains("aaa…; it must be b"), "{error}");
}

#[test]
fn the_nearest_level_decides() {
    let parameters = one(&json!({"name": "x", "default": "default"}));
    let none = BTreeMap::new();
    let value = |levels: [&dyn Lookup; 2]| parameters.values(levels).unwrap().get(0).cloned();
    assert_eq!(value([&annotated("pod"), &annotated("namespace")]), Some(text("pod")));
    assert_eq!(value([&none, &annotated("namespace")]), Some(text("namespace")));
    assert_eq!(value([&none, &none]), Some(text("default")));
    let bad =
        one(&json!({"name": "x", "enum": ["a"]})).values([&none, &annotated("b")]).unwrap_err();
    assert_eq!(
        bad.to_string(),
        "annotation params.sidecarpolicy.dev/p.x of the namespace is \"b\"; it must be a"
    );
}

#[test]
fn the_cluster_kind_has_annotations_of_its_own() {
    let id = PolicyId::cluster("mesh");
    let (parameters, _) = declare(&id, &json!([{"name": "x"}, {"name": "y"}]));
    let annotations: Vec<_> =
        parameters.declared.iter().map(|declaration| declaration.annotation.as_str()).collect();
    assert_eq!(
        annotations,
        ["params.cluster.sidecarpolicy.dev/mesh.x", "params.cluster.sidecarpolicy.dev/mesh.y"]
    );
    assert_eq!(parameters.names().collect::<Vec<_>>(), ["x", "y"]);
}

#[test]
fn a_required_parameter_that_is_missing_says_what_to_set() {
    let parameters =
        one(&json!({"name": "x", "type": "Integer", "required": true, "minimum": 1, "maximum": 9}));
    let none = BTreeMap::new();
    assert_eq!(
        parameters.values([&none, &none]).unwrap_err().to_string(),
        "annotation params.sidecarpolicy.dev/p.x is missing; the policy requires it: set it to a whole number from 1 to 9"
    );
}

#[rstest]
#[case(json!({"name": "X"}), "spec.parameters[0].name: \"X\" must begin with a lower-case letter and hold at most 21 letters and digits, because expressions read it as params.NAME")]
#[case(json!({"name": "x", "default": 1}), "spec.parameters[0].default: is 1; it must be text; put it in quotes")]
#[case(json!({"name": "x", "type": "Integer", "default": "1"}), "spec.parameters[0].default: is \"1\"; it must be a whole number; write it without quotes")]
#[case(json!({"name": "x", "type": "Integer", "default": 0, "minimum": 1}), "spec.parameters[0].default: is 0; it must be from 1 up")]
#[case(json!({"name": "x", "type": "StringList", "default": "a,b"}), "spec.parameters[0].default: is \"a,b\"; it must be a comma-separated list; write [a, b]")]
#[case(json!({"name": "x", "type": "Boolean", "default": "true"}), "spec.parameters[0].default: is \"true\"; it must be true or false; write it without quotes")]
#[case(json!({"name": "x", "default": "c", "enum": ["a", "b"]}), "spec.parameters[0].default: is \"c\"; it must be a or b")]
#[case(json!({"name": "x", "default": "a", "required": true}), "spec.parameters[0].required: has no meaning beside a default; leave one of them out")]
#[case(json!({"name": "x", "type": "Integer", "pattern": "a"}), "spec.parameters[0].pattern: is for String and StringList; leave it out with Integer")]
#[case(json!({"name": "x", "pattern": "("}), "spec.parameters[0].pattern: is not a regular expression (RE2 syntax): unclosed group")]
#[case(json!({"name": "x", "minimum": 1}), "spec.parameters[0].minimum: is for Integer, Number, Quantity and Duration; leave it out with String")]
#[case(json!({"name": "x", "type": "Quantity", "maximum": "1 GB"}), "spec.parameters[0].maximum: is \"1 GB\"; it must be a quantity such as 100m or 64Mi")]
#[case(json!({"name": "x", "type": "Duration", "minimum": "2s", "maximum": "1s"}), "spec.parameters[0].minimum: 2s is above the maximum 1s; exchange them")]
#[case(json!({"name": "x", "enum": ["a", 1]}), "spec.parameters[0].enum[1]: is 1; it must be text; put it in quotes")]
#[case(json!({"name": "x", "pattern": "^a", "enum": ["b"]}), "spec.parameters[0].enum[0]: is \"b\"; it must match the pattern ^a")]
fn does_not_compile(#[case] declared: Value, #[case] expected: &str) {
    let (_, problems) = declare(&PolicyId::namespaced("shop", "p"), &json!([declared]));
    assert_eq!(problems, [expected]);
}

#[test]
fn names_are_used_once() {
    let (parameters, problems) =
        declare(&PolicyId::namespaced("shop", "p"), &json!([{"name": "x"}, {"name": "x"}]));
    assert_eq!(problems, ["spec.parameters[1].name: \"x\" is used twice; rename one"]);
    assert_eq!(parameters.names().count(), 1);
}

proptest! {
    #[test]
    fn no_value_panics_and_what_is_taken_is_what_was_written(value in ".*", kind in 0_usize..7) {
        let kinds = ["String", "Integer", "Number", "Boolean", "Quantity", "Duration", "StringList"];
        let taken = set(&json!({"name": "x", "type": kinds[kind]}), &value);
        if let Ok(ParameterValue::Text(text)) = taken {
            prop_assert_eq!(text, value);
        }
    }
}
