//! `kubectl sidecar lint`: what the cluster would refuse, and what is likely to hurt.

use crate::fixture::{Ended, Folder, POLICY, policy};

const CAREFUL: &str = "\
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata: {name: careful, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  sidecars:
  - name: careful
    image: example.org/careful:1.2.3
    resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {cpu: 10m, memory: 16Mi}}
";

/// Something of every level.
const WRONG: &str = "\
# Three policies.
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata:
  name: broken
  namespace: shop
spec:
  sidecars:
  - name: Broken
    image: x:1
    ports:
    - containerPort: 70000
---
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata:
  name: misspelt
  namespace: shop
spec:
  podSelektor: {}
  sidecars:
  - name: misspelt
    image: x:1
---
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata:
  name: likely-to-hurt
  namespace: shop
spec:
  failurePolicy: Fail
  volumes:
  - name: scratch
    emptyDir: {}
  appContainers:
  - volumeMounts:
    - name: scratch
      mountPath: /scratch
  sidecars:
  - name: shipper
    image: x:latest
    newerField: 1
";

fn lint(test: &str, policies: &str, more: &[&str]) -> Ended {
    let folder = Folder::new(test).with("policies.yaml", policies);
    folder.run(&[&["lint", "-f", "policies.yaml"], more].concat(), "")
}

#[test]
fn findings_have_file_line_rule_path_and_remedy() {
    let ended = lint("lint", &format!("{WRONG}---\n{POLICY}"), &[]);
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(format!("{}{}", ended.output, ended.messages));
}

#[test]
fn findings_are_given_to_scripts() {
    let ended = lint("lint_json", WRONG, &["-o", "json"]);
    assert_eq!((ended.code, ended.messages.as_str()), (1, ""));
    let json: serde_json::Value = serde_json::from_str(&ended.output).expect("it is JSON");
    let yaml = lint("lint_yaml", WRONG, &["-o", "yaml"]).output;
    assert_eq!(json, serde_saphyr::from_str::<serde_json::Value>(&yaml).expect("it is YAML"));
    insta::assert_snapshot!(ended.output);
}

#[test]
fn findings_are_given_to_code_scanning_services() {
    let ended = lint("lint_sarif", WRONG, &["-o", "sarif"]);
    assert_eq!((ended.code, ended.messages.as_str()), (1, ""));
    insta::assert_snapshot!(ended.output);
}

#[test]
fn advice_alone_is_no_error() {
    let ended = lint("lint_advice", &policy("mesh", "priority: 0"), &[]);
    assert_eq!(ended.code, 0);
    assert!(
        ended.output.contains("advice: ClusterSidecarPolicy cluster/mesh: "),
        "{}",
        ended.output
    );
}

#[test]
fn nothing_is_found_in_a_careful_policy() {
    let ended = lint("lint_careful", CAREFUL, &[]);
    assert_eq!(ended.messages, "policies that compile: 1; errors: 0, warnings: 0, advice: 0\n");
    assert_eq!(ended.printed(), "");
}

#[test]
fn of_two_that_clash_the_later_one_is_named() {
    let other = CAREFUL
        .replace("name: careful, namespace", "name: another, namespace")
        .replace("1.2.3", "1.2.4");
    let ended = lint("lint_clash", &format!("{CAREFUL}---\n{other}"), &[]);
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.output);
}

#[test]
fn the_bounds_of_the_schema_are_kept() {
    use std::fmt::Write as _;

    let mut many = CAREFUL.split("  - name").next().expect("a beginning").to_owned();
    for number in 0..17 {
        writeln!(many, "  - {{name: s{number}, image: x:1, resources: {{}}}}").expect("text");
    }
    many.push_str("  rollout: {progressDeadlineSeconds: 0}\n");
    let separator = "x".repeat(17);
    let variable = format!("{{name: A, value: a, merge: Append, separator: {separator}}}");
    writeln!(many, "  appContainers: [{{env: [{variable}]}}]").expect("text");
    let ended = lint("lint_bounds", &many, &[]);
    let errors: Vec<&str> = ended.output.lines().filter(|line| line.contains(" error: ")).collect();
    assert_eq!(
        errors,
        [
            "policies.yaml:6: error: SidecarPolicy shop/careful: spec.sidecars: has too many elements; the most are 16 \
             (out-of-bounds)",
            "policies.yaml:24: error: SidecarPolicy shop/careful: spec.rollout.progressDeadlineSeconds: is too small; \
             the smallest is 1 (out-of-bounds)",
            "policies.yaml:25: error: SidecarPolicy shop/careful: spec.appContainers[0].env[0].separator: is too long; \
             the most characters are 16 (out-of-bounds)",
        ]
    );
}

#[test]
fn files_without_policies_cannot_be_linted() {
    let ended = lint("lint_nothing", "kind: ConfigMap\n", &[]);
    assert_eq!(
        ended.complaint(),
        "error: no SidecarPolicy or ClusterSidecarPolicy was found in policies.yaml\n"
    );
}
