//! Pages of the sign-in, one file each.

mod accept_invite;
mod account;
mod again;
mod choose;
mod forgot;
mod link;
mod linked;
mod password;
mod provider;
mod provider_logout;
mod sign_in;
mod sign_out;

use axum::body::Body;
use http::{Method, Response, StatusCode};

use crate::paths::{CALLBACK_PATH, PROVIDER_LOGOUT_PATH};
use crate::refusal::Refusal;
use crate::{Target, Visit};
pub(crate) use account::ACCOUNT_PATH;

/// The response to a request, or the page of its refusal.
pub(crate) type Answer = Result<Response<Body>, Refusal>;

/// Paths that lead to providers, without the id of the provider.
const PROVIDER_PATH: &str = "/sign-in/provider/";
/// The status of a page with a form whose values were refused.
const REFUSED_FORM: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;

/// Answers a request.
pub(crate) async fn answer(visit: Visit) -> Answer {
    visit.check_origin()?;
    let path = visit.path.clone();
    match (visit.method.clone(), path.as_str()) {
        (Method::GET, "/sign-in") => sign_in::show(visit).await,
        (Method::POST, "/sign-in") => sign_in::submit(visit).await,
        (Method::POST, "/sign-in/choose") => choose::submit(visit).await,
        (Method::GET, "/sign-in/link") => link::show(&visit),
        (Method::POST, "/sign-in/link") => link::submit(visit).await,
        (Method::GET, "/sign-in/forgot") => forgot::show(&visit),
        (Method::POST, "/sign-in/forgot") => forgot::submit(visit).await,
        (Method::GET, "/sign-in/again") => again::show(visit).await,
        (Method::POST, "/sign-in/again") => again::submit(visit).await,
        (Method::GET, "/sign-out") => Ok(sign_out::show(&visit)),
        (Method::POST, "/sign-out") => sign_out::submit(visit).await,
        (Method::GET, "/invites/accept") => Ok(accept_invite::show(&visit)),
        (Method::POST, "/invites/accept") => accept_invite::submit(visit).await,
        (Method::GET, ACCOUNT_PATH) => account::show(visit).await,
        (Method::GET, "/account/password") => password::show(visit).await,
        (Method::POST, "/account/password") => password::submit(visit).await,
        (Method::GET, "/sign-in/signed-out") => Ok(sign_out::done()),
        (Method::GET, "/account/providers") => linked::show(visit).await,
        (Method::POST, "/account/providers") => linked::submit(visit).await,
        (method, path) => answer_of_provider(visit, method, path).await,
    }
}

/// Answers a request to a path that ends in the id of a provider.
async fn answer_of_provider(visit: Visit, method: Method, path: &str) -> Answer {
    let (folder, id) = path.split_at(path.rfind('/').map_or(0, |slash| slash + 1));
    match (method, folder) {
        (Method::GET, PROVIDER_PATH) => provider::begin(visit, id).await,
        (Method::GET, CALLBACK_PATH) => provider::finish(visit, id).await,
        (Method::POST, PROVIDER_LOGOUT_PATH) => Ok(provider_logout::submit(visit, id).await),
        _ => Err(unknown_page()),
    }
}

fn unknown_page() -> Refusal {
    Refusal::page(
        StatusCode::NOT_FOUND,
        "This page does not exist",
        "The address is wrong, or the page takes no such request.",
    )
}

/// Returns the session of a visit, or the redirect to the sign-in, which comes back to `target`.
async fn require_session(
    visit: &Visit,
    target: &Target,
) -> Result<admin::sessions::SignedIn, Refusal> {
    let signed_in = visit.signed_in().await?;
    signed_in.ok_or_else(|| Refusal::by(target.redirect_by("/sign-in")))
}
