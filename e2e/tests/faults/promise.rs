//! `Ready` of a policy is a promise: the next matching pod gets it as it is now.

use e2e::{Pod, TestNamespace, manifests};
use serde_json::{Value, json};

use crate::{report, setting};

#[test]
fn ready_never_promises_too_much() {
    let rounds = setting("READY_ROUNDS", 300);
    let namespace = TestNamespace::create("promise");
    let mut missed: Vec<(u64, Value)> = Vec::new();
    for round in 0..rounds {
        // Changed most of the time, new each tenth time, and selecting other pods each third.
        let name = format!("watcher-{}", round / 10);
        let app = format!("app-{}", round / 3);
        let mut policy = manifests::policy(&name, &app);
        let value = round.to_string();
        policy["spec"]["sidecars"][0]["env"] = json!([{"name": "ROUND", "value": value}]);
        namespace.apply_policy(&policy);
        let pod = Pod(namespace.dry_run(&manifests::pod("next", &app)));
        if pod.container(&name)["env"][0]["value"] != value {
            missed.push((round, pod.0));
        }
        if round % 10 == 9 {
            namespace.kubectl(&["delete", "scp", &name]);
        }
    }
    report("Ready is a promise", &format!("{rounds} changes of policies, {} missed", missed.len()));
    assert!(missed.is_empty(), "{missed:?}");
}
