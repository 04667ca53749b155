//! Certificate authorities that vouch for clients.

use base::{EventType, UnixTime};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use store::{Result, Row};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use crate::{ScopeSettings, Setting};

/// An authority that may have issued clients' certificates. The certificate is parsed when it is loaded, not when a
/// request arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `None` if the certificate cannot serve as a trust anchor: no client certificate is accepted, but one is required.
    usable: Option<UsableAuthority>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct UsableAuthority {
    anchor: TrustAnchor<'static>,
    validity: Validity,
}

/// The period in which a certificate is valid, both bounds included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First valid second.
    pub begins: UnixTime,
    /// Last valid second.
    pub ends: UnixTime,
}

impl Authority {
    /// Parses the certificate of an authority.
    #[must_use]
    pub fn new(certificate: &CertificateDer<'_>) -> Self {
        let usable = || {
            Some(UsableAuthority {
                anchor: webpki::anchor_from_trusted_cert(certificate)
                    .ok()?
                    .to_owned(),
                validity: Validity::of(certificate)?,
            })
        };
        Self { usable: usable() }
    }

    /// Returns true if clients' certificates can be checked against the authority.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable.is_some()
    }

    /// Returns the trust anchor and its validity; `None` if the authority is not valid at `now`, or not usable.
    #[must_use]
    pub fn anchor(&self, now: UnixTime) -> Option<(&TrustAnchor<'static>, Validity)> {
        let UsableAuthority { anchor, validity } = self.usable.as_ref()?;
        validity.includes(now).then_some((anchor, *validity))
    }
}

impl Validity {
    /// Reads the validity of a certificate; `None` if it is not an X.509 certificate.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            begins: UnixTime(validity.not_before.timestamp()),
            ends: UnixTime(validity.not_after.timestamp()),
        })
    }

    /// Returns true if `now` lies in the period.
    #[must_use]
    pub fn includes(self, now: UnixTime) -> bool {
        (self.begins..=self.ends).contains(&now)
    }
}

/// An authority that is active in an organization or a project. Without a row, no client certificate is required.
#[derive(Clone, Debug)]
pub struct ActiveAuthority {
    certificate_id: String,
    authority: Authority,
}

impl Setting for ActiveAuthority {
    const SELECT_ALL: &'static str = "\
        SELECT s.project_id, s.certificate_id, c.content FROM certificate_activations s \
        JOIN certificates c ON c.organization_id = s.organization_id AND c.id = s.certificate_id \
        WHERE s.organization_id = $1";
    const DELETE: &'static str =
        "DELETE FROM certificate_activations WHERE organization_id = $1 AND project_id = $2";
    const EVENTS: &'static [EventType] = &[
        EventType::CertificatesActivated,
        EventType::CertificatesDeactivated,
    ];

    fn read(row: &Row<'_>) -> Result<Self> {
        let parse = |pem: &str| CertificateDer::from_pem_slice(pem.as_bytes()).ok();
        Ok(Self {
            certificate_id: row.get("certificate_id")?,
            authority: Authority::new(&row.word("content", parse)?),
        })
    }

    fn enforce(self, scope: &mut ScopeSettings) {
        scope
            .authorities
            .insert(self.certificate_id, self.authority);
    }
}
