//! Replicas of the webhook that go one after another, as in an upgrade or when nodes are drained.

use e2e::installation::{self, WEBHOOK, kubectl_here};
use e2e::load::PodCreation;
use e2e::{TestNamespace, manifests};
use serde_json::json;

use crate::{PODS, processes, report, wait_for_counts};

#[test]
fn a_rolling_restart_refuses_no_pod_and_leaves_none_bare() {
    let namespace = TestNamespace::create("rolling");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let creation = PodCreation::start(namespace.name(), "api", "watcher");
    for _ in 0..2 {
        kubectl_here(&["rollout", "restart", WEBHOOK]);
        installation::wait_for_rollout(WEBHOOK);
    }
    // As a drain does: by the eviction of one that is not being replaced.
    let evicted = processes("webhook").remove(0).pod;
    kubectl_here(&["delete", "pod", &evicted]);
    installation::wait_for_rollout(WEBHOOK);
    let admissions = creation.finish(PODS);
    report(
        "rolling restarts of the webhook",
        &format!(
            "{} pods created, {} refused, {} bare",
            admissions.count(),
            admissions.refused.len(),
            admissions.bare.len()
        ),
    );
    admissions.assert_all_injected();
    let all = admissions.count();
    wait_for_counts(&namespace, "scp/watcher", &json!({"matched": all, "injected": all}));
}
