//! A self-made certificate, and the TLS settings of the server that shows it and of clients that trust it.

use std::{fs, io, net::IpAddr, path::Path, sync::Arc};

use rcgen::{CertificateParams, KeyPair, SanType};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// A certificate for one address, with its key, both as PEM.
pub struct Identity {
    /// The certificate, signed by its own key.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Identity {
    /// Makes a certificate for a server at this address.
    pub fn new(address: IpAddr) -> Result<Self, IdentityError> {
        let key = KeyPair::generate()?;
        let mut parameters = CertificateParams::default();
        parameters.subject_alt_names.push(SanType::IpAddress(address));
        let certificate = parameters.self_signed(&key)?;
        Ok(Self { certificate: certificate.pem(), key: key.serialize_pem() })
    }

    /// Reads what [`write`](Self::write) wrote.
    pub fn read(folder: &Path) -> Result<Self, IdentityError> {
        let read = |name| {
            let path = folder.join(name);
            fs::read_to_string(&path)
                .map_err(|source| IdentityError::File { path: path.display().to_string(), source })
        };
        Ok(Self { certificate: read("tls.crt")?, key: read("tls.key")? })
    }

    /// Writes `tls.crt` and `tls.key` into a folder.
    pub fn write(&self, folder: &Path) -> Result<(), IdentityError> {
        for (name, text) in [("tls.crt", &self.certificate), ("tls.key", &self.key)] {
            let path = folder.join(name);
            fs::write(&path, text).map_err(|source| IdentityError::File {
                path: path.display().to_string(),
                source,
            })?;
        }
        Ok(())
    }

    /// TLS settings of a server that shows this certificate and speaks HTTP/1.1, the only version
    /// in which the API server calls webhooks.
    pub fn server_config(&self) -> Result<ServerConfig, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes())?;
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate_der()?], key)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    /// TLS settings of a client that trusts this certificate. Ciphers are offered in the order of
    /// the API server, which is Go's.
    pub fn client_config(&self) -> Result<ClientConfig, IdentityError> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate_der()?)?;
        let provider = CryptoProvider {
            cipher_suites: vec![
                ring::cipher_suite::TLS13_AES_128_GCM_SHA256,
                ring::cipher_suite::TLS13_AES_256_GCM_SHA384,
                ring::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            ],
            ..ring::default_provider()
        };
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn certificate_der(&self) -> Result<CertificateDer<'static>, IdentityError> {
        Ok(CertificateDer::from_pem_slice(self.certificate.as_bytes())?)
    }
}

/// A certificate could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// It could not be made.
    #[error("cannot make a certificate: {0}")]
    Generation(#[from] rcgen::Error),
    /// Its file could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What is wrong.
        source: io::Error,
    },
    /// Its text is not PEM.
    #[error("certificate or key: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// The TLS library does not take it.
    #[error("certificate or key: {0}")]
    Tls(#[from] rustls::Error),
}
