//! What is read of a policy, and which stored status is believed.

use serde_json::json;

use super::*;
use crate::webhook_config::{FailScopes, Proven};

fn id() -> PolicyId {
    PolicyId::namespaced("shop", "log")
}

fn exclusions() -> Exclusions {
    Exclusions::new("system", &["closed".to_owned()])
}

fn object(generation: i64, version: &str, changes: &[(&str, Value)]) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "sidecarpolicy.dev/v1alpha1",
        "kind": "SidecarPolicy",
        "metadata": {
            "name": "log", "namespace": "shop", "uid": "uid-1",
            "generation": generation, "resourceVersion": version,
        },
        "spec": { "sidecars": [{ "name": "shipper", "image": "example.org/shipper:1" }] },
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        object.pointer_mut(parent).unwrap()[key] = value.clone();
    }
    serde_json::from_value(object).unwrap()
}

fn read(object: &DynamicObject, before: Option<KnownPolicy>) -> KnownPolicy {
    KnownPolicy::read(&id(), object, &exclusions(), before).0
}

fn status(matched: i64) -> PolicyStatus {
    PolicyStatus { pods: PodCounts { matched, ..PodCounts::default() }, ..PolicyStatus::default() }
}

fn wanted(known: &KnownPolicy) -> PolicyStatus {
    wanted_with_history(known, None)
}

fn wanted_with_history(known: &KnownPolicy, history: Option<&str>) -> PolicyStatus {
    known.wanted_status(&id(), observed(history), now())
}

fn observed(history: Option<&str>) -> Observed {
    Observed {
        clashing: Clashing::default(),
        dry_run: Verdict::Agrees { pod_security: None },
        counts: Default::default(),
        overhead: None,
        coverage: Coverage::default(),
        configuration: Configuration::Applied { merged: false },
        only_begun: false,
        progress: Progress::on_recreate(false),
        history: history.map(str::to_owned),
    }
}

fn now() -> Timestamp {
    "2026-11-21T01:02:03.456789Z".parse().unwrap()
}

#[test]
fn a_spec_that_cannot_be_read_is_refused_by_name() {
    for (pointer, value, expected) in [
        ("/spec/mode", json!("Sometimes"), "Sometimes"),
        ("/spec/sidecars", json!("none"), "spec: cannot be read"),
        ("/spec/sidecars", json!([{ "name": "shipper" }]), "spec.sidecars[0]"),
    ] {
        let known = read(&object(1, "1", &[(pointer, value)]), None);
        let Acceptance::Invalid(problems) = &known.acceptance else { panic!("{pointer}") };
        assert!(problems.contains(expected), "{problems}");
        assert!(known.compiled.is_none());
    }
}

#[test]
fn a_policy_in_an_excluded_namespace_is_not_accepted() {
    let id = PolicyId::namespaced("closed", "log");
    let (known, _) = KnownPolicy::read(&id, &object(1, "1", &[]), &exclusions(), None);
    assert_eq!(known.acceptance, Acceptance::NamespaceExcluded);
    assert!(known.compiled.is_none() && known.fail_scope.is_none());
}

#[test]
fn what_a_spec_claims_is_told_once_a_generation() {
    let reads =
        |object: &DynamicObject, before| KnownPolicy::read(&id(), object, &exclusions(), before);
    let (known, change) = reads(&object(1, "1", &[]), None);
    let SpecChange::Accepted(claims) = change else { panic!("{change:?}") };
    assert_eq!(claims.footprint.id, id());
    assert!(claims.question.is_ok());
    let (known, change) = reads(&object(1, "2", &[]), Some(known));
    assert!(matches!(change, SpecChange::None), "the spec is the same: {change:?}");
    let refused = ("/spec/sidecars", json!([{ "name": "shipper" }]));
    let (known, change) = reads(&object(2, "3", &[refused]), Some(known));
    assert!(matches!(change, SpecChange::Refused), "{change:?}");
    let (_, change) = reads(&object(3, "4", &[]), Some(known));
    assert!(matches!(change, SpecChange::Accepted(_)), "{change:?}");
}

#[test]
fn a_policy_that_gives_way_is_counted_as_before() {
    let known = read(&object(1, "1", &[]), None);
    let mut observed = observed(None);
    let other = json!({ "sidecars": [{ "name": "shipper", "image": "example.org/shipper:2" }] });
    let cluster = object(1, "1", &[("/spec", other)]);
    let cluster_id = PolicyId::cluster("log");
    let footprint = |id: &PolicyId, object: &DynamicObject| match KnownPolicy::read(
        id,
        object,
        &exclusions(),
        None,
    )
    .1
    {
        SpecChange::Accepted(claims) => claims.footprint,
        other => panic!("{other:?}"),
    };
    let own = footprint(&id(), &object(1, "1", &[]));
    let clash = inject::clash(&own, &footprint(&cluster_id, &cluster)).unwrap();
    observed.clashing.gives_way.push(clash);
    observed.counts.0.matched = 3;
    let status = known.wanted_status(&id(), observed, now());
    assert!(known.compiled.is_some() && status.revision.is_some());
    assert_eq!(status.pods.matched, 3);
    let reasons: Vec<&str> =
        status.conditions.iter().map(|condition| condition.reason.as_str()).collect();
    assert_eq!(reasons, ["Clash", "OnRecreate", "NotAccepted"]);
}

#[test]
fn only_enforced_fail_policies_block() {
    let scope = |changes: &[(&str, Value)]| read(&object(1, "1", changes), None).fail_scope;
    let (fail, audit) = (("/spec/failurePolicy", json!("Fail")), ("/spec/mode", json!("Audit")));
    assert!(scope(&[]).is_none());
    assert!(scope(std::slice::from_ref(&fail)).is_some());
    assert!(scope(&[fail, audit]).is_none());
}

#[test]
fn a_refused_entry_is_the_matter_of_its_policy_only() {
    let fail = [("/spec/failurePolicy", json!("Fail"))];
    let known = read(&object(1, "1", &fail), None);
    let other = PolicyId::namespaced("shop", "trace");
    let scope = known.fail_scope.clone().unwrap();
    let published = Published {
        fail_scopes: Some(Arc::new([(id(), scope.clone()), (other.clone(), scope)].into())),
        refused: [(id(), "objectSelector: no".to_owned())].into(),
        proof: Proof::Given,
        ..Published::default()
    };
    let Configuration::Pending(why) = known.configuration(&id(), Some(&published)) else {
        panic!("it goes without its entry")
    };
    assert!(why.contains("the API server refuses its entry"), "{why}");
    assert!(why.contains("objectSelector: no"), "{why}");
    let applied = Configuration::Applied { merged: false };
    assert_eq!(known.configuration(&other, Some(&published)), applied);
}

/// A configuration with these `Fail` entries, which the API server was seen to call by.
fn proven(scopes: &FailScopes) -> Proven {
    Proven { authorities: Vec::new(), fail_scopes: scopes.clone(), at: now() }
}

fn missing(doubt: &Doubt, lasting: bool) -> Proof {
    Proof::Missing { doubt: doubt.clone(), lasting }
}

#[test]
fn what_depends_on_a_configuration_waits_until_the_api_server_calls_by_it() {
    let ignore = read(&object(1, "1", &[]), None);
    let fail = read(&object(1, "1", &[("/spec/failurePolicy", json!("Fail"))]), None);
    let none = FailScopes::new();
    let own: FailScopes = [(id(), fail.fail_scope.clone().unwrap())].into();
    let mut narrower = own.clone();
    for scope in narrower.values_mut() {
        scope.pod_selector.match_labels = Some([("app".to_owned(), "api".to_owned())].into());
    }
    let doubt = Doubt::NotAsked("podtemplates is forbidden".to_owned());
    let asked = Doubt::NotCalled("it is being asked".to_owned());
    let applied = || Configuration::Applied { merged: false };
    let not_seen = |doubt: &Doubt| Configuration::NotSeen(doubt.clone());
    let cases = [
        ("the first configuration", &ignore, Proof::Pending, None, not_seen(&asked)),
        ("the first, in doubt", &ignore, missing(&doubt, false), None, not_seen(&doubt)),
        ("the first, proven", &ignore, Proof::Given, Some(proven(&none)), applied()),
        ("another's entry is new", &ignore, Proof::Pending, Some(proven(&none)), applied()),
        (
            "another's, for a moment",
            &ignore,
            missing(&doubt, false),
            Some(proven(&none)),
            applied(),
        ),
        (
            "another's, for long",
            &ignore,
            missing(&doubt, true),
            Some(proven(&none)),
            not_seen(&doubt),
        ),
        ("its entry is new", &fail, Proof::Pending, Some(proven(&none)), not_seen(&asked)),
        (
            "its entry, in doubt",
            &fail,
            missing(&doubt, false),
            Some(proven(&none)),
            not_seen(&doubt),
        ),
        (
            "its entry is wider now",
            &fail,
            Proof::Pending,
            Some(proven(&narrower)),
            not_seen(&asked),
        ),
        ("its entry is there", &fail, Proof::Pending, Some(proven(&own)), applied()),
        ("its entry, proven", &fail, Proof::Given, Some(proven(&own)), applied()),
    ];
    for (what, policy, proof, proven, expected) in cases {
        let scopes = policy.fail_scope.clone().map(|scope| (id(), scope));
        let published = Published {
            fail_scopes: Some(Arc::new(scopes.into_iter().collect())),
            proof,
            proven: proven.map(Arc::new),
            ..Published::default()
        };
        assert_eq!(policy.configuration(&id(), Some(&published)), expected, "{what}");
    }
}

#[test]
fn an_event_older_than_our_write_does_not_bring_the_old_status_back() {
    let mut known = read(&object(1, "10", &[]), None);
    known.written(status(5), Some("12".to_owned()));
    let stale = object(1, "11", &[("/status", json!({ "pods": { "matched": 1 } }))]);
    let known = read(&stale, Some(known));
    assert_eq!(known.status, status(5));
    let ours = object(1, "12", &[("/status", json!({ "pods": { "matched": 5 } }))]);
    let known = read(&ours, Some(known));
    let foreign = object(1, "13", &[("/status", json!({ "pods": { "matched": 9 } }))]);
    assert_eq!(read(&foreign, Some(known)).status, status(9), "a foreign change is seen");
}

#[test]
fn a_policy_made_anew_starts_anew() {
    let mut known = read(&object(1, "10", &[]), None);
    known.written(status(5), Some("12".to_owned()));
    let other = object(1, "20", &[("/metadata/uid", json!("uid-2"))]);
    assert_eq!(read(&other, Some(known)).status, PolicyStatus::default());
}

#[test]
fn the_revision_before_is_kept() {
    let known = read(&object(1, "1", &[]), None);
    let first = wanted(&known);
    assert!(first.revision.is_some() && first.previous_revision.is_none());
    let stored = serde_json::to_value(&first).unwrap();
    let image = json!([{ "name": "shipper", "image": "example.org/shipper:2" }]);
    let changes = [("/status", stored), ("/spec/sidecars", image)];
    let second = wanted(&read(&object(2, "2", &changes), Some(known)));
    assert_ne!(second.revision, first.revision);
    assert_eq!(second.previous_revision, first.revision);
    assert_eq!(second.observed_generation, Some(2));
}

#[test]
fn a_status_that_was_stored_is_not_written_again() {
    let known = read(&object(1, "1", &[]), None);
    let stored = serde_json::to_value(wanted(&known)).unwrap();
    let known = read(&object(1, "2", &[("/status", stored)]), Some(known));
    assert_eq!(wanted(&known), known.status);
}

fn stored_with_image(status: &PolicyStatus, image: &str, generation: i64) -> DynamicObject {
    let stored = serde_json::to_value(status).unwrap();
    let sidecars = json!([{ "name": "shipper", "image": image }]);
    let version = generation.to_string();
    object(generation, &version, &[("/status", stored), ("/spec/sidecars", sidecars)])
}

#[test]
fn going_back_makes_the_later_revision_the_previous_one() {
    let first = wanted(&read(&stored_with_image(&PolicyStatus::default(), "a:1", 1), None));
    let second = wanted(&read(&stored_with_image(&first, "a:2", 2), None));
    let back = wanted(&read(&stored_with_image(&second, "a:1", 3), None));
    assert_eq!(back.revision, first.revision);
    assert_eq!(back.previous_revision, second.revision);
    // What comes after a restart of the operator rests on the stored status alone.
    let again = wanted(&read(&stored_with_image(&back, "a:1", 4), None));
    assert_eq!(again.previous_revision, second.revision);
}

fn partitioned_with_image(status: &PolicyStatus, image: &str, generation: i64) -> DynamicObject {
    let mut object = stored_with_image(status, image, generation);
    object.data["spec"]["rollout"] = json!({ "partition": "50%" });
    object
}

#[test]
fn while_a_partition_holds_the_previous_revision_stays_what_it_is() {
    let first = wanted(&read(&stored_with_image(&PolicyStatus::default(), "a:1", 1), None));
    assert!(!first.partitioned);
    let second = read(&partitioned_with_image(&first, "a:2", 2), None);
    assert_eq!(second.kept_revision(), first.revision.as_deref());
    let second = wanted(&second);
    assert!(second.partitioned);
    assert_eq!(second.previous_revision, first.revision);
    // The mended image takes the place of the broken one only.
    let third = wanted(&read(&partitioned_with_image(&second, "a:3", 3), None));
    assert_eq!(third.previous_revision, first.revision);
    // Going back leaves nothing of the broken one.
    let back = read(&partitioned_with_image(&third, "a:1", 4), None);
    assert_eq!(back.kept_revision(), None);
    let back = wanted(&back);
    assert_eq!((&back.revision, &back.previous_revision), (&first.revision, &None));
    let again = read(&partitioned_with_image(&back, "a:4", 5), None);
    assert_eq!(again.kept_revision(), first.revision.as_deref());
}

#[test]
fn what_was_rolled_out_is_what_the_next_partition_keeps() {
    let first = wanted(&read(&stored_with_image(&PolicyStatus::default(), "a:1", 1), None));
    let second = wanted(&read(&partitioned_with_image(&first, "a:2", 2), None));
    let everywhere = read(&stored_with_image(&second, "a:2", 3), None);
    assert_eq!(everywhere.kept_revision(), None);
    let everywhere = wanted(&everywhere);
    assert!(!everywhere.partitioned);
    let third = read(&partitioned_with_image(&everywhere, "a:3", 4), None);
    assert_eq!(third.kept_revision(), second.revision.as_deref());
}

#[test]
fn a_content_that_is_refused_in_between_is_no_revision() {
    let first = wanted(&read(&stored_with_image(&PolicyStatus::default(), "a:1", 1), None));
    let refused = wanted(&read(&stored_with_image(&first, "", 2), None));
    assert_eq!(refused.revision, first.revision);
    let second = wanted(&read(&stored_with_image(&refused, "a:2", 3), None));
    assert_eq!(second.previous_revision, first.revision);
}

#[test]
fn a_status_that_was_lost_takes_the_previous_revision_from_the_history() {
    let known = read(&object(1, "1", &[]), None);
    let status = wanted_with_history(&known, Some("earlier"));
    assert_eq!(status.previous_revision.as_deref(), Some("earlier"));
}

#[test]
fn only_the_progress_of_this_generation_counts() {
    let stored = serde_json::to_value(wanted(&read(&object(1, "1", &[]), None))).unwrap();
    let same = read(&object(1, "2", &[("/status", stored.clone())]), None);
    assert_eq!(same.progress_before().map(|(reason, _)| reason), Some("OnRecreate"));
    let next = read(&object(2, "3", &[("/status", stored)]), None);
    assert_eq!(next.progress_before(), None);
}
