//! Pods are counted by how they stand to a policy.

use super::*;

#[test]
fn pods_are_counted_by_state() {
    let mut index = index();
    index.set_pod(pod("ready", &injected(&revision(), true)));
    index.set_pod(pod("starting", &injected(&revision(), false)));
    index.set_pod(pod("old", &injected("0123", true)));
    index.set_pod(pod("bare", &json!({})));
    index.set_pod(pod("clash", &skipped("a container of that name exists")));
    index.set_pod(pod("out", &opted_out()));
    index.set_pod(pod("other", &json!({ "metadata": { "labels": { "app": "web" } } })));
    let expected = PodCounts {
        matched: 5,
        injected: 3,
        current: 2,
        outdated: 1,
        missing: 1,
        ready: 2,
        opted_out: 1,
        skipped: 1,
        surplus: 0,
    };
    assert_eq!(counts(&index), expected);
    let reasons = index.counts(&log()).1;
    assert_eq!(reasons.len(), 1);
    assert_eq!(reasons[0].reason, "a container of that name exists");
    assert_eq!(reasons[0].example.as_deref(), Some("shop/clash"));
}

#[test]
fn pods_that_do_not_count() {
    let mirror = json!({ "metadata": {
        "annotations": { "kubernetes.io/config.mirror": "x" },
        "ownerReferences": [{ "apiVersion": "v1", "kind": "Node", "name": "n", "uid": "u" }],
    }});
    let uncounted = [
        ("ending", json!({ "metadata": { "deletionTimestamp": "2026-11-21T00:00:00Z" } })),
        ("succeeded", json!({ "status": { "phase": "Succeeded" } })),
        ("failed", json!({ "status": { "phase": "Failed" } })),
        ("mirror", mirror),
        ("excluded", json!({ "metadata": { "namespace": "kube-system" } })),
        ("elsewhere", json!({ "metadata": { "namespace": "other" } })),
    ];
    let mut index = index();
    index.set_namespace(namespace("other"));
    for (name, changes) in uncounted {
        index.set_pod(pod(name, &changes));
        assert_eq!(counts(&index), PodCounts::default(), "{name}");
    }
}

#[test]
fn the_mirror_annotation_alone_exempts_nobody() {
    let mut index = index();
    let annotated =
        json!({ "metadata": { "annotations": { "kubernetes.io/config.mirror": "x" } } });
    index.set_pod(pod("liar", &annotated));
    assert_eq!(counts(&index).missing, 1);
}

#[test]
fn a_pod_that_ends_is_taken_out() {
    let mut index = index();
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &skipped("why")));
    index.set_pod(pod("a", &json!({ "status": { "phase": "Succeeded" } })));
    index.remove_pod(SHOP, "b");
    assert_eq!(index.counts(&log()), Default::default());
}

#[test]
fn readiness_follows_the_injected_containers_only() {
    let with_statuses = |init: Value, main: Value| {
        let mut changes = injected(&revision(), false);
        merge(
            &mut changes,
            &json!({ "status": {
                "initContainerStatuses": init, "containerStatuses": main,
            }}),
        );
        changes
    };
    let not_started = |revision: &str| {
        let mut changes = injected(revision, false);
        merge(&mut changes, &json!({ "status": { "initContainerStatuses": null } }));
        changes
    };
    let app_down = json!([{ "name": "api", "ready": false }]);
    let finished = json!([{ "name": "shipper", "ready": false, "state": { "terminated": { "exitCode": 0 } } }]);
    let crashed = json!([{ "name": "shipper", "ready": false, "state": { "terminated": { "exitCode": 1 } } }]);
    let ready = json!([{ "name": "shipper", "ready": true }]);
    let cases = [
        ("ready, the app is not", with_statuses(ready, app_down.clone()), 1),
        ("an init container that did its work", with_statuses(finished, app_down.clone()), 1),
        ("crashed", with_statuses(crashed, app_down.clone()), 0),
        ("no status yet", with_statuses(json!(null), app_down), 0),
        ("not started", with_statuses(json!(null), json!(null)), 0),
        ("not started, of another revision", not_started("0123"), 0),
    ];
    for (name, changes, expected) in cases {
        let mut index = index();
        index.set_pod(pod("a", &changes));
        assert_eq!(counts(&index).ready, expected, "{name}");
    }
}

#[test]
fn a_policy_that_selects_otherwise_leaves_surplus_behind() {
    let mut index = index();
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.take_changed();
    let narrowed = PolicySpec {
        pod_selector: Some(LabelSelector {
            match_labels: Some([("app".to_owned(), "none".to_owned())].into()),
            match_expressions: None,
        }),
        ..spec()
    };
    index.set_policy(policy(&log(), &narrowed));
    assert_eq!(counts(&index), PodCounts { surplus: 1, ..PodCounts::default() });
    assert_eq!(index.take_changed(), [log()].into());
}

#[test]
fn a_policy_that_comes_later_counts_what_is_there() {
    let mut index = index();
    index.set_pod(pod("a", &json!({})));
    let mesh = PolicyId::cluster("mesh");
    index.set_policy(policy(&mesh, &spec()));
    assert_eq!(index.counts(&mesh).0.missing, 1);
    index.remove_policy(&mesh);
    assert_eq!(index.counts(&mesh), Default::default());
    index.set_policy(policy(&mesh, &spec()));
    assert_eq!(index.counts(&mesh).0.missing, 1);
}

#[test]
fn on_request_counts_who_asked() {
    let mut index = index();
    index.set_policy(policy(&log(), &PolicySpec { activation: Activation::OnRequest, ..spec() }));
    index.set_pod(pod("silent", &json!({})));
    let asks = json!({ "metadata": { "annotations": { "sidecarpolicy.dev/inject": "log" } } });
    index.set_pod(pod("asks", &asks));
    assert_eq!(counts(&index).matched, 1);
}

#[test]
fn an_opt_out_that_is_not_allowed_does_not_count_as_one() {
    let mut index = index();
    index.set_policy(policy(&log(), &PolicySpec { opt_out: OptOut::Denied, ..spec() }));
    index.set_pod(pod("a", &opted_out()));
    assert_eq!((counts(&index).opted_out, counts(&index).missing), (0, 1));
}

#[test]
fn a_change_of_the_namespace_counts_its_pods_again() {
    let mut index = index();
    index.set_pod(pod("a", &json!({})));
    let skips = ("sidecarpolicy.dev/skip".to_owned(), "*".to_owned());
    index.set_namespace(Namespace { annotations: [skips].into(), ..namespace(SHOP) });
    assert_eq!((counts(&index).opted_out, counts(&index).missing), (1, 0));
}

#[test]
fn nothing_is_counted_before_all_is_listed() {
    let mut index = Index::new(Exclusions::new("system", &[]));
    index.set_pod(pod("a", &json!({})));
    index.set_policy(policy(&log(), &spec()));
    assert_eq!(counts(&index), PodCounts::default());
    index.set_namespace(namespace(SHOP));
    index.start_counting();
    assert_eq!(counts(&index).missing, 1);
}

#[test]
fn a_new_list_forgets_what_is_gone() {
    let mut index = index();
    for name in ["a", "b"] {
        index.set_pod(pod(name, &json!({ "metadata": { "uid": name } })));
    }
    index.retain_pods(&[Uid::of("b")].into());
    assert_eq!(counts(&index).matched, 1);
    index.retain_namespaces(&HashSet::new());
    assert_eq!(counts(&index).matched, 0);
}

#[test]
fn match_conditions_decide_here_too() {
    let mut index = index();
    let with_condition = |expression: &str| {
        let condition =
            crds::MatchCondition { name: "which".to_owned(), expression: expression.to_owned() };
        policy(&log(), &PolicySpec { match_conditions: vec![condition], ..spec() })
    };
    index.set_pod(pod("a", &json!({ "spec": { "serviceAccountName": "worker" } })));
    index.set_pod(pod("b", &json!({})));
    index.set_policy(with_condition("pod.spec.serviceAccountName == 'worker'"));
    assert_eq!(counts(&index).missing, 1);
    // Annotations are not kept: what the webhook recorded counts, and nothing else does.
    index.set_policy(with_condition("'x' in pod.metadata.annotations"));
    index.set_pod(pod("b", &injected(&revision(), true)));
    let found = counts(&index);
    assert_eq!((found.injected, found.missing, found.surplus), (1, 0, 0));
}

#[test]
fn pods_of_one_template_share_it() {
    let mut index = index();
    // As the API server makes names up.
    let name = |number: u32| {
        let digit = |digit: u32| char::from_digit(digit + 4, 10).unwrap();
        format!("pod-x{}vz{}", digit(number / 5), digit(number % 5))
    };
    for number in 0..25 {
        index.set_pod(pod(&name(number), &injected(&revision(), true)));
    }
    assert_eq!((index.templates.len(), index.namespaces[SHOP].groups.len()), (1, 1));
    for number in 0..25 {
        index.remove_pod(SHOP, &name(number));
    }
    assert!(index.templates.is_empty() && index.namespaces[SHOP].groups.is_empty());
}

#[test]
fn a_label_that_each_pod_has_its_own_value_of_can_be_selected_by() {
    let mut index = index();
    let first = [("apps.kubernetes.io/pod-index".to_owned(), "0".to_owned())].into();
    let selector = LabelSelector { match_labels: Some(first), match_expressions: None };
    index.set_policy(policy(&log(), &PolicySpec { pod_selector: Some(selector), ..spec() }));
    for number in 0..5 {
        let labels = json!({ "apps.kubernetes.io/pod-index": number.to_string() });
        index.set_pod(pod(&format!("db-{number}"), &json!({ "metadata": { "labels": labels } })));
    }
    assert_eq!((index.templates.len(), counts(&index).missing), (1, 1));
    assert_eq!(index.rollout_pods(&log())[0].name, "db-0");
}

#[test]
fn annotations_that_are_no_map_of_texts_say_nothing() {
    let mut index = index();
    for (number, text) in ["", "{", "[]", "{\"shop/log\": 1}", "null"].into_iter().enumerate() {
        let annotations = json!({ "metadata": { "annotations": {
            "sidecarpolicy.dev/injected": text, "sidecarpolicy.dev/skipped": text,
        }}});
        index.set_pod(pod(&format!("pod-{number}"), &annotations));
    }
    assert_eq!(counts(&index).missing, 5);
}
