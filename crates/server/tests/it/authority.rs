//! Authorities that nobody has heard of, and what they issue.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

pub struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate with its key, both in PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, new_key());
        Self(issuer.expect("a certificate"))
    }

    /// Its certificate, in PEM.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Makes an authority below it.
    pub fn authority(&self, name: &str) -> Self {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::signed_by(params, new_key(), &self.0);
        Self(issuer.expect("a certificate"))
    }

    /// A certificate for a host or an address, or a client that is called so.
    pub fn issue(&self, subject: &str) -> Identity {
        let mut params = CertificateParams::new([subject.to_owned()]).expect("a subject");
        params.distinguished_name.push(DnType::CommonName, subject);
        let key = new_key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        Identity {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Identity {
    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write(&self, directory: &Path, name: &str) {
        let write = |name: String, text: &str| {
            std::fs::write(directory.join(name), text).expect("a file in our directory");
        };
        write(format!("{name}.pem"), &self.certificate);
        write(format!("{name}.key"), &self.key);
    }
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    params
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key")
}
