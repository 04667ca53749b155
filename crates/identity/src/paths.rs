//! Paths of the sign-in.

use http::Method;

/// Paths to which providers report the end of a session, without the id of the provider.
pub(crate) const PROVIDER_LOGOUT_PATH: &str = "/sign-in/logout/";
/// Paths to which providers send browsers back, without the id of the provider.
pub(crate) const CALLBACK_PATH: &str = "/sign-in/callback/";
/// Paths of the sign-in, and those below them.
const PATHS: [&str; 4] = ["/sign-in", "/sign-out", "/invites/accept", "/account"];

/// Returns true if the path is one of the sign-in.
pub(crate) fn serves(path: &str) -> bool {
    let is_below = |prefix: &str| {
        path.strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    PATHS.into_iter().any(is_below)
}

/// Returns true if browsers ask for the path, unlike providers that report the end of a session.
pub(crate) fn is_for_browsers(path: &str) -> bool {
    !path.starts_with(PROVIDER_LOGOUT_PATH)
}

/// Returns true if a request may be an attempt to prove an identity.
pub(crate) fn is_attempt(method: &Method, path: &str) -> bool {
    let is_form = *method == Method::POST && path != "/sign-out" && serves(path);
    is_form || path.starts_with(CALLBACK_PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_sign_in_are_its_own() {
        for own in [
            "/sign-in",
            "/sign-in/link",
            "/sign-out",
            "/account/password",
        ] {
            assert!(serves(own), "{own}");
        }
        for other in ["/", "/sign-ins", "/accounts", "/v1/sign-in", "/invites"] {
            assert!(!serves(other), "{other}");
        }
    }

    #[test]
    fn forms_and_returns_from_a_provider_are_attempts_and_pages_are_none() {
        for path in ["/sign-in", "/sign-in/logout/x", "/account/password"] {
            assert!(is_attempt(&Method::POST, path), "{path}");
            assert!(!is_attempt(&Method::GET, path), "{path}");
        }
        assert!(is_attempt(&Method::GET, "/sign-in/callback/x"));
        assert!(!is_attempt(&Method::POST, "/sign-out"));
        assert!(!is_attempt(&Method::POST, "/v1/models"));
    }
}
