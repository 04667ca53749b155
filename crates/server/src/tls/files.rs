//! Files of the server's certificate and private key.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use base::without_mark;
use gateway::FileStamp;
use rustls::Error;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::Serialize;

/// Paths of the server's certificate and private key, in PEM.
#[derive(Clone, Debug, Serialize)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key of the leaf certificate.
    pub key: PathBuf,
}

/// Identity of both files, to detect changes.
pub(super) type Stamp = [FileStamp; 2];

impl TlsFiles {
    /// Returns the identity of the files. Must be taken before the files are read, so that no later change is missed.
    pub(super) fn stamp(&self) -> Stamp {
        [&self.certificate, &self.key].map(|file| FileStamp::of(file))
    }

    /// Loads the certificate and its key.
    ///
    /// # Errors
    /// A file is unreadable or malformed, or the key does not match; the message names the file.
    pub(super) fn load(&self, provider: &CryptoProvider) -> anyhow::Result<CertifiedKey> {
        let Self { certificate, key } = self;
        let chain = read("tls.certificate", certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&chain).collect();
        let chain = chain
            .with_context(|| format!("tls.certificate: {} is not PEM", certificate.display()))?;
        if chain.is_empty() {
            bail!(
                "tls.certificate: {} holds no certificate in PEM",
                certificate.display()
            );
        }
        let private = read("tls.key", key)?;
        let private = PrivateKeyDer::from_pem_slice(&private).map_err(|_| {
            anyhow!(
                "tls.key: {} holds no private key in PEM, or one that is encrypted",
                key.display()
            )
        })?;
        CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
            Error::InconsistentKeys(_) => anyhow!(
                "tls.key: {} is not the key of the certificate in {}",
                key.display(),
                certificate.display()
            ),
            Error::InvalidCertificate(_) => anyhow!(
                "tls.certificate: {} holds a certificate that cannot be read",
                certificate.display()
            ),
            _ => anyhow!(
                "tls.key: {} holds a key that TLS cannot use: it must be RSA, ECDSA (P-256, P-384) or Ed25519",
                key.display()
            ),
        })
    }
}

fn read(name: &str, file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(file);
    let bytes = bytes.with_context(|| format!("{name}: {} cannot be read", file.display()))?;
    Ok(without_mark(&bytes).to_owned())
}
