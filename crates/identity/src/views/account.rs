//! `/account`: the user who is signed in, and the ways on. A sign-in leads here where there is no console.

use askama::Template;

use super::{Answer, require_session};
use crate::{Target, Visit};

/// Path of the page.
pub(crate) const ACCOUNT_PATH: &str = "/account";

#[derive(Template)]
#[template(path = "account.html")]
struct AccountCard<'a> {
    name: &'a str,
    email: &'a str,
    has_passwords: bool,
    has_providers: bool,
}

pub(super) async fn show(visit: Visit) -> Answer {
    let signed_in = require_session(&visit, &Target::new(ACCOUNT_PATH)).await?;
    let organization = &signed_in.caller.organization.id;
    let providers = &visit.parts.providers;
    let providers = providers.of_organization(visit.services(), organization);
    let content = AccountCard {
        name: &signed_in.user.name,
        email: &signed_in.user.email,
        has_passwords: visit.options().has_passwords,
        has_providers: !providers.await?.is_empty(),
    };
    let page = visit.card(("You are signed in", ""), None, &content);
    Ok(page.into_response())
}
