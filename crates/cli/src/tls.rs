//! TLS: the certificate authorities that are trusted, and the client certificate.

use anyhow::{Context, Result};
use base::without_mark;
use hyper_rustls::ConfigBuilderExt;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// Returns the configuration. For plain HTTP it has no authorities, which saves reading them.
pub fn config(is_secure: bool, identity: Option<&(String, String)>) -> Result<ClientConfig> {
    let builder = ClientConfig::builder();
    let builder = if is_secure {
        builder
            .with_native_roots()
            .context("this machine's certificate authorities cannot be read")?
    } else {
        builder.with_root_certificates(RootCertStore::empty())
    };
    let Some((certificate, key)) = identity else {
        return Ok(builder.with_no_client_auth());
    };
    let of_certificate = || format!("the certificate in '{certificate}'");
    let pem = std::fs::read(certificate).with_context(of_certificate)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(without_mark(&pem)).collect();
    let chain = chain.with_context(of_certificate)?;
    let of_key = || format!("the private key in '{key}'");
    let pem = std::fs::read(key).with_context(of_key)?;
    let private = PrivateKeyDer::from_pem_slice(without_mark(&pem)).with_context(of_key)?;
    builder
        .with_client_auth_cert(chain, private)
        .with_context(|| format!("the certificate in '{certificate}' with the key in '{key}'"))
}
