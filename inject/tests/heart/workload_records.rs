//! The record of what was carried: lost, stale, forged, and what becomes of the template then.

use std::collections::BTreeMap;

use inject::{Operation, PolicySet, Workload, WorkloadKind, carry};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Map, Value, json};

const INJECT: &str = "sidecarpolicy.dev/inject";
const SKIP: &str = "sidecarpolicy.dev/skip";
const CARRIED: &str = "sidecarpolicy.dev/carried";

type Annotations = BTreeMap<String, String>;

/// The annotations of a workload and of its pod template.
#[derive(Clone, Debug, Default, PartialEq)]
struct Object {
    workload: Annotations,
    template: Annotations,
}

impl Object {
    fn new(workload: Value, template: Value) -> Self {
        let map = |value| serde_json::from_value(value).unwrap();
        Self { workload: map(workload), template: map(template) }
    }

    /// With a record of what was carried.
    fn recording(mut self, record: Value) -> Self {
        self.workload.insert(CARRIED.to_owned(), record.to_string());
        self
    }

    fn json(&self) -> Value {
        json!({ "metadata": { "annotations": self.workload },
            "spec": { "template": { "metadata": { "annotations": self.template } } } })
    }

    fn record(&self) -> Annotations {
        let text = self.workload.get(CARRIED).map_or("{}", String::as_str);
        serde_json::from_str(text).unwrap_or_default()
    }

    /// As it is stored when it is written in place of `before`.
    fn written_over(&self, before: Option<&Self>) -> Self {
        let (text, before) =
            (self.json().to_string(), before.map(|before| before.json().to_string()));
        let workload: Workload<'_> = inject::read(&text).unwrap();
        let before: Option<Workload<'_>> =
            before.as_deref().map(|text| inject::read(text).unwrap());
        let carried = carry(
            WorkloadKind::Deployment,
            Operation::Update(before.as_ref()),
            &workload,
            "shop",
            &PolicySet::default(),
        );
        let mut patch = String::new();
        carried.edits.write(&mut patch);
        let mut stored = self.json();
        let operations: json_patch::Patch = serde_json::from_str(&patch).unwrap();
        json_patch::patch(&mut stored, &operations).unwrap();
        let map = |value: &Value| serde_json::from_value(value.clone()).unwrap();
        Self {
            workload: map(&stored["metadata"]["annotations"]),
            template: map(&stored["spec"]["template"]["metadata"]["annotations"]),
        }
    }
}

/// A workload whose annotation `inject: log` was carried.
fn carried() -> Object {
    Object::new(json!({ INJECT: "log" }), json!({ INJECT: "log" }))
        .recording(json!({ INJECT: "log" }))
}

#[rstest]
#[case::only_the_record(json!({ INJECT: "log" }), json!({ INJECT: "log" }), json!({ INJECT: "log" }))]
#[case::with_the_annotation(json!({}), json!({ INJECT: "log" }), json!({}))]
#[case::with_another_value(json!({ INJECT: "trace" }), json!({ INJECT: "log" }), json!({ INJECT: "trace" }))]
#[case::with_the_template(json!({ INJECT: "log" }), json!({}), json!({ INJECT: "log" }))]
#[case::with_everything(json!({}), json!({}), json!({}))]
fn a_record_that_is_taken_away_still_counts(
    #[case] workload: Value,
    #[case] template: Value,
    #[case] expected: Value,
) {
    let stored = Object::new(workload, template).written_over(Some(&carried()));
    assert_eq!(json!(stored.template), expected);
    assert_eq!(json!(stored.record()), expected);
}

#[test]
fn without_the_object_before_the_template_is_its_owners() {
    let wiped = Object::new(json!({}), json!({ INJECT: "log" }));
    assert_eq!(wiped.written_over(None), wiped);
}

#[rstest]
#[case::another_value_in_the_template(json!({}), json!({ INJECT: "mine" }))]
#[case::beside_the_annotation(json!({ INJECT: "log" }), json!({ INJECT: "mine" }))]
fn what_the_owner_writes_into_the_template_is_the_owners(
    #[case] workload: Value,
    #[case] template: Value,
) {
    let stored = Object::new(workload, template).written_over(Some(&carried()));
    assert_eq!(stored.template[INJECT], "mine");
    assert_eq!(stored.record(), Annotations::new());
}

/// A record that once was right, and was made stale by the owner, says nothing of what comes later.
#[test]
fn a_record_counts_only_for_what_the_template_held() {
    let before =
        Object::new(json!({}), json!({ INJECT: "mine" })).recording(json!({ INJECT: "log" }));
    let written = Object::new(json!({}), json!({ INJECT: "log" }));
    assert_eq!(written.written_over(Some(&before)), written);
}

/// `kubectl apply` of an export: it brings back an old record, and leaves the template as it is.
#[test]
fn an_old_record_that_is_written_again_does_not_stop_what_follows() {
    let before =
        Object::new(json!({ INJECT: "trace", SKIP: "a" }), json!({ INJECT: "trace", SKIP: "a" }))
            .recording(json!({ INJECT: "trace", SKIP: "a" }));
    let mut written = before.clone().recording(json!({ INJECT: "log" }));
    written.workload.insert(INJECT.to_owned(), "log".to_owned());
    written.workload.remove(SKIP);
    let stored = written.written_over(Some(&before));
    assert_eq!(json!(stored.template), json!({ INJECT: "log" }));
    assert_eq!(json!(stored.record()), json!({ INJECT: "log" }));
}

#[test]
fn a_record_that_is_no_map_is_replaced_by_the_one_before() {
    let mut written = carried();
    written.workload.insert(CARRIED.to_owned(), "spoilt".to_owned());
    assert_eq!(written.written_over(Some(&carried())), carried());
}

#[test]
fn a_job_that_loses_its_record_is_left_alone_without_a_word() {
    let before = carried().json().to_string();
    let before: Workload<'_> = inject::read(&before).unwrap();
    let wiped = Object::new(json!({ INJECT: "log" }), json!({ INJECT: "log" })).json().to_string();
    let wiped: Workload<'_> = inject::read(&wiped).unwrap();
    let update = Operation::Update(Some(&before));
    let seen = carry(WorkloadKind::Job, update, &wiped, "shop", &PolicySet::default());
    assert!(seen.edits.is_empty());
    assert!(
        !seen.warnings.iter().any(|told| told.contains("cannot change")),
        "{:?}",
        seen.warnings
    );
}

fn any_annotations() -> impl Strategy<Value = Annotations> {
    let key =
        prop::sample::select(vec![INJECT, SKIP, "params.sidecarpolicy.dev/log.level", "mine"]);
    let value = prop::sample::select(vec!["a", "b"]);
    prop::collection::btree_map(key.prop_map(str::to_owned), value.prop_map(str::to_owned), 0..4)
}

fn any_object() -> impl Strategy<Value = Object> {
    let record = prop_oneof![
        Just(None),
        any_annotations().prop_map(|record| Some(json!(record).to_string())),
        Just(Some("spoilt".to_owned())),
    ];
    (any_annotations(), record, any_annotations()).prop_map(|(mut workload, record, template)| {
        workload.extend(record.map(|record| (CARRIED.to_owned(), record)));
        Object { workload, template }
    })
}

/// What an owner does to a workload beside changing its annotations.
#[derive(Clone, Copy, Debug)]
enum Write {
    /// Changes the annotations and nothing else.
    Patches,
    /// Writes all annotations anew, and leaves the template as it is.
    ReplacesAnnotations,
    /// Writes annotations and template anew.
    ReplacesAll,
}

fn any_write() -> impl Strategy<Value = (Write, Annotations)> {
    let how = [Write::Patches, Write::ReplacesAnnotations, Write::ReplacesAll];
    (prop::sample::select(how.to_vec()), any_annotations())
}

proptest! {
    /// Neither a second call of the webhook nor the operator, who sees no object before, changes more.
    #[test]
    fn carrying_twice_is_carrying_once(object in any_object(), before in prop::option::of(any_object())) {
        let stored = object.written_over(before.as_ref());
        prop_assert_eq!(&stored.written_over(before.as_ref()), &stored);
        prop_assert_eq!(&stored.written_over(None), &stored);
        prop_assert_eq!(&stored.written_over(Some(&stored)), &stored);
    }

    /// The webhook sees what the operator writes, with the object as it was before.
    #[test]
    fn what_the_operator_carries_the_webhook_leaves_as_it_is(stored in any_object()) {
        let repaired = stored.written_over(None);
        prop_assert_eq!(&repaired.written_over(Some(&stored)), &repaired);
    }

    #[test]
    fn what_no_record_says_is_never_touched(object in any_object(), before in prop::option::of(any_object())) {
        let stored = object.written_over(before.as_ref());
        let said_before = |key: &String, value: &String| before.as_ref().is_some_and(|before| {
            before.record().get(key) == Some(value) && before.template.get(key) == Some(value)
        });
        for (key, value) in &object.template {
            if object.record().get(key) != Some(value) && !said_before(key, value) {
                prop_assert_eq!(stored.template.get(key), Some(value));
            }
        }
        prop_assert_eq!(stored.template.get("mine"), object.template.get("mine"));
        // Of the workload nothing but the record changes.
        let rest = |object: &Object| {
            let mut rest = object.workload.clone();
            rest.remove(CARRIED);
            rest
        };
        prop_assert_eq!(rest(&stored), rest(&object));
    }

    /// Whatever an owner who leaves the template to us does in whichever way, the template holds what
    /// the workload says, and nothing is stuck.
    #[test]
    fn a_template_that_nobody_else_writes_follows(writes in prop::collection::vec(any_write(), 1..6)) {
        let mut stored = Object::default();
        for (how, mut annotations) in writes {
            annotations.remove("mine");
            let mut written = Object { workload: annotations.clone(), template: Annotations::new() };
            if !matches!(how, Write::ReplacesAll) {
                written.template.clone_from(&stored.template);
            }
            if matches!(how, Write::Patches) {
                let record = stored.workload.get(CARRIED).cloned();
                written.workload.extend(record.map(|record| (CARRIED.to_owned(), record)));
            }
            stored = written.written_over(Some(&stored));
            prop_assert_eq!(&stored.template, &annotations);
        }
    }

    /// A tool that writes the same again and again comes to rest: the template of the second time is
    /// that of every later time.
    #[test]
    fn a_tool_that_repeats_itself_rolls_no_workload(
        live in any_object(), manifest in any_object(), replaces in any::<bool>()
    ) {
        let write = |stored: &Object| {
            let mut written = if replaces { manifest.clone() } else { stored.clone() };
            written.workload.extend(manifest.workload.clone());
            written.template.extend(manifest.template.clone());
            written.written_over(Some(stored))
        };
        let settled = write(&write(&live));
        prop_assert_eq!(&write(&settled).template, &settled.template);
    }
}

#[test]
fn keys_of_others_are_not_read_from_records() {
    let record = json!(Map::from_iter([("mine".to_owned(), json!("a"))]));
    let before = Object::new(json!({}), json!({ "mine": "a" })).recording(record);
    let written = Object::new(json!({}), json!({ "mine": "a" }));
    assert_eq!(written.written_over(Some(&before)), written);
}
