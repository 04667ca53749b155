//! Refusals: pages that say what is wrong and how to go on.

use axum::body::Body;
use base::Error;
use http::{HeaderValue, Response, StatusCode, header};
use pages::{Crumb, ErrorPage, FormError, Html, Link, Preferences};

/// The mark of a response to a failed attempt to prove an identity; an extension of the response. The server throttles
/// clients that fail often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedSignIn {
    /// Stable code of the reason, for the metric and the log.
    pub reason: &'static str,
}

pub(crate) const WRONG_PASSWORD: &str = "wrong_password";
pub(crate) const THROTTLED_ACCOUNT: &str = "throttled_account";
pub(crate) const INVALID_LINK: &str = "invalid_link";
pub(crate) const INVALID_TICKET: &str = "invalid_ticket";
pub(crate) const PROVIDER: &str = "provider";
pub(crate) const LOGOUT_TOKEN: &str = "logout_token";
pub(crate) const INVITE_TOKEN: &str = "invite_token";

/// A page instead of the one that was asked for.
pub(crate) struct Refusal(Box<Response<Body>>);

impl RefusedSignIn {
    /// All reasons but that of invitations, which the Administration API has as well.
    pub const REASONS: [&str; 6] = [
        WRONG_PASSWORD,
        THROTTLED_ACCOUNT,
        INVALID_LINK,
        INVALID_TICKET,
        PROVIDER,
        LOGOUT_TOKEN,
    ];
}

impl Refusal {
    /// Returns a refusal with a page of its own.
    pub(crate) fn page(status: StatusCode, title: &str, message: &str) -> Self {
        let way_on = Crumb {
            label: "Go to sign-in".to_owned(),
            link: Link::new(["sign-in"]),
        };
        let page = ErrorPage {
            status,
            title,
            message,
            preferences: &Preferences::default(),
            way_on: Some(&way_on),
        };
        Self::of(page.render())
    }

    /// Returns a refusal by the page with the form.
    pub(crate) fn of(page: Html) -> Self {
        Self::by(page.into_response())
    }

    /// Returns a refusal by this response, such as a redirect to the sign-in.
    pub(crate) fn by(response: Response<Body>) -> Self {
        Self(Box::new(response))
    }

    /// Marks the refusal as a failed attempt to prove an identity.
    pub(crate) fn of_attempt(mut self, reason: &'static str) -> Self {
        let extensions = self.0.extensions_mut();
        extensions.insert(RefusedSignIn { reason });
        self
    }

    /// Adds an extension to the response.
    pub(crate) fn with(mut self, extension: impl Clone + Send + Sync + 'static) -> Self {
        self.0.extensions_mut().insert(extension);
        self
    }

    pub(crate) fn retry_after(mut self, seconds: i64) -> Self {
        let value = HeaderValue::from(seconds.max(1));
        self.0.headers_mut().insert(header::RETRY_AFTER, value);
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        *self.0
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let title = match error.status {
            StatusCode::NOT_FOUND => "This page does not exist",
            StatusCode::SERVICE_UNAVAILABLE => "The server is busy",
            status if status.is_server_error() => "The server had an error",
            _ => "This did not work",
        };
        let refusal = Self::page(error.status, title, &error.message);
        match error.retry_after {
            Some(seconds) => refusal.retry_after(i64::try_from(seconds).unwrap_or(1)),
            None => refusal,
        }
    }
}

impl From<FormError> for Refusal {
    fn from(error: FormError) -> Self {
        Self::page(error.status(), "The form was not accepted", error.message())
    }
}
