//! The cookie of a sign-in in progress at an identity provider.

use http::HeaderMap;
use openid::MAX_PENDING_AGE;
use pages::cookie::SetCookie;

use crate::host_cookie::HostCookie;

/// Name over https.
const SECURE_NAME: &str = "__Host-orgplane-provider";

/// The cookie with the sealed state of a sign-in in progress. A browser has one, so the sign-in that began last can be
/// finished. `SameSite=Lax` lets the browser send the cookie when the provider leads back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProviderCookie(HostCookie);

impl ProviderCookie {
    /// Returns the cookie for a base URL.
    pub(crate) fn of(public_url: &str) -> Self {
        Self(HostCookie::of(public_url, SECURE_NAME))
    }

    /// Returns the sealed state in the cookies of a request.
    pub(crate) fn sealed(self, headers: &HeaderMap) -> Option<&str> {
        self.0.value(headers)
    }

    /// Returns the cookie with a sealed state.
    pub(crate) fn set(self, sealed: String) -> SetCookie {
        self.0.set(sealed).max_age(MAX_PENDING_AGE)
    }

    /// Returns the cookie that makes the browser forget the state.
    pub(crate) fn removal(self) -> SetCookie {
        self.0.removal()
    }
}
