//! Verification of a PostgreSQL server's certificate, as far as `sslmode` requires it.

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

use super::address::{Roots, SslMode, TlsSettings};
use super::tls::certificates;
use crate::{Error, Result};

/// A verifier of server certificates.
#[derive(Debug)]
pub(super) struct Verifier {
    trust: Option<Trust>,
    algorithms: WebPkiSupportedAlgorithms,
}

/// The trusted certificates, and the scope of the verification.
#[derive(Debug)]
struct Trust {
    roots: RootCertStore,
    /// The certificates in the file. A server with a self-signed certificate presents one of them itself.
    listed: Vec<CertificateDer<'static>>,
    /// True if the certificate must name the host.
    names_host: bool,
}

impl Verifier {
    /// Reads the root certificates in `settings`. Modes that do not require verification use them if they are given.
    pub(super) fn new(
        settings: &TlsSettings,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<Self> {
        let listed = match &settings.roots {
            Some(Roots::File(path)) => certificates(path)?,
            Some(Roots::System) => Vec::new(),
            None if settings.mode == SslMode::VerifyFull => Vec::new(),
            None => {
                return Ok(Self {
                    trust: None,
                    algorithms,
                });
            }
        };
        let mut roots = RootCertStore::empty();
        if listed.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        } else {
            roots.add_parsable_certificates(listed.iter().cloned());
        }
        if roots.is_empty() {
            return Err(Error::Tls(
                "there is no root certificate; name a file of them with sslrootcert".to_owned(),
            ));
        }
        Ok(Self {
            trust: Some(Trust {
                roots,
                listed,
                names_host: settings.mode == SslMode::VerifyFull,
            }),
            algorithms,
        })
    }
}

impl Trust {
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Result<(), rustls::Error> {
        let parsed = ParsedCertificate::try_from(certificate)?;
        if self.listed.contains(certificate) {
            check_validity(certificate, now)?;
        } else {
            verify_server_cert_signed_by_trust_anchor(
                &parsed,
                &self.roots,
                intermediates,
                now,
                algorithms.all,
            )?;
        }
        if self.names_host {
            verify_server_name(&parsed, host)?;
        }
        Ok(())
    }
}

/// Refuses a certificate outside its validity period.
fn check_validity(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), CertificateError> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let now = i64::try_from(now.as_secs()).ok();
    let now = now.and_then(|now| ASN1Time::from_timestamp(now).ok());
    let now = now.ok_or(CertificateError::BadEncoding)?;
    let validity = parsed.validity();
    if now < validity.not_before {
        return Err(CertificateError::NotValidYet);
    }
    if now > validity.not_after {
        return Err(CertificateError::Expired);
    }
    Ok(())
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trust) = &self.trust {
            trust.check(end_entity, intermediates, server_name, now, self.algorithms)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};

    use super::*;

    /// Returns a self-signed certificate that is an authority, as in PostgreSQL's manual.
    fn self_signed() -> CertificateDer<'static> {
        let mut params = CertificateParams::new(["db.example".to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.not_before = date_time_ymd(2025, 1, 1);
        params.not_after = date_time_ymd(2035, 1, 1);
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").into()
    }

    #[test]
    fn s18_self_signed_certificate_is_trusted_in_its_validity_period() {
        let certificate = self_signed();
        let mut roots = RootCertStore::empty();
        roots.add(certificate.clone()).expect("a root");
        let mut trust = Trust {
            roots,
            listed: vec![certificate.clone()],
            names_host: true,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let check = |trust: &Trust, host: &str, year: u64| {
            let host = ServerName::try_from(host.to_owned()).expect("a name");
            let now = std::time::Duration::from_secs((year - 1970) * 31_557_600);
            let now = UnixTime::since_unix_epoch(now);
            let algorithms = provider.signature_verification_algorithms;
            trust.check(&certificate, &[], &host, now, algorithms)
        };
        assert_eq!(check(&trust, "db.example", 2030), Ok(()));
        assert!(check(&trust, "other.example", 2030).is_err());
        assert!(check(&trust, "db.example", 2024).is_err());
        assert!(check(&trust, "db.example", 2036).is_err());
        trust.names_host = false;
        assert_eq!(check(&trust, "other.example", 2030), Ok(()));
        trust.listed = vec![self_signed()];
        assert!(check(&trust, "db.example", 2030).is_err());
    }
}
