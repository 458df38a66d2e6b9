//! Policies that can meet on one pod and cannot both go in: what is told, and that it is true.

use inject::{Clash, ClashIndex, Footprint, PolicyId, clash};
use proptest::{collection::vec, prelude::*, sample::select};
use rstest::rstest;
use serde_json::{Value, json};

use crate::fixture::{Seen, policy, run, side, with};

fn footprint(id: &PolicyId, spec: &Value) -> Footprint {
    let compiled = policy(id.clone(), spec.clone());
    let written = serde_json::from_value(spec.clone()).unwrap();
    // What is not carried out yet has a footprint all the same.
    let (pods, namespaces) = if let Ok(policy) = &compiled {
        (policy.pod_selector.clone(), policy.namespace_selector.clone())
    } else {
        let mut plain = json!({"volumes": [{"name": "plain", "emptyDir": {}}]});
        for field in ["podSelector", "namespaceSelector"] {
            plain[field] = spec[field].clone();
        }
        let policy = policy(id.clone(), plain).unwrap();
        (policy.pod_selector, policy.namespace_selector)
    };
    Footprint::of(id.clone(), &written, &pods, &namespaces)
}

fn found(one: &Value, two: &Value) -> Option<Clash> {
    let ids = ["one", "two"].map(|name| PolicyId::namespaced("shop", name));
    clash(&footprint(&ids[0], one), &footprint(&ids[1], two))
}

fn mount(entry: Value, name: &str) -> Value {
    let entry = with(json!({"volumeMounts": [{"name": name, "mountPath": "/data"}]}), entry);
    json!({"volumes": [{"name": name, "emptyDir": {}}], "appContainers": [entry]})
}

fn clashes_in(index: &ClashIndex, footprint: &Footprint) -> Vec<Clash> {
    index.rivals(footprint).into_iter().filter_map(|rival| clash(footprint, rival)).collect()
}

/// What is told, by the path in the first policy; empty: nothing.
#[rstest]
#[case::equal(side(json!({})), side(json!({})), "")]
#[case::image(side(json!({})), side(json!({"image": "s:2"})), "spec.sidecars[0].image: clashes with spec.sidecars[0].image of SidecarPolicy shop/two: both have a container \"side\", with another image")]
#[case::type_of_restart(side(json!({})), side(json!({"type": "Init"})), "spec.sidecars[0].type: clashes")]
#[case::hardened(side(json!({})), side(json!({"securityContext": {"allowPrivilegeEscalation": false}})), "spec.sidecars[0].securityContext: clashes")]
#[case::root(side(json!({"securityContext": {"runAsUser": 0}})), side(json!({"securityContext": {}})), "spec.sidecars[0].securityContext: clashes")]
#[case::placement(side(json!({})), side(json!({"placement": {"before": "app"}})), "spec.sidecars[0].placement: clashes")]
#[case::placement_by_default(side(json!({})), side(json!({"placement": "First"})), "")]
#[case::list(side(json!({})), side(json!({"type": "Container"})), "spec.sidecars[0].type: clashes")]
#[case::by_value(side(json!({"resources": {"limits": {"cpu": "1"}}})), side(json!({"resources": {"limits": {"cpu": "1000m"}}})), "")]
#[case::expression(side(json!({"image": "s:${params.tag}"})), side(json!({})), "")]
#[case::beside_expression(side(json!({"image": "s:${params.tag}", "tty": true})), side(json!({})), "spec.sidecars[0].tty: clashes")]
#[case::grown(side(json!({"copyFromApp": {"env": ["A"]}})), side(json!({"env": [{"name": "A"}]})), "")]
#[case::not_grown(side(json!({"copyFromApp": {"env": ["A"]}})), side(json!({"args": ["x"]})), "spec.sidecars[0].args: clashes")]
#[case::sized(side(json!({"resourcesFromApp": {"function": "Sum", "limits": {"cpu": {"percent": 5}}}})), side(json!({"resources": {"limits": {"cpu": "1"}}})), "")]
#[case::other_names(side(json!({})), side(json!({"name": "other", "image": "s:2"})), "")]
#[case::audit(side(json!({})), with(side(json!({"image": "s:2"})), json!({"mode": "Audit"})), "")]
#[case::on_request(with(side(json!({})), json!({"activation": "OnRequest"})), with(side(json!({"image": "s:2"})), json!({"activation": "OnRequest"})), "")]
#[case::one_on_request(side(json!({})), with(side(json!({"image": "s:2"})), json!({"activation": "OnRequest"})), "spec.sidecars[0].image: clashes")]
#[case::system(side(json!({})), with(side(json!({"image": "s:2"})), json!({"os": "Windows"})), "")]
#[case::any_system(side(json!({})), with(side(json!({"image": "s:2"})), json!({"os": "Any"})), "spec.sidecars[0].image: clashes")]
#[case::conditions(side(json!({})), with(side(json!({"image": "s:2"})), json!({"matchConditions": [{"name": "a", "expression": "false"}]})), "")]
#[case::other_pods(with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "b"}}})), with(side(json!({"image": "s:2"})), json!({"podSelector": {"matchLabels": {"a": "c"}}})), "")]
#[case::excluded_pods(with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "b"}}})), with(side(json!({"image": "s:2"})), json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}})), "")]
#[case::same_pods(with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "b"}}})), with(side(json!({"image": "s:2"})), json!({"podSelector": {"matchLabels": {"c": "d"}}})), "spec.sidecars[0].image: clashes")]
#[case::volume(mount(json!({}), "v"), json!({"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]}), "spec.volumes[0]: clashes with spec.volumes[0] of SidecarPolicy shop/two: both have a volume \"v\", with another emptyDir")]
#[case::mounts(mount(json!({}), "v"), mount(json!({}), "w"), "spec.appContainers[0].volumeMounts[0]: clashes with spec.appContainers[0].volumeMounts[0] of SidecarPolicy shop/two: both mount at /data of the same containers, with another name")]
#[case::same_mounts(mount(json!({}), "v"), mount(json!({}), "v"), "")]
#[case::other_containers(mount(json!({"containers": ["web"]}), "v"), mount(json!({"containers": ["app-*"]}), "w"), "")]
#[case::globs_that_meet(mount(json!({"containers": ["*-1"]}), "v"), mount(json!({"containers": ["app-*"]}), "w"), "spec.appContainers[0].volumeMounts[0]: clashes")]
#[case::other_lists(mount(json!({"include": "InitContainers"}), "v"), mount(json!({}), "w"), "")]
#[case::both_lists(mount(json!({"include": "All"}), "v"), mount(json!({}), "w"), "spec.appContainers[0].volumeMounts[0]: clashes")]
#[case::a_sidecar_is_no_app_container(mount(json!({"containers": ["side"]}), "v"), with(mount(json!({"containers": ["side", "x"]}), "w"), side(json!({}))), "")]
#[case::slash_at_the_end(mount(json!({}), "v"), json!({"appContainers": [{"volumeMounts": [{"name": "w", "mountPath": "/data/"}]}]}), "spec.appContainers[0].volumeMounts[0]: clashes")]
#[case::host_port(side(json!({"type": "Container", "ports": [{"containerPort": 1, "hostPort": 9}]})), side(json!({"name": "b", "type": "Container", "ports": [{"containerPort": 2, "hostPort": 9}]})), "spec.sidecars[0].ports[0].hostPort: clashes with spec.sidecars[0].ports[0].hostPort of SidecarPolicy shop/two: both take the host port 9")]
#[case::host_port_of_init(side(json!({"ports": [{"containerPort": 1, "hostPort": 9}]})), side(json!({"name": "b", "type": "Container", "ports": [{"containerPort": 2, "hostPort": 9}]})), "")]
#[case::host_port_of_another_protocol(side(json!({"type": "Container", "ports": [{"containerPort": 1, "hostPort": 9}]})), side(json!({"name": "b", "type": "Container", "ports": [{"containerPort": 2, "hostPort": 9, "protocol": "UDP"}]})), "")]
#[case::circle(side(json!({"placement": {"before": "b"}})), side(json!({"name": "b", "placement": {"after": "side"}})), "spec.sidecars[0].placement: clashes with spec.sidecars[0].placement of SidecarPolicy shop/two: each waits for the place of the other's container, here of \"b\"")]
#[case::no_circle(side(json!({"placement": {"before": "b"}})), side(json!({"name": "b", "placement": {"after": "app"}})), "")]
#[case::target_in_the_other_list(side(json!({"placement": {"before": "b"}})), side(json!({"name": "b", "type": "Container"})), "spec.sidecars[0].placement: clashes with spec.sidecars[0].type")]
#[case::other_way_round(side(json!({"name": "b", "type": "Container"})), side(json!({"placement": {"before": "b"}})), "spec.sidecars[0].type: clashes with spec.sidecars[0].placement")]
#[case::label(with(side(json!({})), json!({"pod": {"labels": {"a": "b"}}})), with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "c"}}})), "spec.pod.labels.a: clashes with spec.podSelector of SidecarPolicy shop/two: the label a is set by one")]
#[case::label_the_other_way(with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "c"}}})), with(side(json!({})), json!({"pod": {"labels": {"a": "b"}}})), "spec.podSelector: clashes with spec.pod.labels.a")]
#[case::label_of_other_pods(with(side(json!({})), json!({"podSelector": {"matchLabels": {"x": "1"}}, "pod": {"labels": {"a": "b"}}})), with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "c", "x": "2"}}})), "")]
fn clashes(#[case] one: Value, #[case] two: Value, #[case] expected: &str) {
    let told = found(&one, &two).map(|clash| clash.to_string()).unwrap_or_default();
    assert!(told.starts_with(expected) && told.is_empty() == expected.is_empty(), "{told:?}");
    assert_eq!(found(&two, &one).is_some(), !expected.is_empty(), "clashes have no direction");
}

/// Placements that clash leave one of the two out, whichever pod it is.
#[rstest]
#[case::circle(side(json!({"placement": {"before": "b"}})), side(json!({"name": "b", "placement": {"after": "side"}})))]
#[case::other_list(side(json!({"placement": {"before": "b"}})), side(json!({"name": "b", "type": "Container"})))]
fn placements_that_clash_do_not_both_go_in(#[case] one: Value, #[case] two: Value) {
    assert!(found(&one, &two).is_some());
    let pod = json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "app", "image": "a:1"}]}});
    let policies = [("one", one), ("two", two)]
        .map(|(name, spec)| policy(PolicyId::namespaced("shop", name), spec).unwrap());
    let seen = run(policies.into(), &pod);
    assert!(!(goes_in(&seen, "shop/one") && goes_in(&seen, "shop/two")), "{:?}", seen.decisions);
}

#[test]
fn a_clash_names_a_pod_and_what_to_do() {
    let one = with(side(json!({})), json!({"podSelector": {"matchLabels": {"a": "b"}}}));
    let two =
        with(side(json!({"image": "s:2"})), json!({"podSelector": {"matchLabels": {"c": "d"}}}));
    assert_eq!(
        found(&one, &two).unwrap().to_string(),
        "spec.sidecars[0].image: clashes with spec.sidecars[0].image of SidecarPolicy shop/two: both have a container \"side\", with another image; rename one, make them equal, or let shop/one and shop/two select different pods (both reach pods with a=b,c=d)"
    );
}

#[rstest]
#[case(PolicyId::namespaced("shop", "b"), json!({}), true)]
#[case(PolicyId::namespaced("bank", "b"), json!({}), false)]
#[case(PolicyId::cluster("b"), json!({}), true)]
#[case(PolicyId::cluster("b"), json!({"namespaceSelector": {"matchLabels": {"team": "blue"}}}), true)]
#[case(PolicyId::cluster("b"), json!({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "bank"}}}), false)]
#[case(PolicyId::cluster("b"), json!({"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["shop"]}]}}), false)]
#[case(PolicyId::cluster("b"), json!({"namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]}}), false)]
fn policies_meet_in_namespaces_that_both_reach(
    #[case] id: PolicyId,
    #[case] more: Value,
    #[case] meet: bool,
) {
    let one = footprint(&PolicyId::namespaced("shop", "a"), &side(json!({})));
    let two = footprint(&id, &with(side(json!({"image": "s:2"})), more));
    assert_eq!(clash(&one, &two).is_some(), meet);
    let mut index = ClashIndex::default();
    index.insert(two.clone());
    assert_eq!(clashes_in(&index, &one).len(), usize::from(meet));
    let mut index = ClashIndex::default();
    index.insert(one.clone());
    assert_eq!(clashes_in(&index, &two).len(), usize::from(meet));
}

/// Small policies of few names, so that they meet one another.
fn small_policy() -> impl Strategy<Value = Value> {
    let sidecar = (
        select(vec!["a", "b"]),
        select(vec!["x:1", "x:2"]),
        select(vec!["Sidecar", "Init", "Container"]),
        prop::option::of(select(vec![8, 9])),
    )
        .prop_map(|(name, image, kind, port)| {
            let mut sidecar = json!({"name": name, "image": image, "type": kind});
            if let Some(port) = port {
                sidecar["ports"] = json!([{"containerPort": port, "hostPort": port}]);
            }
            sidecar
        });
    let volume = (select(vec!["v", "w"]), select(vec!["", "Memory"]))
        .prop_map(|(name, medium)| json!({"name": name, "emptyDir": {"medium": medium}}));
    let patterns = select(vec![
        json!([]),
        json!(["app"]),
        json!(["web-*"]),
        json!(["*-1"]),
        json!(["a", "setup"]),
    ]);
    let entry = (
        patterns,
        select(vec!["Containers", "InitContainers", "All"]),
        select(vec!["v", "w"]),
        select(vec!["/m", "/n", "/m/"]),
        any::<bool>(),
    )
        .prop_map(|(containers, include, name, path, read_only)| {
            json!({"containers": containers, "include": include,
                "volumeMounts": [{"name": name, "mountPath": path, "readOnly": read_only}]})
        });
    let labels = select(vec![json!({}), json!({"x": "1"}), json!({"x": "2"}), json!({"y": "1"})]);
    (vec(sidecar, 0..3), vec(volume, 0..3), vec(entry, 0..3), labels).prop_map(
        |(sidecars, volumes, entries, labels)| {
            json!({"podSelector": {"matchLabels": labels}, "sidecars": sidecars, "volumes": volumes, "appContainers": entries})
        },
    )
}

fn goes_in(seen: &Seen, policy: &str) -> bool {
    ["Injected", "AlreadyInjected"].contains(&seen.reason(policy))
}

proptest! {
    /// A clash is told just where two policies that go in alone do not both go in together.
    #[test]
    fn a_clash_is_a_conflict_on_the_pod(one in small_policy(), two in small_policy()) {
        let compiled = || -> Option<_> {
            let ids = ["one", "two"].map(|name| PolicyId::namespaced("shop", name));
            Some([policy(ids[0].clone(), one.clone()).ok()?, policy(ids[1].clone(), two.clone()).ok()?])
        };
        let Some([first, second]) = compiled() else { return Ok(()) };
        let told = found(&one, &two);
        let Some(labels) = first.pod_selector.overlap(&second.pod_selector) else {
            prop_assert!(told.is_none());
            return Ok(());
        };
        // Every name that a pattern can mean, in either list.
        let names = ["app", "web-1", "setup"];
        let others = ["helper"];
        let pods = [(names.as_slice(), others.as_slice()), (others.as_slice(), names.as_slice())];
        let mut conflicts = false;
        for (init, ordinary) in pods {
            let list = |names: &[&str]| -> Value {
                names.iter().map(|name| json!({"name": name, "image": "i:1"})).collect()
            };
            let pod = json!({
                "metadata": {"name": "p", "namespace": "shop", "labels": labels},
                "spec": {"initContainers": list(init), "containers": list(ordinary)}
            });
            let [first, second] = compiled().unwrap();
            let alone = [run(vec![first], &pod), run(vec![second], &pod)];
            if !goes_in(&alone[0], "shop/one") || !goes_in(&alone[1], "shop/two") {
                return Ok(());
            }
            let together = run(compiled().unwrap().into(), &pod);
            conflicts |= !(goes_in(&together, "shop/one") && goes_in(&together, "shop/two"));
        }
        prop_assert_eq!(told.is_some(), conflicts, "{:?}", told);
    }

    /// The index tells what comparing with every policy tells.
    #[test]
    fn the_index_overlooks_nothing(specs in vec((small_policy(), select(vec!["", "shop", "bank"])), 1..7), removed in any::<prop::sample::Index>()) {
        let footprints: Vec<Footprint> = specs.iter().enumerate().filter_map(|(number, (spec, namespace))| {
            let name = format!("p{number}");
            let id = if namespace.is_empty() { PolicyId::cluster(name) } else { PolicyId::namespaced(*namespace, name) };
            policy(id.clone(), spec.clone()).is_ok().then(|| footprint(&id, spec))
        }).collect();
        if footprints.is_empty() {
            return Ok(());
        }
        let mut index = ClashIndex::default();
        for footprint in &footprints {
            index.insert(footprint.clone());
        }
        let removed = removed.index(footprints.len());
        index.remove(&footprints[removed].id);
        for footprint in &footprints {
            let mut others: Vec<&Footprint> = footprints.iter().enumerate()
                .filter(|(number, _)| *number != removed)
                .map(|(_, other)| other)
                .collect();
            others.sort_by(|left, right| left.precedence().cmp(&right.precedence()));
            let expected: Vec<Clash> =
                others.into_iter().filter_map(|other| clash(footprint, other)).collect();
            prop_assert_eq!(clashes_in(&index, footprint), expected);
        }
    }
}

#[test]
fn ten_thousand_policies_are_not_compared_with_one_another() {
    let mut index = ClashIndex::default();
    let labelled = |app: usize, image: &str| {
        with(
            side(json!({"image": image})),
            json!({"podSelector": {"matchLabels": {"app": format!("app-{app}")}}}),
        )
    };
    // All in one namespace, all with a container of the same name and another image.
    let footprints: Vec<Footprint> = (0..10_000)
        .map(|number| {
            let id = PolicyId::namespaced("shop", format!("p{number}"));
            let spec = labelled(number, &format!("s:{number}"));
            let written = serde_json::from_value(spec.clone()).unwrap();
            let selectors = policy(id.clone(), spec).unwrap();
            Footprint::of(id, &written, &selectors.pod_selector, &selectors.namespace_selector)
        })
        .collect();
    let started = std::time::Instant::now();
    for footprint in &footprints {
        assert!(index.rivals(footprint).is_empty());
        index.insert(footprint.clone());
    }
    // Comparing all pairs takes minutes.
    assert!(started.elapsed().as_secs() < 60, "{:?}", started.elapsed());
    let everywhere = footprint(&PolicyId::cluster("all"), &side(json!({"image": "other:1"})));
    assert_eq!(index.rivals(&everywhere).len(), 10_000);
}

/// The same policy in thousands of places is what most installations have.
#[test]
fn policies_that_claim_the_same_in_equal_words_are_not_compared() {
    let mut index = ClashIndex::default();
    let spec = with(mount(json!({}), "v"), side(json!({})));
    let equal = |number| footprint(&PolicyId::cluster(format!("p{number}")), &spec);
    for number in 0..10 {
        index.insert(equal(number));
    }
    assert!(index.rivals(&equal(10)).is_empty());
    let other = footprint(&PolicyId::cluster("other"), &side(json!({"type": "Container"})));
    assert_eq!(index.rivals(&other).len(), 10);
}

#[rstest]
#[case::earlier_name(
    PolicyId::namespaced("shop", "a"),
    0,
    PolicyId::namespaced("shop", "b"),
    0,
    true
)]
#[case::priority(PolicyId::namespaced("shop", "a"), 0, PolicyId::namespaced("shop", "b"), 1, false)]
#[case::cluster(PolicyId::cluster("b"), 0, PolicyId::namespaced("shop", "a"), 0, true)]
#[case::cluster_priority(PolicyId::cluster("a"), 0, PolicyId::cluster("b"), 1, false)]
fn the_later_of_two_gives_way(
    #[case] one: PolicyId,
    #[case] priority: i32,
    #[case] two: PolicyId,
    #[case] other_priority: i32,
    #[case] first: bool,
) {
    let one = footprint(&one, &with(side(json!({})), json!({"priority": priority})));
    let two = footprint(&two, &with(side(json!({})), json!({"priority": other_priority})));
    assert_eq!(one.goes_before(&two), first);
    assert_eq!(one.precedence() < two.precedence(), first);
}

#[test]
fn no_priority_lets_a_namespace_precede_the_cluster() {
    let cluster = footprint(&PolicyId::cluster("b"), &side(json!({})));
    let spec = with(side(json!({})), json!({"priority": 1}));
    let namespaced = footprint(&PolicyId::namespaced("shop", "a"), &spec);
    assert!(namespaced.goes_before(&cluster), "that is the policy order");
    assert!(cluster.precedence() < namespaced.precedence());
}

#[test]
fn policies_of_many_globs_are_compared_up_to_a_bound_and_no_further() {
    let globs = |letter: &str| -> Vec<String> {
        (0..64).map(|number| format!("*{letter}*{letter}*{number}*")).collect()
    };
    let entries = |letter: &str, volume: &str| {
        let mounts: Vec<Value> = (0..128)
            .map(|number| json!({"name": volume, "mountPath": format!("/data/{number}")}))
            .collect();
        let entry = json!({"containers": globs(letter), "volumeMounts": mounts});
        json!({"volumes": [{"name": volume, "emptyDir": {}}], "appContainers": vec![entry; 16]})
    };
    // 16 times 16 entries, 128 mounts and 64 times 64 globs: minutes, if all were compared.
    assert_eq!(found(&entries("a", "one"), &entries("b", "two")), None);
}
