//! The certificates that upstreams are checked against.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use super::config::{CaCertificates, UpstreamConfig};
use super::key;
use crate::StartError;

/// The system's certificates are loaded once, and only if an upstream needs them.
#[derive(Default)]
pub(super) struct Trust {
    system: Option<ClientConfig>,
}

impl Trust {
    /// How TLS is spoken to this upstream.
    pub(super) fn of(
        &mut self,
        config: &UpstreamConfig,
        is_secure: bool,
    ) -> Result<ClientConfig, StartError> {
        if let Some(certificates) = &config.ca_certificates {
            if !is_secure {
                return Err(config.wrong("ca_file is for https:// only"));
            }
            return of_certificates(certificates).map_err(|reason| config.wrong(&reason));
        }
        if !is_secure {
            let nobody = builder()?.with_root_certificates(RootCertStore::empty());
            return Ok(nobody.with_no_client_auth());
        }
        if let Some(system) = &self.system {
            return Ok(system.clone());
        }
        let system = builder()?.with_native_roots().map_err(failed)?;
        Ok(self.system.insert(system.with_no_client_auth()).clone())
    }
}

/// Returns the settings of TLS for a server whose certificate is checked against `certificates`. Reads a file, and blocks.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(super) fn of_certificates(certificates: &CaCertificates) -> Result<ClientConfig, String> {
    let roots = match certificates {
        CaCertificates::Pem(pem) => roots(pem)?,
        CaCertificates::File(file) => {
            let shown = file.display();
            let pem = key::read(file);
            roots(&pem.map_err(|error| format!("ca_file: {shown} cannot be read: {error}"))?)?
        }
    };
    let builder = builder().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, StartError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)
}

fn failed(error: impl std::fmt::Display) -> StartError {
    StartError::Tls(error.to_string())
}

fn roots(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(base::without_mark(pem)) {
        let certificate = certificate.map_err(|error| format!("ca_file: {error}"))?;
        let added = roots.add(certificate);
        added.map_err(|error| format!("ca_file: {error}"))?;
    }
    if roots.is_empty() {
        return Err("ca_file holds no certificate in PEM".to_owned());
    }
    Ok(roots)
}
