//! TLS whose certificate can change while connections are open: a new handshake gets the newest.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwapOption;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// Why a certificate cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM, or without a certificate.
    #[error("the certificate chain cannot be read: {0}")]
    Chain(rustls::pki_types::pem::Error),
    /// There is no certificate.
    #[error("the certificate chain is empty")]
    Empty,
    /// Not PEM, or without a private key.
    #[error("the private key cannot be read: {0}")]
    Key(rustls::pki_types::pem::Error),
    /// The key is of an unknown kind, or is not the certificate's.
    #[error("the private key does not fit the certificate: {0}")]
    Mismatch(#[from] rustls::Error),
}

/// The certificate that new handshakes get. Clones share it.
#[derive(Clone, Default)]
pub struct ServingCertificate(Arc<ArcSwapOption<CertifiedKey>>);

impl ServingCertificate {
    /// Serves a chain and its key, both PEM, from now on. On an error the one before stays.
    pub fn replace(&self, chain: &[u8], key: &[u8]) -> Result<(), CertificateError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<Vec<_>, _>>()
            .map_err(CertificateError::Chain)?;
        if chain.is_empty() {
            return Err(CertificateError::Empty);
        }
        let key = PrivateKeyDer::from_pem_slice(key).map_err(CertificateError::Key)?;
        let certified = CertifiedKey::from_der(chain, key, &provider())?;
        self.0.store(Some(Arc::new(certified)));
        Ok(())
    }

    /// Settings of a TLS server that serves it, with HTTP/1.1.
    pub fn server_config(&self) -> Result<ServerConfig, rustls::Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(self.clone()));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.load_full()
    }
}

impl fmt::Debug for ServingCertificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ServingCertificate").finish_non_exhaustive()
    }
}

fn provider() -> CryptoProvider {
    ring::default_provider()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["webhook.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_bad_certificate_leaves_the_one_before() {
        let certificate = ServingCertificate::default();
        let (chain, key) = pair();
        certificate.replace(chain.as_bytes(), key.as_bytes()).unwrap();
        let served = certificate.0.load_full().unwrap();
        let (_, other_key) = pair();
        for (chain, key) in [("", key.as_str()), (chain.as_str(), "no key"), (&chain, &other_key)] {
            assert!(certificate.replace(chain.as_bytes(), key.as_bytes()).is_err());
            assert!(Arc::ptr_eq(&served, &certificate.0.load_full().unwrap()));
        }
    }
}
