//! A partition keeps a share of new pods at the previous revision.

use inject::{Policy, Share, compile, revision, with_content};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::fixture::{Seen, api_pod, log_shipper, names, namespace, run_request, shop};

const PLACE: &str = "sidecarpolicy.dev/place";
const INJECTED: &str = "sidecarpolicy.dev/injected";

fn spec(image: &str) -> Value {
    let mut spec = log_shipper();
    spec["sidecars"][0]["image"] = json!(image);
    spec
}

/// The content of `new`, with this share of the pods at the content of `old`.
fn partitioned(old: &Value, new: &Value, percent: i64) -> Policy {
    shop("p", new.clone())
        .keeping(shop("p", old.clone()), Share::read(&json!(format!("{percent}%"))))
}

fn half() -> Policy {
    partitioned(&spec("s:old"), &spec("s:new"), 50)
}

/// A pod that its controller leaves the naming of to the API server.
fn unnamed() -> Value {
    let mut pod = api_pod();
    pod["metadata"].as_object_mut().unwrap().remove("name");
    pod["metadata"]["generateName"] = json!("api-");
    pod
}

fn call(policy: Policy, pod: &Value, uid: &str) -> Seen {
    run_request(&namespace(&[]), vec![policy], &pod.to_string(), uid)
}

/// The image of the one sidecar.
fn image(seen: &Seen) -> String {
    let containers = seen.pod["spec"]["initContainers"].as_array().cloned().unwrap_or_default();
    assert_eq!(names(&seen.pod, "initContainers"), ["shipper"], "never both");
    containers[0]["image"].as_str().unwrap().to_owned()
}

fn is_kept(seen: &Seen) -> bool {
    let kept = image(seen) == "s:old";
    let revision_of = |image| revision(&serde_json::from_value(spec(image)).unwrap());
    let revision = revision_of(if kept { "s:old" } else { "s:new" });
    let recorded: Value =
        serde_json::from_str(seen.pod["metadata"]["annotations"][INJECTED].as_str().unwrap())
            .unwrap();
    assert_eq!(recorded, json!({ "shop/p": revision }), "what went in is what is recorded");
    kept
}

/// A request uid with which the pod is kept at the previous revision, or is not.
fn uid_that(keeps: bool) -> String {
    let mut uids = (0..1000).map(|number| number.to_string());
    uids.find(|uid| is_kept(&call(half(), &unnamed(), uid)) == keeps).unwrap()
}

#[test]
fn new_pods_are_kept_back_in_expectation() {
    let requests = (0..400).filter(|uid| is_kept(&call(half(), &unnamed(), &uid.to_string())));
    let requests = requests.count();
    let names = (0..400).filter(|number| {
        let mut pod = api_pod();
        pod["metadata"]["name"] = json!(format!("api-{number}"));
        is_kept(&call(half(), &pod, "1"))
    });
    let names = names.count();
    // Four standard deviations.
    assert!((160..=240).contains(&requests), "{requests}");
    assert!((160..=240).contains(&names), "{names}");
}

#[test]
fn all_and_none() {
    for uid in 0..50 {
        let uid = uid.to_string();
        let all = partitioned(&spec("s:old"), &spec("s:new"), 100);
        assert!(is_kept(&call(all, &unnamed(), &uid)));
        let none = partitioned(&spec("s:old"), &spec("s:new"), 0);
        assert!(!is_kept(&call(none, &unnamed(), &uid)));
    }
}

#[test]
fn a_named_pod_has_the_same_revision_in_every_request_and_no_place_on_it() {
    // A StatefulSet gives both.
    let mut pod = api_pod();
    pod["metadata"]["generateName"] = json!("api-");
    let seen = ["1", "2", "3", "4", "5", "6"].map(|uid| call(half(), &pod, uid));
    assert!(seen.iter().all(|one| one.pod == seen[0].pod));
    assert!(seen[0].pod["metadata"]["annotations"].get(PLACE).is_none());
}

#[test]
fn a_smaller_partition_keeps_some_of_the_same_pods() {
    for uid in (0..100).map(|uid| uid.to_string()) {
        let kept = |percent| {
            let policy = partitioned(&spec("s:old"), &spec("s:new"), percent);
            is_kept(&call(policy, &unnamed(), &uid))
        };
        assert!(kept(60) || !kept(20));
    }
}

proptest! {
    /// The API server calls a second time with another uid.
    #[test]
    fn a_second_call_does_not_draw_again(first in ".{0,20}", second in ".{0,20}", percent in 0_i64..=100) {
        let policy = || partitioned(&spec("s:old"), &spec("s:new"), percent);
        let seen = call(policy(), &unnamed(), &first);
        let again = call(policy(), &seen.pod, &second);
        prop_assert!(again.unchanged(), "{}", again.patch);
    }

    #[test]
    fn a_pod_keeps_its_revision_whatever_the_partition_is_by_the_second_call(
        keeps: bool,
        percent in 1_i64..=100,
    ) {
        let seen = call(half(), &unnamed(), &uid_that(keeps));
        let policy = partitioned(&spec("s:old"), &spec("s:new"), percent);
        prop_assert!(call(policy, &seen.pod, "another").unchanged());
    }
}

#[test]
fn a_pod_that_could_not_have_it_is_not_drawn_again_either() {
    let (old, mut new) = (spec("s:old"), spec("s:new"));
    new["sidecars"][0]["name"] = json!("other");
    let policy = || partitioned(&old, &new, 50);
    let mut pod = unnamed();
    pod["spec"]["containers"][0]["name"] = json!("shipper");
    let uid = (0..1000).map(|uid| uid.to_string());
    let conflict =
        |uid: &String| call(policy(), &pod, uid).reason("shop/p") == "ContainerNameConflict";
    let (conflicts, enters): (Vec<_>, Vec<_>) = uid.take(40).partition(conflict);
    let seen = call(policy(), &pod, &conflicts[0]);
    for uid in &enters {
        let again = call(policy(), &seen.pod, uid);
        assert_eq!(again.reason("shop/p"), "ContainerNameConflict");
        assert!(again.unchanged(), "{}", again.patch);
    }
}

#[test]
fn the_place_of_a_pod_is_written_on_it() {
    let seen = call(half(), &unnamed(), &uid_that(true));
    let places: Value =
        serde_json::from_str(seen.pod["metadata"]["annotations"][PLACE].as_str().unwrap()).unwrap();
    let place = places["shop/p"].as_str().unwrap().strip_suffix('%').unwrap();
    assert!(place.parse::<f64>().unwrap() < 50.0, "{places}");
}

#[test]
fn nothing_is_written_without_a_partition_or_when_nothing_is_enforced() {
    let plain = call(shop("p", spec("s:new")), &unnamed(), "1");
    assert!(plain.pod["metadata"]["annotations"].get(PLACE).is_none());
    let audited = |image| {
        let mut spec = spec(image);
        spec["mode"] = json!("Audit");
        spec
    };
    let policy = partitioned(&audited("s:old"), &audited("s:new"), 50);
    let seen = call(policy, &unnamed(), "1");
    assert!(seen.unchanged() && seen.reason("shop/p") == "WouldInject", "{seen:?}");
}

#[test]
fn a_copied_place_is_taken_off_where_there_is_no_partition() {
    let copied = call(half(), &unnamed(), "1").pod;
    let seen = call(shop("p", spec("s:old")), &copied, "2");
    assert!(seen.pod["metadata"]["annotations"].get(PLACE).is_none());
}

#[test]
fn only_content_is_the_previous_one() {
    let mut new = spec("s:new");
    new["priority"] = json!(7);
    new["podSelector"] = json!({"matchLabels": {"app": "api", "tier": "front"}});
    let typed = |spec: &Value| serde_json::from_value(spec.clone()).unwrap();
    let content = inject::revision_content(&typed(&spec("s:old")));
    let previous = with_content(&typed(&new), &content).unwrap();
    let id = inject::PolicyId::namespaced("shop", "p");
    let previous = compile(id, "u", 2, &previous).unwrap();
    let policy = shop("p", new).keeping(previous, Share::read(&json!("100%")));
    assert_eq!(call(policy, &unnamed(), "1").reason("shop/p"), "absent");
}

#[test]
fn parameters_of_either_revision_are_known() {
    let with_parameter = |name: &str| {
        let mut spec = spec("s:new");
        spec["parameters"] = json!([{ "name": name, "type": "String", "default": "a" }]);
        spec
    };
    let policy = || partitioned(&with_parameter("old"), &with_parameter("new"), 50);
    for (parameter, is_known) in [("old", true), ("new", true), ("other", false)] {
        let mut pod = unnamed();
        let key = format!("params.sidecarpolicy.dev/p.{parameter}");
        pod["metadata"]["annotations"] = json!({ key: "b" });
        let seen = call(policy(), &pod, "1");
        assert_eq!(seen.warnings.is_empty(), is_known, "{:?}", seen.warnings);
    }
}
