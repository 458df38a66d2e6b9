//! Which replicas are asked, and what their answers add up to.

use serde_json::json;

use super::*;

fn slice(name: &str, port: i64, endpoints: &serde_json::Value) -> EndpointSlice {
    serde_json::from_value(json!({
        "metadata": { "name": name },
        "addressType": "IPv4",
        "ports": [{ "port": port }],
        "endpoints": endpoints,
    }))
    .unwrap()
}

fn endpoint(address: &str, pod: &str, ready: Option<bool>) -> serde_json::Value {
    json!({
        "addresses": [address],
        "conditions": { "ready": ready },
        "targetRef": { "kind": "Pod", "name": pod },
    })
}

#[test]
fn each_ready_replica_is_asked_once() {
    let first = slice(
        "a",
        8443,
        &json!([
            endpoint("10.0.0.1", "one", Some(true)),
            endpoint("10.0.0.2", "two", Some(false)),
            endpoint("10.0.0.3", "three", None),
        ]),
    );
    let second = slice("b", 8443, &json!([endpoint("fd00::1", "one", Some(true))]));
    let addresses = ready_addresses([&first, &second].into_iter());
    assert_eq!(addresses, ["10.0.0.1:8443".parse().unwrap(), "10.0.0.3:8443".parse().unwrap()]);
}

#[test]
fn slices_are_followed_through_a_new_list() {
    let mut endpoints = Endpoints::default();
    assert_eq!(endpoints.ready(), None, "nothing is known yet");
    let one = slice("a", 8443, &json!([endpoint("10.0.0.1", "one", None)]));
    endpoints.see(Event::Init);
    endpoints.see(Event::InitApply(one.clone()));
    assert_eq!(endpoints.ready(), None);
    endpoints.see(Event::InitDone);
    assert_eq!(endpoints.ready().map(|all| all.len()), Some(1));
    endpoints.see(Event::Delete(one));
    assert_eq!(endpoints.ready(), Some(Vec::new()));
}

fn served(generation: i64) -> Served {
    let text = json!({
        "policies": { "shop/log": { "uid": "u", "generation": generation } },
        "rejected": { "shop/bad": 3 },
    })
    .to_string();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn coverage_counts_this_very_policy_and_generation() {
    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 8443));
    let log = PolicyId::namespaced("shop", "log");
    let answers = Answers {
        replicas: [
            (address(1), Ok(served(3))),
            (address(2), Ok(served(2))),
            (address(3), Err("no connection".to_owned())),
        ]
        .into(),
    };
    let found = answers.coverage(&log, "u", 3, None);
    assert_eq!((found.serving, found.endpoints), (1, 3));
    assert_eq!(found.problem.as_deref(), Some("10.0.0.3:8443: no connection"));
    assert_eq!(answers.coverage(&log, "another", 3, None).serving, 0);
    assert_eq!(answers.coverage(&PolicyId::cluster("log"), "u", 3, None).serving, 0);
    assert_eq!(answers.coverage(&PolicyId::namespaced("shop", "bad"), "u", 3, None).serving, 0);
}

#[test]
fn a_replica_that_still_does_not_answer_says_so_in_the_same_words() {
    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 8443));
    let failed = |words: &str| Err(words.to_owned());
    let before = Answers {
        replicas: [(address(1), failed("expired 1 s ago")), (address(2), Ok(Served::default()))]
            .into(),
    };
    let mut replicas = [
        (address(1), failed("expired 2 s ago")),
        (address(2), failed("reset")),
        (address(3), failed("refused")),
    ]
    .into();
    before.keep_words(&mut replicas);
    let words: Vec<_> = replicas.into_values().map(Result::unwrap_err).collect();
    assert_eq!(words, ["expired 1 s ago", "reset", "refused"]);
}

#[test]
fn a_replica_serves_a_partition_only_with_the_revision_that_pods_are_kept_at() {
    let replica = |previous: Option<&str>| -> Served {
        let served = json!({ "uid": "u", "generation": 3, "previous": previous });
        serde_json::from_value(json!({ "policies": { "shop/log": served } })).unwrap()
    };
    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 8443));
    let answers = Answers {
        replicas: [
            (address(1), Ok(replica(Some("old")))),
            (address(2), Ok(replica(None))),
            (address(3), Ok(replica(Some("older")))),
        ]
        .into(),
    };
    let log = PolicyId::namespaced("shop", "log");
    let serving = |kept| answers.coverage(&log, "u", 3, kept).serving;
    assert_eq!(serving(Some(Kept::At("old".to_owned()))), 1);
    assert_eq!(serving(Some(Kept::Lost("old".to_owned()))), 3);
    assert_eq!(serving(None), 3);
}

#[test]
fn a_replica_that_can_make_nothing_of_the_previous_revision_serves_the_current_one() {
    let replica = |served: serde_json::Value| -> Served {
        serde_json::from_value(json!({ "policies": { "shop/log": served } })).unwrap()
    };
    let unusable = json!({ "revision": "old", "why": "it has no parameter" });
    let served = json!({ "uid": "u", "generation": 3, "unusable": unusable });
    let address = |last: u8| SocketAddr::from(([10, 0, 0, last], 8443));
    let waiting = json!({ "uid": "u", "generation": 3 });
    let replicas = [(address(1), Ok(replica(served))), (address(2), Ok(replica(waiting)))];
    let answers = Answers { replicas: replicas.into() };
    let log = PolicyId::namespaced("shop", "log");
    let found = answers.coverage(&log, "u", 3, Some(Kept::At("old".to_owned())));
    assert_eq!(found.serving, 1);
    let why = "it has no parameter".to_owned();
    assert_eq!(found.kept, Some(Kept::Unusable("old".to_owned(), why)));
    let found = answers.coverage(&log, "u", 3, Some(Kept::At("older".to_owned())));
    assert_eq!((found.serving, found.kept), (0, Some(Kept::At("older".to_owned()))));
}
