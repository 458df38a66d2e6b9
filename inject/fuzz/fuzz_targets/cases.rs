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

/// More than a case takes. Generators draw anew while a number is out of range, so what they draw from
/// must neither end nor repeat itself.
const STREAM_LENGTH: usize = 64 * 1024;

/// A fixed stream of numbers without a pattern, changed wherever the input is not zero.
fn stream(input: &[u8]) -> Vec<u8> {
    let mut state = 0_u64;
    let numbers = std::iter::repeat_with(|| {
        // SplitMix64
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    });
    let mut bytes: Vec<u8> = numbers.take(STREAM_LENGTH / 8).flat_map(u64::to_le_bytes).collect();
    bytes.iter_mut().zip(input).for_each(|(byte, input)| *byte ^= input);
    bytes
}

fn draw(input: &[u8]) -> Option<Case> {
    let random = TestRng::from_seed(RngAlgorithm::PassThrough, &stream(input));
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
