//! Leader election without a cluster: what is decided, and what is written.

use rstest::rstest;

use super::*;

const OWN: &str = "operator-a";

fn lease(holder: Option<&str>, seconds: Option<i32>, version: &str) -> Lease {
    Lease {
        metadata: ObjectMeta {
            name: Some("operator".to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: holder.map(ToOwned::to_owned),
            lease_duration_seconds: seconds,
            lease_transitions: Some(3),
            // A clock of the year 1970: what others write as time decides nothing.
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            acquire_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }),
    }
}

#[rstest]
#[case::absent(None, 0, Decision::Create)]
#[case::released(Some(lease(None, Some(15), "1")), 0, Decision::Acquire)]
#[case::released_with_empty_name(Some(lease(Some(""), Some(15), "1")), 0, Decision::Acquire)]
#[case::own(Some(lease(Some(OWN), Some(15), "1")), 0, Decision::Renew)]
#[case::own_and_old(Some(lease(Some(OWN), Some(15), "1")), 99, Decision::Renew)]
#[case::just_seen(
    Some(lease(Some("b"), Some(15), "1")),
    0,
    Decision::Wait(Duration::from_secs(15))
)]
#[case::not_yet_expired(
    Some(lease(Some("b"), Some(15), "1")),
    14,
    Decision::Wait(Duration::from_secs(1))
)]
#[case::expired(Some(lease(Some("b"), Some(15), "1")), 15, Decision::Acquire)]
#[case::its_own_duration_counts(
    Some(lease(Some("b"), Some(60), "1")),
    15,
    Decision::Wait(Duration::from_secs(45))
)]
#[case::without_duration(
    Some(lease(Some("b"), None, "1")),
    14,
    Decision::Wait(Duration::from_secs(1))
)]
#[case::negative_duration(Some(lease(Some("b"), Some(-1), "1")), 14, Decision::Wait(Duration::from_secs(1)))]
#[case::without_spec(Some(Lease::default()), 0, Decision::Acquire)]
fn decides(
    #[case] lease: Option<Lease>,
    #[case] unchanged_seconds: u64,
    #[case] expected: Decision,
) {
    let unchanged_since = Instant::now();
    let now = unchanged_since + Duration::from_secs(unchanged_seconds);
    assert_eq!(decide(now, &Sighting { lease, unchanged_since }, OWN), expected);
}

#[test]
fn a_change_starts_the_wait_again() {
    let start = Instant::now();
    let first = observe(start, None, Some(lease(Some("b"), Some(15), "1")));
    let same =
        observe(start + Duration::from_secs(9), Some(first), Some(lease(Some("b"), Some(15), "1")));
    assert_eq!(same.unchanged_since, start);
    let renewed =
        observe(start + Duration::from_secs(14), Some(same), Some(lease(Some("b"), Some(15), "2")));
    assert_eq!(
        decide(start + Duration::from_secs(20), &renewed, OWN),
        Decision::Wait(Duration::from_secs(9))
    );
}

#[test]
fn taking_over_counts_a_transition_and_keeps_the_precondition() {
    let taken = held(Some(&lease(Some("b"), Some(15), "7")), OWN, "operator");
    let spec = taken.spec.clone().unwrap();
    assert_eq!(taken.metadata.resource_version.as_deref(), Some("7"));
    assert_eq!(spec.holder_identity.as_deref(), Some(OWN));
    assert_eq!(spec.lease_transitions, Some(4));
    assert!(spec.acquire_time > Some(MicroTime(Timestamp::UNIX_EPOCH)));
}

#[test]
fn renewing_keeps_the_time_of_acquisition() {
    let spec = held(Some(&lease(Some(OWN), Some(15), "7")), OWN, "operator").spec.unwrap();
    assert_eq!(spec.acquire_time, Some(MicroTime(Timestamp::UNIX_EPOCH)));
    assert!(spec.renew_time > spec.acquire_time);
    assert_eq!(spec.lease_transitions, Some(3));
}

#[test]
fn a_first_lease_has_no_precondition() {
    let first = held(None, OWN, "operator");
    assert_eq!(first.metadata.resource_version, None);
    assert_eq!(first.metadata.name.as_deref(), Some("operator"));
    assert_eq!(first.spec.unwrap().lease_transitions, Some(0));
}

#[test]
fn a_released_lease_can_be_taken_at_once() {
    let now = Instant::now();
    let released = released(lease(Some("b"), Some(15), "7"));
    assert_eq!(released.metadata.resource_version.as_deref(), Some("7"));
    let sighting = Sighting { lease: Some(released), unchanged_since: now };
    assert_eq!(decide(now, &sighting, OWN), Decision::Acquire);
}

#[test]
fn a_term_ends_at_the_renew_deadline() {
    let Some(past) = Instant::now().checked_sub(RENEW_DEADLINE) else { return };
    assert!(!Term::starting(past).is_current());
    let term = Term::starting(Instant::now());
    assert!(term.is_current());
    term.end();
    assert!(!term.is_current());
}
