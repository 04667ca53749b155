//! The check of client certificates, where the project or the organization of a key requires one.
//!
//! The accepted authorities depend on the API key, which comes after the TLS handshake. So the handshake accepts any certificate
//! whose private key the client has, and the chain is verified here, against the authorities that are active at the request.

mod header;
mod path;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use access::{Authority, ScopeSettings};
use base::{Clock, Error, Result, UnixTime};
use http::HeaderMap;
use http::request::Parts;
use rustls::pki_types::CertificateDer;

use crate::caller::Caller;
use path::CertificatePath;

/// The most verified paths that are cached for a connection. That of a proxy carries the chains of several clients.
const MAX_CACHED_PATHS: usize = 8;

/// A client's certificate, followed by the intermediate ones.
type CertificateChain = Arc<[CertificateDer<'static>]>;

/// The client certificates of a connection. The server adds this value to the extensions of the connection's requests; a request
/// without it came over plain HTTP.
#[derive(Clone)]
pub struct PeerCertificates(Arc<Peer>);

struct Peer {
    source: ChainSource,
    /// The verified paths, oldest first.
    verified: Mutex<Vec<CertificatePath>>,
}

/// The source of a client's chain.
enum ChainSource {
    /// The TLS handshake. The chain is empty if the client sent no certificate.
    Handshake(CertificateChain),
    /// The headers of each request, written by a proxy that has terminated the client's TLS.
    Headers,
}

impl PeerCertificates {
    /// Returns the chain that a client has sent, and proved the key of, in a TLS handshake: its own certificate first.
    #[must_use]
    pub fn of_handshake(chain: &[CertificateDer<'static>]) -> Self {
        Self::new(ChainSource::Handshake(chain.into()))
    }

    /// Returns the certificates of a trusted proxy, which passes on those of its clients in headers (RFC 9440). The certificate of
    /// the proxy itself does not count, since it would stand for every client.
    #[must_use]
    pub fn of_proxy() -> Self {
        Self::new(ChainSource::Headers)
    }

    fn new(source: ChainSource) -> Self {
        let verified = Mutex::default();
        Self(Arc::new(Peer { source, verified }))
    }

    fn chain(&self, headers: &HeaderMap) -> Result<CertificateChain, header::MalformedHeader> {
        match &self.0.source {
            ChainSource::Handshake(chain) => Ok(Arc::clone(chain)),
            ChainSource::Headers => header::chain(headers),
        }
    }

    /// Returns the number of certificates of a request with these headers; `None` if the headers are malformed.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn count(&self, headers: &HeaderMap) -> Option<usize> {
        self.chain(headers).ok().map(|chain| chain.len())
    }

    /// True if this chain was verified on this connection, and the authority that it led to is still accepted.
    fn is_verified(
        &self,
        chain: &CertificateChain,
        required: &CertificateRequirement<'_>,
        now: UnixTime,
    ) -> bool {
        let verified = self.0.verified.lock();
        let verified = verified.unwrap_or_else(PoisonError::into_inner);
        verified.iter().any(|path| {
            path.chain == *chain
                && path.validity.includes(now)
                && required.authorities().any(|it| *it == path.authority)
        })
    }

    /// Caches a verified path, and evicts the oldest one if there are too many.
    fn cache(&self, path: CertificatePath) {
        let verified = self.0.verified.lock();
        let mut verified = verified.unwrap_or_else(PoisonError::into_inner);
        if verified.len() == MAX_CACHED_PATHS {
            verified.remove(0);
        }
        verified.push(path);
    }
}

impl Caller {
    /// Checks the client certificate that the organization or the project requires.
    ///
    /// # Errors
    /// 401: there is no certificate, or it was rejected. The message has the reason.
    pub(crate) fn check_certificate(&self, head: &Parts, clock: &Clock) -> Result<()> {
        let required = CertificateRequirement {
            organization: &self.settings.organization,
            project: &self.level,
        };
        required.check(head.extensions.get(), &head.headers, clock)
    }
}

/// The settings of an API key's organization and project.
struct CertificateRequirement<'a> {
    organization: &'a ScopeSettings,
    project: &'a ScopeSettings,
}

impl CertificateRequirement<'_> {
    /// Checks that a request has a certificate from an active authority, unless no authority is active.
    fn check(
        &self,
        peer: Option<&PeerCertificates>,
        headers: &HeaderMap,
        clock: &Clock,
    ) -> Result<()> {
        if self.authorities().next().is_none() {
            return Ok(());
        }
        let Some(peer) = peer else {
            return Err(self.refusal("this request came over plain HTTP. Send it over HTTPS"));
        };
        let chain = peer
            .chain(headers)
            .map_err(|malformed| self.refusal(malformed))?;
        if chain.is_empty() {
            return Err(self.refusal("none came with this request"));
        }
        let now = clock.now();
        if peer.is_verified(&chain, self, now) {
            return Ok(());
        }
        let found = path::verify(&chain, self.authorities(), now);
        peer.cache(found.map_err(|error| self.refusal(error))?);
        Ok(())
    }

    fn authorities(&self) -> impl Iterator<Item = &Authority> {
        let levels = [self.organization, self.project];
        levels
            .into_iter()
            .flat_map(|level| level.authorities.values())
    }

    fn refusal(&self, reason: impl fmt::Display) -> Error {
        let has_any = |level: &ScopeSettings| !level.authorities.is_empty();
        let subject = match (has_any(self.organization), has_any(self.project)) {
            (true, true) => "The organization and the project of this API key require",
            (true, false) => "The organization of this API key requires",
            (false, _) => "The project of this API key requires",
        };
        Error::no_client_certificate(format!(
            "{subject} a client certificate from an authority that is active there, but {reason}."
        ))
    }
}

#[cfg(test)]
mod tests;
