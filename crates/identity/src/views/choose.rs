//! `/sign-in/choose`: the choice among the organizations in which an address has the same password.

use admin::credentials::Account;
use admin::sessions::{self, SignInMethod};
use askama::Template;
use axum::body::Body;
use base::UnixTime;
use base::ids::{Id, OrganizationId, UserId};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{Response, StatusCode};
use serde::{Deserialize, Serialize};

use super::Answer;
use crate::refusal::{INVALID_TICKET, Refusal};
use crate::{Target, Visit};

/// The time for the choice, in seconds.
const CHOICE_TIMEOUT_SECONDS: i64 = 300;
/// Domain separation of sealed tickets.
const CONTEXT: &str = "sign-in choice";

/// The proof that a password was right, sealed, so that no state is on the server.
#[derive(Deserialize, Serialize)]
struct ChoiceTicket {
    /// Organizations and their users.
    accounts: Vec<(OrganizationId, UserId)>,
    expires_at: i64,
}

#[derive(Template)]
#[template(path = "choose.html")]
struct ChoiceForm<'a> {
    target: &'a str,
    ticket: String,
    accounts: &'a [Account],
}

pub(super) fn show(visit: &Visit, accounts: &[Account], target: &Target) -> Response<Body> {
    let services = visit.services();
    let ids = accounts
        .iter()
        .map(|account| (account.organization_id.clone(), account.user_id.clone()));
    let expires_at = services.clock.now().plus(CHOICE_TIMEOUT_SECONDS);
    let ticket = ChoiceTicket {
        accounts: ids.collect(),
        expires_at: expires_at.0,
    };
    let text = serde_json::to_string(&ticket).unwrap_or_default();
    let sealed = services.pepper.seal(&services.entropy, CONTEXT, &text);
    let content = ChoiceForm {
        target: target.as_str(),
        ticket: URL_SAFE_NO_PAD.encode(sealed),
        accounts,
    };
    let title = ("Choose an organization", "Your address is in several.");
    visit.card(title, None, &content).into_response()
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let form = visit.form().await?;
    let ticket = opened(&visit, form.get("ticket").unwrap_or_default());
    let ticket = ticket.ok_or_else(|| {
        Refusal::page(
            StatusCode::BAD_REQUEST,
            "The choice came too late",
            "Sign in again, and choose within five minutes.",
        )
        .of_attempt(INVALID_TICKET)
    })?;
    let chosen = form.get("organization").unwrap_or_default();
    let mut accounts = ticket.accounts.iter();
    let chosen = accounts.find(|(organization, _)| organization.as_str() == chosen);
    let Some((organization, user)) = chosen else {
        return Err(super::unknown_page());
    };
    let old = visit.signed_in().await?;
    let new = visit.new_session(SignInMethod::Password, None, old.as_ref());
    let started = sessions::begin(visit.services(), organization, user, visit.client(), new);
    let target = Target::in_form(&form);
    visit.finish(started.await?, old.as_ref(), &target).await
}

/// Returns the ticket if this server has sealed it a moment ago.
fn opened(visit: &Visit, ticket: &str) -> Option<ChoiceTicket> {
    let services = visit.services();
    let sealed = URL_SAFE_NO_PAD.decode(ticket).ok()?;
    let text = services.pepper.unseal(CONTEXT, &sealed)?;
    let ticket: ChoiceTicket = serde_json::from_str(&text).ok()?;
    (UnixTime(ticket.expires_at) > services.clock.now()).then_some(ticket)
}
