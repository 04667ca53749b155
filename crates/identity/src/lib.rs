//! Sign-in of users in browsers: the pages of sign-in, the cookie of the session, passwords and links.
//!
//! The crate `admin` stores sessions and credentials; this crate has the proofs of identity and the pages. Every
//! path to a session ends in `Visit::finish`, which sets the cookie, and every failure on the way is marked by
//! [`RefusedSignIn`], by which the server throttles the client.

mod background;
mod common_passwords;
mod host_cookie;
mod options;
mod parts;
mod passwords;
mod paths;
mod provider_cookie;
mod providers;
mod refusal;
mod session_cookie;
mod target;
mod views;
mod visit;

use std::sync::Arc;

use admin::Services;
use admin::sessions::SignedIn;
use axum::body::Body;
use base::{Error, Result};
use http::{HeaderMap, Method, Request, Response};
use tasks::TaskHandle;

use background::SignInJobs;
pub use openid::{EmailPolicy, OpenIdError, ProviderCheck, ProviderSettings, check_issuer};
pub use options::SignInOptions;
use parts::IdentityParts;
pub use parts::RECENT_SECONDS;
use passwords::Passwords;
pub use passwords::{MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH};
use provider_cookie::ProviderCookie;
use providers::IdentityProviders;
pub use providers::{IdentityProviderError, IdentityProviderOptions};
use refusal::Refusal;
pub use refusal::RefusedSignIn;
use session_cookie::SessionCookie;
pub use target::Target;
pub use visit::Visit;

/// Sign-in of users. Clones share their state.
#[derive(Clone)]
pub struct Identity(Arc<IdentityParts>);

impl Identity {
    /// Starts the sign-in, with the task that mails links and records failures. No identity provider has to respond. May
    /// read the system's certificates, and blocks.
    ///
    /// # Errors
    /// An identity provider cannot be used as it is configured.
    pub fn start(
        services: &Arc<Services>,
        options: SignInOptions,
    ) -> std::result::Result<(Self, TaskHandle), IdentityProviderError> {
        let (clock, entropy) = (&services.clock, &services.entropy);
        let providers = IdentityProviders::new(&options.providers, clock, entropy)?;
        let (jobs, task) = SignInJobs::start(services);
        let identity = Self(Arc::new(IdentityParts {
            services: Arc::clone(services),
            options,
            cookie: SessionCookie::of(&services.public_url),
            provider_cookie: ProviderCookie::of(&services.public_url),
            providers,
            passwords: Passwords::default(),
            jobs,
        }));
        Ok((identity, task))
    }

    /// Returns true if the path is one of the sign-in.
    #[must_use]
    pub fn serves(path: &str) -> bool {
        paths::serves(path)
    }

    /// Returns true if browsers ask for the path, unlike providers that report the end of a session.
    #[must_use]
    pub fn is_for_browsers(path: &str) -> bool {
        paths::is_for_browsers(path)
    }

    /// Returns true if a request may be an attempt to prove an identity, which the server throttles.
    #[must_use]
    pub fn is_attempt(method: &Method, path: &str) -> bool {
        paths::is_attempt(method, path)
    }

    /// Returns the user whose session is in the cookies of a request; `None` without a cookie, or if the session has ended.
    ///
    /// # Errors
    /// 503: the database is unavailable.
    pub async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>> {
        self.0.signed_in(headers).await
    }

    /// Returns the redirect to the page about the user who is signed in, where a sign-in leads if there is no console.
    #[must_use]
    pub fn to_account() -> Response<Body> {
        pages::redirect(&pages::Link::to_path(views::ACCOUNT_PATH), [])
    }

    /// True if users sign in with passwords.
    #[must_use]
    pub fn has_passwords(&self) -> bool {
        self.0.options.has_passwords
    }

    /// Returns the redirect to the sign-in, which comes back to the address of the request.
    #[must_use]
    pub fn to_sign_in<B>(request: &Request<B>) -> Response<Body> {
        Target::of(request).redirect_by("/sign-in")
    }

    /// Returns the redirect to another proof of identity, which comes back to `target`: for a dangerous act of a user
    /// whose last proof is older than [`RECENT_SECONDS`].
    #[must_use]
    pub fn to_another_proof(target: &Target) -> Response<Body> {
        target.to_another_proof()
    }

    /// Returns true if the user has proved the identity within the last [`RECENT_SECONDS`].
    #[must_use]
    pub fn is_recent(&self, signed_in: &SignedIn) -> bool {
        signed_in.is_recent(self.0.services.clock.now(), RECENT_SECONDS)
    }

    /// Reads the documents of the identity provider with this id anew, and tells which are usable; `None` if no provider has
    /// the id.
    pub async fn check_provider(&self, id: &str) -> Option<ProviderCheck> {
        let provider = self.0.providers.find(id)?;
        Some(provider.client.check().await)
    }

    /// Answers a request to a path of the sign-in.
    pub async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let visit = Visit::begin(&self.0, request);
        match views::answer(visit).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        }
    }

    /// Returns the page about an error before a request was answered, such as a throttled client.
    #[must_use]
    pub fn error_page(error: Error) -> Response<Body> {
        Refusal::from(error).into_response()
    }

    /// Returns the number of passwords that were checked since the start, those of unknown users among them.
    #[must_use]
    pub fn password_checks(&self) -> u64 {
        self.0.passwords.checks()
    }
}
