//! Revisions: one object for each content, bounded, and good to go back to.

use e2e::{TestNamespace, command, eventually, manifests};
use serde_json::{Value, json};

use crate::{
    DEADLINE,
    policy::{deploy, image, policy, status, wait_until_complete, with_image},
};

/// The revisions of the policy by number.
#[track_caller]
fn revisions(namespace: &TestNamespace) -> Vec<Value> {
    let selector = ["get", "controllerrevisions", "-l", "sidecarpolicy.dev/policy=watcher"];
    let list = namespace.kubectl(&[&selector[..], &["-o", "json"]].concat());
    let list: Value = serde_json::from_str(&list).expect("JSON");
    let mut items = list["items"].as_array().cloned().unwrap_or_default();
    items.sort_by_key(|item| item["revision"].as_i64());
    items
}

#[track_caller]
fn wait_for_revisions(namespace: &TestNamespace, count: usize) -> Vec<Value> {
    eventually(&format!("{count} revisions are kept"), DEADLINE, || {
        let found = revisions(namespace);
        if found.len() == count { Ok(found) } else { Err(format!("{}", found.len())) }
    })
}

#[test]
fn an_earlier_revision_can_be_put_back() {
    let namespace = TestNamespace::create("undo");
    let first = policy(json!({"strategy": "InPlace"}));
    namespace.apply_policy(&first);
    deploy(&namespace, 1);
    wait_until_complete(&namespace, 1);
    let earlier = status(&namespace)["revision"].clone();
    namespace.apply(&with_image(&first, manifests::BUSYBOX_NEXT));
    wait_until_complete(&namespace, 1);
    let later = status(&namespace)["revision"].clone();
    assert_eq!(status(&namespace)["previousRevision"], earlier);
    let kept = wait_for_revisions(&namespace, 2);

    // As the guide says.
    let name = format!("watcher-{}", earlier.as_str().expect("a revision"));
    let found = kept.iter().find(|revision| revision["metadata"]["name"] == name.as_str());
    let content = &found.expect("the earlier revision")["data"];
    let patch = json!({ "spec": content }).to_string();
    namespace.kubectl(&["patch", "scp/watcher", "--type=merge", "--patch", &patch]);
    wait_until_complete(&namespace, 1);
    assert_eq!(image(&namespace.pods("api")[0]), manifests::BUSYBOX);
    assert_eq!(status(&namespace)["revision"], earlier);
    assert_eq!(status(&namespace)["previousRevision"], later);
    let newest = eventually("the earlier revision is the newest", DEADLINE, || {
        let found = wait_for_revisions(&namespace, 2).pop().expect("two");
        if found["metadata"]["name"] == name.as_str() { Ok(found) } else { Err(found.to_string()) }
    });
    assert_eq!(newest["metadata"]["uid"], found.expect("it")["metadata"]["uid"], "no new object");
}

#[test]
fn history_is_bounded_and_goes_with_the_policy() {
    let namespace = TestNamespace::create("history");
    let mut changing = policy(json!({}));
    changing["spec"]["revisionHistoryLimit"] = json!(2);
    for number in 0..5 {
        changing["spec"]["sidecars"][0]["env"] =
            json!([{ "name": "NUMBER", "value": number.to_string() }]);
        namespace.apply_policy(&changing);
    }
    wait_for_revisions(&namespace, 3);
    namespace.kubectl(&["delete", "scp", "watcher"]);
    wait_for_revisions(&namespace, 0);
}

#[test]
fn revisions_of_the_cluster_kind_are_in_the_operators_namespace() {
    let namespace = TestNamespace::create("cluster-kind");
    let name = namespace.unique("watcher");
    let mut policy = manifests::policy(&name, "api");
    policy["spec"]["rollout"] = json!({"strategy": "InPlace"});
    namespace.apply_cluster_policy(&policy);
    let selector = format!("sidecarpolicy.dev/policy={name}");
    let kept = || {
        let list = ["get", "controllerrevisions", "-l", &selector, "-o", "name", "-n"];
        let list = [&list[..], &[e2e::installation::NAMESPACE]].concat();
        command::kubectl(&list).expect_success().lines().count()
    };
    eventually("its revision is kept", DEADLINE, || match kept() {
        1 => Ok(()),
        found => Err(found.to_string()),
    });
    let object = format!("cscp/{name}");
    let _ = command::kubectl(&["delete", &object]).expect_success();
    eventually("garbage collection takes it", DEADLINE, || match kept() {
        0 => Ok(()),
        found => Err(found.to_string()),
    });
}
