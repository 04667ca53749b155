//! Parts that all requests to the sign-in share.

use std::sync::Arc;

use admin::Services;
use admin::sessions::{self, SignedIn};
use base::Result;
use http::{HeaderMap, StatusCode};

use crate::background::SignInJobs;
use crate::options::SignInOptions;
use crate::passwords::Passwords;
use crate::provider_cookie::ProviderCookie;
use crate::providers::IdentityProviders;
use crate::session_cookie::SessionCookie;

/// The seconds after a proof of identity within which dangerous acts need no other one.
pub const RECENT_SECONDS: i64 = 600;

/// Parts that all requests share.
pub(crate) struct IdentityParts {
    pub(crate) services: Arc<Services>,
    pub(crate) options: SignInOptions,
    pub(crate) cookie: SessionCookie,
    pub(crate) provider_cookie: ProviderCookie,
    pub(crate) providers: IdentityProviders,
    pub(crate) passwords: Passwords,
    pub(crate) jobs: SignInJobs,
}

impl IdentityParts {
    /// Returns the user whose session is in the cookies of a request; `None` without a cookie, or if the session has ended.
    ///
    /// # Errors
    /// 503: the database is unavailable.
    pub(crate) async fn signed_in(&self, headers: &HeaderMap) -> Result<Option<SignedIn>> {
        let Some(token) = self.cookie.token(headers) else {
            return Ok(None);
        };
        match sessions::authenticate(&self.services, token).await {
            Ok(signed_in) => Ok(Some(signed_in)),
            Err(error) if error.status == StatusCode::UNAUTHORIZED => Ok(None),
            Err(error) => Err(error),
        }
    }
}
