//! `merge: Append`: values added to the app's own, once.

use inject::Policy;
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{api_pod, run, shop};

fn appended(name: &str, variable: Value) -> Policy {
    shop(name, json!({"appContainers": [{"env": [variable]}]}))
}

fn options(value: &str) -> Value {
    json!({"name": "OPTS", "value": value, "merge": "Append"})
}

fn pod(env: &Value) -> Value {
    let mut pod = api_pod();
    if !env.is_null() {
        pod["spec"]["containers"][0]["env"] = env.clone();
    }
    pod
}

#[rstest]
#[case::absent(json!(null), json!([{"name": "OPTS", "value": "-x"}]))]
#[case::there(json!([{"name": "OPTS", "value": "-a"}]), json!([{"name": "OPTS", "value": "-a -x"}]))]
#[case::empty(json!([{"name": "OPTS", "value": ""}]), json!([{"name": "OPTS", "value": "-x"}]))]
#[case::no_value(json!([{"name": "OPTS"}]), json!([{"name": "OPTS", "value": "-x"}]))]
#[case::once(json!([{"name": "OPTS", "value": "-x -a"}]), json!([{"name": "OPTS", "value": "-x -a"}]))]
#[case::the_last_counts(
    json!([{"name": "OPTS", "value": "-a"}, {"name": "OPTS", "value": "-b"}]),
    json!([{"name": "OPTS", "value": "-a"}, {"name": "OPTS", "value": "-b -x"}])
)]
#[case::quotes(json!([{"name": "OPTS", "value": "-a \"b\\c\""}]), json!([{"name": "OPTS", "value": "-a \"b\\c\" -x"}]))]
fn a_value_is_added(#[case] before: Value, #[case] after: Value) {
    let policy = || appended("p", options("-x"));
    let seen = run(vec![policy()], &pod(&before));
    assert_eq!(seen.pod["spec"]["containers"][0]["env"], after);
    assert!(run(vec![policy()], &seen.pod).unchanged());
}

#[test]
fn a_value_from_elsewhere_stays() {
    let source =
        json!([{"name": "OPTS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]);
    let seen = run(vec![appended("p", options("-x"))], &pod(&source));
    assert_eq!(seen.pod["spec"]["containers"][0]["env"], source);
    assert!(seen.warnings[0].contains("keeps its own variable OPTS"));
}

#[test]
fn several_policies_add_in_policy_order() {
    let policies = || {
        let mut comma = options("-c");
        comma["separator"] = json!(",");
        vec![appended("a", options("-a")), appended("b", options("-b")), appended("c", comma)]
    };
    for before in [json!(null), json!([{"name": "OPTS", "value": "-o"}])] {
        let own = if before.is_null() { "" } else { "-o " };
        let seen = run(policies(), &pod(&before));
        let env = &seen.pod["spec"]["containers"][0]["env"];
        assert_eq!(*env, json!([{"name": "OPTS", "value": format!("{own}-a -b,-c")}]));
        assert!(run(policies(), &seen.pod).unchanged());
    }
}

#[test]
fn the_position_is_guarded() {
    let seen =
        run(vec![appended("p", options("-x"))], &pod(&json!([{"name": "OPTS", "value": "-a"}])));
    let expected = [
        r#"{"op":"test","path":"/spec/containers/0/env/0/name","value":"OPTS"}"#,
        r#"{"op":"replace","path":"/spec/containers/0/env/0/value","value":"-a -x"}"#,
    ];
    assert!(seen.patch.contains(&expected.join(",")), "{}", seen.patch);
}

#[test]
fn a_source_that_may_hold_the_variable_is_told_of() {
    let mut pod = pod(&json!(null));
    pod["spec"]["containers"][0]["envFrom"] = json!([{"configMapRef": {"name": "c"}}]);
    let seen = run(vec![appended("p", options("-x"))], &pod);
    assert!(seen.warnings[0].contains("takes variables with envFrom; if OPTS is among them"));
}

/// What parts of one variable are separated by says nothing of another's, nor what is only audited.
#[rstest]
#[case::of_another_variable(json!({"name": "PATHS", "value": "/a", "merge": "Append", "separator": ""}), "Enforce")]
#[case::audited(json!({"name": "OPTS", "value": "-a", "merge": "Append", "separator": ""}), "Audit")]
fn a_separator_counts_for_its_variable(#[case] variable: Value, #[case] mode: &str) {
    let other = shop("a", json!({"mode": mode, "appContainers": [{"env": [variable]}]}));
    let env = json!([{"name": "OPTS", "value": "-Dteam=north-east"}]);
    let seen = run(vec![other, appended("b", options("-ea"))], &pod(&env));
    let options = &seen.pod["spec"]["containers"][0]["env"][0]["value"];
    assert_eq!(options, "-Dteam=north-east -ea");
}
