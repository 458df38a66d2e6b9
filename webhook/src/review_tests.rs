use proptest::{collection::vec, option, prelude::*};
use serde_json::{Map, Value, json};

use super::*;

/// Any JSON, not deep.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".{0,8}", inner), 0..4).prop_map(Value::from_iter),
        ]
    })
}

/// The members of a request in any order, among members that nobody asked for.
fn request() -> impl Strategy<Value = Value> {
    let namespace = prop_oneof![Just(None), option::of(".*").prop_map(Some)];
    let known = (".*", ".*", namespace, vec(".*", 0..4), anything());
    let others = vec(("x-.{0,8}", anything()), 0..4);
    (known, others).prop_flat_map(|((uid, operation, namespace, groups, object), others)| {
        let mut members = vec![
            ("uid".to_owned(), json!(uid)),
            ("operation".to_owned(), json!(operation)),
            ("userInfo".to_owned(), json!({"username": "x", "groups": groups, "extra": {"a": []}})),
            ("object".to_owned(), object),
        ];
        members.extend(namespace.map(|namespace| ("namespace".to_owned(), json!(namespace))));
        members.extend(others);
        Just(members).prop_shuffle().prop_map(|members| Map::from_iter(members).into())
    })
}

proptest! {
    #[test]
    fn what_is_read_is_what_was_sent(sent in request(), pretty in any::<bool>()) {
        let review =
            json!({"request": sent, "kind": "AdmissionReview", "apiVersion": API_VERSION});
        let body = if pretty { format!("{review:#}") } else { review.to_string() };
        let read: Request<'_, Value> = read(text(body.as_bytes()).unwrap()).unwrap();
        prop_assert_eq!(read.uid.as_str(), &sent["uid"]);
        prop_assert_eq!(read.operation.as_str(), &sent["operation"]);
        prop_assert_eq!(read.namespace(), sent["namespace"].as_str().unwrap_or_default());
        let groups: Vec<&str> = read.user_info.groups.iter().map(Text::as_str).collect();
        prop_assert_eq!(json!(groups), sent["userInfo"]["groups"].clone());
        prop_assert_eq!(read.object.unwrap_or_default(), sent["object"].clone());
    }

    #[test]
    fn a_part_of_a_review_is_none(sent in request(), length in any::<prop::sample::Index>()) {
        let body =
            json!({"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": sent}).to_string();
        let part = &body.as_bytes()[..length.index(body.len())];
        prop_assert!(text(part).and_then(read_without_object).is_err());
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..200)) {
        let _ = text(&body).and_then(read_without_object);
    }
}

#[test]
fn only_groups_make_a_kubelet() {
    let review = |user: Value| {
        let request = json!({"uid": "1", "userInfo": user});
        json!({"kind": "AdmissionReview", "apiVersion": API_VERSION, "request": request})
            .to_string()
    };
    let node = review(json!({"username": "system:node:a", "groups": ["x", "system:nodes"]}));
    assert!(read_without_object(&node).unwrap().requester_is_node());
    let posing = review(json!({"username": "system:nodes", "groups": ["system:masters"]}));
    assert!(!read_without_object(&posing).unwrap().requester_is_node());
}
