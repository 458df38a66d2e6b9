use serde_json::json;

use super::*;

fn policy(namespace: Option<&str>, name: &str, generation: i64, image: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
        "metadata": {"name": name, "namespace": namespace, "uid": "u", "generation": generation},
        "spec": {"sidecars": [{"name": "helper", "image": image}]}
    }))
    .unwrap()
}

fn shop(name: &str, generation: i64) -> DynamicObject {
    policy(Some("shop"), name, generation, "helper:1")
}

fn namespace_object(name: &str) -> PartialObjectMeta<NamespaceObject> {
    serde_json::from_value(json!({
        "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
        "metadata": {"name": name, "labels": {"team": "a"}, "annotations": {"note": "b"}}
    }))
    .unwrap()
}

/// Has listed the given policies of namespace `shop`, and nothing else.
fn listed(policies: impl IntoIterator<Item = DynamicObject>) -> Known {
    let mut known = Known::default();
    relist(&mut known, policies);
    for event in [Event::Init, Event::InitDone] {
        known.take(Change::ClusterPolicy(event));
    }
    for event in [Event::Init, Event::InitApply(namespace_object("shop")), Event::InitDone] {
        known.take(Change::Namespace(event));
    }
    known
}

fn relist(known: &mut Known, policies: impl IntoIterator<Item = DynamicObject>) {
    known.take(Change::Policy(Event::Init));
    for policy in policies {
        assert!(!known.take(Change::Policy(Event::InitApply(policy))));
    }
    assert!(known.take(Change::Policy(Event::InitDone)));
}

/// Served policies with their generations, and rejected ones after a `!`.
fn shown(known: &Known) -> Vec<String> {
    let snapshot = known.snapshot().expect("everything is listed");
    let served =
        snapshot.policies.iter().map(|policy| format!("{} {}", policy.id, policy.generation));
    let rejected = snapshot.rejected.iter().map(|(id, generation)| format!("!{id} {generation}"));
    let mut shown: Vec<String> = served.chain(rejected).collect();
    shown.sort_unstable();
    shown
}

#[test]
fn there_is_no_snapshot_before_every_list_is_complete() {
    let mut known = Known::default();
    let lists = [Change::Policy, Change::ClusterPolicy];
    for list in lists {
        known.take(list(Event::Init));
        assert!(known.snapshot().is_none());
        known.take(list(Event::InitDone));
        assert!(known.snapshot().is_none());
    }
    known.take(Change::Namespace(Event::Init));
    known.take(Change::Namespace(Event::InitDone));
    assert!(known.snapshot().is_some_and(|snapshot| snapshot.synced));
}

#[test]
fn a_policy_that_does_not_compile_is_left_out_and_the_others_go_on() {
    let mut known = listed([shop("a", 1), policy(Some("shop"), "bad", 4, "")]);
    assert_eq!(shown(&known), ["!shop/bad 4", "shop/a 1"]);
    assert!(known.take(Change::Policy(Event::Apply(shop("bad", 5)))));
    assert_eq!(shown(&known), ["shop/a 1", "shop/bad 5"]);
    known.take(Change::Policy(Event::Apply(policy(Some("shop"), "a", 2, ""))));
    assert_eq!(shown(&known), ["!shop/a 2", "shop/bad 5"]);
}

#[test]
fn a_spec_of_the_wrong_type_is_left_out() {
    let mut wrong = shop("wrong", 1);
    wrong.data["spec"] = json!({"sidecars": {}});
    let mut absent = shop("absent", 2);
    absent.data = json!({});
    assert_eq!(shown(&listed([wrong, absent])), ["!shop/absent 2", "!shop/wrong 1"]);
}

#[test]
fn changes_are_followed_one_by_one() {
    let mut known = listed([shop("a", 1), shop("b", 1)]);
    known.take(Change::Policy(Event::Apply(shop("a", 2))));
    known.take(Change::Policy(Event::Delete(shop("b", 1))));
    known.take(Change::ClusterPolicy(Event::Apply(policy(None, "mesh", 3, "proxy:1"))));
    assert_eq!(shown(&known), ["cluster/mesh 3", "shop/a 2"]);
}

#[test]
fn a_list_that_begins_anew_takes_nothing_away_until_it_is_complete() {
    let mut known = listed([shop("a", 1), shop("b", 1)]);
    known.take(Change::Policy(Event::Init));
    known.take(Change::Policy(Event::InitApply(shop("a", 2))));
    assert_eq!(shown(&known), ["shop/a 1", "shop/b 1"]);
    // The list breaks off and begins once more.
    relist(&mut known, [shop("c", 1)]);
    assert_eq!(shown(&known), ["shop/c 1"]);
}

#[test]
fn namespaces_come_with_labels_and_annotations_and_go() {
    let mut known = listed([]);
    known.take(Change::Namespace(Event::Apply(namespace_object("new"))));
    known.take(Change::Namespace(Event::Delete(namespace_object("shop"))));
    let snapshot = known.snapshot().unwrap();
    assert_eq!(snapshot.namespaces.keys().collect::<Vec<_>>(), ["new"]);
    let new = &snapshot.namespaces["new"];
    assert_eq!((new.labels["team"].as_str(), new.annotations["note"].as_str()), ("a", "b"));
}

#[test]
fn a_spec_that_did_not_change_is_not_compiled_again() {
    let mut known = listed([shop("a", 1)]);
    let served = |known: &Known| {
        let snapshot = known.snapshot().expect("everything is listed");
        Arc::clone(snapshot.policies.get(&PolicyId::namespaced("shop", "a")).expect("it is served"))
    };
    let first = served(&known);
    let mut status_written = shop("a", 1);
    status_written.data["status"] = json!({"observedGeneration": 1});
    assert!(!known.take(Change::Policy(Event::Apply(status_written))));
    relist(&mut known, [shop("a", 1)]);
    assert!(Arc::ptr_eq(&first, &served(&known)));
    // Deleted and made anew while the watch was lost.
    let mut another = shop("a", 1);
    another.metadata.uid = Some("other".to_owned());
    relist(&mut known, [another]);
    assert_eq!(served(&known).uid, "other");
}

#[test]
fn a_list_of_one_kind_leaves_the_other_alone() {
    let mut known = listed([shop("a", 1), shop("bad", 1)]);
    known.take(Change::ClusterPolicy(Event::Apply(policy(None, "mesh", 3, "proxy:1"))));
    known.take(Change::ClusterPolicy(Event::Apply(policy(None, "wrong", 4, ""))));
    relist(&mut known, []);
    assert_eq!(shown(&known), ["!cluster/wrong 4", "cluster/mesh 3"]);
    for event in [Event::Init, Event::InitDone] {
        known.take(Change::ClusterPolicy(event));
    }
    assert_eq!(shown(&known), [""; 0]);
}

#[test]
fn a_namespace_that_did_not_change_is_nothing_new() {
    let mut known = listed([]);
    assert!(!known.take(Change::Namespace(Event::Apply(namespace_object("shop")))));
    assert!(known.take(Change::Namespace(Event::Apply(namespace_object("new")))));
}

#[test]
fn a_snapshot_stays_as_it_is() {
    let mut known = listed([shop("a", 1)]);
    let before = known.snapshot().unwrap();
    known.take(Change::Policy(Event::Apply(shop("b", 1))));
    known.take(Change::Policy(Event::Apply(policy(Some("shop"), "a", 2, ""))));
    known.take(Change::Namespace(Event::Delete(namespace_object("shop"))));
    assert_eq!(before.policies.iter().map(|policy| policy.generation).collect::<Vec<_>>(), [1]);
    assert_eq!((before.rejected.size(), before.namespaces.size()), (0, 1));
    assert_eq!(shown(&known), ["!shop/a 2", "shop/b 1"]);
}
