//! Counting without a cluster: events in, counts out, and the sums that always hold.

use crds::{Activation, OptOut, PolicySpec, Sidecar};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const SHOP: &str = "shop";

fn spec() -> PolicySpec {
    let image = ("image".to_owned(), json!("example.org/shipper:1"));
    PolicySpec {
        pod_selector: Some(LabelSelector {
            match_labels: Some([("app".to_owned(), "api".to_owned())].into()),
            match_expressions: None,
        }),
        sidecars: vec![Sidecar {
            name: "shipper".to_owned(),
            container: [image].into_iter().collect(),
            ..Sidecar::default()
        }],
        ..PolicySpec::default()
    }
}

fn brought(name: &str) -> Sidecar {
    Sidecar { name: name.to_owned(), ..spec().sidecars.remove(0) }
}

fn policy(id: &PolicyId, spec: &PolicySpec) -> Arc<Policy> {
    Arc::new(inject::compile(id.clone(), "uid", 1, spec).unwrap())
}

fn log() -> PolicyId {
    PolicyId::namespaced(SHOP, "log")
}

fn revision() -> String {
    policy(&log(), &spec()).revision.clone()
}

fn namespace(name: &str) -> Namespace {
    let label = ("kubernetes.io/metadata.name".to_owned(), name.to_owned());
    Namespace { name: name.to_owned(), labels: [label].into(), annotations: BTreeMap::new() }
}

/// A counting index with the namespace `shop` and the policy `shop/log`.
fn index() -> Index {
    let mut index = Index::new(Exclusions::new("system", &[]));
    index.set_namespace(namespace(SHOP));
    index.set_policy(policy(&log(), &spec()));
    index.start_counting();
    index
}

/// A running pod of `app: api`, with `changes` merged over it.
fn pod(name: &str, changes: &Value) -> WatchedPod {
    let mut pod = json!({
        "metadata": {
            "name": name, "generateName": "pod-", "namespace": SHOP, "labels": { "app": "api" },
        },
        "spec": { "containers": [{ "name": "api" }], "someFieldOfTheFuture": [1] },
        "status": { "phase": "Running" },
    });
    merge(&mut pod, changes);
    serde_json::from_value(pod).unwrap()
}

fn merge(into: &mut Value, changes: &Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, value) in changes {
                merge(into.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (into, changes) => *into = changes.clone(),
    }
}

fn injected(revision: &str, ready: bool) -> Value {
    json!({
        "metadata": { "annotations": {
            "sidecarpolicy.dev/injected": json!({ "shop/log": revision }).to_string(),
        }},
        "status": { "initContainerStatuses": [{ "name": "shipper", "ready": ready }] },
    })
}

fn skipped(reason: &str) -> Value {
    json!({ "metadata": { "annotations": {
        "sidecarpolicy.dev/skipped": json!({ "shop/log": reason }).to_string(),
    }}})
}

fn opted_out() -> Value {
    json!({ "metadata": { "annotations": { "sidecarpolicy.dev/skip": "log" } } })
}

fn counts(index: &Index) -> PodCounts {
    index.counts(&log()).0
}

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

/// An injected pod whose sidecar asks for this much CPU, and whose app asks for more.
fn asking(cpu: &str, revision: &str) -> Value {
    let mut changes = injected(revision, true);
    let spec = json!({
        "initContainers": [
            { "name": "setup", "resources": { "requests": { "cpu": "4" } } },
            { "name": "shipper", "restartPolicy": "Always", "resources": {
                "requests": { "cpu": cpu, "memory": "32Mi" }, "limits": { "memory": "64Mi" },
            }},
        ],
        "containers": [{ "name": "api", "resources": { "requests": { "cpu": "1" } } }],
    });
    merge(&mut changes, &json!({ "spec": spec }));
    changes
}

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

#[derive(Clone, Debug)]
enum Step {
    Pod(u8, u8),
    RemovePod(u8),
    Policy(u8),
    RemovePolicy,
    Namespace(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..6u8, 0..9u8).prop_map(|(name, look)| Step::Pod(name, look)),
        2 => (0..6u8).prop_map(Step::RemovePod),
        2 => (0..4u8).prop_map(Step::Policy),
        1 => Just(Step::RemovePolicy),
        1 => any::<bool>().prop_map(Step::Namespace),
    ];
    prop::collection::vec(step, 0..40)
}

fn look(number: u8) -> Value {
    match number {
        0 => json!({}),
        1 => injected(&revision(), true),
        2 => injected(&revision(), false),
        3 => asking("10m", "0123"),
        4 => skipped("one"),
        5 => skipped("two"),
        6 => opted_out(),
        7 => asking("20m", &revision()),
        _ => json!({ "status": { "phase": "Succeeded" } }),
    }
}

fn variant(number: u8) -> PolicySpec {
    match number {
        0 => spec(),
        3 => PolicySpec { sidecars: vec![brought("api")], ..spec() },
        1 => PolicySpec { activation: Activation::OnRequest, ..spec() },
        _ => PolicySpec { opt_out: OptOut::Denied, ..spec() },
    }
}

proptest! {
    /// Whatever happens in whatever order: the sums hold, and a fresh count gives the same.
    #[test]
    fn counting_on_equals_counting_anew(steps in steps()) {
        let mut index = index();
        let mut pods: BTreeMap<u8, u8> = BTreeMap::new();
        let mut current = Some(0);
        let mut skips_all = false;
        for step in steps {
            match step {
                Step::Pod(name, number) => {
                    pods.insert(name, number);
                    index.set_pod(pod(&format!("pod-{name}"), &look(number)));
                }
                Step::RemovePod(name) => {
                    pods.remove(&name);
                    index.remove_pod(SHOP, &format!("pod-{name}"));
                }
                Step::Policy(number) => {
                    current = Some(number);
                    index.set_policy(policy(&log(), &variant(number)));
                }
                Step::RemovePolicy => {
                    current = None;
                    index.remove_policy(&log());
                }
                Step::Namespace(skips) => {
                    skips_all = skips;
                    index.set_namespace(annotated(skips));
                }
            }
            let counts = counts(&index);
            prop_assert_eq!(counts.matched, counts.injected + counts.skipped + counts.missing);
            prop_assert_eq!(counts.injected, counts.current + counts.outdated);
            prop_assert!(counts.ready <= counts.injected);
        }
        let mut fresh = Index::new(Exclusions::new("system", &[]));
        fresh.set_namespace(annotated(skips_all));
        for (name, number) in pods {
            fresh.set_pod(pod(&format!("pod-{name}"), &look(number)));
        }
        if let Some(number) = current {
            fresh.set_policy(policy(&log(), &variant(number)));
        }
        fresh.start_counting();
        prop_assert_eq!(index.counts(&log()), fresh.counts(&log()));
        prop_assert_eq!(index.overhead(&log()), fresh.overhead(&log()));
    }
}

fn annotated(skips: bool) -> Namespace {
    let annotation = ("sidecarpolicy.dev/skip".to_owned(), "log".to_owned());
    Namespace { annotations: skips.then_some(annotation).into_iter().collect(), ..namespace(SHOP) }
}

fn of(owner: &str, created: &str, ready: bool) -> Value {
    json!({
        "metadata": {
            "uid": "0f2d7c1e-5b1d-4f0e-9a51-0d5cbd8b6a11", "creationTimestamp": created,
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "StatefulSet", "name": owner, "uid": "o",
                "controller": true,
            }],
        },
        "status": { "conditions": [{
            "type": "Ready", "status": if ready { "True" } else { "False" },
            "lastTransitionTime": "2026-11-21T00:01:00Z",
        }]},
    })
}

fn together(changes: &[Value]) -> Value {
    let mut all = json!({});
    for change in changes {
        merge(&mut all, change);
    }
    all
}

#[test]
fn a_rollout_sees_the_pods_that_should_have_the_policy() {
    let mut index = index();
    let created = of("db", "2026-11-21T00:00:00Z", true);
    index.set_pod(pod("current", &together(&[created.clone(), injected(&revision(), true)])));
    index.set_pod(pod("outdated", &injected("0123", true)));
    index.set_pod(pod("missing", &json!({})));
    index.set_pod(pod("out", &opted_out()));
    index.set_pod(pod("other", &json!({ "metadata": { "labels": { "app": "web" } } })));
    let ending = json!({ "metadata": { "deletionTimestamp": "2026-11-21T00:00:00Z" } });
    index.set_pod(pod("ending", &together(&[injected(&revision(), true), ending])));
    let pods = index.rollout_pods(&log());
    let names: Vec<_> = pods.iter().map(|pod| pod.name).collect();
    assert_eq!(names, ["current", "ending", "missing", "outdated"]);
    assert_eq!(pods[0].state, PodState::Current { ready: true });
    assert!(pods[0].available && !pods[0].ending && pods[1].ending);
    assert_eq!(pods[0].owner.unwrap().name, "db");
    assert_eq!(pods[0].changed - pods[0].created, 60);
    assert_eq!(pods[2].state, PodState::Missing);
    assert!(matches!(pods[3].state, PodState::Outdated { revision } if **revision == *"0123"));
    assert_eq!(index.running(&log()).unwrap().len(), 2);
    assert_eq!(counts(&index).matched, 3, "one that is being deleted does not count");
}

fn updated(uid: &str, restarts_before: i64, restarts: i64) -> Value {
    let annotation = json!({ "uid": uid, "at": "2026-11-21T00:02:00Z", "restarts": { "shipper": restarts_before } });
    together(&[
        of("db", "2026-11-21T00:00:00Z", true),
        injected(&revision(), true),
        json!({
            "metadata": { "annotations": { "sidecarpolicy.dev/updated": annotation.to_string() } },
            "status": { "initContainerStatuses": [
                { "name": "shipper", "ready": true, "restartCount": restarts },
            ]},
        }),
    ])
}

#[test]
fn a_container_that_was_changed_is_ready_when_it_has_been_restarted() {
    let uid = "0f2d7c1e-5b1d-4f0e-9a51-0d5cbd8b6a11";
    for (changes, ready) in [
        (updated(uid, 0, 0), false),
        (updated(uid, 0, 1), true),
        (updated(uid, 2, 2), false),
        (updated("another pod, whose template was copied", 0, 0), true),
    ] {
        let mut index = index();
        index.set_pod(pod("a", &changes));
        assert_eq!(counts(&index).ready, i64::from(ready), "{changes}");
        assert_eq!(index.rollout_pods(&log())[0].available, ready, "{changes}");
    }
}

#[test]
fn news_are_of_pods_that_came_and_of_what_they_miss() {
    let mut index = index();
    let told = |index: &mut Index| -> Vec<(String, What)> {
        index.take_news().into_iter().map(|news| (news.pod, news.what)).collect()
    };
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &skipped("why")));
    index.set_pod(pod("c", &json!({})));
    let expected = [
        ("a".to_owned(), What::Injected),
        ("b".to_owned(), What::Skipped("why".into())),
        ("c".to_owned(), What::Missing),
    ];
    assert_eq!(told(&mut index), expected);
    index.set_pod(pod("a", &injected(&revision(), false)));
    index.set_pod(pod("c", &of("db", "2026-11-21T00:00:00Z", true)));
    assert_eq!(told(&mut index), [("c".to_owned(), What::Missing)], "it is another pod by its uid");
    index.set_policy(policy(&PolicyId::cluster("mesh"), &spec()));
    assert_eq!(told(&mut index).len(), 3, "all lack a policy that comes later");
    let audit = PolicySpec { mode: crds::Mode::Audit, ..spec() };
    index.set_policy(policy(&PolicyId::cluster("audit"), &audit));
    assert_eq!(told(&mut index), [], "nothing was to go in");
}

#[test]
fn only_pods_that_come_without_a_policy_are_missed() {
    let mut index = index();
    let missed = |index: &mut Index| -> Vec<(String, i64)> {
        let missed = index.take_missed().into_iter();
        missed.map(|missed| (missed.policy.to_string(), missed.created)).collect()
    };
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &skipped("why")));
    index.set_pod(pod("c", &of("api", "2026-11-21T00:00:00Z", true)));
    assert_eq!(missed(&mut index), [("shop/log".to_owned(), 1_795_219_200)]);
    index.set_pod(pod("c", &of("api", "2026-11-21T00:00:00Z", false)));
    index.set_policy(policy(&PolicyId::cluster("mesh"), &spec()));
    assert_eq!(missed(&mut index), [], "what is there already does not come");
    let audit = PolicySpec { mode: crds::Mode::Audit, ..spec() };
    index.set_policy(policy(&log(), &audit));
    index.set_policy(policy(&PolicyId::cluster("mesh"), &audit));
    index.set_pod(pod("d", &json!({})));
    assert_eq!(missed(&mut index), [], "nothing was to go in");
}

#[test]
fn nothing_is_told_of_what_was_there_at_the_start_but_what_it_misses() {
    let mut index = Index::new(Exclusions::new("system", &[]));
    index.set_namespace(namespace(SHOP));
    index.set_policy(policy(&log(), &spec()));
    index.set_pod(pod("a", &injected(&revision(), true)));
    index.set_pod(pod("b", &json!({})));
    index.start_counting();
    let told: Vec<_> = index.take_news().into_iter().map(|news| news.what).collect();
    assert_eq!(told, [What::Missing]);
}
