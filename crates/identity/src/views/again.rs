//! `/sign-in/again`: another proof of identity, before a dangerous act.

use admin::credentials::accounts;
use admin::sessions::{SignInMethod, SignedIn, begin};
use askama::Template;
use http::StatusCode;
use pages::{Field, Html, InputKind, Link, Notice};

use super::sign_in::{Checked, check, password_in, throttled};
use super::{Answer, REFUSED_FORM, require_session};
use crate::refusal::{Refusal, THROTTLED_ACCOUNT, WRONG_PASSWORD};
use crate::{Target, Visit};

#[derive(Template)]
#[template(path = "again.html")]
struct AgainForm<'a> {
    target: &'a str,
    email: &'a str,
    password: Option<Field>,
    /// Link to the page that mails links.
    forgot: Option<Link>,
}

/// Returns the page for the user of the session.
fn form(
    visit: &Visit,
    signed_in: &SignedIn,
    has_password: bool,
    (target, notice): (&Target, Option<&Notice>),
) -> Html {
    let options = visit.options();
    let password = || {
        Field::input(InputKind::Password, "password", "Password")
            .autocomplete("current-password")
            .required()
            .focused()
    };
    let content = AgainForm {
        target: target.as_str(),
        email: &signed_in.user.email,
        password: (has_password && options.has_passwords).then(password),
        forgot: options
            .has_mailed_links
            .then(|| target.link_by("/sign-in/forgot")),
    };
    let introduction = "What you are about to do needs a sign-in within the last ten minutes.";
    let page = visit.card(("Confirm that it is you", introduction), notice, &content);
    page.with_outward_forms()
}

pub(super) async fn show(visit: Visit) -> Answer {
    let target = Target::in_form(&visit.query);
    let signed_in = require_session(&visit, &target).await?;
    let has_password = has_password(&visit, &signed_in).await?;
    let page = form(&visit, &signed_in, has_password, (&target, None));
    Ok(page.into_response())
}

async fn has_password(visit: &Visit, signed_in: &SignedIn) -> Result<bool, Refusal> {
    let accounts = accounts(visit.services(), &signed_in.user.email).await?;
    Ok(accounts
        .iter()
        .any(|account| account.user_id == signed_in.user.id && account.password.is_some()))
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    let target = Target::in_form(&entered);
    let signed_in = require_session(&visit, &target).await?;
    let refuse = |notice: Notice, status: StatusCode| {
        let page = form(&visit, &signed_in, true, (&target, Some(&notice)));
        Refusal::of(page.status(status))
    };
    let password = password_in(&entered, "password").filter(|_| visit.options().has_passwords);
    let Some(password) = password else {
        return Err(refuse(
            Notice::failure("Enter your password."),
            REFUSED_FORM,
        ));
    };
    let email = &signed_in.user.email;
    match check(&visit, email, &password).await? {
        Checked::Right(right)
            if right
                .iter()
                .any(|account| account.user_id == signed_in.user.id) => {}
        Checked::Throttled { seconds } => {
            let refusal = refuse(throttled(seconds), StatusCode::TOO_MANY_REQUESTS);
            return Err(refusal.retry_after(seconds).of_attempt(THROTTLED_ACCOUNT));
        }
        Checked::Right(_) | Checked::Wrong => {
            let notice = Notice::failure("The password is wrong.");
            return Err(refuse(notice, REFUSED_FORM).of_attempt(WRONG_PASSWORD));
        }
    }
    let new = visit.new_session(SignInMethod::Password, None, Some(&signed_in));
    let organization = &signed_in.caller.organization.id;
    let (user, client) = (&signed_in.user.id, visit.client());
    let started = begin(visit.services(), organization, user, client, new).await?;
    visit.finish(started, None, &target).await
}
