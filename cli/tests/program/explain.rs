//! `kubectl sidecar explain`: for each policy whether it goes in, and why.

use crate::fixture::{Ended, Folder, POD, POLICY, policy};

fn explain(test: &str, policies: &str, manifests: &str, more: &[&str]) -> Ended {
    let folder = Folder::new(test).with("policy.yaml", policies).with("app.yaml", manifests);
    folder.run(&[&["explain", "-f", "app.yaml", "-p", "policy.yaml"], more].concat(), "")
}

/// One policy for every way to be left out.
fn reasons() -> String {
    [
        POLICY.to_owned(),
        policy("asked-for", "activation: OnRequest"),
        policy("audited", "mode: Audit"),
        policy("elsewhere", "namespaceSelector: {matchLabels: {team: blue}}"),
        policy("no-host-network", "hostNetwork: Deny"),
        policy("opted-out", "podSelector: {}"),
        policy("opted-out-by-namespace", "podSelector: {}"),
        policy("windows", "os: Windows"),
        policy("conditional", "matchConditions: [{name: is-web, expression: \"pod.metadata.labels['app'] == 'web'\"}]"),
        policy("other-pods", "podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [api]}]}"),
        policy("in-conflict", "volumes: [{name: data, emptyDir: {}}]"),
        policy("wrong-parameter", "parameters: [{name: level, enum: [info, debug]}]"),
        policy("keeping", "appContainers: [{env: [{name: MODE, value: policy}]}]"),
    ]
    .concat()
}

const REASONS_MANIFESTS: &str = "\
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {sidecarpolicy.dev/skip: opted-out-by-namespace}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
  annotations:
    sidecarpolicy.dev/skip: opted-out
    sidecarpolicy.dev/inject: nobody
    params.cluster.sidecarpolicy.dev/wrong-parameter.level: loud
spec:
  template:
    metadata: {labels: {app: api}}
    spec:
      hostNetwork: true
      containers: [{name: app, image: 'api:1', env: [{name: MODE, value: own}]}]
      volumes: [{name: data, configMap: {name: data}}]
---
apiVersion: v1
kind: Pod
metadata: {generateName: web-, namespace: kube-system}
spec: {}
---
apiVersion: v1
kind: ConfigMap
";

#[test]
fn every_reason_names_what_decided() {
    let ended = explain("explain_reasons", &reasons(), REASONS_MANIFESTS, &[]);
    assert_eq!(ended.messages, "");
    insta::assert_snapshot!(ended.printed());
}

#[test]
fn scripts_get_the_same_as_json_and_yaml() {
    let policies = [POLICY.to_owned(), policy("other", "podSelector: {matchLabels: {app: web}}")];
    let json = explain("explain_json", &policies.concat(), POD, &["-o", "json"]).printed();
    insta::assert_snapshot!(json);
    let yaml = explain("explain_yaml", &policies.concat(), POD, &["-o", "yaml"]).printed();
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).expect("it is YAML");
    assert_eq!(json, yaml);
}

#[test]
fn what_is_injected_is_explained_as_that() {
    let folder = Folder::new("explain_again");
    let injected = folder.inject(POD).printed();
    let again = folder.run(&["explain", "-f", "-", "-p", "policy.yaml"], &injected).printed();
    assert_eq!(
        again,
        "Pod shop/api\n  SidecarPolicy shop/log-shipper: injected: everything is there already\n"
    );
}

#[test]
fn a_pod_that_would_be_refused_ends_the_program_with_1() {
    let denying = POLICY.replace("spec:\n", "spec:\n  onConflict: Deny\n");
    let taken = POD.replace("name: app,", "name: shipper,");
    let ended = explain("explain_denied", &denying, &taken, &[]);
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.output);
}

#[test]
fn manifests_without_pods_are_told() {
    let ended = explain("explain_nothing", POLICY, "kind: ConfigMap\n", &[]);
    assert_eq!(ended.messages, "nothing among the manifests describes pods\n");
    assert_eq!(ended.printed(), "");
}
