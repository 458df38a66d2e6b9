use std::collections::BTreeMap;

use proptest::prelude::*;
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::{
    Namespace, Pod, PolicyId,
    facts::{Member, PodFacts},
    problem::Problems,
    read,
};

const POD: &str = r#"{
  "metadata": {
    "generateName": "api-7d4b9c-",
    "labels": {"app": "api", "tier": "web", "pod-template-hash": "7d4b9c", "sidecarpolicy.dev/injected": "true"},
    "annotations": {"a.example/port": "8080", "sidecarpolicy.dev/skip": "x", "params.sidecarpolicy.dev/p.level": "debug"},
    "ownerReferences": [{"kind": "ReplicaSet", "name": "api-7d4b9c", "controller": true}]
  },
  "spec": {"serviceAccountName": "robot", "hostNetwork": true, "shareProcessNamespace": true}
}"#;

/// Parameters `level`, `port`, `ratio`, `debug`, `hosts` with defaults, and `extra` without.
pub(crate) fn parameters() -> Parameters {
    let declared = json!([
        {"name": "level", "default": "info"},
        {"name": "port", "type": "Integer", "default": 8080},
        {"name": "ratio", "type": "Number", "default": 0.5},
        {"name": "debug", "type": "Boolean", "default": false},
        {"name": "memory", "type": "Quantity", "default": "64Mi"},
        {"name": "hosts", "type": "StringList", "default": ["a", "b"]},
        {"name": "extra"},
    ]);
    let declared: Vec<crds::Parameter> = serde_json::from_value(declared).unwrap();
    let mut problems = Problems::default();
    let parameters =
        Parameters::compile(&PolicyId::namespaced("shop", "p"), &declared, &mut problems);
    problems.or_ok(parameters).unwrap()
}

pub(crate) fn with_facts<T>(
    pod: &str,
    parameters: &Parameters,
    test: impl FnOnce(&Facts<'_, '_>) -> T,
) -> T {
    let pod: Pod<'_> = read(pod).unwrap();
    let namespace = Namespace {
        name: "shop".to_owned(),
        labels: [("team".to_owned(), "pay".to_owned())].into(),
        annotations: BTreeMap::new(),
    };
    let values = parameters.values([&pod.metadata.annotations, &namespace.annotations]).unwrap();
    let pod = PodFacts::new(&pod, &namespace, crate::facts::Added::default());
    test(&Facts::new(&pod, "p", "0123", &values))
}

fn evaluate(text: &str) -> Result<serde_json::Value, String> {
    let parameters = parameters();
    let expression = Expression::in_template(text, &parameters)?;
    with_facts(POD, &parameters, |facts| expression.evaluate(facts).map(|value| to_json(&value)))
}

fn to_json(value: &Value<'_>) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Boolean(boolean) => json!(boolean),
        Value::Integer(integer) => json!(integer),
        Value::Double(double) => json!(double),
        Value::Text(text) => json!(text.as_str()),
        Value::List(list) => list.iter().map(to_json).collect(),
        Value::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.as_str().unwrap().to_owned(), to_json(value)))
            .collect(),
        Value::Entries(entries) => {
            entries.keys().map(|key| (key.to_owned(), json!(entries.get(key)))).collect()
        }
    }
}

#[rstest]
// facts
#[case("pod.metadata.labels.app", json!("api"))]
#[case("pod.metadata.labels['app']", json!("api"))]
#[case("pod['metadata'].labels['app']", json!("api"))]
#[case("pod.metadata.annotations['a.example/port']", json!("8080"))]
#[case("pod.metadata.generateName", json!("api-7d4b9c-"))]
#[case("pod.metadata.namespace", json!("shop"))]
#[case("has(pod.metadata.name)", json!(false))]
#[case("has(pod.metadata.name) ? pod.metadata.name : workload.name", json!("api"))]
#[case("has(pod.metadata.labels.app) && !has(pod.metadata.labels.nope)", json!(true))]
#[case("pod.spec.serviceAccountName", json!("robot"))]
#[case("pod.spec.hostNetwork && !pod.spec.hostPID", json!(true))]
#[case("pod.spec.restartPolicy", json!("Always"))]
#[case("has(pod.spec.nodeName)", json!(false))]
#[case("namespace.name + '/' + namespace.labels.team", json!("shop/pay"))]
#[case("workload.kind + '/' + workload.name", json!("Deployment/api"))]
#[case("policy.name + '@' + policy.revision", json!("p@0123"))]
// parameters
#[case("params.level", json!("debug"))]
#[case("params['port'] + 1", json!(8081))]
#[case("params.ratio * 2.0", json!(1.0))]
#[case("params.debug ? 'yes' : 'no'", json!("no"))]
#[case("params.memory", json!("64Mi"))]
#[case("params.hosts", json!(["a", "b"]))]
#[case("has(params.extra) ? params.extra : 'none'", json!("none"))]
// our own keys are hidden
#[case("'sidecarpolicy.dev/injected' in pod.metadata.labels", json!(false))]
#[case("pod.metadata.annotations.exists(k, k.contains('sidecarpolicy.dev'))", json!(false))]
#[case("size(pod.metadata.annotations)", json!(1))]
// operators
#[case("1 + 2 * 3 - 8 / 3 % 2", json!(7))]
#[case("(1 + 2) * -3", json!(-9))]
#[case("--1", json!(1))]
#[case("!!true", json!(true))]
#[case("-9223372036854775808", json!(i64::MIN))]
#[case("0x1F", json!(31))]
#[case("1.5e3 + .5", json!(1500.5))]
#[case("1 < 2 && 'a' <= 'b' && 2.0 > 1 && !(1 == 2)", json!(true))]
#[case("9007199254740993 > 9007199254740992.0", json!(true))]
#[case("1 == 1.0", json!(true))]
#[case("1 != 2 || params.hosts[9] == 'x'", json!(true))]
#[case("params.hosts[9] == 'x' || true", json!(true))]
#[case("params.hosts[9] == 'x' && false", json!(false))]
#[case("true ? 1 : false ? 2 : 3", json!(1))]
#[case("'a' in params.hosts", json!(true))]
#[case("'app' in pod.metadata.labels", json!(true))]
#[case("params.hosts + ['c']", json!(["a", "b", "c"]))]
#[case("[1, 2,][1]", json!(2))]
#[case("{'info': 1, 'debug': 2}[params.level]", json!(2))]
#[case("{'a': {'b': 'c'}}.a.b", json!("c"))]
// iterations
#[case("params.hosts.map(h, h + ':80').join(',')", json!("a:80,b:80"))]
#[case("params.hosts.map(h, h != 'a', h)", json!(["b"]))]
#[case("params.hosts.filter(h, h == 'a')", json!(["a"]))]
#[case("params.hosts.all(h, h != '')", json!(true))]
#[case("params.hosts.exists(h, h == 'b')", json!(true))]
#[case("params.hosts.exists_one(h, h != 'b')", json!(true))]
#[case("pod.metadata.labels.filter(k, k.startsWith('t'))", json!(["tier"]))]
#[case("params.hosts.filter(h, h == 'a').map(x, x + '!')", json!(["a!"]))]
#[case("[].exists(x, x == 1)", json!(false))]
// functions
#[case("'Straße'.size()", json!(6))]
#[case("size(params.hosts) + size({'a': 1})", json!(3))]
#[case("'AbC'.lowerAscii() + 'AbC'.upperAscii()", json!("abcABC"))]
#[case("' a b '.trim()", json!("a b"))]
#[case("'a.b.c'.replace('.', '-')", json!("a-b-c"))]
#[case("'ab'.replace('', '-')", json!("-a-b-"))]
#[case("'a,b,,c'.split(',')", json!(["a", "b", "", "c"]))]
#[case("'äb'.split('')", json!(["ä", "b"]))]
#[case("['a', 'b'].join()", json!("ab"))]
#[case("'äbcd'.substring(1) + 'äbcd'.substring(0, 1)", json!("bcdä"))]
#[case("'äbc'.indexOf('c') + 'äbc'.indexOf('x')", json!(1))]
#[case("'abab'.lastIndexOf('a')", json!(2))]
#[case("'api-1'.matches('^[a-z]+-\\\\d$')", json!(true))]
#[case("'api-1'.matches(r'^[a-z]+-\\d$')", json!(true))]
#[case("'abc'.startsWith('a') && 'abc'.endsWith('c') && 'abc'.contains('b')", json!(true))]
#[case("string(1) + string(1.5) + string(true) + string('x')", json!("11.5truex"))]
#[case("int('42') + int(1.9) + int(3)", json!(46))]
#[case("double('0.5') + double(1)", json!(1.5))]
// literals
#[case(r#""a\"b" + 'c\'d' + 'é\x41é\101'"#, json!("a\"bc'déAéA"))]
#[case("'''a'b''' + r'\\d}'", json!("a'b\\d}"))]
#[case("1 // a comment", json!(1))]
fn gives(#[case] text: &str, #[case] expected: serde_json::Value) {
    assert_eq!(evaluate(text), Ok(expected));
}

#[rstest]
#[case(
    "HOME",
    "HOME is not known; there are params, pod, namespace, workload, policy (at character 1)"
)]
#[case(
    "params.lvl",
    "there is no parameter lvl; declared are level, port, ratio, debug, memory, hosts, extra (at character 7)"
)]
#[case(
    "params",
    "name a parameter: level, port, ratio, debug, memory, hosts, extra (at character 1)"
)]
#[case(
    "params.extra",
    "params.extra may be absent: give it a default, make it required, or write has(params.extra) ? params.extra : … (at character 7)"
)]
#[case(
    "params[params.level]",
    "only a constant field can be named here, as in pod.spec (at character 7)"
)]
#[case("pod", "this is an object; name one of its fields: metadata, spec (at character 1)")]
#[case(
    "pod.labels",
    "there is no field labels here; there are metadata, spec; write pod.metadata.labels (at character 4)"
)]
#[case(
    "namespace.metadata.labels",
    "there is no field metadata here; there are name, labels, annotations; write namespace.labels (at character 10)"
)]
#[case(
    "pod.spec.shareProcessNamespace",
    "there is no field shareProcessNamespace here; there are dnsPolicy, hostIPC, hostNetwork, hostPID, hostname, nodeName, priorityClassName, restartPolicy, runtimeClassName, schedulerName, serviceAccountName, subdomain (at character 9)"
)]
#[case("params.level.size", "string has no field size (at character 13)")]
#[case(
    "params.level + 1",
    "+ does not take string and int; convert one with string(…), int(…) or double(…) (at character 14)"
)]
#[case(
    "params.port == '1'",
    "== does not take int and string; convert one with string(…), int(…) or double(…) (at character 13)"
)]
#[case(
    "params.port * 0.5",
    "* does not take int and double; convert one with int(…) or double(…) (at character 13)"
)]
#[case("1 && true", "&& takes bool, not int (at character 1)")]
#[case("params.level ? 1 : 2", "? takes bool, not string (at character 7)")]
#[case(
    "pod.metadata.labels == namespace.labels",
    "== does not take map(string) and map(string) (at character 21)"
)]
#[case("size(1)", "size takes a string, a list or a map, not int (at character 1)")]
#[case(
    "params.level.replace('a')",
    "replace takes two strings behind a string: what is replaced, and by what, not string and string (at character 13)"
)]
#[case(
    "lowerAscii('a')",
    "lowerAscii is written behind its value: value.lowerAscii(…) (at character 1)"
)]
#[case("'a'.int()", "int is written around its value: int(value) (at character 4)")]
#[case(
    "now()",
    "there is no function now; there are size, string, int, double and has (at character 1)"
)]
#[case(
    "'a'.reverse()",
    "there is no function reverse; there are size, contains, startsWith, endsWith, lowerAscii, upperAscii, trim, replace, split, join, substring, indexOf, lastIndexOf, matches, all, exists, exists_one, filter and map (at character 4)"
)]
#[case(
    "'a'.matches(params.level)",
    "matches takes one pattern, written as a string: it is compiled with the policy (at character 4)"
)]
#[case(
    "'a'.matches('(')",
    "this pattern is not a regular expression (RE2 syntax): unclosed group (at character 13)"
)]
#[case(
    "has(params)",
    "has takes a field, as in has(params.level) or has(pod.metadata.labels.app) (at character 1)"
)]
#[case(
    "[1].map(x, [2].map(y, y))",
    "iterations do not nest; one of all, exists, exists_one, filter and map at a time (at character 15)"
)]
#[case("[1].map(pod, pod)", "pod is a variable already; choose another name (at character 9)")]
#[case(
    "[1].map(1, 2)",
    "the first argument has to be a name for the element, as in list.exists(e, e == 'a') (at character 4)"
)]
#[case(
    "'abc'.map(x, x)",
    "only a list or the keys of a map can be gone through, not string (at character 6)"
)]
#[case("{1: 2}", "the key of a map takes string, not int (at character 2)")]
#[case(
    "1u",
    "\"1u\" is not a number; unsigned integers are not available, leave out the u (at character 1)"
)]
#[case("b'a'", "bytes (b'…') are not available; use a string (at character 1)")]
#[case("'a", "this string is not closed; add its quote (at character 1)")]
#[case("'\\d'", "\"\\d\" is not an escape; write \\\\ for a backslash, or r'…' (at character 2)")]
#[case("a ? b", ": is missing at the end (at character 6)")]
#[case("1 +", "something is missing at the end (at character 4)")]
#[case("1 2", "found 2, which cannot stand here (at character 3)")]
#[case("", "something is missing at the end (at character 1)")]
#[case("é", "'é' has no meaning here (at character 1)")]
#[case(
    "9223372036854775808",
    "9223372036854775808 is not a whole number of 64 bits (at character 1)"
)]
#[case("Foo{a: 1}", "found {, which cannot stand here (at character 4)")]
fn does_not_compile(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(evaluate(text), Err(expected.to_owned()));
}

#[rstest]
#[case(
    "pod.metadata.name",
    "the pod has no pod.metadata.name; write has(pod.metadata.name) ? pod.metadata.name : …"
)]
#[case(
    "pod.metadata.labels.nope",
    "pod.metadata.labels has no \"nope\"; write \"nope\" in pod.metadata.labels ? pod.metadata.labels[\"nope\"] : …"
)]
#[case(
    "{'a': 1}[params.level]",
    "the map has no \"debug\"; write \"debug\" in the map ? the map[\"debug\"] : …"
)]
#[case("params.hosts[2]", "there is no element 2 in a list of 2")]
#[case("params.hosts[-1]", "there is no element -1 in a list of 2")]
#[case("1 / 0", "divides by zero")]
#[case("9223372036854775807 + params.port", "leaves the range of whole numbers (64 bits)")]
#[case("-(-9223372036854775808)", "leaves the range of whole numbers (64 bits)")]
#[case("-9223372036854775808 / -1", "leaves the range of whole numbers (64 bits)")]
#[case("int(1e30)", "leaves the range of whole numbers (64 bits)")]
#[case("int(params.level)", "int() cannot read \"debug\" as a whole number")]
#[case("'abc'.substring(2, 1)", "substring: the end lies before the start")]
#[case("'abc'.substring(4)", "substring: there is no character 4")]
#[case("[1, 'a'][0] + 'x'", "+ does not take int and string")]
fn fails(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(evaluate(text), Err(expected.to_owned()));
}

#[test]
fn a_condition_is_true_or_false() {
    let parameters = parameters();
    let condition = Expression::condition("workload.kind == 'Deployment'", &parameters).unwrap();
    assert_eq!(with_facts(POD, &parameters, |facts| condition.is_true(facts)), Ok(true));
    let error = Expression::condition("workload.kind", &parameters).err();
    let expected = "gives string, but a condition has to be true or false (bool)";
    assert_eq!(error.as_deref(), Some(expected));
    let error = Expression::condition("policy.revision == ''", &parameters).err();
    let expected =
        "policy is not known; there are params, pod, namespace, workload (at character 1)";
    assert_eq!(error.as_deref(), Some(expected));
    let mixed = Expression::condition("[true, 1][params.port - 8079]", &parameters).unwrap();
    let error = with_facts(POD, &parameters, |facts| mixed.is_true(facts));
    assert_eq!(error.err().as_deref(), Some("gave int, but a condition has to give a bool"));
}

#[rstest]
#[case::brackets("(", "1", ")")]
#[case::lists("[", "1", "]")]
#[case::maps("{'a':", "1", "}")]
#[case::calls("int(", "1", ")")]
#[case::not("!", "true", "")]
#[case::negate("-", "1", "")]
#[case::conditionals("true ? 1 : ", "1", "")]
#[case::sum("1 + ", "1", "")]
#[case::relation("1 == ", "1", "")]
#[case::selects("", "pod", ".a")]
#[case::indices("", "[1]", "[0]")]
#[case::unclosed("(", "", "")]
fn deep_nesting_is_refused_on_a_small_stack(
    #[case] open: &str,
    #[case] middle: &str,
    #[case] close: &str,
) {
    let compile = |depth: usize| {
        let text = format!("{}{middle}{}", open.repeat(depth), close.repeat(depth));
        // A quarter of what the threads of a server have.
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        thread
            .spawn(move || Expression::condition(&text, &parameters()).err())
            .unwrap()
            .join()
            .unwrap()
    };
    compile(31);
    assert!(compile(300).is_some_and(|error| error.contains("nests deeper")));
}

#[rstest]
#[case(MAX_TEMPLATE, true)]
#[case(MAX_TEMPLATE + 1, false)]
fn length_is_bounded(#[case] length: usize, #[case] taken: bool) {
    let text = format!("'{}'", "a".repeat(length - 2));
    assert_eq!(Expression::in_template(&text, &parameters()).is_ok(), taken);
}

/// A pod with as many annotations as the API server takes: 256 KiB of keys and values.
fn pod_with_annotations(entries: usize) -> String {
    let each = (256 << 10) / entries;
    let annotations: BTreeMap<String, String> = (0..entries)
        .map(|number| {
            let key = format!("k{number:06}");
            let value = "v".repeat(each - key.len());
            (key, value)
        })
        .collect();
    json!({"metadata": {"annotations": annotations}}).to_string()
}

/// Steps that an evaluation took.
fn steps(text: &str, pod: &str) -> (u32, Result<(), String>) {
    let parameters = parameters();
    let expression = Expression::condition(text, &parameters).unwrap();
    with_facts(pod, &parameters, |facts| {
        let before = facts.steps.get();
        let result = expression.is_true(facts).map(|_| ());
        (before - facts.steps.get(), result)
    })
}

#[rstest]
#[case("pod.metadata.annotations.exists(k, k == 'nope')")]
#[case("pod.metadata.annotations.exists(k, pod.metadata.annotations[k] == 'nope')")]
#[case("pod.metadata.annotations.map(k, pod.metadata.annotations[k]).join('') == ''")]
#[case(
    "pod.metadata.annotations.map(k, pod.metadata.annotations[k].replace('v', 'wwwwwwww')) == ['']"
)]
#[case("pod.metadata.annotations.all(k, pod.metadata.annotations[k].matches('(v+)+w') || true)")]
#[case("pod.metadata.annotations.map(k, pod.metadata.annotations[k].split('')) == [['']]")]
#[case(
    "pod.metadata.annotations.map(k, pod.metadata.annotations[k] + pod.metadata.annotations[k]) == ['']"
)]
fn no_annotations_make_an_evaluation_long(
    #[case] text: &str,
    #[values(1, 100, 1000, 20_000)] entries: usize,
) {
    let (steps, _) = steps(text, &pod_with_annotations(entries));
    assert!(steps <= 50_000, "{steps}");
}

#[test]
fn honest_conditions_are_far_below_the_limit() {
    let pod = pod_with_annotations(100);
    let text = "pod.metadata.annotations.exists(k, k.startsWith('k000099') && pod.metadata.annotations[k] == 'x')";
    let (steps, result) = steps(text, &pod);
    assert_eq!(result, Ok(()));
    assert!(steps < 5_000, "{steps}");
}

#[test]
fn too_many_steps_are_a_failure_that_says_so() {
    let text = "pod.metadata.annotations.exists(k, pod.metadata.annotations[k] == 'nope')";
    let (_, result) = steps(text, &pod_with_annotations(20_000));
    let expected =
        "takes too many steps: the pod or its namespace holds too much for it; read less";
    assert_eq!(result, Err(expected.to_owned()));
}

#[test]
fn all_expressions_of_a_policy_share_one_budget() {
    let parameters = parameters();
    let text = "pod.metadata.annotations.exists(k, pod.metadata.annotations[k] == 'nope')";
    let costly = Expression::condition(text, &parameters).unwrap();
    let cheap = Expression::condition("true", &parameters).unwrap();
    with_facts(&pod_with_annotations(20_000), &parameters, |facts| {
        let mut evaluations = 0;
        while facts.steps.get() > 0 {
            assert!(costly.is_true(facts).is_err());
            evaluations += 1;
        }
        assert_eq!(evaluations, 10);
        assert!(cheap.is_true(facts).is_err());
    });
}

#[rstest]
#[case("pod.metadata.annotations['k000000']", "gives more than 64 KiB")]
#[case("pod.metadata.annotations['k000000'] + 'x'", "makes a text of more than 64 KiB")]
#[case("pod.metadata.annotations['k000000'].upperAscii()", "makes a text of more than 64 KiB")]
#[case(
    "'aaaa'.replace('a', pod.metadata.annotations['k000000'])",
    "makes a text of more than 64 KiB"
)]
#[case(
    "['', '', ''].join(pod.metadata.annotations['k000000'])",
    "makes a text of more than 64 KiB"
)]
#[case("[pod.metadata.annotations['k000000']]", "gives more than 64 KiB")]
fn long_results_are_refused(#[case] text: &str, #[case] expected: &str) {
    let parameters = parameters();
    let expression = Expression::in_template(text, &parameters).unwrap();
    let error =
        with_facts(&pod_with_annotations(1), &parameters, |facts| expression.evaluate(facts).err());
    assert_eq!(error.as_deref(), Some(expected));
}

#[test]
fn what_a_policy_puts_in_by_expressions_is_bounded() {
    let parameters = parameters();
    let text = "pod.metadata.annotations['k000000'].substring(0, 60000)";
    let expression = Expression::in_template(text, &parameters).unwrap();
    with_facts(&pod_with_annotations(1), &parameters, |facts| {
        let given = (0..10).take_while(|_| expression.evaluate(facts).is_ok()).count();
        assert_eq!(given, 4);
    });
}

const REFERENCE: &str = include_str!("../../../docs/reference/expressions.md");

#[test]
fn the_reference_names_all_that_can_be_read_and_called() {
    let mut names: Vec<String> = functions::names().map(|name| format!("`{name}")).collect();
    let mut objects = Object::VARIABLES.map(|(name, object)| (name.to_owned(), object)).to_vec();
    while let Some((path, object)) = objects.pop() {
        for (name, member) in object.members() {
            let path = format!("{path}.{name}");
            match member {
                Member::Object(object) => objects.push((path, *object)),
                Member::Fact(..) => names.push(format!("`{path}`")),
            }
        }
    }
    assert!(names.len() > 30);
    for name in names {
        assert!(REFERENCE.contains(&name), "{name} is missing");
    }
}

#[test]
fn the_examples_of_the_reference_compile() {
    let section = REFERENCE.split("## Examples").nth(1).unwrap().split("\n## ").next().unwrap();
    let (templates, conditions) = section.split_once("As match conditions").unwrap();
    let examples = |part: &'static str| {
        part.lines()
            .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
            .map(|(code, _)| code)
    };
    let (mut problems, mut compiled) = (Problems::default(), 0);
    for example in examples(templates) {
        assert!(example.contains("${"), "{example}");
        let shape = &crate::shape::Shape::Unknown;
        let parameters = parameters();
        crate::template::Template::compile(
            example.into(),
            || shape,
            example,
            &parameters,
            &mut problems,
        );
        compiled += 1;
    }
    assert_eq!(problems.or_ok(()), Ok(()));
    for example in examples(conditions) {
        assert_eq!(Expression::condition(example, &parameters()).err(), None, "{example}");
        compiled += 1;
    }
    assert!(compiled > 10);
}

/// Expressions of constants that both evaluators know, from types that fit.
fn numbers() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (-3_i64..4).prop_map(|number| format!("({number})")),
        Just("9223372036854775807".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 2, |inner| {
        prop_oneof![
            (inner.clone(), "[-+*/%]", inner.clone())
                .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
            (comparisons(inner.clone()), inner.clone(), inner.clone())
                .prop_map(|(c, yes, no)| format!("({c} ? {yes} : {no})")),
            inner.clone().prop_map(|inner| format!("(-{inner})")),
            (inner.clone(), inner).prop_map(|(l, r)| format!("[{l}, {r}][{r}]")),
        ]
    })
}

fn comparisons(numbers: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    prop_oneof![
        (numbers.clone(), "(==|!=|<|<=|>|>=)", numbers.clone())
            .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
        (numbers.clone(), numbers).prop_map(|(l, r)| format!("({l} in [{r}, 1])")),
    ]
}

fn iterations(numbers: impl Strategy<Value = String> + Clone) -> impl Strategy<Value = String> {
    prop_oneof![
        (numbers.clone(), numbers.clone())
            .prop_map(|(l, r)| format!("[{l}, {r}].exists(x, x > {r})")),
        (numbers.clone(), numbers.clone())
            .prop_map(|(l, r)| format!("[{l}, {r}].all(x, x / {r} < 3)")),
        (numbers.clone(), numbers.clone())
            .prop_map(|(l, r)| format!("[{l}, {r}].exists_one(x, x == {r})")),
        (numbers.clone(), numbers.clone())
            .prop_map(|(l, r)| format!("([{l}, 1].map(x, x != 1, x - {r}) == [{r}])")),
        (numbers.clone(), numbers)
            .prop_map(|(l, r)| format!("({l} in [{l}, {r}].filter(x, x >= 0))")),
    ]
}

fn conditions() -> impl Strategy<Value = String> {
    prop_oneof![comparisons(numbers().boxed()), iterations(numbers().boxed())]
        .boxed()
        .prop_recursive(2, 6, 2, |inner| {
            prop_oneof![
                (inner.clone(), "(&&|\\|\\|)", inner.clone())
                    .prop_map(|(l, op, r)| format!("({l} {op} {r})")),
                // In brackets: `cel` takes `!!x` for `!x`.
                inner.prop_map(|inner| format!("(!{inner})")),
            ]
        })
}

/// What the crate `cel` makes of an expression of constants. It panics where a negation overflows, and then
/// says nothing of the rest, which may decide all the same: `error && false` is false.
fn by_cel(text: &str) -> std::thread::Result<Option<bool>> {
    // Its parser takes much stack.
    let text = text.to_owned();
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let run = move || {
        let program = cel::Program::compile(&text).unwrap();
        match program.execute(&cel::Context::default()) {
            Ok(cel::Value::Bool(boolean)) => Some(boolean),
            _ => None,
        }
    };
    thread.spawn(run).unwrap().join()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn evaluates_as_the_crate_cel_does(text in conditions()) {
        let parameters = parameters();
        let ours = Expression::condition(&text, &parameters).map_err(TestCaseError::fail)?;
        let ours = with_facts("{}", &parameters, |facts| ours.is_true(facts));
        if let Ok(expected) = by_cel(&text) {
            prop_assert_eq!(ours.ok(), expected, "{}", text);
        }
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in ".{0,60}") {
        let _ = evaluate(&text);
    }

    #[test]
    fn no_row_of_tokens_panics(tokens in proptest::collection::vec(
        prop::sample::select(vec![
            "params", "pod", ".", ".level", ".port", ".hosts", ".metadata", ".labels", "(", ")", "[", "]", "{",
            "}", ",", ":", "?", "!", "-", "+", "*", "/", "%", "==", "<", "&&", "||", " in ", "1", "0",
            "9223372036854775807", "-9223372036854775808", "1.5", "1e308", "'a'", "'äöü'", "''", "r'\\'", "true",
            "null", "x", ".map(x, ", ".filter(x, ", ".exists(x, ", ".all(x, ", ".size()", "size(", "int(",
            "double(", "string(", ".substring(1, 2)", ".split('')", ".join(',')", ".replace('', 'b')",
            ".matches('a+')", ".indexOf('ö')", "has(", ".app", "[0]", "['app']", "// c\n", "\u{0}",
        ]), 0..12))
    {
        let _ = evaluate(&tokens.concat());
    }
}
