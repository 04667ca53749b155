//! Throttling and reporting of failed authentication.
//!
//! A client that fails too often is refused before its key is hashed. Failures are counted, logged and, if the
//! organization is known, written to its audit log; log and audit log are sampled.

mod failure_recorder;
mod throttle;

use std::net::IpAddr;
use std::sync::Arc;

use access::{Key, KeyHashes};
use admin::Services;
use admin::sign_ins::RefusedKey;
use base::secret::bearer;
use base::{ClientAddress, Error, LogSampler};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, StatusCode};
use identity::{Identity, RefusedSignIn};
use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

use failure_recorder::FailureRecorder;
use tasks::Health;
use throttle::Throttle;

/// Path that is authenticated by the token of an invitation alone.
const ACCEPT_INVITE: &str = "/v1/organization/invites/accept";

/// Reasons for failed authentication. [`POLICY`] means a valid key without the required client certificate, or for
/// another organization or project.
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

/// Throttle and reporter of failed authentication.
pub(crate) struct AuthenticationGuard {
    services: Arc<Services>,
    throttle: Throttle,
    recorder: FailureRecorder,
    log: LogSampler,
    failures: IntCounterVec,
    throttled: IntCounter,
}

/// Credential of a request and the address of its client.
pub(crate) struct Attempt {
    client: IpAddr,
    credential: Credential,
}

enum Credential {
    /// `authorization` header with an API key.
    Key(HeaderValue),
    /// Invitation token in the body.
    InviteToken,
    /// Proof of an identity in a form of the sign-in: a password, or the token of a link.
    SignIn,
}

impl Attempt {
    /// Returns the credential of a request; `None` if the request has no credential or no client address.
    pub(crate) fn of<B>(request: &Request<B>) -> Option<Self> {
        let ClientAddress(client) = *request.extensions().get::<ClientAddress>()?;
        if request.uri().path() == ACCEPT_INVITE {
            let credential = Credential::InviteToken;
            return Some(Self { client, credential });
        }
        if Identity::is_attempt(request.method(), request.uri().path()) {
            let credential = Credential::SignIn;
            return Some(Self { client, credential });
        }
        let header = request.headers().get(AUTHORIZATION)?;
        bearer(Some(header))?;
        let credential = Credential::Key(header.clone());
        Some(Self { client, credential })
    }

    /// Returns the API key; empty for other credentials, which are not remembered as good.
    fn token(&self) -> &str {
        match &self.credential {
            Credential::Key(header) => bearer(Some(header)).unwrap_or_default(),
            Credential::InviteToken | Credential::SignIn => "",
        }
    }
}

impl AuthenticationGuard {
    /// Starts the throttle and the writer of audit events.
    ///
    /// # Errors
    /// `registry` has these metrics already.
    pub(crate) fn start(
        services: &Arc<Services>,
        registry: &Registry,
    ) -> prometheus::Result<Arc<Self>> {
        let failures = Opts::new(
            "orgplane_authentication_failures_total",
            "Requests whose API key, invitation token, password or sign-in link was refused, by reason.",
        );
        let failures = IntCounterVec::new(failures, &["reason"])?;
        for reason in REASONS.into_iter().chain(RefusedSignIn::REASONS) {
            failures.with_label_values(&[reason]);
        }
        let throttled = IntCounter::new(
            "orgplane_authentication_throttled_total",
            "Requests refused before their key was read, because the client had presented too many invalid keys.",
        )?;
        registry.register(Box::new(failures.clone()))?;
        registry.register(Box::new(throttled.clone()))?;
        Ok(Arc::new(Self {
            services: Arc::clone(services),
            throttle: Throttle::new(),
            recorder: FailureRecorder::start(Arc::clone(services)),
            log: LogSampler::start(),
            failures,
            throttled,
        }))
    }

    /// Returns the health of the writer of audit events.
    pub(crate) fn health(&self) -> &Health {
        self.recorder.health()
    }

    /// Admits an attempt unless its client is throttled.
    ///
    /// # Errors
    /// 429 if the client has failed too often.
    pub(crate) fn admit(&self, attempt: &Attempt) -> Result<(), Error> {
        let checked = self.throttle.check(attempt.client, attempt.token());
        checked.map_err(|seconds| {
            self.throttled.inc();
            let message = format!(
                "Too many requests from your address had a credential that is not good. Try again in {seconds} s."
            );
            Error::rate_limited("requests", message, Some(seconds))
        })
    }

    /// Records the outcome of an attempt.
    pub(crate) fn settle<B>(&self, attempt: &Attempt, response: &Response<B>) {
        match attempt.credential {
            Credential::Key(_) if response.status() == StatusCode::UNAUTHORIZED => {
                self.refuse(attempt);
            }
            // Only responses to an authenticated caller name an organization.
            Credential::Key(_) if response.headers().contains_key("openai-organization") => {
                self.throttle.succeeded(attempt.client, attempt.token());
            }
            Credential::InviteToken if response.status() == StatusCode::BAD_REQUEST => {
                self.failures.with_label_values(&[INVITE_TOKEN]).inc();
                self.throttle.failed(attempt.client, attempt.token());
                self.log(attempt.client, INVITE_TOKEN, None);
            }
            Credential::SignIn => {
                if let Some(RefusedSignIn { reason }) = response.extensions().get() {
                    self.failures.with_label_values(&[reason]).inc();
                    self.throttle.failed(attempt.client, attempt.token());
                    self.log(attempt.client, reason, None);
                }
            }
            Credential::Key(_) | Credential::InviteToken => {}
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
        // A caller with a valid key is not guessing.
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
