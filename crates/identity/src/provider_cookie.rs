//! The cookie of a sign-in in progress at an identity provider.

use http::HeaderMap;
use openid::MAX_PENDING_AGE;
use pages::cookie::{SetCookie, cookie};

/// Name over https. Browsers accept a cookie whose name begins like this only from this very host, over TLS.
const SECURE_NAME: &str = "__Host-orgplane-provider";
/// Name over plain http, as on the machine itself.
const PLAIN_NAME: &str = "orgplane-provider";

/// The cookie with the sealed state of a sign-in in progress. A browser has one, so the sign-in that began last can be
/// finished. `SameSite=Lax` lets the browser send the cookie when the provider leads back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProviderCookie {
    is_secure: bool,
}

impl ProviderCookie {
    /// Returns the cookie for a base URL.
    pub(crate) fn of(public_url: &str) -> Self {
        let scheme = public_url.get(..8).unwrap_or_default();
        Self {
            is_secure: scheme.eq_ignore_ascii_case("https://"),
        }
    }

    fn name(self) -> &'static str {
        if self.is_secure {
            SECURE_NAME
        } else {
            PLAIN_NAME
        }
    }

    /// Returns the sealed state in the cookies of a request.
    pub(crate) fn sealed(self, headers: &HeaderMap) -> Option<&str> {
        cookie(headers, self.name())
    }

    /// Returns the cookie with a sealed state.
    pub(crate) fn set(self, sealed: String) -> SetCookie {
        let cookie = SetCookie::new(self.name(), sealed).max_age(MAX_PENDING_AGE);
        cookie.secure(self.is_secure)
    }

    /// Returns the cookie that makes the browser forget the state.
    pub(crate) fn removal(self) -> SetCookie {
        SetCookie::removal(self.name()).secure(self.is_secure)
    }
}
