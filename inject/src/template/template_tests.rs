use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    PolicyId,
    expression::tests::{parameters, with_facts},
};

fn compile(value: &Value, shape: &Shape) -> Result<Compiled, Vec<String>> {
    let mut problems = Problems::default();
    let compiled =
        Template::compile(value.clone(), || shape, "spec.x", &parameters(), &mut problems);
    problems
        .or_ok(compiled)
        .map_err(|invalid| invalid.problems.iter().map(ToString::to_string).collect())
}

fn render(value: &Value, shape: &Shape) -> Result<Value, Vec<String>> {
    match compile(value, shape)? {
        Compiled::Constant(value) => Ok(value),
        Compiled::Template(template) => {
            with_facts(POD, &parameters(), |facts| template.render(facts))
                .map_err(|error| vec![error.to_string()])
        }
    }
}

const POD: &str = r#"{"metadata": {"name": "api-0", "labels": {"app": "api", "count": "3"}}}"#;

#[rstest]
#[case(json!({"image": "r/${params.level}:1"}), json!({"image": "r/info:1"}))]
#[case(json!({"image": "${params.port}"}), json!({"image": "8080"}))]
#[case(json!({"image": "${params.debug}-${params.ratio}"}), json!({"image": "false-0.5"}))]
#[case(json!({"ports": [{"containerPort": "${params.port}"}]}), json!({"ports": [{"containerPort": 8080}]}))]
#[case(json!({"args": ["--a", "${params.hosts}", "--b=${params.level}"]}), json!({"args": ["--a", "a", "b", "--b=info"]}))]
#[case(json!({"args": ["${params.hosts.filter(h, h == 'z')}"]}), json!({"args": []}))]
#[case(json!({"args": ["${[1, 2]}"]}), json!({"args": ["1", "2"]}))]
#[case(json!({"livenessProbe": {"httpGet": {"port": "${params.port}"}}}), json!({"livenessProbe": {"httpGet": {"port": 8080}}}))]
#[case(json!({"livenessProbe": {"httpGet": {"port": "${params.level}"}}}), json!({"livenessProbe": {"httpGet": {"port": "info"}}}))]
#[case(json!({"livenessProbe": {"httpGet": {"port": "${params.level}-1"}}}), json!({"livenessProbe": {"httpGet": {"port": "info-1"}}}))]
#[case(json!({"resources": {"limits": {"memory": "${params.memory}"}}}), json!({"resources": {"limits": {"memory": "64Mi"}}}))]
#[case(json!({"resources": {"limits": {"memory": "${params.port}Mi"}}}), json!({"resources": {"limits": {"memory": "8080Mi"}}}))]
#[case(json!({"resources": {"limits": {"cpu": "${params.ratio}"}}}), json!({"resources": {"limits": {"cpu": 0.5}}}))]
#[case(json!({"securityContext": {"runAsNonRoot": "${!params.debug}"}}), json!({"securityContext": {"runAsNonRoot": true}}))]
#[case(json!({"securityContext": {"runAsUser": "${int(pod.metadata.labels.count)}"}}), json!({"securityContext": {"runAsUser": 3}}))]
#[case(json!({"ofTomorrow": {"number": "${params.port}", "text": "a${params.port}", "list": "${params.hosts}", "list2": ["${params.hosts}"]}}),
       json!({"ofTomorrow": {"number": 8080, "text": "a8080", "list": ["a", "b"], "list2": ["a", "b"]}}))]
#[case(json!({"args": ["echo $${HOME} $(VAR) $x } {"]}), json!({"args": ["echo ${HOME} $(VAR) $x } {"]}))]
#[case(json!({"args": ["$${HOME}-${params.level}-$${X}"]}), json!({"args": ["${HOME}-info-${X}"]}))]
#[case(json!({"args": ["$$${HOME}", "$$"]}), json!({"args": ["$${HOME}", "$$"]}))]
#[case(json!({"args": ["${'$'}${params.level}"]}), json!({"args": ["$info"]}))]
#[case(json!({"args": ["${'}'}${\"{\"}${r'\\}'}"]}), json!({"args": ["}{\\}"]}))]
#[case(json!({"args": ["${ {'info': 'x', 'b': 'y'}[params.level] }"]}), json!({"args": ["x"]}))]
#[case(json!({"args": ["${params.level // a } in a comment\n}"]}), json!({"args": ["info"]}))]
#[case(json!({"args": [1, null, {"a": true}]}), json!({"args": [1, null, {"a": true}]}))]
fn renders(#[case] value: Value, #[case] expected: Value) {
    assert_eq!(render(&value, Shape::container()), Ok(expected));
}

#[rstest]
#[case(json!({"args": ["${HOME}"]}), "spec.x.args[0]: ${HOME}: HOME is not known; there are params, pod, namespace, workload, policy (at character 1); for a literal ${HOME} write $${HOME}")]
#[case(json!({"args": ["${HOME:-/root}"]}), "spec.x.args[0]: ${HOME:-/root}: found :, which cannot stand here (at character 5); for a literal ${HOME:-/root} write $${HOME:-/root}")]
#[case(json!({"args": ["${1}"]}), "spec.x.args[0]: ${1}: is a number only; for a literal ${1} write $${1}")]
#[case(json!({"args": ["${#list}"]}), "spec.x.args[0]: ${#list…: '#' has no meaning here (at character 1); for a literal ${ write $${")]
#[case(json!({"args": ["${}"]}), "spec.x.args[0]: ${}: something is missing at the end (at character 1); for a literal ${} write $${}")]
#[case(json!({"args": ["${params.level"]}), "spec.x.args[0]: ${params.level…: the closing } is missing (at character 13); for a literal ${ write $${")]
#[case(json!({"args": ["${params.level + 'a}"]}), "spec.x.args[0]: ${params.level + 'a…: this string is not closed; add its quote (at character 16); for a literal ${ write $${")]
#[case(json!({"args": ["${params.lvl}"]}), "spec.x.args[0]: ${params.lvl}: there is no parameter lvl; declared are level, port, ratio, debug, memory, hosts, extra (at character 7)")]
#[case(json!({"args": "${params.hosts}"}), "spec.x.args: takes a list; write [\"${…}\"], whose place the elements of a list take")]
#[case(json!({"resources": "${params.level}"}), "spec.x.resources: takes an object; expressions stand in its fields")]
#[case(json!({"image": "${params.hosts}"}), "spec.x.image: ${params.hosts}: gives list(string), and text is wanted here; join it with .join(','), or let it be a whole element of a list")]
#[case(json!({"args": ["x${params.hosts}"]}), "spec.x.args[0]: ${params.hosts}: gives list(string), and text is wanted here; join it with .join(','), or let it be a whole element of a list")]
#[case(json!({"image": "${pod.metadata.labels}"}), "spec.x.image: ${pod.metadata.labels}: gives map(string), and text is wanted here; choose one of its values, as in labels['app']")]
#[case(json!({"image": "${null}"}), "spec.x.image: ${null}: gives null, and text is wanted here")]
#[case(json!({"ports": [{"containerPort": "${params.level}"}]}), "spec.x.ports[0].containerPort: ${params.level}: gives string, and a whole number is wanted here; use a parameter of type Integer, or int(…)")]
#[case(json!({"ports": [{"containerPort": "${params.ratio}"}]}), "spec.x.ports[0].containerPort: ${params.ratio}: gives double, and a whole number is wanted here; write int(…)")]
#[case(json!({"ports": [{"containerPort": "1${params.port}"}]}), "spec.x.ports[0].containerPort: takes a whole number, so it can only be one whole ${…}, without text around it")]
#[case(json!({"securityContext": {"privileged": "${params.level}"}}), "spec.x.securityContext.privileged: ${params.level}: gives string, and true or false is wanted here; use a parameter of type Boolean, or a comparison such as … == 'true'")]
#[case(json!({"securityContext": {"privileged": " ${params.debug}"}}), "spec.x.securityContext.privileged: takes true or false, so it can only be one whole ${…}, without text around it")]
#[case(json!({"ofTomorrow": {"a${params.level}": 1}}), "spec.x.ofTomorrow.a${params.level}: a key cannot hold an expression (${…}); write the key itself")]
fn does_not_compile(#[case] value: Value, #[case] expected: &str) {
    assert_eq!(render(&value, Shape::container()), Err(vec![expected.to_owned()]));
}

#[rstest]
#[case(json!({"image": "r:${pod.metadata.labels.version}"}), "spec.x.image: ${pod.metadata.labels.version}: pod.metadata.labels has no \"version\"; write \"version\" in pod.metadata.labels ? pod.metadata.labels[\"version\"] : …")]
#[case(json!({"resources": {"limits": {"memory": "${params.level}"}}}), "spec.x.resources.limits.memory: ${params.level}: gave \"info\", which is not a quantity such as 100m or 64Mi")]
#[case(json!({"resources": {"limits": {"memory": "${params.port}MB"}}}), "spec.x.resources.limits.memory: ${params.port}: gave \"8080MB\", which is not a quantity such as 100m or 64Mi")]
#[case(json!({"ports": [{"containerPort": "${[1, 'a'][1]}"}]}), "spec.x.ports[0].containerPort: ${[1, 'a'][1]}: gave string, and a whole number is wanted here")]
#[case(json!({"image": "${[1, ['a']][1]}"}), "spec.x.image: ${[1, ['a']][1]}: gave list, and text is wanted here")]
#[case(json!({"args": ["${[1, ['a']]}"]}), "spec.x.args[0]: ${[1, ['a']]}: gave list, and text is wanted here")]
#[case(json!({"ofTomorrow": "${1.0 / 0.0}"}), "spec.x.ofTomorrow: ${1.0 / 0.0}: gave inf, which is no number")]
fn fails_for_a_pod(#[case] value: Value, #[case] expected: &str) {
    assert_eq!(render(&value, Shape::container()), Err(vec![expected.to_owned()]));
}

#[test]
fn constant_parts_need_no_rendering() {
    let value = json!({"image": "a:$${x}", "args": ["$x"]});
    let Ok(Compiled::Constant(constant)) = compile(&value, Shape::container()) else {
        panic!("is a template");
    };
    assert_eq!(constant, json!({"image": "a:${x}", "args": ["$x"]}));
}

#[test]
fn every_problem_is_named() {
    let value = json!({"image": "${A}", "args": ["${B}"]});
    assert_eq!(compile(&value, Shape::container()).err().map(|problems| problems.len()), Some(2));
}

#[test]
fn the_content_of_a_file_is_text() {
    let value = json!("level = ${params.level}\nport = ${params.port}\n");
    assert_eq!(render(&value, &Shape::Text), Ok(json!("level = info\nport = 8080\n")));
}

/// Values that try to be more than one leaf.
fn hostile() -> impl Strategy<Value = String> {
    let short = prop_oneof![
        ".*",
        Just("\", \"privileged\": true, \"x\": \"".to_owned()),
        Just("a\nprivileged: true\n".to_owned()),
        Just("{\"privileged\": true}".to_owned()),
        Just("[\"a\", \"b\"]".to_owned()),
        Just("${pod.metadata.labels.app}".to_owned()),
        Just("$${x}".to_owned()),
        Just("}${'a'}".to_owned()),
        Just("- a\n- b".to_owned()),
        Just("!!binary |\n".to_owned()),
        Just("&a *a".to_owned()),
        Just("\u{0}\u{1}\u{7f}\u{2028}\u{202e}".to_owned()),
        Just("\\\"\\u0000'`$(reboot)".to_owned()),
        Just("true".to_owned()),
        Just("null".to_owned()),
        Just("1e999".to_owned()),
    ];
    prop_oneof![30 => short, 1 => Just("a".repeat(2 << 20))]
}

proptest! {
    /// Replaces each leaf by its kind: the structure that no value may change.
    #[test]
    fn no_annotation_value_changes_structure(value in hostile(), namespace_value in hostile()) {
        fn structure(value: &Value) -> Value {
            match value {
                Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), structure(value))).collect(),
                Value::Array(list) => list.iter().map(structure).collect(),
                Value::String(_) => "text".into(),
                Value::Number(_) => "number".into(),
                Value::Bool(_) => "boolean".into(),
                Value::Null => Value::Null,
            }
        }

        let declared: Vec<crds::Parameter> = serde_json::from_value(json!([
            {"name": "text"}, {"name": "number", "type": "Integer", "default": 1},
        ])).unwrap();
        let mut problems = Problems::default();
        let id = PolicyId::namespaced("shop", "p");
        let parameters = Parameters::compile(&id, &declared, &mut problems);
        let written = json!({
            "image": "${has(params.text) ? params.text : ''}",
            "args": ["a", "--x=${pod.metadata.annotations['x']}", "${pod.metadata.annotations['x']}"],
            "ports": [{"containerPort": "${params.number}"}],
            "env": [{"name": "A", "value": "${namespace.annotations['y']}"}],
            "ofTomorrow": {"a": "${pod.metadata.annotations['x']}"},
        });
        let compiled = Template::compile(written, Shape::container, "spec.x", &parameters, &mut problems);
        prop_assert!(problems.or_ok(()).is_ok());
        let Compiled::Template(template) = compiled else { return Err(TestCaseError::fail("constant")) };

        for parameter in ["text", "number"] {
            let annotations = json!({
                "x": &value,
                format!("params.sidecarpolicy.dev/p.{parameter}"): &value,
            });
            let pod = json!({"metadata": {"annotations": annotations}}).to_string();
            let pod: crate::Pod<'_> = crate::read(&pod).unwrap();
            let namespace = crate::Namespace {
                annotations: [("y".to_owned(), namespace_value.clone())].into(),
                ..crate::Namespace::default()
            };
            let Ok(values) = parameters.values([&pod.metadata.annotations, &namespace.annotations]) else {
                continue;
            };
            let pod = crate::facts::PodFacts::new(&pod, &namespace, crate::facts::Added::default());
            let Ok(rendered) = template.render(&Facts::new(&pod, "p", "0", &values)) else { continue };
            prop_assert_eq!(structure(&rendered), json!({
                "image": "text",
                "args": ["text", "text", "text"],
                "ports": [{"containerPort": "number"}],
                "env": [{"name": "text", "value": "text"}],
                "ofTomorrow": {"a": "text"},
            }));
            prop_assert_eq!(&rendered["args"][2], &json!(value));
            prop_assert_eq!(&rendered["env"][0]["value"], &json!(namespace_value));
        }
    }

    #[test]
    fn no_text_panics(text in "[${}'\"a-z. \\\\/\n]{0,40}") {
        let _ = render(&json!({"args": [text]}), Shape::container());
    }

    #[test]
    fn escaped_text_comes_out_as_it_was_meant(
        // A `$` in front of the escape would be one of its own.
        pieces in proptest::collection::vec(prop::sample::select(vec!["${", "}", "$a", "a", "{", " "]), 0..12)
    ) {
        let text = pieces.concat();
        let escaped = text.replace("${", "$${");
        prop_assert_eq!(render(&json!(escaped), &Shape::Text), Ok(json!(text)));
    }
}
