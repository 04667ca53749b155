//! Parsing of authorities' certificates, with errors that name the fault.

use base::{Error, Result, UnixTime, text_without_mark};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer;

/// Maximum length of a certificate in PEM. Certificates usually have a few thousand bytes.
const MAX_PEM_BYTES: usize = 32 * 1024;

/// The certificate of an authority (RFC 5280).
#[derive(Debug)]
pub(super) struct AuthorityCertificate {
    /// Certificate in PEM, in canonical form.
    pub(super) pem: String,
    /// SHA-256 of the certificate in DER.
    pub(super) fingerprint: [u8; 32],
    pub(super) valid_at: UnixTime,
    pub(super) expires_at: UnixTime,
}

impl AuthorityCertificate {
    /// Parses PEM.
    ///
    /// # Errors
    /// 400 if the text is not the valid certificate of an authority.
    pub(super) fn parse(text: &str, now: UnixTime) -> Result<Self> {
        let der = only_block(text)?;
        let (rest, certificate) = X509Certificate::from_der(&der).map_err(|_| {
            refused(
                "invalid_certificate",
                "certificate is PEM, but what it holds is not an X.509 certificate.",
            )
        })?;
        if !rest.is_empty() {
            return Err(refused(
                "invalid_certificate",
                "certificate has bytes after the end of its X.509 certificate.",
            ));
        }
        check_authority(&certificate)?;
        if !access::Authority::new(&der.as_slice().into()).is_usable() {
            return Err(unreadable());
        }
        let validity = certificate.validity();
        let expires_at = UnixTime(validity.not_after.timestamp());
        if expires_at <= now {
            return Err(refused(
                "expired_certificate",
                "This certificate has expired. Upload its successor.",
            ));
        }
        Ok(Self {
            pem: encode(&der),
            fingerprint: Sha256::digest(&der).into(),
            valid_at: UnixTime(validity.not_before.timestamp()),
            expires_at,
        })
    }
}

fn refused(code: &'static str, message: &'static str) -> Error {
    Error::refused(code, message).about("certificate")
}

/// Decodes the single block of a PEM text.
fn only_block(text: &str) -> Result<Vec<u8>> {
    const GARBAGE: &str =
        "certificate must be a certificate in PEM, from BEGIN CERTIFICATE to END CERTIFICATE.";
    if text.len() > MAX_PEM_BYTES {
        return Err(refused(
            "invalid_certificate",
            "certificate is too long to be one certificate.",
        ));
    }
    if text.contains("PRIVATE KEY-----") {
        return Err(refused(
            "private_key",
            "certificate holds a private key, which must not leave its owner: treat it as disclosed. Upload the \
             certificate alone.",
        ));
    }
    let blocks: Result<Vec<Pem>, _> =
        Pem::iter_from_buffer(text_without_mark(text).as_bytes()).collect();
    let blocks = blocks.map_err(|_| refused("invalid_certificate", GARBAGE))?;
    let mut blocks = blocks.into_iter();
    match (blocks.next(), blocks.next()) {
        (Some(block), None) if block.label == "CERTIFICATE" => Ok(block.contents),
        (Some(_), Some(_)) => Err(refused(
            "certificate_chain",
            "certificate holds several blocks. Upload each authority's certificate by itself.",
        )),
        _ => Err(refused("invalid_certificate", GARBAGE)),
    }
}

fn check_authority(certificate: &X509Certificate<'_>) -> Result<()> {
    const LEAF: &str =
        "This is not the certificate of an authority: it has no basic constraint that says CA.";
    let constraints = certificate.basic_constraints().map_err(|_| unreadable())?;
    if !constraints.is_some_and(|constraints| constraints.value.ca) {
        return Err(refused("not_an_authority", LEAF));
    }
    let usage = certificate.key_usage().map_err(|_| unreadable())?;
    if usage.is_some_and(|usage| !usage.value.key_cert_sign()) {
        return Err(refused(
            "not_an_authority",
            "This certificate's key may not sign certificates.",
        ));
    }
    Ok(())
}

fn unreadable() -> Error {
    refused(
        "invalid_certificate",
        "certificate has extensions that cannot be read.",
    )
}

/// Encodes as PEM with lines of 64 characters.
fn encode(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let mut pem = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for (index, character) in text.chars().enumerate() {
        if index > 0 && index % 64 == 0 {
            pem.push('\n');
        }
        pem.push(character);
    }
    pem.push_str("\n-----END CERTIFICATE-----\n");
    pem
}
