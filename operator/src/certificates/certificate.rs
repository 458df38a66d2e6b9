//! An X.509 certificate as far as decisions need it: names, validity, key, and who signed it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use x509_parser::{
    extensions::GeneralName,
    prelude::{FromDer, X509Certificate},
    time::ASN1Time,
};

/// A certificate that could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    /// DNS names of the subject alternative name extension.
    pub(crate) names: BTreeSet<String>,
    /// Start of validity.
    pub(crate) not_before: Timestamp,
    /// End of validity.
    pub(crate) not_after: Timestamp,
    /// Whether it may sign others.
    pub(crate) is_authority: bool,
    public_key: Vec<u8>,
}

/// Why a certificate cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CertificateError {
    /// The text holds no PEM certificate.
    #[error("it holds no PEM certificate")]
    Absent,
    /// A PEM block or the certificate in it is malformed.
    #[error("it holds a malformed certificate: {0}")]
    Malformed(String),
}

impl Certificate {
    /// Reads every certificate of a PEM text.
    pub(crate) fn read_all(pem: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let certificates = CertificateDer::pem_slice_iter(pem)
            .map(|der| {
                let der = der.map_err(|error| CertificateError::Malformed(error.to_string()))?;
                Self::read(&der)
            })
            .collect::<Result<Vec<_>, _>>()?;
        if certificates.is_empty() { Err(CertificateError::Absent) } else { Ok(certificates) }
    }

    fn read(der: &CertificateDer<'static>) -> Result<Self, CertificateError> {
        let malformed = |error: String| CertificateError::Malformed(error);
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|error| malformed(error.to_string()))?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|error| malformed(error.to_string()))?
            .map(|extension| dns_names(&extension.value.general_names))
            .unwrap_or_default();
        let (not_before, not_after) = (parsed.validity().not_before, parsed.validity().not_after);
        Ok(Self {
            names,
            not_before: timestamp(not_before)?,
            not_after: timestamp(not_after)?,
            is_authority: parsed.is_ca(),
            public_key: parsed.public_key().subject_public_key.data.to_vec(),
            der: der.clone(),
        })
    }

    /// Whether `now` is inside its validity.
    pub(crate) fn is_valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// When two thirds of its lifetime are over.
    pub(crate) fn renewal_time(&self) -> Timestamp {
        let (start, end) = (self.not_before.as_second(), self.not_after.as_second());
        Timestamp::from_second(end - (end - start) / 3).unwrap_or(self.not_after)
    }

    /// Whether it was signed with the key of `authority`.
    pub(crate) fn is_signed_by(&self, authority: &Self) -> bool {
        let Ok((_, own)) = X509Certificate::from_der(&self.der) else { return false };
        let Ok((_, issuer)) = X509Certificate::from_der(&authority.der) else { return false };
        own.issuer() == issuer.subject() && own.verify_signature(Some(issuer.public_key())).is_ok()
    }

    /// Whether it speaks for this key.
    pub(crate) fn belongs_to(&self, key: &rcgen::KeyPair) -> bool {
        rcgen::PublicKeyData::der_bytes(key) == self.public_key
    }

    /// The certificate as PEM, with line feeds.
    pub(crate) fn pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        pem::encode_config(&pem::Pem::new("CERTIFICATE", self.der.as_ref()), config)
    }

    /// The certificate in DER, as TLS takes it.
    pub(crate) fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }
}

fn dns_names(names: &[GeneralName<'_>]) -> BTreeSet<String> {
    names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
        .collect()
}

fn timestamp(time: ASN1Time) -> Result<Timestamp, CertificateError> {
    Timestamp::from_second(time.timestamp())
        .map_err(|error| CertificateError::Malformed(error.to_string()))
}
