//! What the heart costs in process: no TLS, no HTTP, no cluster.

// A measurement has nobody to hand an error to.
#![allow(clippy::expect_used, clippy::panic)]

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bench::{
    corpora::{CORPORA, Corpus},
    policies::{self, Generated},
};
use divan::{Bencher, black_box};
use inject::{Exclusions, Pod, PolicySet, Request, inject};
use json_patch::Patch;
use serde_json::Value;
use webhook::admission::{Reviewed, review_pod};

fn main() {
    divan::main();
}

/// From the text of a review to the text of its answer.
#[divan::bench(consts = [1, 1_000, 10_000], args = CORPORA)]
fn review<const POLICIES: usize>(bencher: Bencher<'_, '_>, corpus: Corpus) {
    let snapshot = policies::snapshot(set(policies::generated(POLICIES)));
    let exclusions = exclusions();
    bencher.bench(|| review_pod(black_box(corpus.review), &snapshot, &exclusions));
}

/// The same for the second call that the API server makes: all that goes in is there already.
#[divan::bench(args = CORPORA)]
fn second_review(bencher: Bencher<'_, '_>, corpus: Corpus) {
    let snapshot = policies::snapshot(set(policies::generated(1)));
    let exclusions = exclusions();
    let answer = review_pod(corpus.review, &snapshot, &exclusions);
    let Ok(Reviewed::Answered { body, .. }) = answer else {
        panic!("a recorded review is answered")
    };
    let answer: Value = serde_json::from_slice(&body).expect("an answer is JSON");
    let mut review: Value = serde_json::from_str(corpus.review).expect("a review is JSON");
    if let Some(patch) = answer["response"]["patch"].as_str() {
        let patch = BASE64_STANDARD.decode(patch).expect("a patch is base64");
        let patch: Patch = serde_json::from_slice(&patch).expect("a patch is JSON");
        json_patch::patch(&mut review["request"]["object"], &patch).expect("the patch applies");
    }
    let review = review.to_string();
    bencher.bench(|| review_pod(black_box(&review), &snapshot, &exclusions));
}

/// The policies that may match the typical pod; six do in every set.
#[divan::bench(consts = [10, 1_000, 10_000])]
fn candidates<const POLICIES: usize>(bencher: Bencher<'_, '_>) {
    let set = set(policies::with_catch_all(POLICIES));
    let (pod, namespace) = (typical_pod(), policies::namespace());
    let pod: Pod<'_> = serde_json::from_str(&pod).expect("a recorded pod can be read");
    let matching = set.candidates(&pod.metadata, &namespace).into_iter().filter(|policy| {
        policy.pod_selector.matches(&pod.metadata.labels)
            && policy.namespace_selector.matches(&namespace.labels)
    });
    assert_eq!(matching.count(), 6);
    bencher.bench(|| set.candidates(black_box(&pod.metadata), &namespace));
}

/// Everything that is decided about the typical pod, once its metadata is read.
#[divan::bench(consts = [10, 1_000, 10_000])]
fn decide<const POLICIES: usize>(bencher: Bencher<'_, '_>) {
    let set = set(policies::with_catch_all(POLICIES));
    let (pod, namespace, exclusions) = (typical_pod(), policies::namespace(), exclusions());
    let pod: Pod<'_> = serde_json::from_str(&pod).expect("a recorded pod can be read");
    let request = Request {
        namespace: &namespace,
        exclusions: &exclusions,
        requester_is_node: false,
        uid: "",
    };
    bencher.bench(|| inject(black_box(&pod), &request, &set));
}

/// A policy takes the place of another, while a snapshot of what was before goes on being read.
#[divan::bench(consts = [10, 1_000, 10_000])]
fn change<const POLICIES: usize>(bencher: Bencher<'_, '_>) {
    let mut set = set(policies::generated(POLICIES));
    let changed = policies::generated(POLICIES).nth(POLICIES / 2);
    let changed = changed.expect("there are so many").compile().expect("it compiles");
    let changed = Arc::new(changed);
    bencher.bench_local(|| {
        let snapshot = set.clone();
        set.insert(Arc::clone(&changed));
        snapshot
    });
}

/// From the spec of a policy as JSON to the compiled policy.
#[divan::bench]
fn compile(bencher: Bencher<'_, '_>) {
    let policy = policies::generated(1).next().expect("there is one");
    bencher.bench(|| black_box(&policy).compile());
}

fn set(policies: impl Iterator<Item = Generated>) -> PolicySet {
    policies::set(policies).expect("generated policies compile")
}

fn exclusions() -> Exclusions {
    Exclusions::new("sidecar-policy-system", &[])
}

fn typical_pod() -> String {
    let [typical, ..] = CORPORA;
    let review: Value = serde_json::from_str(typical.review).expect("a recorded review is JSON");
    review["request"]["object"].to_string()
}
