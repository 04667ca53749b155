//! The certificate of an authority, made ready to vouch for clients when it is loaded, not when a request waits.

use base::UnixTime;
use rustls_pki_types::{CertificateDer, TrustAnchor};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

/// An authority that clients' certificates may come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    /// `None`: nothing can be checked against it. It vouches for nobody, but a certificate is asked for all the same.
    usable: Option<Usable>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Usable {
    anchor: TrustAnchor<'static>,
    validity: Validity,
}

/// From when until when a certificate is good, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first second.
    pub begins: UnixTime,
    /// The last one.
    pub ends: UnixTime,
}

impl Authority {
    /// The one with this certificate.
    #[must_use]
    pub fn new(certificate: &CertificateDer<'_>) -> Self {
        let usable = || {
            Some(Usable {
                anchor: webpki::anchor_from_trusted_cert(certificate)
                    .ok()?
                    .to_owned(),
                validity: Validity::of(certificate)?,
            })
        };
        Self { usable: usable() }
    }

    /// Whether clients' certificates can be checked against it.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        self.usable.is_some()
    }

    /// What a chain of certificates has to end in, and until when; `None` when it vouches for nobody at `now`.
    #[must_use]
    pub fn anchor(&self, now: UnixTime) -> Option<(&TrustAnchor<'static>, Validity)> {
        let Usable { anchor, validity } = self.usable.as_ref()?;
        validity.includes(now).then_some((anchor, *validity))
    }
}

impl Validity {
    /// What a certificate says of itself; `None` if it is none.
    #[must_use]
    pub fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
        let validity = certificate.validity();
        Some(Self {
            begins: UnixTime(validity.not_before.timestamp()),
            ends: UnixTime(validity.not_after.timestamp()),
        })
    }

    /// Whether `now` lies in it.
    #[must_use]
    pub fn includes(self, now: UnixTime) -> bool {
        (self.begins..=self.ends).contains(&now)
    }
}
