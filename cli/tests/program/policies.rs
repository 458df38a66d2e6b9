//! Policies from files, and what is wrong with them.

use crate::fixture::{Folder, POD, POLICY, inject};

#[test]
fn a_policy_that_does_not_compile_is_refused_with_its_place() {
    let policy = "# two policies\n---\n".to_owned()
        + POLICY
        + "---\n"
        + &POLICY
            .replace("log-shipper", "other")
            .replace("    image: docker.io/otel/collector:1\n", "");
    let message = inject("policy_invalid", &policy, POD).complaint();
    insta::assert_snapshot!(message);
}

#[test]
fn every_problem_is_told_at_once() {
    let policy = POLICY
        .replace("name: log-shipper", "name: Log_Shipper")
        .replace("    image: docker.io/otel/collector:1\n", "")
        .replace("  - {name: logs, emptyDir", "  - {name: Logs, emptyDir");
    insta::assert_snapshot!(inject("policy_problems", &policy, POD).complaint());
}

#[test]
fn a_field_of_the_wrong_type_is_named() {
    let policy = POLICY.replace("  sidecars:\n", "  mode: Sometimes\n  sidecars:\n");
    let other = POLICY.replace("matchLabels: {app: api}", "matchLabels: [app]");
    let policy = format!("{policy}---\n{other}");
    insta::assert_snapshot!(inject("policy_types", &policy, POD).complaint());
}

#[test]
fn a_field_that_does_not_exist_is_named() {
    let policy = POLICY
        .replace("podSelector: {matchLabels: {app: api}}", "podSelector: {matchLabel: {app: api}}")
        .replace("  volumes:", "  volume:")
        .replace("mountPath: /var/log/app}]\n", "mountPath: /var/log/app}]\n    probes: {}\n");
    insta::assert_snapshot!(inject("policy_unknown_fields", &policy, POD).complaint());
}

#[test]
fn unknown_kinds_and_versions_of_the_group_are_refused() {
    let kind = POLICY.replace("kind: SidecarPolicy", "kind: SidecarPolice");
    let version = POLICY.replace("v1alpha1", "v7");
    insta::assert_snapshot!(
        inject("policy_kinds", &format!("{kind}---\n{version}"), POD).complaint()
    );
}

#[test]
fn the_same_policy_twice_is_refused() {
    let message = inject("policy_twice", &format!("{POLICY}---\n{POLICY}"), POD).complaint();
    assert_eq!(
        message,
        "error: policy.yaml:17: document 2: SidecarPolicy shop/log-shipper: metadata.name: shop/log-shipper is there already: \
         policy.yaml:1: document 1; remove one of them\n"
    );
}

#[test]
fn files_without_a_policy_are_refused() {
    let message = inject("policy_none", POD, POD).complaint();
    assert_eq!(
        message,
        "error: no SidecarPolicy or ClusterSidecarPolicy was found in policy.yaml\n"
    );
}

#[test]
fn a_policy_without_a_namespace_belongs_to_the_one_given() {
    let folder = Folder::new("policy_namespace")
        .with("policy.yaml", POLICY.replace(", namespace: shop", ""));
    let pod = POD.replace(", namespace: shop", "");
    for namespace in [&[][..], &["-n", "market"]] {
        let arguments = [&["inject", "-p", "policy.yaml", "-f", "-"][..], namespace].concat();
        let ended = folder.run(&arguments, &pod);
        assert_eq!(ended.messages, "");
        let name = namespace.get(1).unwrap_or(&"default");
        let printed = ended.printed();
        assert!(printed.contains(&format!("{{\"{name}/log-shipper\":")), "{printed}");
    }
}

#[test]
fn policies_come_from_folders_lists_and_several_files() {
    let cluster = "{apiVersion: sidecarpolicy.dev/v1alpha1, kind: ClusterSidecarPolicy, metadata: {name: NAME}, \
                   spec: {sidecars: [{name: NAME, image: 'x:1'}]}}";
    let item = |name: &str| cluster.replace("NAME", name);
    let folder = Folder::new("policy_folder")
        .with(
            "all/one.yaml",
            format!("apiVersion: v1\nkind: List\nitems:\n- {}\n- {}\n", item("a"), item("b")),
        )
        .with("all/app.yml", POD)
        .with("all/notes.txt", "not: [a manifest")
        .with("all/deeper/not-read.yaml", "not: [a manifest")
        .with("c.yaml", item("c"));
    let arguments = ["inject", "-p", "all", "c.yaml", "-p", "policy.yaml", "-f", "-"];
    let printed = folder.run(&arguments, POD).printed();
    for policy in ["cluster/a", "cluster/b", "cluster/c", "shop/log-shipper"] {
        assert!(printed.contains(&format!("\"{policy}\":")), "{policy} is missing: {printed}");
    }
}

#[test]
fn policies_among_the_manifests_are_passed_through() {
    let other = POLICY.replace("log-shipper", "other").replace("name: shipper", "name: second");
    let ended = inject("policy_among_manifests", POLICY, &format!("{other}---\n{POD}"));
    assert_eq!(ended.messages, "");
    let printed = ended.printed();
    assert!(printed.starts_with(&format!("{other}---\n")), "{printed}");
    assert!(printed.contains("name: shipper") && !printed.contains("shop/other"), "{printed}");
}
