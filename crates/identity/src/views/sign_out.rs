//! `/sign-out`: the end of the session.

use admin::sessions;
use askama::Template;
use axum::body::Body;
use http::Response;
use pages::Link;

use super::Answer;
use crate::Visit;

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutForm;

pub(super) fn show(visit: &Visit) -> Response<Body> {
    let page = visit.card(("Sign out", ""), None, &SignOutForm);
    page.into_response()
}

/// Ends the session everywhere, not only in this browser.
pub(super) async fn submit(visit: Visit) -> Answer {
    if let Some(signed_in) = visit.signed_in().await? {
        sessions::end(visit.services(), &signed_in, visit.client()).await?;
    }
    let target = Link::new(["sign-in"]).query("signed_out", "");
    Ok(visit.forget(&target))
}
