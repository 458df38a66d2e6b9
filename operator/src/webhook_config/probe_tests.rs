//! What counts as a proof, and when there is one.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{Mutex, PoisonError},
};

use hyper::{Request, Response, header::WARNING};
use kube::client::Body;
use rstest::rstest;
use serde_json::Value;
use tower::service_fn;

use super::*;

const BOTH: &[&str] = &["sidecarpolicy.dev/probe: aa", "sidecarpolicy.dev/probe: bb"];
const UNTRUSTED: &str = "Internal error occurred: failed calling webhook \"probe.sidecarpolicy.dev\": \
    failed to call webhook: Post \"https://webhook\": x509: certificate signed by unknown authority";

fn hashes(mutating: &str) -> Hashes {
    Hashes { mutating: mutating.to_owned(), validating: "bb".to_owned() }
}

fn refusal(message: &str) -> String {
    json!({ "kind": "Status", "status": "Failure", "message": message }).to_string()
}

fn not_called(why: &str) -> Result<(), Doubt> {
    Err(Doubt::NotCalled(why.to_owned()))
}

fn not_asked(why: &str) -> Result<(), Doubt> {
    Err(Doubt::NotAsked(why.to_owned()))
}

#[rstest]
#[case::both(201, BOTH, "{}", Ok(()))]
#[case::among_others(201, &["would violate", BOTH[1], BOTH[0]], "{}", Ok(()))]
#[case::refused_by_somebody_else(403, BOTH, &refusal("no templates here"), Ok(()))]
#[case::an_earlier_one(
    201, &["sidecarpolicy.dev/probe: a0", BOTH[1]], "{}", not_called("it has not loaded the mutating one")
)]
#[case::only_the_mutating_one(
    201, &BOTH[..1], "{}", not_called("it has not loaded the validating one")
)]
#[case::without_entries(
    201, &[], "{}", not_called("it has not loaded the mutating and the validating one")
)]
#[case::words_of_others(
    201, &["aa", "sidecarpolicy.dev/probe:aa", "x sidecarpolicy.dev/probe: aa", BOTH[1]], "{}",
    not_called("it has not loaded the mutating one")
)]
#[case::untrusted(500, &[], &refusal(UNTRUSTED), not_called(UNTRUSTED))]
#[case::webhook_of_others(
    500, &[], &refusal("failed calling webhook \"other.example.org\": EOF"),
    not_asked("failed calling webhook \"other.example.org\": EOF")
)]
#[case::forbidden(403, &[], &refusal("podtemplates is forbidden"), not_asked("podtemplates is forbidden"))]
#[case::no_words(502, &[], "<html>", not_asked("HTTP status 502"))]
fn an_answer_proves_or_says_why_not(
    #[case] status: u16,
    #[case] warnings: &[&str],
    #[case] body: &str,
    #[case] expected: Result<(), Doubt>,
) {
    let warnings = warnings.iter().map(ToString::to_string).collect();
    let answer = Answer { status, warnings, body: body.to_owned().into() };
    assert_eq!(judge(&answer, &hashes("aa")), expected);
}

#[test]
fn the_object_is_what_the_entries_match() {
    let object: Value = serde_json::from_str(&pod_template()).unwrap();
    assert_eq!(object["kind"], "PodTemplate");
    assert_eq!(object["metadata"]["labels"], json!({ "sidecarpolicy.dev/probe": "configuration" }));
}

/// An API server that calls by these hashes, one after the other; by the last for ever. An empty one
/// stands for an API server that refuses to be asked.
fn server(mutating: &[&str]) -> Probe {
    let left: Mutex<VecDeque<String>> =
        Mutex::new(mutating.iter().map(ToString::to_string).collect());
    let left = Arc::new(left);
    let service = service_fn(move |request: Request<Body>| {
        assert!(request.uri().path().ends_with("/namespaces/dry-run/podtemplates"));
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let hash = if left.len() > 1 { left.pop_front() } else { left.front().cloned() }.unwrap();
        let told = |hash: &str| format!("299 - \"sidecarpolicy.dev/probe: {hash}\"");
        let answer = if hash.is_empty() {
            Response::builder().status(403).body(Body::from(refusal("no").into_bytes()))
        } else {
            let answer = Response::builder().status(201);
            answer.header(WARNING, told(&hash)).header(WARNING, told("bb")).body(Body::empty())
        };
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    Probe::new(Client::new(service, "default"), "dry-run".to_owned(), Metrics::default())
}

fn expected(hash: &str, generation: i64) -> Expected {
    Expected {
        hashes: hashes(hash),
        generations: [Some(generation), Some(1)],
        authorities: Vec::new(),
        fail_scopes: FailScopes::new(),
    }
}

/// Waits for as many answers, and gives the seconds that took.
async fn answers(probe: &mut Probe, count: usize) -> f64 {
    let start = time::Instant::now();
    for _ in 0..count {
        assert_eq!(probe.next().await, Some(()));
    }
    start.elapsed().as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn it_is_asked_until_there_is_proof_and_every_minute_after() {
    let mut probe = server(&["a0", "a0", "aa", "aa", "a0", "aa"]);
    assert_eq!(probe.next().await, None, "nothing is expected");
    probe.expect(Some(expected("aa", 1)));
    assert_eq!((probe.proof(), probe.proven()), (&Proof::Pending, None));
    answers(&mut probe, 1).await;
    assert!(matches!(probe.proof(), Proof::Missing { lasting: false, .. }));
    answers(&mut probe, 2).await;
    assert_eq!(probe.proof(), &Proof::Given);
    let first = probe.proven().cloned();
    assert!(first.is_some());
    probe.expect(Some(expected("aa", 1)));
    assert_eq!(probe.proof(), &Proof::Given, "nothing has changed");
    assert!((59.9..60.1).contains(&answers(&mut probe, 1).await));
    assert_eq!(probe.proof(), &Proof::Given);
    // What it could, it may no longer be able to.
    assert!((59.9..60.1).contains(&answers(&mut probe, 1).await));
    assert!(matches!(probe.proof(), Proof::Missing { lasting: false, .. }));
    assert_eq!(probe.proven().cloned(), first);
    assert!(answers(&mut probe, 1).await < 1.0);
    assert_eq!((probe.proof(), probe.proven().cloned()), (&Proof::Given, first));
}

#[tokio::test(start_paused = true)]
async fn authorities_that_were_proven_stay_so_when_other_entries_change() {
    let mut probe = server(&["aa", "cc"]);
    probe.expect(Some(expected("aa", 1)));
    answers(&mut probe, 1).await;
    let first = probe.proven().unwrap().at;
    probe.expect(Some(expected("cc", 2)));
    answers(&mut probe, 1).await;
    assert_eq!((probe.proof(), probe.proven().unwrap().at), (&Proof::Given, first));
}

#[tokio::test(start_paused = true)]
async fn each_change_needs_a_proof_of_its_own() {
    let mut probe = server(&["aa", "aa", "cc"]);
    probe.expect(Some(expected("aa", 1)));
    answers(&mut probe, 1).await;
    let first = probe.proven().cloned();
    probe.expect(Some(expected("cc", 2)));
    assert_eq!(probe.proof(), &Proof::Pending);
    assert_eq!(probe.proven().cloned(), first, "it did call by the former one");
    answers(&mut probe, 1).await;
    assert!(matches!(probe.proof(), Proof::Missing { .. }), "it still does");
    answers(&mut probe, 1).await;
    assert_eq!(probe.proof(), &Proof::Given);
    // Somebody emptied it, and it was filled again.
    probe.expect(Some(expected("cc", 4)));
    assert_eq!(probe.proof(), &Proof::Pending);
    probe.expect(None);
    assert_eq!(probe.next().await, None, "it cannot be filled");
    assert_eq!(probe.proof(), &Proof::Pending);
}

#[tokio::test(start_paused = true)]
async fn an_answer_about_an_earlier_configuration_is_not_taken() {
    let mut probe = server(&["aa"]);
    probe.expect(Some(expected("aa", 1)));
    probe.expect(Some(expected("cc", 2)));
    answers(&mut probe, 1).await;
    assert!(matches!(probe.proof(), Proof::Missing { .. }), "{:?}", probe.proof());
    assert_eq!(probe.proven(), None);
}

#[tokio::test(start_paused = true)]
async fn a_doubt_that_lasts_is_told_as_one_and_asked_about_ever_later() {
    let mut probe = server(&[""]);
    probe.expect(Some(expected("aa", 1)));
    let early = answers(&mut probe, 6).await;
    assert!(matches!(probe.proof(), Proof::Missing { lasting: false, .. }), "{early} s");
    let late = early + answers(&mut probe, 1).await;
    let doubt = Doubt::NotAsked("no".to_owned());
    assert_eq!(probe.proof(), &Proof::Missing { doubt, lasting: true });
    assert!((6.0..7.0).contains(&late), "after {late} s");
    assert!((4.9..5.1).contains(&answers(&mut probe, 1).await));
}
