//! What the injected containers ask for in all.

use super::*;

/// The overhead of `shop/log`, as the status has it.
fn overhead(index: &Index) -> Value {
    json!(index.overhead(&log()))
}

#[test]
fn overhead_is_what_the_running_injected_containers_ask_for() {
    let both = PolicySpec { sidecars: vec![brought("shipper"), brought("setup")], ..spec() };
    let mut index = index();
    index.set_policy(policy(&log(), &both));
    assert_eq!(overhead(&index), json!(null));
    index.set_pod(pod("plain", &injected(&revision(), true)));
    assert_eq!(overhead(&index), json!(null), "nothing is asked for");
    index.set_pod(pod("a", &asking("10m", &revision())));
    index.set_pod(pod("b", &asking("10m", &revision())));
    index.set_pod(pod("outdated", &asking("0.985", "0123")));
    let mut bare = asking("10m", &revision());
    bare["metadata"] = json!({});
    index.set_pod(pod("bare", &bare));
    assert_eq!(
        overhead(&index),
        json!({
            "requests": { "cpu": "1005m", "memory": "96Mi" }, "limits": { "memory": "192Mi" },
        })
    );
    index.set_pod(pod("a", &asking("30m", &revision())));
    index.remove_pod(SHOP, "outdated");
    assert_eq!(overhead(&index)["requests"]["cpu"], json!("40m"), "a resized pod counts anew");
    index.remove_pod(SHOP, "a");
    index.remove_pod(SHOP, "b");
    assert_eq!(overhead(&index), json!(null));
}

#[test]
fn pods_that_ask_for_the_same_share_it() {
    let mut index = index();
    for number in 0..50 {
        index.set_pod(pod(&format!("pod-{number}"), &asking("10m", &revision())));
    }
    let resources: HashSet<_> = index.namespaces[SHOP]
        .groups
        .values()
        .flat_map(|group| &*group.standings)
        .map(|(_, standing)| match standing {
            Standing::Injected { resources, .. } => Arc::as_ptr(resources),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(resources.len(), 1);
}
