//! Pods and policies of every shape, drawn from the fuzzer's bytes by the generators of the property
//! tests, and held to their laws.

#![no_main]
#![allow(
    dead_code,
    reason = "the property tests use more of the modules that are shared with them"
)]

#[path = "../../tests/patch_laws/generators.rs"]
mod generators;
#[path = "../../tests/patch_laws/mod.rs"]
mod patch_laws;

use libfuzzer_sys::fuzz_target;
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    generators::{Case, any_case},
    patch_laws::{between_calls, check, run},
};

/// Fewer bytes do not fill a case, and the generators would go on with zeros.
const LEAST_BYTES: usize = 256;

fn draw(bytes: &[u8]) -> Option<Case> {
    if bytes.len() < LEAST_BYTES {
        return None;
    }
    let random = TestRng::from_seed(RngAlgorithm::PassThrough, bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), random);
    Some(any_case().new_tree(&mut runner).ok()?.current())
}

fuzz_target!(|bytes: &[u8]| {
    let Some(case) = draw(bytes) else { return };
    let (namespace, policies) = (case.namespace(), case.compiled());
    let checked = check(&case.pod.to_string(), &namespace, &policies)
        .unwrap_or_else(|law| panic!("{law}\n{case:#?}"))
        .unwrap_or_else(|| panic!("cannot be read: {case:#?}"));
    if checked.seen.denied.is_some() {
        return;
    }
    let Ok(mut pod) = serde_json::from_str(&checked.patched.to_string()) else { return };
    between_calls::fill_in_defaults(&mut pod);
    between_calls::rewrite_images(&mut pod);
    let second = run(&pod.to_string(), &namespace, &policies);
    let patch = second.map(|seen| seen.patch);
    assert_eq!(patch.as_deref(), Some("[]"), "after defaulting, for {case:#?}");
});
