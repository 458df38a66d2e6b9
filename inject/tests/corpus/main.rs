//! Realistic pods and workloads, what a set of policies makes of each, and the laws upheld over all
//! of them. The folders beside this file: `policies`, `pods`, `workloads`, `refused` (what no API
//! server would accept), and `results`, one golden file for each object.
//!
//! `UPDATE_GOLDENS=1 cargo test -p inject --test corpus` writes the golden files anew.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that fails here says where"
)]

mod golden;
mod objects;
#[path = "../patch_laws/mod.rs"]
mod patch_laws;
mod policies;
mod yaml;

use patch_laws::{between_calls, check, run, shop};
use serde_json::Value;

#[test]
fn every_object_gives_its_golden_result() {
    let policies = policies::compiled();
    let results: Vec<(String, String)> = objects::read()
        .iter()
        .map(|object| (object.name.clone(), golden::result(object, &policies)))
        .collect();
    golden::compare(&results);
}

#[test]
fn the_laws_hold_over_the_corpus() {
    let policies = policies::compiled();
    let mut broken = Vec::new();
    for object in objects::read() {
        for pod in object.pods(&policies) {
            if let Err(law) = check(&pod, &shop(), &policies) {
                broken.push(format!("{}: {law}", object.name));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
}

#[test]
fn a_second_call_after_defaulting_and_mirrored_images_changes_nothing() {
    let policies = policies::compiled();
    for object in objects::read().iter().filter(|object| object.is_valid()) {
        for pod in object.pods(&policies) {
            let checked = check(&pod, &shop(), &policies).unwrap().unwrap();
            // serde_json's values do not keep every number.
            let Ok(mut pod) = serde_json::from_str(&checked.patched.to_string()) else { continue };
            between_calls::fill_in_defaults(&mut pod);
            between_calls::rewrite_images(&mut pod);
            let second = run(&pod.to_string(), &shop(), &policies).unwrap();
            if checked.seen.denied.is_none() {
                assert_eq!(second.denied, None, "{}", object.name);
                assert_eq!(second.patch, "[]", "{}: {pod}", object.name);
            }
        }
    }
}

#[test]
fn every_policy_alone_keeps_the_laws() {
    for policy in policies::compiled() {
        let alone = [policy];
        for object in objects::read() {
            for pod in object.pods(&alone) {
                if let Err(law) = check(&pod, &shop(), &alone) {
                    panic!("{} with {} alone: {law}", object.name, alone[0].id);
                }
            }
        }
    }
}

#[test]
fn the_corpus_is_large_and_every_policy_goes_into_some_pod() {
    let objects = objects::read();
    assert!(objects.len() >= 60, "{} objects", objects.len());
    let policies = policies::compiled();
    let mut idle: Vec<String> = policies.iter().map(|policy| policy.id.to_string()).collect();
    for pod in objects.iter().flat_map(|object| object.pods(&policies)) {
        let Some(seen) = run(&pod, &shop(), &policies) else { continue };
        idle.retain(|id| {
            let in_it = |(policy, reason, _): &(String, &str, String)| {
                policy == id && matches!(*reason, "Injected" | "WouldInject")
            };
            !seen.decisions.iter().any(in_it)
        });
    }
    assert!(idle.is_empty(), "into no pod of the corpus go: {idle:?}");
}

#[test]
fn a_golden_file_is_the_result_itself() {
    let policies = policies::compiled();
    for object in objects::read() {
        for pod in object.pods(&policies) {
            let Ok(Some(checked)) = check(&pod, &shop(), &policies) else { continue };
            let Ok(expected) = serde_json::from_str::<Value>(&checked.patched.to_string()) else {
                continue;
            };
            let printed = yaml::print(&checked.patched);
            let read: Value = serde_saphyr::from_str(&printed)
                .unwrap_or_else(|error| panic!("{}: {error}\n{printed}", object.name));
            assert_eq!(by_value(read), by_value(expected), "{}", object.name);
        }
    }
}

/// The same with every number in one form: YAML readers go by its value, not by its digits.
fn by_value(value: Value) -> Value {
    match value {
        Value::Number(number) => format!("{:e}", number.as_f64().unwrap() + 0.0).into(),
        Value::Array(items) => items.into_iter().map(by_value).collect(),
        Value::Object(members) => {
            members.into_iter().map(|(key, value)| (key, by_value(value))).collect()
        }
        value => value,
    }
}
