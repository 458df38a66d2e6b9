//! Makes keys and certificates: ECDSA P-256.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::OffsetDateTime;

/// Lifetime of a certificate authority: about ten years.
pub(super) const AUTHORITY_LIFETIME: SignedDuration = SignedDuration::from_hours(3650 * 24);
/// Lifetime of a serving certificate.
pub(super) const LEAF_LIFETIME: SignedDuration = SignedDuration::from_hours(90 * 24);
/// Certificates start this long ago, so that a clock that is behind accepts them.
pub(super) const CLOCK_SKEW: SignedDuration = SignedDuration::from_hours(1);

/// A certificate and its key, both PEM.
#[derive(Debug)]
pub(super) struct Issued {
    /// The certificate.
    pub(super) certificate: String,
    /// The private key, PKCS #8.
    pub(super) key: String,
}

/// A certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssueError {
    /// The library refused; with a key that was checked before, this is a fault of ours.
    #[error("cannot make a certificate: {0}")]
    Library(#[from] rcgen::Error),
    /// The clock is outside the years a certificate can hold.
    #[error("the clock says {0}, which no certificate can hold")]
    Clock(Timestamp),
}

/// Makes a new certificate authority.
pub(super) fn authority(now: Timestamp) -> Result<Issued, IssueError> {
    let mut parameters = validity(now, AUTHORITY_LIFETIME)?;
    // Each has a name of its own: chains are built by name while two are trusted.
    let name = format!("sidecar-policy authority {}", now.as_second());
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?.pem();
    Ok(Issued { certificate, key: key.serialize_pem() })
}

/// Makes a serving certificate for `names`, signed by the authority given as PEM.
pub(super) fn leaf(
    now: Timestamp,
    names: impl IntoIterator<Item = String>,
    authority: &Issued,
) -> Result<Issued, IssueError> {
    let issuer =
        Issuer::from_ca_cert_pem(&authority.certificate, KeyPair::from_pem(&authority.key)?)?;
    let mut parameters = validity(now, LEAF_LIFETIME)?;
    parameters.subject_alt_names =
        CertificateParams::new(names.into_iter().collect::<Vec<_>>())?.subject_alt_names;
    parameters.distinguished_name.push(DnType::CommonName, "sidecar-policy webhook");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate()?;
    let certificate = parameters.signed_by(&key, &issuer)?.pem();
    Ok(Issued { certificate, key: key.serialize_pem() })
}

fn validity(now: Timestamp, lifetime: SignedDuration) -> Result<CertificateParams, IssueError> {
    let moment = |timestamp: Timestamp| {
        OffsetDateTime::from_unix_timestamp(timestamp.as_second())
            .map_err(|_| IssueError::Clock(now))
    };
    let end = now.checked_add(lifetime).map_err(|_| IssueError::Clock(now))?;
    let start = now.checked_sub(CLOCK_SKEW).map_err(|_| IssueError::Clock(now))?;
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.not_before = moment(start)?;
    parameters.not_after = moment(end)?;
    Ok(parameters)
}
