//! `/sign-out`: the end of the session.

use admin::sessions;
use askama::Template;
use axum::body::Body;
use http::Response;
use pages::{Link, Notice, redirect};

use super::Answer;
use crate::Visit;

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutForm;

/// The way on after a session that began at a provider, which has a session of its own.
#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOut<'a> {
    provider: &'a str,
    /// Address at which the provider ends its session.
    address: &'a str,
}

pub(super) fn show(visit: &Visit) -> Response<Body> {
    let page = visit.card(("Sign out", ""), None, &SignOutForm);
    page.into_response()
}

/// Ends the session everywhere, not only in this browser. Offers the end of the session at the provider, if one signed the
/// user in: other applications may need that session.
pub(super) async fn submit(visit: Visit) -> Answer {
    let target = signed_out_link();
    let Some(signed_in) = visit.signed_in().await? else {
        return Ok(visit.forget(&target));
    };
    sessions::end(visit.services(), &signed_in, visit.client()).await?;
    let id = signed_in.session.provider.as_deref();
    let Some(provider) = id.and_then(|id| visit.parts.providers.find(id)) else {
        return Ok(visit.forget(&target));
    };
    let return_to = visit.address_of("/sign-in/signed-out");
    let Some(address) = provider.client.end_session_address(&return_to).await else {
        return Ok(visit.forget(&target));
    };
    let content = SignedOut {
        provider: &provider.name,
        address: &address,
    };
    let notice = Notice::success("You are signed out.");
    let page = visit.card(("Signed out", ""), Some(&notice), &content);
    Ok(page.cookie(&visit.cookie_removal()).into_response())
}

/// Takes the browser back from the end of the session at a provider.
pub(super) fn done() -> Response<Body> {
    redirect(&signed_out_link(), [])
}

fn signed_out_link() -> Link {
    Link::new(["sign-in"]).query("signed_out", "")
}
