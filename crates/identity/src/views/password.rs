//! `/account/password`: the user's own password.

use admin::credentials::{accounts, passwords};
use admin::sessions::SignedIn;
use askama::Template;
use pages::{Field, Html, InputKind, Link, Notice, redirect};

use super::sign_in::password_in;
use super::{Answer, REFUSED_FORM, require_session, unknown_page};
use crate::passwords::check_new;
use crate::refusal::Refusal;
use crate::{MIN_PASSWORD_LENGTH, RECENT_SECONDS, Target, Visit};

const PATH: &str = "/account/password";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordForm<'a> {
    email: &'a str,
    password: Field,
    /// True if a password can be removed.
    has_password: bool,
    is_welcome: bool,
}

/// Returns the page; `fault` is the message of the password.
fn form(visit: &Visit, signed_in: &SignedIn, has_password: bool, fault: &str) -> Html {
    let is_welcome = visit.query.has("welcome");
    let content = PasswordForm {
        email: &signed_in.user.email,
        password: Field::input(InputKind::Password, "password", "New password")
            .autocomplete("new-password")
            .help(format!("At least {MIN_PASSWORD_LENGTH} characters."))
            .error(fault)
            .required()
            .focused(),
        has_password,
        is_welcome,
    };
    let notice = match (visit.query.get("done"), is_welcome) {
        (Some("set"), _) => Some(Notice::success(
            "The password is set. Your other sessions have ended.",
        )),
        (Some("removed"), _) => Some(Notice::success("The password is removed.")),
        (None, true) => Some(Notice::success("Welcome! You are signed in.")),
        _ => None,
    };
    let title = if has_password {
        "Change your password"
    } else {
        "Set a password"
    };
    visit.card((title, ""), notice.as_ref(), &content)
}

/// Returns the session if its user has proved the identity a moment ago.
async fn recent(visit: &Visit) -> Result<SignedIn, Refusal> {
    if !visit.options().has_passwords {
        return Err(unknown_page());
    }
    let target = Target::new(PATH);
    let signed_in = require_session(visit, &target).await?;
    let now = visit.services().clock.now();
    if signed_in.is_recent(now, RECENT_SECONDS) {
        return Ok(signed_in);
    }
    Err(Refusal::by(target.to_another_proof()))
}

async fn has_password(visit: &Visit, signed_in: &SignedIn) -> Result<bool, Refusal> {
    let accounts = accounts(visit.services(), &signed_in.user.email).await?;
    let mut own = accounts
        .iter()
        .filter(|account| account.user_id == signed_in.user.id);
    Ok(own.any(|account| account.password.is_some()))
}

/// Returns the hashes of the passwords that the user's address has in other organizations.
async fn other_passwords(visit: &Visit, signed_in: &SignedIn) -> Result<Vec<String>, Refusal> {
    let accounts = accounts(visit.services(), &signed_in.user.email).await?;
    let others = accounts
        .into_iter()
        .filter(|account| account.user_id != signed_in.user.id);
    Ok(others.filter_map(|account| account.password).collect())
}

pub(super) async fn show(visit: Visit) -> Answer {
    let signed_in = recent(&visit).await?;
    let has_password = has_password(&visit, &signed_in).await?;
    Ok(form(&visit, &signed_in, has_password, "").into_response())
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    let signed_in = recent(&visit).await?;
    let (services, client) = (visit.services(), visit.client());
    if entered.has("remove") {
        passwords::remove(services, &signed_in, client).await?;
        return Ok(redirect(&Link::to_path(PATH).query("done", "removed"), []));
    }
    let password = password_in(&entered, "password");
    let checked = match &password {
        Some(password) => check_new(password, &signed_in.user.email).map(|()| password),
        None => Err("Enter a password.".to_owned()),
    };
    let password = match checked {
        Ok(password) => password,
        Err(fault) => {
            let has_password = has_password(&visit, &signed_in).await?;
            let page = form(&visit, &signed_in, has_password, &fault);
            return Err(Refusal::of(page.status(REFUSED_FORM)));
        }
    };
    let others = other_passwords(&visit, &signed_in).await?;
    let hash = visit
        .parts
        .passwords
        .hash(password, &others, &services.entropy);
    let hash = hash.await?;
    passwords::set(services, &signed_in, hash, client).await?;
    Ok(redirect(&Link::to_path(PATH).query("done", "set"), []))
}
