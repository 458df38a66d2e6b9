//! Secrets as cert-manager writes them, and what is trusted because of them.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use k8s_openapi::ByteString;
use rcgen::{CertificateParams, DnType, IsCa, KeyPair};

use super::*;
use crate::certificates::issue::{self, Issued, LEAF_LIFETIME};

fn start() -> Timestamp {
    "2026-11-21T00:00:00Z".parse().unwrap()
}

/// The key is of a form that only the webhook has to read: PKCS #1 is cert-manager's default.
const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----\nMIIB\n-----END RSA PRIVATE KEY-----\n";

fn secret(chain: &[&str], authorities: Option<&str>) -> Secret {
    let mut data = BTreeMap::from([("tls.crt", chain.concat()), ("tls.key", KEY.to_owned())]);
    data.extend(authorities.map(|authorities| ("ca.crt", authorities.to_owned())));
    let bytes = |(key, value): (&str, String)| (key.to_owned(), ByteString(value.into_bytes()));
    let annotations = [
        ("cert-manager.io/certificate-name", "sidecar-policy-webhook"),
        ("cert-manager.io/issuer-kind", "Issuer"),
    ];
    let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
    let mut secret = Secret {
        data: Some(data.into_iter().map(bytes).collect()),
        type_: Some("kubernetes.io/tls".to_owned()),
        ..Secret::default()
    };
    secret.metadata.annotations = Some(annotations.into_iter().map(owned).collect());
    secret
}

/// An authority, a Secret with a leaf of its, and what is read of it.
fn issued() -> (Issued, Secret, External) {
    let authority = issue::authority(start()).unwrap();
    let leaf = issue::leaf(start(), ["webhook.system.svc".to_owned()], &authority).unwrap();
    let secret = secret(&[&leaf.certificate], Some(&authority.certificate));
    let found = secrets::read_external(Some(&secret));
    (authority, secret, found)
}

fn read(pem: &str) -> Vec<Certificate> {
    Certificate::read_all(pem.as_bytes()).unwrap()
}

fn plan_at(now: Timestamp, found: &External, published: &[Vec<Certificate>]) -> Plan {
    plan(&Facts { now, changed: start(), found, published })
}

#[test]
fn the_authority_of_the_secret_is_published() {
    let (authority, _, found) = issued();
    let nothing = [Vec::new(), Vec::new()];
    let all = Plan { trusted: Ok(read(&authority.certificate)), look_again: Timestamp::MAX };
    assert_eq!(plan_at(start(), &found, &nothing), all);
    let published = [read(&authority.certificate), read(&authority.certificate)];
    assert_eq!(plan_at(start(), &found, &published), all, "and stays");
}

#[test]
fn the_authority_before_stays_for_a_while() {
    let (old, ..) = issued();
    let (new, _, found) = issued();
    let published = [read(&old.certificate), read(&old.certificate)];
    let both = [read(&new.certificate), read(&old.certificate)].concat();
    let drop_old = start() + OLD_AUTHORITY_KEPT;
    let first = plan_at(start(), &found, &published);
    assert_eq!(first, Plan { trusted: Ok(both.clone()), look_again: drop_old });

    // Also by an operator that starts when both are published.
    let published = [both.clone(), both];
    let later = drop_old - SignedDuration::from_secs(1);
    assert_eq!(plan_at(later, &found, &published), first);
    let after = plan_at(drop_old, &found, &published);
    assert_eq!(after.trusted, Ok(read(&new.certificate)));
}

#[test]
fn of_the_authorities_before_only_a_few_that_are_valid_stay() {
    let (new, _, found) = issued();
    let expired = issue::authority(start() - issue::AUTHORITY_LIFETIME * 2).unwrap();
    let old: Vec<Certificate> =
        (0..4).flat_map(|_| read(&issue::authority(start()).unwrap().certificate)).collect();
    let published = [[read(&expired.certificate), old.clone()].concat()];
    let expected = [read(&new.certificate), old[..OLD_AUTHORITIES].to_vec()].concat();
    assert_eq!(plan_at(start(), &found, &published).trusted, Ok(expected));
}

#[test]
fn without_an_authority_nothing_is_handed_on_and_the_reason_is_told() {
    let (authority, _, found) = issued();
    let published = [read(&authority.certificate)];
    let leaf = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n";
    for (secret, expected) in [
        (None, "the Secret does not exist"),
        (Some(secret(&[leaf], None)), "ca.crt is missing"),
        (Some(secret(&[leaf], Some(""))), "ca.crt: it holds no PEM certificate"),
        (Some(secret(&[leaf], Some(leaf))), "ca.crt: it holds a malformed certificate"),
    ] {
        let found = secrets::read_external(secret.as_ref());
        let problem = plan_at(start(), &found, &published).trusted.unwrap_err();
        assert!(problem.contains(expected), "{problem}");
        assert!(problem.contains("its issuer has to write one under ca.crt"), "{problem}");
        assert_eq!(found.authority(), None);
        assert!(found.leaf.is_err());
    }
    assert!(found.leaf.is_ok());
}

#[test]
fn expiry_is_that_of_the_leaf_and_of_who_signed_it() {
    let (authority, _, found) = issued();
    let leaf = found.leaf.as_ref().unwrap();
    let start = start().as_second();
    assert_eq!(leaf.not_after.as_second(), start + LEAF_LIFETIME.as_secs());
    assert_eq!(found.authority(), read(&authority.certificate).first());

    // A bundle whose first authority is another's.
    let (other, ..) = issued();
    let bundle = format!("{}{}", other.certificate, authority.certificate);
    let found = secrets::read_external(Some(&secret(&[&leaf.pem()], Some(&bundle))));
    assert_eq!(found.authority(), read(&authority.certificate).first());

    // A chain: the root signed only what stands in between.
    let found = secrets::read_external(Some(&secret(
        &[&leaf.pem(), &authority.certificate],
        Some(&other.certificate),
    )));
    assert_eq!(found.leaf.as_ref(), Ok(leaf));
    assert_eq!(found.authority(), read(&other.certificate).first());
}

#[test]
fn a_self_signed_certificate_is_its_own_authority() {
    let mut parameters = CertificateParams::new(["webhook.system.svc".to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, "self-signed");
    parameters.is_ca = IsCa::NoCa;
    let made = parameters.self_signed(&KeyPair::generate().unwrap()).unwrap().pem();
    let found = secrets::read_external(Some(&secret(&[&made], Some(&made))));
    assert_eq!(plan_at(Timestamp::now(), &found, &[]).trusted, Ok(read(&made)));
    assert_eq!(found.authority(), found.leaf.as_ref().ok());
}
