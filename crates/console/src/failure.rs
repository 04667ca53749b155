//! Pages about refusals and failures.

use askama::Template;
use axum::body::Body;
use http::request::Parts;
use http::{HeaderValue, Response, StatusCode, header};
use pages::{Crumb, ErrorPage, FormError, Link, Preferences, redirect};

use crate::client::Refusal;
use crate::context::Context;

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage<'a> {
    title: &'a str,
    message: &'a str,
    permission: &'a str,
    target: String,
}

/// Answers with the page about a refusal. Who is not signed in any more is asked to sign in.
pub(crate) fn answer(context: &Context<'_>, refusal: &Refusal) -> Response<Body> {
    if refusal.status == StatusCode::UNAUTHORIZED {
        return sign_in(&context.target());
    }
    if context.path == "/console/pick" || context.path == "/console/search" {
        let error = serde_json::json!({"items": [], "message": refusal.message});
        let mut response = crate::picker::json_response(&error);
        *response.status_mut() = refusal.status;
        return response;
    }
    let page = FailurePage {
        title: title(refusal.status),
        message: &refusal.message,
        permission: missing_permission(&refusal.message),
        target: context.target(),
    };
    let mut response = context
        .page(page.title, &context.trail(), &page)
        .status(refusal.status)
        .into_response();
    if refusal.status == StatusCode::SERVICE_UNAVAILABLE {
        let seconds = HeaderValue::from_static("5");
        response.headers_mut().insert(header::RETRY_AFTER, seconds);
    }
    response
}

/// Returns the permission that the message of a refusal names; empty for none.
fn missing_permission(message: &str) -> &str {
    let rest = message.split_once("Missing scopes: ");
    rest.and_then(|(_, rest)| rest.split_once(". "))
        .map_or("", |(name, _)| name)
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => "You may not see or do this",
        StatusCode::NOT_FOUND => "This page does not exist",
        StatusCode::TOO_MANY_REQUESTS => "Too many requests",
        StatusCode::SERVICE_UNAVAILABLE => "The server is busy",
        status if status.is_server_error() => "Something failed on the server",
        _ => "This does not work",
    }
}

fn sign_in(target: &str) -> Response<Body> {
    redirect(&Link::new(["sign-in"]).query("target", target), [])
}

/// Answers with the page about a failure before there is a context.
pub(crate) fn without_context(parts: &Parts, refusal: &Refusal) -> Response<Body> {
    if refusal.status == StatusCode::UNAUTHORIZED {
        let target = parts
            .uri
            .path_and_query()
            .map_or("/console", |target| target.as_str());
        return sign_in(target);
    }
    let preferences = Preferences::of(&parts.headers);
    error_page(
        &preferences,
        refusal.status,
        title(refusal.status),
        &refusal.message,
    )
}

/// Answers a request that another site has made.
pub(crate) fn cross_site(preferences: &Preferences) -> Response<Body> {
    let message = "The request came from another site, or from another address of this server than the public one. \
                   Open the console at its public address, and try again there.";
    error_page(
        preferences,
        StatusCode::FORBIDDEN,
        "Request refused",
        message,
    )
}

/// Answers a form that cannot be read.
pub(crate) fn bad_form(preferences: &Preferences, error: FormError) -> Response<Body> {
    error_page(
        preferences,
        error.status(),
        "The form could not be read",
        error.message(),
    )
}

/// Answers a method that no page has.
pub(crate) fn method_not_allowed(preferences: &Preferences) -> Response<Body> {
    let message = "Pages are read with GET and change things with POST.";
    let status = StatusCode::METHOD_NOT_ALLOWED;
    let mut response = error_page(preferences, status, "Method not allowed", message);
    let allowed = HeaderValue::from_static("GET,HEAD,POST");
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

fn error_page(
    preferences: &Preferences,
    status: StatusCode,
    title: &str,
    message: &str,
) -> Response<Body> {
    let way_on = Crumb {
        label: "Go to the console".to_owned(),
        link: Link::new(["console"]),
    };
    let page = ErrorPage {
        status,
        title,
        message,
        preferences,
        way_on: Some(&way_on),
    };
    page.render().into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_permission_is_named() {
        let error = base::Error::missing_scope("api.roles.write");
        assert_eq!(missing_permission(&error.message), "api.roles.write");
        assert_eq!(missing_permission("Something else."), "");
    }
}
