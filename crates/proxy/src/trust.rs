//! Roots of trust for the certificates of upstreams.

use std::sync::Arc;

use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

use crate::api_key;
use crate::config::{CaCertificates, UpstreamConfig, UpstreamConfigError};

/// Cache of the system's roots of trust, which are loaded at most once, and only if an upstream needs them.
#[derive(Default)]
pub(crate) struct SystemRoots(Option<ClientConfig>);

impl SystemRoots {
    /// Returns the TLS configuration for an upstream. May read files, and blocks.
    ///
    /// # Errors
    /// The roots of trust cannot be loaded, or are configured for an upstream without TLS.
    pub(crate) fn tls_for(
        &mut self,
        config: &UpstreamConfig,
        is_https: bool,
    ) -> Result<ClientConfig, UpstreamConfigError> {
        if let Some(certificates) = &config.ca_certificates {
            if !is_https {
                return Err(config.invalid("ca_file is for https:// only"));
            }
            return client_config(certificates).map_err(|reason| config.invalid(&reason));
        }
        if !is_https {
            let untrusting = builder()?.with_root_certificates(RootCertStore::empty());
            return Ok(untrusting.with_no_client_auth());
        }
        if let Some(system) = &self.0 {
            return Ok(system.clone());
        }
        let system = builder()?.with_native_roots().map_err(tls_error)?;
        Ok(self.0.insert(system.with_no_client_auth()).clone())
    }
}

/// Returns a TLS configuration that trusts `certificates` alone. May read a file, and blocks.
///
/// # Errors
/// The file cannot be read, or holds no certificate.
pub(crate) fn client_config(certificates: &CaCertificates) -> Result<ClientConfig, String> {
    let roots = match certificates {
        CaCertificates::Pem(pem) => parse_roots(pem)?,
        CaCertificates::File(file) => {
            let shown = file.display();
            let pem = api_key::read_file(file)
                .map_err(|error| format!("ca_file: {shown} cannot be read: {error}"))?;
            parse_roots(&pem)?
        }
    };
    let builder = builder().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn builder() -> Result<ConfigBuilder<ClientConfig, WantsVerifier>, UpstreamConfigError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(tls_error)
}

fn tls_error(error: impl std::fmt::Display) -> UpstreamConfigError {
    UpstreamConfigError::Tls(error.to_string())
}

fn parse_roots(pem: &[u8]) -> Result<RootCertStore, String> {
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
