//! Any text as object, policy and annotations: three JSON texts with a zero byte between.

#![no_main]
#![allow(
    dead_code,
    reason = "the property tests use more of the modules that are shared with them"
)]

#[path = "../../tests/patch_laws/mod.rs"]
mod patch_laws;

use std::{collections::BTreeMap, sync::Arc};

use inject::{Namespace, Operation, PolicyId, PolicySet, Workload, WorkloadKind, carry, compile};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

use crate::patch_laws::{check, run, shop};

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let mut parts = text.splitn(3, '\0');
    let object = parts.next().unwrap_or_default();
    let spec = serde_json::from_str(parts.next().unwrap_or_default());
    let annotations: Option<BTreeMap<String, String>> =
        parts.next().and_then(|text| serde_json::from_str(text).ok());
    let namespace = Namespace { annotations: annotations.unwrap_or_default(), ..shop() };
    let mut policies = Vec::new();
    if let Ok(spec) = spec {
        for id in [PolicyId::namespaced("shop", "one"), PolicyId::cluster("two")] {
            policies.extend(compile(id, "uid", 1, &spec).ok().map(Arc::new));
        }
    }
    // Whatever the text is, nothing panics.
    let _ = run(object, &namespace, &policies);
    // The API server sends JSON without a key that stands twice in one map.
    let Ok(value) = serde_json::from_str::<Value>(object) else { return };
    if let Err(law) = check(&value.to_string(), &namespace, &policies) {
        panic!("{law}\nobject {value}");
    }
    let set = policies.iter().fold(PolicySet::default(), |mut set, policy| {
        set.insert(Arc::clone(policy));
        set
    });
    carry_twice(&value, &set);
});

/// Carrying the annotations of a workload twice is carrying them once.
fn carry_twice(object: &Value, policies: &PolicySet) {
    let call = |object: &Value| {
        let text = object.to_string();
        let workload: Workload<'_> = inject::read(&text).ok()?;
        let carried =
            carry(WorkloadKind::Deployment, Operation::Create, &workload, "shop", policies);
        let mut patch = String::new();
        carried.edits.write(&mut patch);
        Some(patch)
    };
    let Some(patch) = call(object) else { return };
    let operations: json_patch::Patch = serde_json::from_str(&patch).expect("a JSON patch");
    let mut carried = object.clone();
    json_patch::patch(&mut carried, &operations)
        .unwrap_or_else(|error| panic!("{error}: {patch}\nobject {object}"));
    assert_eq!(call(&carried).as_deref(), Some("[]"), "after {patch}\nobject {object}");
}
