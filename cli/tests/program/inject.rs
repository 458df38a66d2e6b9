//! `kubectl sidecar inject`: what goes into what, and what is said of the rest.

use crate::fixture::{Folder, POD, POLICY, inject, policy, value};

const DEPLOYMENT: &str = "\
# The api of the shop.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: api
  namespace: shop
spec:
  template:
    metadata:
      labels: {app: api}
    spec:
      containers: [{name: app, image: 'api:1'}]
";

#[test]
fn a_deployment_gets_its_sidecar() {
    let ended = inject("deployment", POLICY, DEPLOYMENT);
    assert_eq!(ended.messages, "");
    insta::assert_snapshot!(ended.printed());
}

/// A policy that goes into pods of this workload only, and needs a volume that it does not bring.
fn for_workload(kind: &str, label: &str) -> String {
    policy(
        "picky",
        &format!(
            "podSelector: {{matchExpressions: [{{key: {label}, operator: Exists}}]}}, \
             matchConditions: [{{name: is-api, expression: \"workload.kind == '{kind}' && workload.name == 'api'\"}}], \
             appContainers: [{{env: [{{name: OF, value: '${{workload.name}}'}}], volumeMounts: [{{name: data, mountPath: /data}}]}}]"
        ),
    )
}

#[test]
fn a_template_is_decided_about_as_the_pods_that_its_controller_makes() {
    let template = |volumes: &str| {
        format!(
            "template: {{metadata: {{labels: {{app: api}}}}, spec: {{containers: [{{name: app, image: 'api:1'}}]{volumes}}}}}"
        )
    };
    let own = template(", volumes: [{name: data, emptyDir: {}}]");
    let claims = format!("{}, volumeClaimTemplates: [{{metadata: {{name: data}}}}]", template(""));
    for (group, kind, label, spec, path) in [
        ("apps/v1", "Deployment", "app", own.clone(), "/spec/template"),
        ("apps/v1", "StatefulSet", "app", claims, "/spec/template"),
        ("batch/v1", "Job", "batch.kubernetes.io/job-name", own.clone(), "/spec/template"),
        (
            "batch/v1",
            "CronJob",
            "batch.kubernetes.io/job-name",
            format!("jobTemplate: {{spec: {{{own}}}}}"),
            "/spec/jobTemplate/spec/template",
        ),
    ] {
        let object = format!(
            "{{apiVersion: {group}, kind: {kind}, metadata: {{name: api, namespace: shop}}, spec: {{{spec}}}}}\n"
        );
        let ended = inject("made_pods", &for_workload(kind, label), &object);
        assert_eq!(ended.messages, "", "{kind}");
        let template = value(&ended.printed()).pointer(path).cloned().expect("it is there");
        let app = &template["spec"]["containers"][0];
        assert_eq!(app["env"][0]["value"], "api", "{kind}");
        assert_eq!(template["metadata"]["ownerReferences"], serde_json::Value::Null);
        let labels = template["metadata"]["labels"].as_object().expect("it has labels");
        assert_eq!(labels.keys().collect::<Vec<_>>(), ["app", "sidecarpolicy.dev/injected"]);
        let volumes = template["spec"]["volumes"].as_array().map_or(0, Vec::len);
        assert_eq!(volumes, usize::from(kind != "StatefulSet"), "{kind}");
        let another = inject("made_pods", &for_workload("Pod", label), &object);
        assert!(another.messages.contains("its match condition"), "{}", another.messages);
    }
}

#[test]
fn every_kind_that_describes_pods_is_injected() {
    let template =
        "metadata: {labels: {app: api}}, spec: {containers: [{name: app, image: 'api:1'}]}";
    let in_spec = format!("spec: {{template: {{{template}}}}}");
    for (api_version, kind, body, pointer) in [
        ("v1", "Pod", "spec: {containers: [{name: app, image: 'api:1'}]}".to_owned(), ""),
        ("v1", "PodTemplate", format!("template: {{{template}}}"), "/template"),
        ("v1", "ReplicationController", in_spec.clone(), "/spec/template"),
        ("apps/v1", "Deployment", in_spec.clone(), "/spec/template"),
        ("apps/v1", "StatefulSet", in_spec.clone(), "/spec/template"),
        ("apps/v1", "DaemonSet", in_spec.clone(), "/spec/template"),
        ("apps/v1", "ReplicaSet", in_spec.clone(), "/spec/template"),
        ("batch/v1", "Job", in_spec, "/spec/template"),
        (
            "batch/v1",
            "CronJob",
            format!("spec: {{jobTemplate: {{spec: {{template: {{{template}}}}}}}}}"),
            "/spec/jobTemplate/spec/template",
        ),
    ] {
        let object = format!(
            "{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: api, namespace: shop, labels: {{app: api}}}}, {body}}}\n"
        );
        let list = format!("apiVersion: v1\nkind: List\nitems:\n- kind: Other\n- {object}");
        for (input, root) in [(&object, ""), (&list, "/items/1")] {
            let ended = inject("kinds", POLICY, input);
            assert_eq!(ended.messages, "", "{kind}");
            let printed = value(&ended.printed());
            let pod = printed.pointer(&format!("{root}{pointer}")).expect("the template is there");
            assert_eq!(pod["spec"]["initContainers"][0]["name"], "shipper", "{kind}");
            assert_eq!(pod["metadata"]["labels"]["sidecarpolicy.dev/injected"], "true", "{kind}");
        }
    }
}

#[test]
fn absent_and_null_parents_are_made() {
    let policies = policy("mesh", "priority: 0");
    for body in [
        "metadata: {name: a}, spec: {}",
        "metadata: {name: a, labels: null, annotations: null}, spec: {initContainers: null, containers: []}",
        "metadata: {name: a, labels: {}, annotations: {}}, spec: {initContainers: []}",
        "metadata: null, spec: {}",
    ] {
        let pod = format!("{{{body}}}");
        let deployment = format!(
            "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: a}}, spec: {{template: {pod}}}}}"
        );
        let ended = inject("absent_parents", &policies, &deployment);
        assert_eq!(ended.messages, "", "{body}");
        let template = value(&ended.printed())["spec"]["template"].take();
        assert_eq!(template["metadata"]["labels"]["sidecarpolicy.dev/injected"], "true", "{body}");
        assert_eq!(template["spec"]["initContainers"][0]["name"], "mesh", "{body}");
    }
}

#[test]
fn reasons_name_object_and_policy() {
    let policies = [
        POLICY.to_owned(),
        policy("asked-for", "activation: OnRequest"),
        policy("audited", "mode: Audit"),
        policy("elsewhere", "namespaceSelector: {matchLabels: {team: blue}}"),
        policy("no-host-network", "hostNetwork: Deny"),
        policy("opted-out", "podSelector: {}"),
        policy("windows", "os: Windows"),
        policy(
            "other-pods",
            "podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [api]}]}",
        ),
    ]
    .concat();
    let pod = POD
        .replace("labels:", "annotations: {sidecarpolicy.dev/skip: opted-out, sidecarpolicy.dev/inject: nobody}, labels:")
        .replace("spec: {", "spec: {hostNetwork: true, ");
    let elsewhere = "---\napiVersion: v1\nkind: Pod\nmetadata: {generateName: web-, namespace: kube-system}\nspec: {}\n";
    let ended = inject("reasons", &policies, &format!("{pod}{elsewhere}"));
    assert_eq!(ended.code, 0);
    insta::assert_snapshot!(ended.messages);
}

#[test]
fn a_wrong_annotation_of_a_pod_template_is_told_once() {
    let asking = DEPLOYMENT.replace(
        "      labels:",
        "      annotations: {sidecarpolicy.dev/inject: nobody}\n      labels:",
    );
    let ended = inject("wrong_template", POLICY, &asking);
    assert_eq!(
        ended.messages.matches("no policy named \"nobody\"").count(),
        1,
        "{}",
        ended.messages
    );
}

#[test]
fn annotations_of_a_workload_count_for_its_pods() {
    let policies = policy("asked-for", "activation: OnRequest");
    let ended = inject("carried_none", &policies, DEPLOYMENT);
    assert_eq!(
        ended.messages,
        "Deployment shop/api: ClusterSidecarPolicy cluster/asked-for: not injected: the policy has to be asked \
         for by the annotation sidecarpolicy.dev/inject\n"
    );
    assert_eq!(ended.printed(), DEPLOYMENT);

    let asks = "  annotations: {sidecarpolicy.dev/inject: asked-for}\nspec:\n  template:";
    let asking = DEPLOYMENT.replace("spec:\n  template:", asks);
    let ended = inject("carried", &policies, &asking);
    assert_eq!(ended.messages, "");
    insta::assert_snapshot!(ended.printed());

    let skips = asks.replace("inject: asked-for", "skip: '*'");
    let skipping = DEPLOYMENT.replace("spec:\n  template:", &skips);
    let ended = inject("carried_skip", POLICY, &skipping);
    assert_eq!(
        ended.messages,
        "Deployment shop/api: SidecarPolicy shop/log-shipper: not injected: its owner opted out by the annotation \
         sidecarpolicy.dev/skip\n"
    );
    assert_eq!(ended.printed(), skipping);
}

#[test]
fn a_conflict_is_told_and_the_rest_goes_in() {
    let policies = [POLICY.to_owned(), policy("mesh", "priority: 1")].concat();
    let taken =
        POD.replace("'api:1'}", "'api:1', volumeMounts: [{name: data, mountPath: /var/log/app}]}");
    let ended = inject("conflict", &policies, &taken);
    insta::assert_snapshot!(ended.messages);
    insta::assert_snapshot!(ended.printed());
}

#[test]
fn a_refused_pod_is_passed_through_and_the_program_ends_with_1() {
    let denying = POLICY.replace("spec:\n", "spec:\n  onConflict: Deny\n");
    let taken = POD.replace("name: app,", "name: shipper,");
    let ended = inject("denied", &denying, &format!("{taken}---\n{DEPLOYMENT}"));
    assert_eq!(ended.code, 1);
    assert!(ended.output.starts_with(&taken), "{}", ended.output);
    assert!(
        ended.output.contains("- name: shipper\n"),
        "the Deployment is injected: {}",
        ended.output
    );
    insta::assert_snapshot!(ended.messages);
}

#[test]
fn pods_that_cannot_be_read_are_left_alone_and_named() {
    let input = [
        "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: shop, labels: [app]}\n",
        "apiVersion: v1\nkind: Pod\nmetadata: {name: b, namespace: shop, labels: {app: api}}\nspec: {containers: 1}\n",
        "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: c, namespace: shop}\nspec: {}\n",
    ]
    .join("---\n");
    let ended = inject("unreadable_pods", POLICY, &input);
    insta::assert_snapshot!(ended.messages);
    assert_eq!(ended.printed(), input);
}

#[test]
fn a_namespace_among_the_manifests_gives_its_facts() {
    let policies = policy("blue", "namespaceSelector: {matchLabels: {team: blue}}");
    let namespace =
        "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop, labels: {team: blue}}\n";
    let printed = inject("namespace", &policies, &format!("{POD}---\n{namespace}")).printed();
    assert!(printed.contains("cluster/blue"), "{printed}");

    let ended = inject("namespace_absent", &policies, POD);
    assert!(ended.messages.contains("the namespace is not selected"), "{}", ended.messages);
    assert_eq!(ended.printed(), POD);

    let opted_out = namespace
        .replace("{team: blue}", "{team: blue}, annotations: {sidecarpolicy.dev/skip: blue}");
    let ended = inject("namespace_skip", &policies, &format!("{opted_out}---\n{POD}"));
    assert!(ended.messages.contains("its namespace opted out"), "{}", ended.messages);
}

#[test]
fn the_namespace_given_is_that_of_objects_without_one() {
    let folder = Folder::new("default_namespace");
    let pod = POD.replace(", namespace: shop", "");
    let arguments = ["inject", "-p", "policy.yaml", "-f", "-"];
    let ended = folder.run(&arguments, &pod);
    assert_eq!(
        ended.messages,
        "Pod default/api: SidecarPolicy shop/log-shipper: not injected: the namespace is not selected: the policy \
         reaches its own namespace only\n"
    );
    assert_eq!(ended.printed(), pod);
    let in_shop = folder.run(&[&arguments[..], &["--namespace", "shop"]].concat(), &pod);
    assert!(in_shop.printed().contains("name: shipper"));
}
