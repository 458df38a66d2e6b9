//! Which pods `spec.rollout.partition` keeps at the previous revision, and which revision that is.
//!
//! Every pod has a place in an order that each policy has of its own; a share of the order, from its
//! beginning, stays behind. So a smaller share keeps some of the same pods, and a pod whose place is
//! known is decided alike by webhook and operator.

use std::{collections::BTreeMap, fmt};

use crds::{PolicyStatus, Rollout, keys};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Policy, Request, json, pod::Pod, record, select::Lookup};

/// How many places there are: hundredths of a percent.
const PLACES: u32 = 10_000;

/// The part of a policy's order of pods that stays behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// Reads a percentage such as `10%`; the schema lets nothing else through but 0, and anything else is no
    /// pod.
    #[must_use]
    pub fn read(partition: &Value) -> Self {
        let percent = partition.as_str().and_then(|text| text.strip_suffix('%')?.parse().ok());
        let percent: u32 = percent.unwrap_or(0);
        Self(percent.min(100) * (PLACES / 100))
    }

    /// `spec.rollout.partition`: the pods that stay on the previous revision.
    #[must_use]
    pub fn partition(rollout: Option<&Rollout>) -> Self {
        let partition = rollout.and_then(|rollout| rollout.partition.as_ref());
        partition.map(Self::read).unwrap_or_default()
    }

    /// Whether it is no pod at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether the pod of this place stays behind.
    #[must_use]
    pub fn keeps(self, place: Place) -> bool {
        place.0 < self.0
    }
}

/// The place of a pod in the order of a policy, in hundredths of a percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u32);

impl Place {
    /// Of a pod that was named by who made it, as a StatefulSet names its pods: always the same.
    #[must_use]
    pub fn of_name(policy_uid: &str, namespace: &str, name: &str) -> Self {
        Self::of(policy_uid, b"name", &[namespace.as_bytes(), b"/", name.as_bytes()])
    }

    /// Of a pod that is being created and has no name yet: by the uid of the request, which is another
    /// in every call.
    #[must_use]
    pub fn of_request(policy_uid: &str, request_uid: &str) -> Self {
        Self::of(policy_uid, b"request", &[request_uid.as_bytes()])
    }

    /// Of a running pod, by its uid.
    #[must_use]
    pub fn of_pod(policy_uid: &str, pod_uid: &[u8]) -> Self {
        Self::of(policy_uid, b"pod", &[pod_uid])
    }

    /// The places that a pod says it has, by policy: the annotation `sidecarpolicy.dev/place`. What
    /// is no place is left out.
    #[must_use]
    pub fn recorded(annotation: &str) -> BTreeMap<String, Self> {
        let places: BTreeMap<String, String> = serde_json::from_str(annotation).unwrap_or_default();
        let places = places.into_iter();
        places.filter_map(|(policy, place)| Some((policy, Self::parse(&place)?))).collect()
    }

    fn of(policy_uid: &str, kind: &[u8], identity: &[&[u8]]) -> Self {
        let mut hash = Sha256::new();
        for part in [policy_uid.as_bytes(), &[0], kind, &[0]].iter().chain(identity) {
            hash.update(part);
        }
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&hash.finalize()[..4]);
        let place = (u64::from(u32::from_be_bytes(bytes)) * u64::from(PLACES)) >> 32;
        Self(u32::try_from(place).unwrap_or_default())
    }

    /// Reads what is written by `Display`.
    fn parse(text: &str) -> Option<Self> {
        let (whole, hundredths) = text.strip_suffix('%')?.split_once('.')?;
        let digits = |text: &str, count: usize| {
            let is_number = text.len() <= count && text.bytes().all(|digit| digit.is_ascii_digit());
            is_number.then(|| text.parse::<u32>().ok()).flatten()
        };
        Some(Self(digits(whole, 2)? * 100 + digits(hundredths, 2)?))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:02}%", self.0 / 100, self.0 % 100)
    }
}

/// What a policy with a partition has besides its current content.
#[derive(Debug)]
pub(crate) struct Previous {
    pub(crate) policy: Box<Policy>,
    pub(crate) share: Share,
}

/// The revision that a partition keeps pods at, where `current` is the revision of the spec: the one
/// before it. A further change while the partition holds, such as a mended image, takes the place of
/// the current revision only, and going back to the previous content leaves none to keep.
///
/// The status may be written later than the spec: then it still names what was current before.
#[must_use]
pub fn previous_revision<'s>(status: &'s PolicyStatus, current: &str) -> Option<&'s str> {
    let (revision, previous) = (status.revision.as_deref(), status.previous_revision.as_deref());
    let previous = match revision {
        Some(revision) if revision == current => previous,
        _ if status.partitioned => previous.or(revision),
        _ => revision,
    };
    previous.filter(|previous| *previous != current)
}

/// The places that have to be written on a pod, each with the name of its policy.
pub(crate) type Places = Vec<(String, Place)>;

/// Decides for each policy with a partition which of its revisions the pod has, and puts that one in
/// the policy's place.
pub(crate) fn draw(pod: &Pod<'_>, request: &Request<'_>, policies: &mut [&Policy]) -> Places {
    let mut places = Places::new();
    let mut recorded = None;
    for policy in policies {
        let current = *policy;
        let Some(Previous { policy: previous, share }) = &current.previous else { continue };
        let recorded = recorded.get_or_insert_with(|| Recorded::read(pod));
        let id = current.id.to_string();
        let name = pod.metadata.name.as_ref().map_or("", |name| name.as_str());
        let place = if name.is_empty() {
            let place = recorded.places.get(&id).copied();
            let place = place.unwrap_or_else(|| Place::of_request(&current.uid, request.uid));
            if current.enforced {
                places.push((id.clone(), place));
            }
            place
        } else {
            Place::of_name(&current.uid, &request.namespace.name, name)
        };
        let stays = match recorded.revisions.get(&id) {
            Some(revision) if *revision == previous.revision => true,
            Some(revision) if *revision == current.revision => false,
            _ => share.keeps(place),
        };
        if stays {
            *policy = previous;
        }
    }
    places
}

/// What an earlier call wrote on the pod. Another call has another request uid, and must not draw
/// again.
struct Recorded {
    revisions: BTreeMap<String, String>,
    places: BTreeMap<String, Place>,
}

impl Recorded {
    fn read(pod: &Pod<'_>) -> Self {
        let annotations = &pod.metadata.annotations;
        Self {
            revisions: record::read(annotations, keys::INJECTED).unwrap_or_default(),
            places: annotations.value(keys::PLACE).map(Place::recorded).unwrap_or_default(),
        }
    }
}

/// The annotation that records places; `None` without any.
pub(crate) fn annotation(mut places: Places) -> Option<String> {
    if places.is_empty() {
        return None;
    }
    places.sort_unstable();
    Some(json::text_map(places.iter().map(|(policy, place)| (policy.as_str(), place.to_string()))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case(json!("0%"), 0)]
    #[case(json!(0), 0)]
    #[case(json!("30%"), 3000)]
    #[case(json!("100%"), 10_000)]
    #[case(json!("4294967295%"), 10_000)]
    #[case(json!("-1%"), 0)]
    #[case(json!("nonsense"), 0)]
    #[case(json!(300), 0)]
    fn shares(#[case] partition: Value, #[case] places: u32) {
        let share = Share::read(&partition);
        assert_eq!(share, Share(places));
        assert_eq!(share.is_none(), places == 0);
    }

    #[test]
    fn each_way_to_a_place_and_each_policy_has_an_order_of_its_own() {
        let places = [
            Place::of_name("a", "shop", "web-0"),
            Place::of_name("a", "shop", "web-1"),
            Place::of_name("b", "shop", "web-0"),
            Place::of_request("a", "shop/web-0"),
            Place::of_pod("a", b"shop/web-0"),
        ];
        for (position, place) in places.iter().enumerate() {
            assert!(!places[..position].contains(place), "{places:?}");
        }
        assert_eq!(places[0], Place::of_name("a", "shop", "web-0"));
    }

    #[test]
    fn the_share_holds_in_expectation() {
        let kept = |places: Vec<Place>| {
            let share = Share::read(&json!("30%"));
            places.into_iter().filter(|place| share.keeps(*place)).count()
        };
        let count = 10_000_u32;
        let drawn = |draw: &dyn Fn(String) -> Place| {
            kept((0..count).map(|number| draw(number.to_string())).collect())
        };
        for kept in [
            drawn(&|uid| Place::of_request("a", &uid)),
            drawn(&|uid| Place::of_pod("a", uid.as_bytes())),
            drawn(&|name| Place::of_name("a", "shop", &name)),
        ] {
            // Four standard deviations.
            assert!((2_817..=3_183).contains(&kept), "{kept}");
        }
    }

    proptest! {
        #[test]
        fn a_place_that_is_written_is_read(place in 0..PLACES) {
            let place = Place(place);
            let annotation = annotation(vec![("shop/a".to_owned(), place)]).unwrap();
            let read = Place::recorded(&annotation);
            prop_assert_eq!(read.get("shop/a"), Some(&place));
        }

        #[test]
        fn any_text_is_read_or_left_out(text in ".*", place in ".{0,7}%?") {
            let _ = Place::recorded(&text);
            let annotation = json!({ "a": place }).to_string();
            prop_assert!(Place::recorded(&annotation).values().all(|place| place.0 < PLACES));
        }
    }

    /// Revision, previous revision, and whether a partition held; then the revision of the spec.
    #[rstest]
    #[case::nothing_is_known((None, None, false), "b", None)]
    #[case::the_first_content((Some("a"), None, false), "a", None)]
    #[case::the_status_is_written((Some("b"), Some("a"), true), "b", Some("a"))]
    #[case::the_status_is_not_written_yet((Some("a"), None, false), "b", Some("a"))]
    #[case::what_came_before_was_rolled_out((Some("b"), Some("a"), false), "c", Some("b"))]
    #[case::mended_while_the_partition_holds((Some("b"), Some("a"), true), "c", Some("a"))]
    #[case::went_back_while_the_partition_holds((Some("b"), Some("a"), true), "a", None)]
    #[case::went_back_and_the_status_says_so((Some("a"), None, true), "a", None)]
    #[case::changed_after_going_back((Some("a"), None, true), "c", Some("a"))]
    #[case::a_partition_from_the_beginning((Some("a"), None, true), "b", Some("a"))]
    fn what_a_partition_keeps_pods_at(
        #[case] (revision, previous, partitioned): (Option<&str>, Option<&str>, bool),
        #[case] current: &str,
        #[case] expected: Option<&str>,
    ) {
        let status = PolicyStatus {
            revision: revision.map(str::to_owned),
            previous_revision: previous.map(str::to_owned),
            partitioned,
            ..PolicyStatus::default()
        };
        assert_eq!(previous_revision(&status, current), expected);
    }
}
