//! What two policies are told that cannot both go into a pod that both reach.

use e2e::{TestNamespace, eventually, manifests};
use serde_json::{Value, json};

use crate::DEADLINE;

/// A policy for pods with a label, with a container that clashes with one of another image.
fn policy(name: &str, label: &str, image: &str) -> Value {
    let mut policy = manifests::policy(name, "");
    policy["spec"]["podSelector"] = json!({"matchLabels": {label: "yes"}});
    policy["spec"]["sidecars"][0]["name"] = json!("watcher");
    policy["spec"]["sidecars"][0]["image"] = json!(image);
    policy
}

fn pod(name: &str, labels: &[&str]) -> Value {
    let mut pod = manifests::pod(name, "api");
    for label in labels {
        pod["metadata"]["labels"][*label] = json!("yes");
    }
    pod
}

/// Waits until the condition `Accepted` of the current generation has this status and says this.
#[track_caller]
fn wait_for_accepted(
    namespace: &TestNamespace,
    policy: &str,
    status: &str,
    says: impl Fn(&str) -> bool,
) {
    crate::wait_for_accepted(namespace, policy, |accepted| {
        accepted["status"] == status && says(accepted["message"].as_str().unwrap_or_default())
    });
}

#[test]
fn the_later_of_two_is_refused_and_both_are_told_until_they_agree() {
    let namespace = TestNamespace::create("clash");
    let mut second = policy("second", "web", manifests::BUSYBOX_NEXT);
    namespace.apply_policy(&second);
    namespace.apply_policy(&policy("first", "api", manifests::BUSYBOX));

    let name = namespace.name();
    wait_for_accepted(&namespace, "scp/first", "True", |message| {
        message.contains(&format!("SidecarPolicy {name}/second clashes with it and gives way"))
    });
    let both_sides = format!("clashes with spec.sidecars[0].image of SidecarPolicy {name}/first");
    wait_for_accepted(&namespace, "scp/second", "False", |message| {
        message.contains(&both_sides) && message.contains("api=yes,web=yes")
    });
    eventually("an event tells the owner of the later one", DEADLINE, || {
        let events = namespace.get("events.events.k8s.io");
        let is_told = |event: &Value| {
            event["regarding"]["name"] == "second"
                && event["reason"] == "Clash"
                && event["note"].as_str().is_some_and(|note| note.contains(&both_sides))
        };
        let items = events["items"].as_array();
        if items.into_iter().flatten().any(is_told) { Ok(()) } else { Err(events.to_string()) }
    });

    let image = |labels: &[&str]| {
        let pod = namespace.create_pod(&pod(&labels.join("-"), labels));
        assert_eq!(pod.init_containers(), ["watcher"], "{}", pod.0);
        pod.container("watcher")["image"].clone()
    };
    assert_eq!(image(&["api", "web"]), manifests::BUSYBOX, "the earlier one goes in");
    assert_eq!(image(&["web"]), manifests::BUSYBOX_NEXT, "what only the later one reaches has it");

    second["spec"]["sidecars"][0]["name"] = json!("other");
    namespace.apply(&second);
    for policy in ["scp/first", "scp/second"] {
        wait_for_accepted(&namespace, policy, "True", |message| !message.contains("clashes"));
        namespace.wait_for_policy(policy);
    }
}

#[test]
fn no_namespace_has_a_cluster_policy_refused() {
    let namespace = TestNamespace::create("clash-cluster");
    let everywhere = namespace.unique("everywhere");
    namespace.apply_cluster_policy(&policy(&everywhere, "api", manifests::BUSYBOX));
    let mut own = policy("own", "api", manifests::BUSYBOX_NEXT);
    own["spec"]["priority"] = json!(1000);
    namespace.apply(&own);

    wait_for_accepted(&namespace, "scp/own", "False", |message| {
        message.contains(&format!("ClusterSidecarPolicy cluster/{everywhere}"))
    });
    wait_for_accepted(&namespace, &format!("cscp/{everywhere}"), "True", |message| {
        message.contains("1 SidecarPolicy of a namespace clashes with it and goes before it")
            && !message.contains(&format!("{}/own", namespace.name()))
    });
    namespace.kubectl(&["delete", "scp/own"]);
    wait_for_accepted(&namespace, &format!("cscp/{everywhere}"), "True", |message| {
        !message.contains("clashes")
    });
}
