//! What the two Secrets hold, read with suspicion: anybody may have edited or damaged them.

use k8s_openapi::api::core::v1::Secret;
use rcgen::KeyPair;

use super::{Certificate, issue::Issued};

/// Key of the trusted authorities in both Secrets; the first one signs.
pub(super) const AUTHORITY_CERTIFICATE: &str = "ca.crt";
/// Key of the signing authority's private key.
pub(super) const AUTHORITY_KEY: &str = "ca.key";
/// Key of the serving certificate.
pub(super) const LEAF_CERTIFICATE: &str = "tls.crt";
/// Key of the serving certificate's private key.
pub(super) const LEAF_KEY: &str = "tls.key";

/// What the authority's Secret holds.
#[derive(Debug)]
pub(super) struct Authority {
    /// The authorities to be trusted. When `key` is usable the first one signs.
    pub(super) trusted: Vec<Certificate>,
    /// The private key of the first one as PEM, or what is wrong.
    pub(super) key: Result<String, String>,
}

/// What the serving certificate's Secret holds, or what is wrong with it.
pub(super) type Leaf = Result<Certificate, String>;

/// Reads the authority's Secret.
pub(super) fn read_authority(secret: Option<&Secret>) -> Authority {
    let Some(secret) = secret else {
        return Authority { trusted: Vec::new(), key: Err("the Secret does not exist".to_owned()) };
    };
    match pair(secret, AUTHORITY_CERTIFICATE, AUTHORITY_KEY) {
        Ok((trusted, key)) => {
            let usable = trusted.first().is_some_and(|first| first.is_authority);
            let not_an_authority = || format!("{AUTHORITY_CERTIFICATE} is not an authority's");
            Authority { key: usable.then_some(key).ok_or_else(not_an_authority), trusted }
        }
        Err(problem) => Authority {
            // A lost key is no reason to stop trusting what it signed before.
            trusted: value(secret, AUTHORITY_CERTIFICATE)
                .ok()
                .and_then(|pem| Certificate::read_all(pem).ok())
                .unwrap_or_default(),
            key: Err(problem),
        },
    }
}

/// Reads the serving certificate's Secret.
pub(super) fn read_leaf(secret: Option<&Secret>) -> Leaf {
    let secret = secret.ok_or("the Secret does not exist")?;
    let (certificates, _) = pair(secret, LEAF_CERTIFICATE, LEAF_KEY)?;
    certificates.into_iter().next().ok_or_else(|| format!("{LEAF_CERTIFICATE} is empty"))
}

impl Authority {
    /// The signing certificate and its key.
    pub(super) fn signing(&self) -> Option<Issued> {
        let key = self.key.as_ref().ok()?.clone();
        Some(Issued { certificate: self.trusted.first()?.pem(), key })
    }
}

/// What the Secret holds of a serving certificate that somebody else makes. The private key is the
/// webhook's matter.
#[derive(Debug, PartialEq)]
pub(super) struct External {
    /// The authorities that clients have to trust, or why there are none.
    pub(super) authorities: Result<Vec<Certificate>, String>,
    /// The serving certificate, or what is wrong with it.
    pub(super) leaf: Leaf,
}

/// Reads such a Secret.
pub(super) fn read_external(secret: Option<&Secret>) -> External {
    let read = |key: &str| {
        let secret = secret.ok_or("the Secret does not exist")?;
        Certificate::read_all(value(secret, key)?).map_err(|error| format!("{key}: {error}"))
    };
    let authorities = read(AUTHORITY_CERTIFICATE).map_err(|problem| {
        format!(
            "the Secret of the webhook's certificate has no authority to publish: {problem}; its issuer has to write one under {AUTHORITY_CERTIFICATE}"
        )
    });
    let leaf = read(LEAF_CERTIFICATE)
        .and_then(|chain| chain.into_iter().next().ok_or_else(|| "it is empty".to_owned()));
    External { authorities, leaf }
}

impl External {
    /// The authority that signed the certificate; with one in between, the first.
    pub(super) fn authority(&self) -> Option<&Certificate> {
        let authorities = self.authorities.as_ref().ok()?;
        let signed = |authority: &&Certificate| {
            self.leaf.as_ref().is_ok_and(|leaf| leaf.is_signed_by(authority))
        };
        authorities.iter().find(signed).or(authorities.first())
    }
}

/// Certificates as one PEM text.
pub(crate) fn to_pem(certificates: &[Certificate]) -> String {
    certificates.iter().map(Certificate::pem).collect()
}

/// A list of certificates and the private key of the first.
fn pair(
    secret: &Secret,
    certificate_key: &str,
    private_key: &str,
) -> Result<(Vec<Certificate>, String), String> {
    let certificates = Certificate::read_all(value(secret, certificate_key)?)
        .map_err(|error| format!("{certificate_key}: {error}"))?;
    let key = std::str::from_utf8(value(secret, private_key)?)
        .map_err(|_| format!("{private_key} is not text"))?;
    let parsed = KeyPair::from_pem(key)
        .map_err(|error| format!("{private_key} is not a usable private key: {error}"))?;
    match certificates.first() {
        Some(first) if first.belongs_to(&parsed) => Ok((certificates, key.to_owned())),
        _ => Err(format!("{private_key} is not the key of {certificate_key}")),
    }
}

fn value<'s>(secret: &'s Secret, key: &str) -> Result<&'s [u8], String> {
    secret
        .data
        .as_ref()
        .and_then(|data| data.get(key))
        .map(|bytes| bytes.0.as_slice())
        .ok_or_else(|| format!("{key} is missing"))
}
