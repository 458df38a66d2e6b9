//! Who is told of a clash, while policies and namespaces come, change and go.

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;

fn footprint(id: &PolicyId, spec: &Value) -> Footprint {
    let spec = serde_json::from_value(spec.clone()).unwrap();
    let policy = inject::compile(id.clone(), "uid", 1, &spec).unwrap();
    Footprint::of(id.clone(), &spec, &policy.pod_selector, &policy.namespace_selector)
}

/// A policy with one container, which clashes with any of another image.
fn sidecar(id: &PolicyId, image: &str, priority: i32) -> Footprint {
    let sidecars = json!([{"name": "side", "image": image}]);
    footprint(id, &json!({"sidecars": sidecars, "priority": priority}))
}

fn shop(name: &str) -> PolicyId {
    PolicyId::namespaced("shop", name)
}

fn namespace(name: &str, team: &str) -> Namespace {
    let labels = [("kubernetes.io/metadata.name", name), ("team", team)];
    let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Namespace { name: name.to_owned(), labels: labels.into(), ..Namespace::default() }
}

fn in_shop() -> Clashes {
    let mut clashes = Clashes::default();
    clashes.set_namespace(&namespace("shop", "blue"));
    clashes
}

fn names<'i>(ids: impl IntoIterator<Item = &'i PolicyId>) -> Vec<&'i str> {
    ids.into_iter().map(|id| id.name.as_str()).collect()
}

/// Those to which a policy gives way.
fn before(clashes: &Clashes, id: &PolicyId) -> Vec<String> {
    clashes.of(id).gives_way.into_iter().map(|clash| clash.other.name).collect()
}

/// Those that are told to give way to a policy.
fn behind(clashes: &Clashes, id: &PolicyId) -> Vec<String> {
    clashes.of(id).others.into_iter().map(|other| other.id.name).collect()
}

#[test]
fn both_are_told_until_they_agree() {
    let (a, b) = (shop("a"), shop("b"));
    let mut clashes = in_shop();
    assert_eq!(names(&clashes.set(sidecar(&b, "s:1", 0))), ["b"]);
    assert_eq!(names(&clashes.set(sidecar(&a, "s:2", 0))), ["a", "b"]);
    assert_eq!((before(&clashes, &a), behind(&clashes, &a)), (vec![], vec!["b".to_owned()]));
    assert_eq!((before(&clashes, &b), behind(&clashes, &b)), (vec!["a".to_owned()], vec![]));
    let clash = &clashes.of(&b).gives_way[0];
    assert_eq!(clash.policy, b);
    assert!(
        clash.to_string().contains("clashes with spec.sidecars[0].image of SidecarPolicy shop/a")
    );

    assert_eq!(names(&clashes.set(sidecar(&a, "s:1", 0))), ["a", "b"]);
    assert_eq!([clashes.of(&a), clashes.of(&b)], [Clashing::default(), Clashing::default()]);
}

#[test]
fn who_gives_way_follows_the_priority() {
    let (a, b) = (shop("a"), shop("b"));
    let mut clashes = in_shop();
    clashes.set(sidecar(&a, "s:1", 0));
    clashes.set(sidecar(&b, "s:2", 1));
    assert_eq!((before(&clashes, &a), before(&clashes, &b)), (vec!["b".to_owned()], vec![]));
    clashes.set(sidecar(&b, "s:2", 0));
    assert_eq!((before(&clashes, &a), before(&clashes, &b)), (vec![], vec!["a".to_owned()]));
}

#[test]
fn a_policy_that_goes_leaves_the_other_alone() {
    let (a, b, far) = (shop("a"), shop("b"), PolicyId::namespaced("bank", "far"));
    let mut clashes = in_shop();
    for (id, image) in [(&a, "s:1"), (&b, "s:2"), (&far, "s:3")] {
        clashes.set(sidecar(id, image, 0));
    }
    assert_eq!(names(&clashes.remove(&a)), ["a", "b"], "and nobody else is looked at");
    assert_eq!(clashes.of(&b), Clashing::default());
}

#[test]
fn no_priority_lets_a_namespace_have_a_cluster_policy_refused() {
    let (everywhere, own) = (PolicyId::cluster("everywhere"), shop("own"));
    let mut clashes = in_shop();
    clashes.set(sidecar(&own, "s:1", 1000));
    clashes.set(sidecar(&everywhere, "s:2", 0));
    assert_eq!(before(&clashes, &own), ["everywhere"]);
    let told = clashes.of(&everywhere);
    assert!(told.gives_way.is_empty());
    assert_eq!(told.of_namespaces, OfNamespaces { give_way: 0, go_before: 1 });
    clashes.set(sidecar(&own, "s:1", 0));
    let told = clashes.of(&everywhere);
    assert_eq!(told.of_namespaces, OfNamespaces { give_way: 1, go_before: 0 });
}

#[test]
fn a_cluster_policy_does_not_name_those_of_namespaces() {
    let (a, b) = (PolicyId::cluster("a"), PolicyId::cluster("b"));
    let mut clashes = in_shop();
    clashes.set(sidecar(&a, "s:1", 0));
    clashes.set(sidecar(&b, "s:2", 0));
    for number in 0..20 {
        clashes.set(sidecar(&shop(&format!("own-{number}")), &format!("t:{number}"), 0));
    }
    assert_eq!(behind(&clashes, &a), ["b"]);
    let told = clashes.of(&a);
    assert!(!told.more);
    assert_eq!(told.of_namespaces, OfNamespaces { give_way: 20, go_before: 0 });
    assert_eq!(before(&clashes, &shop("own-0")), ["a", "b"], "they name it");
}

#[test]
fn a_cluster_policy_meets_those_of_the_namespaces_that_it_reaches() {
    let (blue, own) = (PolicyId::cluster("blue"), shop("own"));
    let selective = json!({
        "sidecars": [{"name": "side", "image": "s:2"}],
        "namespaceSelector": {"matchLabels": {"team": "blue"}}
    });
    let mut clashes = Clashes::default();
    clashes.set(sidecar(&own, "s:1", 0));
    clashes.set(footprint(&blue, &selective));
    assert!(before(&clashes, &own).is_empty(), "nothing is known of the namespace");
    assert!(clashes.set_namespace(&namespace("bank", "blue")).is_empty());
    assert_eq!(names(&clashes.set_namespace(&namespace("shop", "blue"))), ["blue", "own"]);
    assert_eq!(before(&clashes, &own), ["blue"]);
    assert!(clashes.set_namespace(&namespace("shop", "blue")).is_empty(), "nothing changed");
    clashes.set_namespace(&namespace("shop", "red"));
    assert_eq!([clashes.of(&blue), clashes.of(&own)], [Clashing::default(), Clashing::default()]);
}

#[test]
fn few_are_told_and_the_next_one_follows_when_one_goes() {
    let mut clashes = in_shop();
    let ids: Vec<PolicyId> = (10..30).map(|number| shop(&format!("p{number}"))).collect();
    for id in ids.iter().rev() {
        clashes.set(sidecar(id, &format!("s:{}", id.name), 0));
    }
    let last = &ids[19];
    assert_eq!(before(&clashes, last), names(&ids[..8]));
    let first = clashes.of(&ids[0]);
    assert_eq!((first.others.len(), first.more), (8, true));
    clashes.remove(&ids[0]);
    assert_eq!(before(&clashes, last), names(&ids[1..9]));
    assert_eq!(before(&clashes, &ids[1]), [""; 0]);
}

#[test]
fn a_policy_among_ten_thousand_is_compared_with_those_that_it_can_meet() {
    let mut clashes = Clashes::default();
    // Half of them the same everywhere, the other half all different and in namespaces of their own.
    for number in 0..5_000 {
        let everywhere = PolicyId::cluster(format!("p{number}"));
        clashes.set(sidecar(&everywhere, "s:1", 0));
        let own = PolicyId::namespaced(format!("team-{number}"), "own");
        let sidecars = json!([{"name": "own", "image": format!("s:{number}")}]);
        clashes.set(footprint(&own, &json!({"sidecars": sidecars})));
    }
    let started = std::time::Instant::now();
    for number in 0..100 {
        let id = PolicyId::namespaced("team-0", format!("more-{number}"));
        let sidecars = json!([{"name": "own", "image": format!("t:{number}")}]);
        let changed = clashes.set(footprint(&id, &json!({"sidecars": sidecars})));
        assert!(changed.len() <= 110, "{}", changed.len());
    }
    // Comparing each with all takes minutes.
    assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
}

/// What happens to policies and namespaces.
#[derive(Clone, Debug)]
enum Step {
    Set { id: PolicyId, image: &'static str, priority: i32, team: Option<&'static str> },
    Remove(PolicyId),
    Label(&'static str, &'static str),
}

fn any_id() -> impl Strategy<Value = PolicyId> {
    let name = (0..14).prop_map(|number| format!("p{number}"));
    (select(vec!["", "shop", "bank"]), name).prop_map(|(namespace, name)| match namespace {
        "" => PolicyId::cluster(name),
        namespace => PolicyId::namespaced(namespace, name),
    })
}

fn any_step() -> impl Strategy<Value = Step> {
    let image = select(vec!["s:1", "s:2", "s:3"]);
    let team = prop::option::of(select(vec!["blue", "red"]));
    let namespace = select(vec!["shop", "bank"]);
    prop_oneof![
        6 => (any_id(), image, 0..2, team).prop_map(|(id, image, priority, team)| {
            Step::Set { id, image, priority, team }
        }),
        2 => any_id().prop_map(Step::Remove),
        1 => (namespace, select(vec!["blue", "red"])).prop_map(|(name, team)| Step::Label(name, team)),
    ]
}

proptest! {
    /// What was found step by step is what comparing all with all finds, and whoever is told something
    /// else was named.
    #[test]
    fn nothing_is_overlooked(steps in vec(any_step(), 1..32)) {
        let mut clashes = Clashes::default();
        let mut footprints: BTreeMap<PolicyId, Footprint> = BTreeMap::new();
        let mut told: BTreeMap<PolicyId, Clashing> = BTreeMap::new();
        for step in steps {
            let changed = match step {
                Step::Set { id, image, priority, team } => {
                    let mut spec = json!({
                        "sidecars": [{"name": "side", "image": image}], "priority": priority
                    });
                    if let Some(team) = team.filter(|_| id.namespace.is_none()) {
                        spec["namespaceSelector"] = json!({"matchLabels": {"team": team}});
                    }
                    let footprint = footprint(&id, &spec);
                    footprints.insert(id, footprint.clone());
                    clashes.set(footprint)
                }
                Step::Remove(id) => {
                    footprints.remove(&id);
                    clashes.remove(&id)
                }
                Step::Label(name, team) => clashes.set_namespace(&namespace(name, team)),
            };
            let now: BTreeMap<PolicyId, Clashing> =
                footprints.keys().map(|id| (id.clone(), clashes.of(id))).collect();
            for (id, footprint) in &footprints {
                let mut first: Vec<&Footprint> = footprints
                    .values()
                    .filter(|other| other.precedence() < footprint.precedence())
                    .collect();
                first.sort_by(|left, right| left.precedence().cmp(&right.precedence()));
                let expected: Vec<Clash> = first
                    .into_iter()
                    .filter_map(|other| clashes.clash(footprint, other))
                    .take(TOLD)
                    .collect();
                prop_assert_eq!(&now[id].gives_way, &expected);
                if told.get(id) != now.get(id) {
                    prop_assert!(changed.contains(id), "{} is told something else", id);
                }
            }
            for (id, clashing) in &now {
                let yields = |other: &&PolicyId| {
                    now[*other].gives_way.iter().any(|clash| clash.other == *id)
                };
                let behind = footprints.keys().filter(yields);
                let (unnamed, mut named): (Vec<&PolicyId>, Vec<&PolicyId>) = behind
                    .partition(|other| id.namespace.is_none() && other.namespace.is_some());
                named.truncate(TOLD);
                prop_assert_eq!(clashing.others.iter().map(|other| &other.id).collect::<Vec<_>>(), named);
                let OfNamespaces { give_way, go_before } = clashing.of_namespaces;
                prop_assert_eq!(give_way + go_before, unnamed.len());
            }
            told = now;
        }
    }
}
