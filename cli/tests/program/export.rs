//! `kubectl sidecar export`: what becomes of policies, and what cannot be expressed.

use crate::fixture::{Ended, Folder, POLICY, policy, value};

fn export(test: &str, policies: &str, more: &[&str]) -> Ended {
    let folder = Folder::new(test).with("policy.yaml", policies);
    let arguments = ["export", "-f", "policy.yaml", "--as", "mutating-admission-policy"];
    folder.run(&[&arguments, more].concat(), "")
}

#[test]
fn a_policy_becomes_one_that_the_api_server_runs() {
    let ended = export("export", POLICY, &[]);
    assert_eq!(ended.messages, "");
    insta::assert_snapshot!(ended.printed());
}

#[test]
fn all_objects_are_one_list_as_json() {
    let list = value(&export("export_json", POLICY, &["-o", "json"]).printed());
    assert_eq!(list["kind"], "List");
    assert_eq!(list["items"][0]["metadata"], list["items"][1]["metadata"]);
}

#[test]
fn a_conflict_refuses_the_pod_where_the_policy_says_so() {
    let denying = POLICY.replace("spec:\n", "spec:\n  onConflict: Deny\n");
    let exported = export("export_denying", &denying, &["-o", "json"]).printed();
    let spec = &value(&exported)["items"][0]["spec"];
    assert_eq!(spec["failurePolicy"], "Fail");
    let refusal = spec["mutations"][0]["jsonPatch"]["expression"].as_str().unwrap_or_default();
    assert!(refusal.contains("variables.conflicts[0]"), "{refusal}");
}

#[test]
fn everything_that_cannot_be_expressed_is_told_with_its_place() {
    let policies = "\
apiVersion: sidecarpolicy.dev/v1alpha1
kind: SidecarPolicy
metadata: {name: everything, namespace: shop}
spec:
  podSelector: {matchLabels: {app: api}}
  mode: Audit
  os: Any
  parameters: [{name: level, default: info}]
  matchConditions:
  - {name: level, expression: \"params.level == 'info'\"}
  - {name: team, expression: \"has(pod.metadata.labels.team)\"}
  sidecars:
  - name: proxy
    image: 'proxy:1'
    args: ['--level=${params.level}']
    ports: [{containerPort: 80, hostPort: 80}]
    copyFromApp: {volumeMounts: true}
  - name: ordinary
    image: 'x:1'
    type: Container
    ports: [{containerPort: 81}]
    resourcesFromApp: {function: Sum, requests: {cpu: {percent: 10}}}
    tomorrow: {field: 1}
  files: [{path: /etc/a, content: b}]
  appContainers:
  - env: [{name: JAVA_TOOL_OPTIONS, value: -a, merge: Append}]
    lifecycle: {preStop: {sleep: {seconds: 1}}}
  - {containers: [app], env: [{name: JAVA_TOOL_OPTIONS, value: -b}]}
  pod:
    labels: {team: a}
    hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]
  rollout: {strategy: Restart, partition: 10%, repair: true}
";
    let ended = export("export_refused", policies, &[]);
    assert_eq!((ended.code, ended.output.as_str()), (1, ""));
    insta::assert_snapshot!(ended.messages);
}

#[test]
fn what_can_be_expressed_is_printed_beside_what_cannot() {
    let audit = policy("other", "mode: Audit, podSelector: {matchLabels: {app: other}}");
    let ended = export("export_both", &format!("{POLICY}{audit}"), &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.output.contains("name: log-shipper.shop.sidecarpolicy.dev"), "{}", ended.output);
    assert!(!ended.output.contains("name: other."), "{}", ended.output);
    assert!(ended.messages.contains("cluster/other: spec.mode"), "{}", ended.messages);
}

#[test]
fn policies_that_can_meet_are_refused_both() {
    let ended = export("export_meeting", &format!("{POLICY}{}", policy("mesh", "")), &[]);
    assert_eq!((ended.code, ended.output.as_str()), (1, ""));
    let told = ended.messages.matches("which of the two is applied first is not defined").count();
    assert_eq!(told, 2, "{}", ended.messages);
}

#[test]
fn one_container_of_the_app_can_be_stood_beside() {
    let beside = |placement: &str| {
        POLICY.replace(
            "  volumes:\n",
            &format!(
                "  - {{name: a, image: 'a:1', type: Container, placement: {{after: one}}}}\n  \
                 - {{name: b, image: 'b:1', type: Container, placement: {placement}}}\n  volumes:\n"
            ),
        )
    };
    assert_eq!(export("export_beside", &beside("{before: one}"), &[]).code, 0);
    assert_eq!(export("export_beside_own", &beside("{before: a}"), &[]).code, 0);
    let ended = export("export_beside_two", &beside("{before: two}"), &[]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.messages.contains("spec.sidecars[2].placement: stands beside"),
        "{}",
        ended.messages
    );
}

#[test]
fn an_excluded_namespace_is_not_reached() {
    let policies = POLICY.replace("namespace: shop", "namespace: kube-system");
    let ended = export("export_excluded", &policies, &[]);
    assert_eq!(ended.code, 1);
    assert!(ended.messages.contains("metadata.namespace"), "{}", ended.messages);
    let cluster = export("export_cluster", &policy("mesh", ""), &["-o", "json"]).printed();
    let selector =
        &value(&cluster)["items"][0]["spec"]["matchConstraints"]["namespaceSelector"].to_string();
    assert!(selector.contains("kube-system"), "{selector}");
}

#[test]
fn namespaces_that_people_exclude_are_not_reached() {
    let excluded = ["--excluded-namespaces", "legacy,batch", "-o", "json"];
    let cluster = export("export_named", &policy("mesh", ""), &excluded).printed();
    let selector =
        &value(&cluster)["items"][0]["spec"]["matchConstraints"]["namespaceSelector"].to_string();
    for namespace in ["legacy", "batch", "kube-system", "sidecar-policy-system"] {
        assert!(selector.contains(&format!("\"{namespace}\"")), "{namespace}: {selector}");
    }
}
