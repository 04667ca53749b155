//! A cookie of this host alone.

use http::HeaderMap;
use pages::cookie::{SetCookie, cookie};

/// Beginning of a name that browsers accept only from this very host, over TLS.
const SECURE_PREFIX: &str = "__Host-";

/// A cookie whose name depends on the scheme of the base URL. Scripts cannot read the cookie, and other sites cannot have it
/// sent with a form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostCookie {
    /// Name over https, which begins with [`SECURE_PREFIX`].
    secure_name: &'static str,
    is_secure: bool,
}

impl HostCookie {
    /// Returns the cookie for a base URL. Over plain http, as on the machine itself, its name lacks the prefix.
    pub(crate) fn of(public_url: &str, secure_name: &'static str) -> Self {
        let scheme = public_url.get(..8).unwrap_or_default();
        Self {
            secure_name,
            is_secure: scheme.eq_ignore_ascii_case("https://"),
        }
    }

    fn name(self) -> &'static str {
        let plain = self.secure_name.strip_prefix(SECURE_PREFIX);
        plain
            .filter(|_| !self.is_secure)
            .unwrap_or(self.secure_name)
    }

    /// Returns the value in the cookies of a request.
    pub(crate) fn value(self, headers: &HeaderMap) -> Option<&str> {
        cookie(headers, self.name())
    }

    /// Returns the cookie with a value.
    pub(crate) fn set(self, value: String) -> SetCookie {
        SetCookie::new(self.name(), value).secure(self.is_secure)
    }

    /// Returns the cookie that makes the browser forget the value.
    pub(crate) fn removal(self) -> SetCookie {
        SetCookie::removal(self.name()).secure(self.is_secure)
    }
}
