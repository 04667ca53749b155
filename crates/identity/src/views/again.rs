//! `/sign-in/again`: another proof of identity, before a dangerous act.

use admin::credentials::{accounts, identities};
use admin::sessions::{SignInMethod, SignedIn, begin};
use askama::Template;
use http::StatusCode;
use pages::{Field, Html, InputKind, Link, Notice};

use super::provider::AGAIN;
use super::sign_in::{Checked, check, password_in, throttled};
use super::{Answer, REFUSED_FORM, require_session};
use crate::providers::ConfiguredProvider;
use crate::refusal::{Refusal, THROTTLED_ACCOUNT, WRONG_PASSWORD};
use crate::{Target, Visit};

#[derive(Template)]
#[template(path = "again.html")]
struct AgainForm<'a> {
    target: &'a str,
    email: &'a str,
    password: Option<Field>,
    /// Names of providers at which the user has an account, and the links that lead to them.
    providers: Vec<(String, Link)>,
    /// Link to the page that mails links.
    forgot: Option<Link>,
}

/// The ways in which the user of the session can prove the identity.
struct OwnWays {
    has_password: bool,
    /// Ids and names of providers.
    providers: Vec<(String, String)>,
}

impl OwnWays {
    async fn of(visit: &Visit, signed_in: &SignedIn) -> Result<Self, Refusal> {
        let (services, organization) = (visit.services(), &signed_in.caller.organization.id);
        let linked = identities::of_user(services, organization, &signed_in.user.id).await?;
        let known = &visit.parts.providers;
        let mut known = known.of_organization(services, organization).await?;
        known.retain(|provider| {
            let mut linked = linked.iter();
            linked.any(|account| account.issuer == provider.issuer())
        });
        let pair =
            |provider: &&ConfiguredProvider| (provider.id().to_owned(), provider.name.clone());
        Ok(Self {
            has_password: has_password(visit, signed_in).await?,
            providers: known.iter().map(pair).collect(),
        })
    }
}

/// Returns the page for the user of the session.
fn form(
    visit: &Visit,
    signed_in: &SignedIn,
    ways: &OwnWays,
    (target, notice): (&Target, Option<&Notice>),
) -> Html {
    let providers = ways.providers.iter().map(|(id, name)| {
        let link = target.link_by(&format!("/sign-in/provider/{id}"));
        (name.clone(), link.query(AGAIN, ""))
    });
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
        password: (ways.has_password && options.has_passwords).then(password),
        providers: providers.collect(),
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
    let ways = OwnWays::of(&visit, &signed_in).await?;
    let page = form(&visit, &signed_in, &ways, (&target, None));
    Ok(page.into_response())
}

/// Returns true if the user of the session has a password.
pub(super) async fn has_password(visit: &Visit, signed_in: &SignedIn) -> Result<bool, Refusal> {
    let accounts = accounts(visit.services(), &signed_in.user.email).await?;
    Ok(accounts
        .iter()
        .any(|account| account.user_id == signed_in.user.id && account.password.is_some()))
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    let target = Target::in_form(&entered);
    let signed_in = require_session(&visit, &target).await?;
    let ways = OwnWays::of(&visit, &signed_in).await?;
    let refuse = |notice: Notice, status: StatusCode| {
        let page = form(&visit, &signed_in, &ways, (&target, Some(&notice)));
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
