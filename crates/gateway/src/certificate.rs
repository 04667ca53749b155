//! Whether a request comes with a client certificate, where the key's project or organization asks for one.
//!
//! Which authorities count depends on the key, and the key comes after the handshake: so the handshake takes any
//! certificate whose key the client has, and the chain is checked here, against what is active at this request.

mod header;
mod path;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use access::{Authority, ScopeSettings};
use base::{Clock, Error, Result, UnixTime};
use http::HeaderMap;
use http::request::Parts;
use rustls::pki_types::CertificateDer;

use crate::identify::Caller;
use path::Path;

/// How many checked chains are remembered of one connection; a proxy's carries those of several clients.
const MOST_REMEMBERED: usize = 8;

/// A client's certificates, its own first.
type Chain = Arc<[CertificateDer<'static>]>;

/// The certificates of whoever is at the other end of a connection. The server puts it into the extensions of the
/// connection's requests; one without it came over plain HTTP.
#[derive(Clone)]
pub struct PeerCertificates(Arc<Peer>);

struct Peer {
    shown: Shown,
    /// The oldest first.
    remembered: Mutex<Vec<Path>>,
}

enum Shown {
    /// In the handshake of TLS; none is an empty chain.
    Handshake(Chain),
    /// In the headers of each request, by a proxy that ended the client's TLS.
    Headers,
}

impl PeerCertificates {
    /// Of a client that ended a handshake of TLS: what it showed, its own first, with the proof that it has the key.
    #[must_use]
    pub fn of_handshake(chain: &[CertificateDer<'static>]) -> Self {
        Self::new(Shown::Handshake(chain.into()))
    }

    /// Of a proxy that is trusted to say in headers (RFC 9440) what its clients showed. What it shows itself does not
    /// count: it would vouch for all of them.
    #[must_use]
    pub fn of_proxy() -> Self {
        Self::new(Shown::Headers)
    }

    fn new(shown: Shown) -> Self {
        let remembered = Mutex::default();
        Self(Arc::new(Peer { shown, remembered }))
    }

    fn chain(&self, headers: &HeaderMap) -> Result<Chain, header::Malformed> {
        match &self.0.shown {
            Shown::Handshake(chain) => Ok(Arc::clone(chain)),
            Shown::Headers => header::chain(headers),
        }
    }

    /// Whether this chain was checked on this connection, and the authority that it led to is still asked for.
    fn remembers(&self, chain: &Chain, required: &Required<'_>, now: UnixTime) -> bool {
        let remembered = self.0.remembered.lock();
        let remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        remembered.iter().any(|path| {
            path.chain == *chain
                && path.validity.includes(now)
                && required.authorities().any(|it| *it == path.authority)
        })
    }

    fn remember(&self, path: Path) {
        let remembered = self.0.remembered.lock();
        let mut remembered = remembered.unwrap_or_else(PoisonError::into_inner);
        if remembered.len() == MOST_REMEMBERED {
            remembered.remove(0);
        }
        remembered.push(path);
    }
}

impl Caller {
    /// Refuses a request without the client certificate that the organization or the project asks for.
    ///
    /// # Errors
    /// 401: says who asks for one, and what was wrong with the one that came, if one came.
    pub(crate) fn check_certificate(&self, head: &Parts, clock: &Clock) -> Result<()> {
        let required = Required {
            organization: &self.settings.organization,
            project: self.level(),
        };
        required.check(head.extensions.get(), &head.headers, clock)
    }
}

/// What is set where a key belongs.
struct Required<'a> {
    organization: &'a ScopeSettings,
    project: &'a ScopeSettings,
}

impl Required<'_> {
    /// Lets a request pass that shows a certificate from an authority that is active, or when none is.
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
        if peer.remembers(&chain, self, now) {
            return Ok(());
        }
        let found = path::find(&chain, self.authorities(), now);
        peer.remember(found.map_err(|fault| self.refusal(fault))?);
        Ok(())
    }

    fn authorities(&self) -> impl Iterator<Item = &Authority> {
        let levels = [self.organization, self.project];
        levels
            .into_iter()
            .flat_map(|level| level.authorities.values())
    }

    fn refusal(&self, reason: impl fmt::Display) -> Error {
        let asks = |level: &ScopeSettings| !level.authorities.is_empty();
        let who = match (asks(self.organization), asks(self.project)) {
            (true, true) => "The organization and the project of this API key require",
            (true, false) => "The organization of this API key requires",
            (false, _) => "The project of this API key requires",
        };
        Error::no_client_certificate(format!(
            "{who} a client certificate from an authority that is active there, but {reason}."
        ))
    }
}

#[cfg(test)]
mod tests;
