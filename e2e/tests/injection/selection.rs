//! Which pods a policy reaches.

use e2e::{TestNamespace, command, manifests};
use serde_json::{Value, json};

#[test]
fn a_selected_pod_gets_the_sidecar_and_says_so() {
    let namespace = TestNamespace::create("selected");
    namespace.apply_policy(&manifests::policy("watcher", "api"));

    let pod = namespace.create_pod(&manifests::pod("api", "api"));

    assert_eq!(pod.init_containers(), ["watcher"]);
    assert_eq!(pod.container("watcher")["restartPolicy"], "Always");
    assert_eq!(pod.containers(), ["app"]);
    assert_eq!(pod.label("sidecarpolicy.dev/injected"), Some("true"));
    let injected = pod.annotation("sidecarpolicy.dev/injected").expect("the pod says what it got");
    let injected: Value = serde_json::from_str(injected).expect("the annotation is JSON");
    let revision = namespace.get("scp/watcher")["status"]["revision"].clone();
    let id = format!("{}/watcher", namespace.name());
    assert_eq!(injected, json!({ id: revision }));
    namespace.wait_for("pod/api", "Ready");
}

#[test]
fn a_pod_that_is_not_selected_is_left_exactly_as_it_was() {
    let namespace = TestNamespace::create("unselected");
    namespace.apply_policy(&manifests::policy("watcher", "api"));
    let manifest = manifests::pod("other", "other");

    let here = namespace.dry_run(&manifest);
    // Nothing of ours is ever asked about a pod of kube-system: this is what Kubernetes itself makes of it.
    let elsewhere = command::kubectl_with(
        &["create", "--dry-run=server", "-o", "json", "-n", "kube-system", "-f", "-"],
        &manifest.to_string(),
    );
    let elsewhere: Value =
        serde_json::from_str(&elsewhere.expect_success()).expect("kubectl prints JSON");

    assert_eq!(here["spec"], elsewhere["spec"]);
    assert_eq!(here["metadata"]["labels"], elsewhere["metadata"]["labels"]);
    assert_eq!(here["metadata"]["annotations"], elsewhere["metadata"]["annotations"]);
}

#[test]
fn a_policy_never_reaches_pods_of_another_namespace() {
    let with_policy = TestNamespace::create("own");
    let without = TestNamespace::create("another");
    with_policy.apply_policy(&manifests::policy("watcher", "api"));

    assert_eq!(
        with_policy.create_pod(&manifests::pod("api", "api")).init_containers(),
        ["watcher"]
    );
    let pod = without.create_pod(&manifests::pod("api", "api"));
    assert!(pod.init_containers().is_empty() && !pod.is_marked(), "{}", pod.0);
}

#[test]
fn a_cluster_policy_reaches_the_namespaces_its_selector_picks() {
    let picked = TestNamespace::create("picked");
    let left_out = TestNamespace::create("left-out");
    let name = picked.unique("watcher");
    picked.apply_cluster_policy(&manifests::policy(&name, "api"));

    let pod = picked.create_pod(&manifests::pod("api", "api"));
    assert_eq!(pod.init_containers(), [name.as_str()]);
    let pod = left_out.create_pod(&manifests::pod("api", "api"));
    assert!(pod.init_containers().is_empty() && !pod.is_marked(), "{}", pod.0);
}

#[test]
fn an_audit_policy_patches_nothing() {
    let namespace = TestNamespace::create("audit");
    let mut audit = manifests::policy("watcher", "api");
    audit["spec"]["mode"] = json!("Audit");
    namespace.apply_policy(&audit);

    let pod = namespace.create_pod(&manifests::pod("api", "api"));
    assert!(pod.init_containers().is_empty() && !pod.is_marked(), "{}", pod.0);
}

#[test]
fn a_changed_selector_counts_from_the_next_ready_on() {
    let namespace = TestNamespace::create("changed");
    let mut policy = manifests::policy("watcher", "api");
    namespace.apply_policy(&policy);
    policy["spec"]["podSelector"]["matchLabels"]["app"] = json!("web");
    namespace.apply(&policy);
    let generation = namespace.get("scp/watcher")["metadata"]["generation"].clone();
    // `Ready` of the earlier generation would prove nothing.
    let seen = format!("--for=jsonpath={{.status.observedGeneration}}={generation}");
    namespace.kubectl(&["wait", "scp/watcher", &seen, "--timeout=60s"]);
    namespace.wait_for_policy("scp/watcher");

    assert!(namespace.create_pod(&manifests::pod("api", "api")).init_containers().is_empty());
    assert_eq!(namespace.create_pod(&manifests::pod("web", "web")).init_containers(), ["watcher"]);
}
