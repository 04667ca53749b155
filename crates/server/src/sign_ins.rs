//! Authentication seen from outside: a client that fails too often is turned away before anything is looked up, and what
//! fails is counted, logged and, where an organization is known, in its audit log; both in samples.

mod recorder;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use access::{Key, KeyHashes};
use admin::Services;
use admin::sign_ins::RefusedKey;
use base::Error;
use base::secret::bearer;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use crate::client_address::ClientAddress;
use crate::log::Sampled;
use recorder::Recorder;
use tasks::Health;
use throttle::Throttle;

/// The path at which the token of an invitation is all that a request needs.
const ACCEPT_INVITE: &str = "/v1/organization/invites/accept";

/// The reasons for which authentication fails. With [`POLICY`] the key is good: it came without the certificate that its
/// project demands, or names another organization or project.
const REASONS: [&str; 7] = [
    UNKNOWN,
    DELETED,
    EXPIRED,
    OWNER_GONE,
    ARCHIVED,
    POLICY,
    INVITE_TOKEN,
];
const UNKNOWN: &str = "unknown_key";
const DELETED: &str = "deleted_key";
const EXPIRED: &str = "expired_key";
const OWNER_GONE: &str = "owner_gone";
const ARCHIVED: &str = "archived_project";
const POLICY: &str = "policy";
const INVITE_TOKEN: &str = "invite_token";

/// The watch over authentication: it counts, logs and bounds what fails.
pub(crate) struct SignIns {
    services: Arc<Services>,
    throttle: Throttle,
    recorder: Recorder,
    log: Sampled,
    failures: IntCounterVec,
    throttled: IntCounter,
}

/// A request that shows something to be authenticated by.
pub(crate) struct Attempt {
    client: IpAddr,
    shown: Shown,
}

enum Shown {
    /// The header with an API key.
    Key(HeaderValue),
    /// The token of an invitation, in the body.
    InviteToken,
}

impl Attempt {
    /// Returns the credential that a request shows, and the client; `None` without a credential, or without a connection.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        let ClientAddress(client) = *request.extensions().get::<ClientAddress>()?;
        if request.uri().path() == ACCEPT_INVITE {
            let shown = Shown::InviteToken;
            return Some(Self { client, shown });
        }
        let header = request.headers().get(AUTHORIZATION)?;
        bearer(Some(header))?;
        let shown = Shown::Key(header.clone());
        Some(Self { client, shown })
    }

    /// The key; empty for the token of an invitation, which is good only once.
    fn token(&self) -> &str {
        match &self.shown {
            Shown::Key(header) => bearer(Some(header)).unwrap_or_default(),
            Shown::InviteToken => "",
        }
    }
}

impl SignIns {
    /// Begins to watch.
    ///
    /// # Errors
    /// `registry` has these metrics already.
    pub(crate) fn start(
        services: &Arc<Services>,
        registry: &Registry,
    ) -> prometheus::Result<Arc<Self>> {
        let failures = Opts::new(
            "orgplane_authentication_failures_total",
            "Requests whose API key, or token of an invitation, was refused, by the reason.",
        );
        let failures = IntCounterVec::new(failures, &["reason"])?;
        for reason in REASONS {
            failures.with_label_values(&[reason]);
        }
        let throttled = IntCounter::new(
            "orgplane_authentication_throttled_total",
            "Requests that were turned away unseen, since too many keys from their address were refused.",
        )?;
        registry.register(Box::new(failures.clone()))?;
        registry.register(Box::new(throttled.clone()))?;
        Ok(Arc::new(Self {
            services: Arc::clone(services),
            throttle: Throttle::new(),
            recorder: Recorder::start(Arc::clone(services)),
            log: Sampled::start(),
            failures,
            throttled,
        }))
    }

    /// Returns the health of what writes refused keys to the audit log.
    pub(crate) fn health(&self) -> &Health {
        self.recorder.health()
    }

    /// Lets an attempt be looked at.
    ///
    /// # Errors
    /// 429: its client has failed too often.
    pub(crate) fn admit(&self, attempt: &Attempt) -> Result<(), Error> {
        let checked = self.throttle.check(attempt.client, attempt.token());
        checked.map_err(|seconds| {
            self.throttled.inc();
            let message = format!(
                "Too many requests from your address had an API key that is not good. Try again in {seconds} s."
            );
            Error::rate_limited("requests", message, Some(seconds))
        })
    }

    /// Takes note of how an attempt was answered.
    pub(crate) fn settle<B>(&self, attempt: &Attempt, response: &Response<B>) {
        match attempt.shown {
            Shown::Key(_) if response.status() == StatusCode::UNAUTHORIZED => self.refuse(attempt),
            // Only an answer to somebody known names an organization.
            Shown::Key(_) if response.headers().contains_key("openai-organization") => {
                self.throttle.succeeded(attempt.client, attempt.token());
            }
            Shown::InviteToken if response.status() == StatusCode::BAD_REQUEST => {
                self.failures.with_label_values(&[INVITE_TOKEN]).inc();
                self.throttle.failed(attempt.client, attempt.token());
                self.log(attempt.client, INVITE_TOKEN, None);
            }
            Shown::Key(_) | Shown::InviteToken => {}
        }
    }

    fn refuse(&self, attempt: &Attempt) {
        let (client, token) = (attempt.client, attempt.token());
        let hashes = KeyHashes::of(&self.services.pepper, token);
        let directory = &self.services.directory;
        let (key, reason) = match directory.find_by(&hashes) {
            Some(key) => (Some(Arc::clone(&key)), self.reason(&key)),
            None => match directory.find_revoked(&hashes) {
                Some(key) => (Some(key), DELETED),
                None => (None, UNKNOWN),
            },
        };
        self.failures.with_label_values(&[reason]).inc();
        // Whoever has a good key guesses none.
        if reason != POLICY {
            self.throttle.failed(client, token);
        }
        self.log(client, reason, key.as_deref());
        if let Some(key) = key {
            self.recorder.refused(RefusedKey {
                key,
                address: client,
                reason,
                more: 0,
            });
        }
    }

    fn log(&self, client: IpAddr, reason: &str, key: Option<&Key>) {
        if let Some(left_out) = self.log.admit() {
            let key_id = key.map(|key| key.id.to_string());
            let organization = key.map(|key| key.organization.id.to_string());
            tracing::warn!(%client, reason, key_id, organization, left_out, "authentication failed");
        }
    }

    fn reason(&self, key: &Key) -> &'static str {
        let now = self.services.clock.now();
        if key.alive(now).is_ok() {
            POLICY
        } else if key.expires_at.is_some_and(|end| end <= now) {
            EXPIRED
        } else if !key.owner_exists {
            OWNER_GONE
        } else {
            ARCHIVED
        }
    }
}
