//! A review in process, from the text of its body to the text of its answer: no TLS, no HTTP.

use bench::{
    corpora::{CORPORA, Corpus},
    policies,
};
use divan::Bencher;
use inject::Exclusions;
use webhook::admission::review_pod;

fn main() {
    divan::main();
}

#[divan::bench(consts = [1, 1_000, 10_000], args = CORPORA)]
#[allow(clippy::expect_used, reason = "a measurement has nobody to hand an error to")]
fn review<const POLICIES: usize>(bencher: Bencher<'_, '_>, corpus: Corpus) {
    let snapshot = policies::snapshot(POLICIES).expect("generated policies compile");
    let exclusions = Exclusions::new("sidecar-policy-system", &[]);
    bencher.bench(|| review_pod(divan::black_box(corpus.review), &snapshot, &exclusions));
}
