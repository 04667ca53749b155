//! The cookie of the session.

use base::secret::{KeyKind, MAX_LENGTH, Secret};
use http::HeaderMap;
use pages::cookie::SetCookie;

use crate::host_cookie::HostCookie;

/// Name over https.
const SECURE_NAME: &str = "__Host-orgplane";

/// The cookie of the session, as the base URL requires it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCookie(HostCookie);

impl SessionCookie {
    /// Returns the cookie for a base URL.
    pub(crate) fn of(public_url: &str) -> Self {
        Self(HostCookie::of(public_url, SECURE_NAME))
    }

    /// Returns the token in the cookies of a request; `None` for a text that is no token.
    pub(crate) fn token(self, headers: &HeaderMap) -> Option<&str> {
        let value = self.0.value(headers)?;
        let is_token = value.starts_with(KeyKind::Session.prefix()) && value.len() <= MAX_LENGTH;
        is_token.then_some(value)
    }

    /// Returns the cookie with the token of a new session. The browser forgets it when it is closed; the server ends the
    /// session in any case.
    pub(crate) fn set(self, token: &Secret) -> SetCookie {
        self.0.set(token.reveal())
    }

    /// Returns the cookie that makes the browser forget the token.
    pub(crate) fn removal(self) -> SetCookie {
        self.0.removal()
    }
}

#[cfg(test)]
mod tests {
    use base::Entropy;
    use http::{HeaderValue, header};

    use super::*;

    fn set(public_url: &str) -> String {
        let token = Secret::generate(KeyKind::Session, &Entropy::seeded(1));
        let cookie = SessionCookie::of(public_url).set(&token);
        let header = cookie.header().expect("a header");
        header.to_str().expect("text").to_owned()
    }

    #[test]
    fn cookie_is_bound_to_the_host_over_https() {
        let cookie = set("https://plane.example");
        assert!(cookie.starts_with("__Host-orgplane=session-"), "{cookie}");
        let flags = cookie.split_once(';').map(|(_, flags)| flags);
        assert_eq!(flags, Some(" Path=/; HttpOnly; SameSite=Lax; Secure"));
        let cookie = set("http://localhost:8080");
        assert!(cookie.starts_with("orgplane=session-"), "{cookie}");
        let flags = cookie.split_once(';').map(|(_, flags)| flags);
        assert_eq!(flags, Some(" Path=/; HttpOnly; SameSite=Lax"));
    }

    #[test]
    fn only_a_token_of_the_right_name_is_read() {
        let token = |url: &str, text: &str| {
            let value = HeaderValue::from_str(text).expect("a header");
            let headers = HeaderMap::from_iter([(header::COOKIE, value)]);
            SessionCookie::of(url).token(&headers).map(str::to_owned)
        };
        let https = "HTTPS://plane.example";
        assert_eq!(
            token(https, "a=b; __Host-orgplane=session-x").as_deref(),
            Some("session-x")
        );
        for text in [
            "orgplane=session-x",
            "__Host-orgplane=sk-admin-x",
            "__Host-orgplane=",
            &format!("__Host-orgplane=session-{}", "x".repeat(MAX_LENGTH)),
        ] {
            assert_eq!(token(https, text), None, "{text}");
        }
        assert_eq!(
            token("http://localhost:8080", "orgplane=session-x").as_deref(),
            Some("session-x")
        );
    }
}
