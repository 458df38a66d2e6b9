use serde_json::json;

use super::*;
use crate::previous::kept;

fn policy(namespace: Option<&str>, name: &str, generation: i64, image: &str) -> WatchedPolicy {
    let object = serde_json::from_value(json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1", "kind": "SidecarPolicy",
        "metadata": {"name": name, "namespace": namespace, "uid": "u", "generation": generation},
        "spec": {"sidecars": [{"name": "helper", "image": image}]}
    }));
    WatchedPolicy { object: object.unwrap(), previous: None }
}

fn shop(name: &str, generation: i64) -> WatchedPolicy {
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
fn listed(policies: impl IntoIterator<Item = WatchedPolicy>) -> Known {
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

fn relist(known: &mut Known, policies: impl IntoIterator<Item = WatchedPolicy>) {
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
    wrong.object.spec = json!({"sidecars": {}});
    let mut absent = shop("absent", 2);
    absent.object.spec = Value::Null;
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
    let first = served(&known);
    let mut status_written = shop("a", 1);
    status_written.object.status = json!({"observedGeneration": 1});
    assert!(!known.take(Change::Policy(Event::Apply(status_written))));
    relist(&mut known, [shop("a", 1)]);
    assert!(Arc::ptr_eq(&first, &served(&known)));
    // Deleted and made anew while the watch was lost.
    let mut another = shop("a", 1);
    another.object.metadata.uid = Some("other".to_owned());
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

/// The content that `shop` has with this image, and its revision.
fn content(image: &str) -> (Value, String) {
    let object = policy(Some("shop"), "a", 1, image).object;
    let spec = PolicySpec::deserialize(&object.spec).unwrap();
    (inject::revision_content(&spec), inject::revision(&spec))
}

/// Image `helper:2` with a partition, where `status` was written by the operator.
fn partitioned(partition: &str, status: Value, previous: Option<&str>) -> WatchedPolicy {
    let mut watched = policy(Some("shop"), "a", 2, "helper:2");
    watched.object.spec["rollout"] = json!({ "partition": partition });
    watched.object.status = status;
    watched.previous = kept(&watched.object);
    if let Some(kept) = &mut watched.previous {
        kept.content = previous.map(|image| content(image).0);
    }
    watched
}

fn served(known: &Known) -> Arc<Policy> {
    let snapshot = known.snapshot().expect("everything is listed");
    Arc::clone(snapshot.policies.get(&PolicyId::namespaced("shop", "a")).expect("it is served"))
}

fn kept_revision(known: &Known) -> Option<String> {
    served(known).kept().map(|(revision, _)| revision.to_owned())
}

#[test]
fn a_partition_keeps_pods_at_the_previous_revision_before_and_after_the_status_says_so() {
    let ((_, old), (_, new)) = (content("helper:1"), content("helper:2"));
    let not_yet = json!({ "revision": old });
    let written = json!({ "revision": new, "previousRevision": old, "partitioned": true });
    let mut known = listed([partitioned("50%", not_yet, Some("helper:1"))]);
    assert_eq!(kept_revision(&known), Some(old.clone()));
    let before = served(&known);
    let event = Event::Apply(partitioned("50%", written, Some("helper:1")));
    assert!(!known.take(Change::Policy(event)), "nothing changes for requests");
    assert!(Arc::ptr_eq(&before, &served(&known)));
}

#[test]
fn no_partition_no_previous_revision() {
    let status = json!({ "revision": content("helper:1").1 });
    let known = listed([partitioned("0%", status, Some("helper:1"))]);
    assert_eq!(kept_revision(&known), None);
}

#[test]
fn a_content_that_is_not_the_one_of_the_status_is_not_believed() {
    let status = json!({ "revision": content("helper:1").1 });
    let known = listed([partitioned("50%", status, Some("planted:1"))]);
    assert_eq!(kept_revision(&known), None);
    assert_eq!(shown(&known), ["shop/a 2"], "the current revision goes on");
}

#[test]
fn a_content_that_comes_later_is_taken_up() {
    let status = json!({ "revision": content("helper:1").1 });
    let mut known = listed([partitioned("50%", status.clone(), None)]);
    assert_eq!(kept_revision(&known), None);
    let event = Event::Apply(partitioned("50%", status, Some("helper:1")));
    assert!(known.take(Change::Policy(event)));
    assert_eq!(kept_revision(&known), Some(content("helper:1").1));
}

#[test]
fn a_previous_content_that_does_not_go_with_the_new_spec_is_left_out() {
    let mut watched =
        partitioned("50%", json!({ "revision": content("helper:1").1 }), Some("helper:1"));
    watched.object.spec["parameters"] =
        json!([{ "name": "on", "type": "Boolean", "default": true }]);
    watched.object.spec["matchConditions"] = json!([{ "name": "on", "expression": "params.on" }]);
    let mut known = listed([watched.clone()]);
    assert_eq!(shown(&known), ["shop/a 2"]);
    assert_eq!(kept_revision(&known), None);
    let snapshot = known.snapshot().unwrap();
    let unusable = snapshot.unusable.get(&PolicyId::namespaced("shop", "a")).unwrap();
    assert_eq!(unusable.revision, content("helper:1").1);
    assert!(unusable.why.contains("there is no parameter on"), "{}", unusable.why);
    // It is found out once.
    assert!(!known.take(Change::Policy(Event::Apply(watched))));
}
