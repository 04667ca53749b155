//! The console, for browsers that have the cookie of a session.

use std::sync::Arc;

use admin::Services;
use admin::sessions::{self, SignedIn};
use axum::body::Body;
use axum::response::Response;
use console::{CONSOLE_PATH, Console, ConsoleOptions, Visitor};
use http::{HeaderMap, Request, StatusCode};
use pages::cookie::cookie;
use pages::{Crumb, ErrorPage, Link, Preferences, redirect};

/// Name of the cookie with the token of a session, on https and on plain HTTP.
const SESSION_COOKIES: [&str; 2] = ["__Host-orgplane", "orgplane"];

/// The console behind sign-in.
pub(crate) struct ConsoleService {
    services: Arc<Services>,
    console: Console,
}

/// Returns true if a path is one of the console.
pub(crate) fn is_console(path: &str) -> bool {
    path == "/"
        || path
            .strip_prefix(CONSOLE_PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl ConsoleService {
    /// Creates the console.
    pub(crate) fn new(services: &Arc<Services>) -> Self {
        let options = ConsoleOptions {
            public_url: services.public_url.clone(),
            ..ConsoleOptions::default()
        };
        Self {
            services: Arc::clone(services),
            console: Console::new(Arc::clone(services), options),
        }
    }

    /// Answers a request for a page. Whoever is not signed in is led to the sign-in page, and from there back.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        if request.uri().path() == "/" {
            return redirect(&Link::new(["console"]), []);
        }
        let token = session_token(request.headers(), &self.services.public_url);
        let signed_in = match token {
            Some(token) => sessions::authenticate(&self.services, token).await,
            None => return sign_in(&request),
        };
        match signed_in {
            Ok(signed_in) => {
                let visitor = visitor(signed_in);
                Box::pin(self.console.answer(&visitor, request)).await
            }
            Err(error) if error.status == StatusCode::UNAUTHORIZED => sign_in(&request),
            Err(error) => {
                let preferences = Preferences::of(request.headers());
                let way_on = Crumb {
                    label: "Try again".to_owned(),
                    link: Link::new(["console"]),
                };
                let page = ErrorPage {
                    status: error.status,
                    title: "The console is not available",
                    message: &error.message,
                    preferences: &preferences,
                    way_on: Some(&way_on),
                };
                page.render().into_response()
            }
        }
    }
}

/// Returns the token of the session's cookie. On https only the cookie that no other host can set counts.
fn session_token<'a>(headers: &'a HeaderMap, public_url: &str) -> Option<&'a str> {
    let [secure, plain] = SESSION_COOKIES;
    let name = if public_url.starts_with("https://") {
        secure
    } else {
        plain
    };
    cookie(headers, name)
}

fn sign_in(request: &Request<Body>) -> Response {
    let target = request.uri().path_and_query();
    let target = target.map_or(CONSOLE_PATH, |target| target.as_str());
    redirect(&Link::new(["sign-in"]).query("target", target), [])
}

fn visitor(signed_in: SignedIn) -> Visitor {
    Visitor {
        user_id: signed_in.user.id.to_string(),
        name: signed_in.user.name,
        email: signed_in.user.email,
        role: signed_in.user.role.as_str().to_owned(),
        authenticated_at: signed_in.session.authenticated_at,
        caller: signed_in.caller,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_console_are_its_own() {
        for own in ["/", "/console", "/console/projects"] {
            assert!(is_console(own), "{own}");
        }
        for other in ["/consoles", "/v1/console", "/sign-in"] {
            assert!(!is_console(other), "{other}");
        }
    }
}
