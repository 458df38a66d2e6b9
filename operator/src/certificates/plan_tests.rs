//! Every state the two Secrets can be in, and what is done about it.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::*;
use crate::certificates::{
    issue::{self, AUTHORITY_LIFETIME, Issued},
    secrets::{
        AUTHORITY_CERTIFICATE, AUTHORITY_KEY, LEAF_CERTIFICATE, LEAF_KEY, read_authority, read_leaf,
    },
};

fn start() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

fn days(days: i64) -> SignedDuration {
    SignedDuration::from_hours(days * 24)
}

fn names() -> BTreeSet<String> {
    ["webhook.system", "webhook.system.svc", "webhook.system.svc.cluster.local"]
        .map(ToOwned::to_owned)
        .into()
}

fn secret(entries: &[(&str, &str)]) -> Secret {
    let data = entries
        .iter()
        .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())))
        .collect::<BTreeMap<_, _>>();
    Secret { data: Some(data), ..Secret::default() }
}

/// The two Secrets and what is published, as the operator would have left them at `start()`.
struct World {
    now: Timestamp,
    authority: Option<Secret>,
    leaf: Option<Secret>,
    published: Vec<Vec<Certificate>>,
    proven: Option<Proven>,
}

impl World {
    fn settled() -> Self {
        let authority = issue::authority(start()).unwrap();
        let leaf = issue::leaf(start(), names(), &authority).unwrap();
        let mut world = Self::empty();
        world.set_authority(&[&authority], &authority.key);
        world.set_leaf(&leaf);
        world.publish();
        world.prove();
        world.now += SETTLING;
        world
    }

    fn empty() -> Self {
        Self {
            now: start(),
            authority: None,
            leaf: None,
            published: vec![vec![], vec![]],
            proven: None,
        }
    }

    fn set_authority(&mut self, trusted: &[&Issued], key: &str) {
        let bundle: String = trusted.iter().map(|issued| issued.certificate.as_str()).collect();
        self.authority = Some(secret(&[(AUTHORITY_CERTIFICATE, &bundle), (AUTHORITY_KEY, key)]));
    }

    fn set_leaf(&mut self, leaf: &Issued) {
        self.leaf = Some(secret(&[(LEAF_CERTIFICATE, &leaf.certificate), (LEAF_KEY, &leaf.key)]));
    }

    /// Both webhook configurations carry what the authority's Secret holds.
    fn publish(&mut self) {
        let trusted = read_authority(self.authority.as_ref()).trusted;
        self.published = vec![trusted.clone(), trusted];
    }

    /// The API server is seen to call by what is published.
    fn prove(&mut self) {
        self.proven = Some(Proven {
            authorities: self.published.clone(),
            fail_scopes: crate::webhook_config::FailScopes::new(),
            at: self.now,
        });
    }

    /// A new authority has come into being beside the old one, which signed what is served.
    fn with_new_authority() -> Self {
        let mut world = Self::settled();
        world.authority = None;
        let step = world.plan();
        assert!(matches!(step, Step::NewAuthority { .. }), "{step:?}");
        world.apply(&step);
        world
    }

    fn plan(&self) -> Step {
        plan(&Facts {
            now: self.now,
            names: &names(),
            authority: &read_authority(self.authority.as_ref()),
            leaf: &read_leaf(self.leaf.as_ref()),
            published: &self.published,
            proven: self.proven.as_ref(),
        })
    }

    fn signing(&self) -> Issued {
        read_authority(self.authority.as_ref()).signing().unwrap()
    }

    /// Carries a step out, as the operator does.
    fn apply(&mut self, step: &Step) {
        match step {
            Step::NewAuthority { keep, .. } => {
                let new = issue::authority(self.now).unwrap();
                let bundle = format!("{}{}", new.certificate, crate::certificates::to_pem(keep));
                self.authority =
                    Some(secret(&[(AUTHORITY_CERTIFICATE, &bundle), (AUTHORITY_KEY, &new.key)]));
            }
            Step::NewLeaf { .. } => {
                let leaf = issue::leaf(self.now, names(), &self.signing()).unwrap();
                self.set_leaf(&leaf);
            }
            Step::DropOldAuthorities => {
                let signing = self.signing();
                self.set_authority(&[&signing], &signing.key.clone());
            }
            Step::WaitUntil(_) => {}
        }
    }
}

fn reason(step: &Step) -> &str {
    match step {
        Step::NewAuthority { reason, .. } | Step::NewLeaf { reason } => reason,
        Step::DropOldAuthorities | Step::WaitUntil(_) => "",
    }
}

#[test]
fn a_settled_world_waits_for_the_renewal_of_the_leaf() {
    let world = World::settled();
    let Step::WaitUntil(time) = world.plan() else { panic!("{:?}", world.plan()) };
    let expected = start() + days(60);
    assert!((time.as_second() - expected.as_second()).abs() <= 3600, "{time}");
}

#[test]
fn nothing_becomes_settled() {
    let mut world = World::empty();
    let step = world.plan();
    assert!(matches!(&step, Step::NewAuthority { keep, .. } if keep.is_empty()), "{step:?}");
    world.apply(&step);
    let step = world.plan();
    assert_eq!(step, Step::NewLeaf { reason: "the Secret does not exist".to_owned() });
    world.apply(&step);
    assert!(matches!(world.plan(), Step::WaitUntil(_)));
}

#[test]
fn damaged_authorities_are_replaced() {
    let settled = World::settled();
    let signing = settled.signing();
    let other = issue::authority(start()).unwrap();
    let leaf = issue::leaf(start(), names(), &signing).unwrap();
    let cases: [(&str, Secret, &str); 6] = [
        ("no key", secret(&[(AUTHORITY_CERTIFICATE, &signing.certificate)]), "ca.key is missing"),
        ("no certificate", secret(&[(AUTHORITY_KEY, &signing.key)]), "ca.crt is missing"),
        (
            "corrupt certificate",
            secret(&[(AUTHORITY_CERTIFICATE, "x"), (AUTHORITY_KEY, &signing.key)]),
            "ca.crt: it holds no PEM certificate",
        ),
        (
            "corrupt key",
            secret(&[(AUTHORITY_CERTIFICATE, &signing.certificate), (AUTHORITY_KEY, "x")]),
            "ca.key is not a usable private key",
        ),
        (
            "key of another",
            secret(&[(AUTHORITY_CERTIFICATE, &signing.certificate), (AUTHORITY_KEY, &other.key)]),
            "ca.key is not the key of ca.crt",
        ),
        (
            "not an authority",
            secret(&[(AUTHORITY_CERTIFICATE, &leaf.certificate), (AUTHORITY_KEY, &leaf.key)]),
            "ca.crt is not an authority's",
        ),
    ];
    for (name, authority, expected) in cases {
        let world = World { authority: Some(authority), ..World::settled() };
        let step = world.plan();
        assert!(matches!(step, Step::NewAuthority { .. }), "{name}: {step:?}");
        assert!(reason(&step).contains(expected), "{name}: {step:?}");
    }
}

#[test]
fn a_lost_authority_stays_trusted_until_the_leaf_has_switched() {
    let mut world = World::settled();
    let old = read_authority(world.authority.as_ref()).trusted;
    world.authority = None;
    let step = world.plan();
    assert!(matches!(&step, Step::NewAuthority { keep, .. } if *keep == old), "{step:?}");
    world.apply(&step);
    assert!(matches!(world.plan(), Step::WaitUntil(_)), "the new one is not published yet");
    world.publish();
    assert!(matches!(world.plan(), Step::WaitUntil(_)), "nobody was seen to call by it yet");
    world.prove();
    let settled = world.now + SETTLING;
    assert_eq!(world.plan(), Step::WaitUntil(settled), "other API servers may not know it");
    world.now = settled;
    assert_eq!(world.plan(), Step::NewLeaf { reason: "the authority was renewed".to_owned() });
}

/// What has to be true before a leaf of the new authority is served, one after the other.
#[test]
fn a_leaf_switches_after_a_proof_of_this_very_authority_in_both_configurations() {
    let mut world = World::with_new_authority();
    world.now += SETTLING;
    let waits = |world: &World, what: &str| {
        assert!(matches!(world.plan(), Step::WaitUntil(_)), "{what}: {:?}", world.plan());
    };
    world.prove();
    world.now += SETTLING;
    waits(&world, "the proof is of a configuration without it");
    world.publish();
    world.published[1].remove(0);
    world.prove();
    world.now += SETTLING;
    waits(&world, "one configuration lacks it");
    world.publish();
    world.proven = None;
    waits(&world, "a new operator has to see it for itself");
    world.prove();
    world.now += SETTLING;
    world.published = vec![vec![], vec![]];
    let step = world.plan();
    assert!(matches!(step, Step::NewLeaf { .. }), "what was seen counts: {step:?}");
}

/// The API server cannot call by a certificate that it refuses, so there would never be a proof.
#[test]
fn what_clients_refuse_is_healed_without_a_proof() {
    let stranger = issue::authority(start()).unwrap();
    let of_stranger = issue::leaf(start(), names(), &stranger).unwrap();
    for leaf in [None, Some(of_stranger)] {
        let mut world = World::with_new_authority();
        world.proven = None;
        world.leaf = None;
        if let Some(leaf) = &leaf {
            world.set_leaf(leaf);
        }
        let step = world.plan();
        assert!(matches!(step, Step::NewLeaf { .. }), "{step:?}");
        world.apply(&step);
        assert!(matches!(world.plan(), Step::WaitUntil(_)), "{:?}", world.plan());
    }
}

#[test]
fn without_any_proof_a_leaf_switches_before_it_ends_if_its_authority_is_published() {
    let mut world = World::with_new_authority();
    world.proven = None;
    let last = start() + days(90 - 7);
    let due = |world: &World| matches!(world.plan(), Step::NewLeaf { .. });
    world.now = last;
    assert!(!due(&world), "nobody would trust it");
    world.publish();
    assert!(due(&world));
    world.now = last - days(1);
    assert_eq!(world.plan(), Step::WaitUntil(last), "it is looked at in time");
}

#[test]
fn a_leaf_of_the_same_authority_needs_no_proof() {
    let mut world = World::settled();
    world.proven = None;
    world.published = vec![world.published[0].clone(), Vec::new()];
    world.now = start() + days(60);
    assert!(matches!(world.plan(), Step::NewLeaf { .. }), "{:?}", world.plan());
}

#[test]
fn an_authority_is_rotated_without_a_gap() {
    let mut world = World::settled();
    world.now = start() + AUTHORITY_LIFETIME - days(1);
    let leaf = issue::leaf(world.now, names(), &world.signing()).unwrap();
    world.set_leaf(&leaf);
    let mut steps = Vec::new();
    for _ in 0..10 {
        let step = world.plan();
        match &step {
            Step::WaitUntil(_)
                if world.published[0] != read_authority(world.authority.as_ref()).trusted =>
            {
                world.publish();
                steps.push("publish");
                continue;
            }
            Step::WaitUntil(_)
                if world.proven.as_ref().is_none_or(|seen| seen.authorities != world.published) =>
            {
                world.prove();
                steps.push("prove");
                continue;
            }
            Step::WaitUntil(time) if steps.last() == Some(&"prove") && steps.len() < 4 => {
                assert!(*time <= world.now + SETTLING, "{time}");
                world.now = *time;
                continue;
            }
            Step::WaitUntil(time) if steps.last() == Some(&"leaf") => {
                assert!(*time <= world.now + OLD_AUTHORITY_KEPT, "{time}");
                world.now = *time;
                continue;
            }
            Step::WaitUntil(_) => break,
            Step::NewAuthority { .. } => steps.push("authority"),
            Step::NewLeaf { .. } => steps.push("leaf"),
            Step::DropOldAuthorities => steps.push("drop"),
        }
        world.apply(&step);
        assert!(
            read_leaf(world.leaf.as_ref()).is_ok_and(|leaf| {
                let proven = &world.proven.as_ref().unwrap().authorities;
                proven.iter().all(|all| all.iter().any(|one| leaf.is_signed_by(one)))
            }),
            "after {steps:?} the API server does not trust the serving certificate"
        );
    }
    assert_eq!(steps, ["authority", "publish", "prove", "leaf", "drop", "publish", "prove"]);
}

#[test]
fn expired_authorities_are_not_kept() {
    let mut world = World::settled();
    world.now = start() + AUTHORITY_LIFETIME + days(1);
    let step = world.plan();
    assert!(matches!(&step, Step::NewAuthority { keep, .. } if keep.is_empty()), "{step:?}");
}

#[test]
fn damaged_leaves_are_replaced() {
    let world = World::settled();
    let signing = world.signing();
    let stranger = issue::authority(start()).unwrap();
    let good = issue::leaf(start(), names(), &signing).unwrap();
    let of_stranger = issue::leaf(start(), names(), &stranger).unwrap();
    let one_name = issue::leaf(start(), ["webhook.system.svc".to_owned()], &signing).unwrap();
    let expired = issue::leaf(start() - days(91), names(), &signing).unwrap();
    let not_yet = issue::leaf(start() + days(1), names(), &signing).unwrap();
    let pair = |certificate: &str, key: &str| {
        Some(secret(&[(LEAF_CERTIFICATE, certificate), (LEAF_KEY, key)]))
    };
    let cases = [
        ("missing", None, "does not exist"),
        ("empty", Some(Secret::default()), "tls.crt is missing"),
        ("corrupt", pair("garbage", &good.key), "no PEM certificate"),
        ("truncated", pair(&good.certificate.replace('M', ""), &good.key), "tls.crt: "),
        ("key of another", pair(&good.certificate, &one_name.key), "not the key of"),
        ("stranger's", pair(&of_stranger.certificate, &of_stranger.key), "no trusted authority"),
        ("wrong names", pair(&one_name.certificate, &one_name.key), "lacks the name"),
        ("expired", pair(&expired.certificate, &expired.key), "it is valid from"),
        ("not yet valid", pair(&not_yet.certificate, &not_yet.key), "it is valid from"),
    ];
    for (name, leaf, expected) in cases {
        let world =
            World { leaf, ..World { authority: world.authority.clone(), ..World::settled() } };
        let step = world.plan();
        assert!(matches!(step, Step::NewLeaf { .. }), "{name}: {step:?}");
        assert!(reason(&step).contains(expected), "{name}: {step:?}");
    }
}

#[test]
fn a_leaf_is_renewed_at_two_thirds_of_its_life() {
    let mut world = World::settled();
    world.now = start() + days(59);
    assert!(matches!(world.plan(), Step::WaitUntil(_)));
    world.now = start() + days(60);
    assert!(matches!(world.plan(), Step::NewLeaf { .. }), "{:?}", world.plan());
}

#[test]
fn an_unpublished_authority_signs_only_what_cannot_wait() {
    let mut world = World::with_new_authority();
    world.published = vec![world.published[0].clone(), Vec::new()];
    world.now = start() + days(89);
    assert!(matches!(world.plan(), Step::WaitUntil(_)), "one configuration lacks it");
    world.now = start() + days(91);
    assert!(matches!(world.plan(), Step::NewLeaf { .. }), "expired: nothing to lose");
}
