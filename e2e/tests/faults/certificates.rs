//! Authority and certificate that are replaced, deleted or spoilt while pods are created.

use e2e::certificates::{
    AUTHORITY, LEAF, published, replace, spoil, wait_for_another, wait_until_served,
};
use e2e::load::PodCreation;
use e2e::{TestNamespace, manifests};

use crate::{PODS, report};

/// Refused is what fails with a policy that says `Fail`, and every error of TLS refuses such a pod.
#[test]
fn no_call_fails_while_certificates_are_replaced() {
    let namespace = TestNamespace::create("rotation");
    namespace.apply_policy(&manifests::failing_policy("required", "required"));
    namespace.apply_policy(&manifests::policy("optional", "optional"));
    let required = PodCreation::start(namespace.name(), "required", "required");
    let optional = PodCreation::start(namespace.name(), "optional", "optional");

    replace(LEAF);
    wait_until_served();
    spoil(LEAF, "tls.crt");
    wait_until_served();
    spoil(LEAF, "tls.key");
    wait_until_served();
    let before = published();
    replace(AUTHORITY);
    wait_for_another(&before);
    wait_until_served();
    let before = published();
    spoil(AUTHORITY, "ca.key");
    wait_for_another(&before);
    wait_until_served();

    let all = [required.finish(PODS / 2), optional.finish(PODS / 2)];
    let sum = |of: fn(&e2e::load::Admissions) -> usize| all.iter().map(of).sum::<usize>();
    report(
        "certificates deleted and spoilt, five times",
        &format!(
            "{} pods created, {} refused, {} bare",
            sum(e2e::load::Admissions::count),
            sum(|admissions| admissions.refused.len()),
            sum(|admissions| admissions.bare.len())
        ),
    );
    for admissions in all {
        admissions.assert_all_injected();
    }
}
