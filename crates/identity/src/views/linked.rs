//! `/account/providers`: the user's accounts at identity providers.

use admin::credentials::identities::{self, LinkedIdentity};
use admin::sessions::SignedIn;
use askama::Template;
use http::StatusCode;
use pages::{Html, Link, Notice, redirect};

use super::again::has_password;
use super::provider::{self, Purpose};
use super::{Answer, require_session};
use crate::refusal::Refusal;
use crate::{Identity, Target, Visit};

const PATH: &str = "/account/providers";

#[derive(Template)]
#[template(path = "linked.html")]
struct LinkedAccounts {
    accounts: Vec<ShownAccount>,
    /// Ids and names of the providers that can be linked.
    providers: Vec<(String, String)>,
}

/// A linked account on the page.
struct ShownAccount {
    provider: String,
    email: Option<String>,
    issuer: String,
    subject: String,
}

/// Returns the page.
async fn page(
    visit: &Visit,
    signed_in: &SignedIn,
    notice: Option<&Notice>,
) -> Result<Html, Refusal> {
    let (services, organization) = (visit.services(), &signed_in.caller.organization.id);
    let linked = identities::of_user(services, organization, &signed_in.user.id).await?;
    let providers = &visit.parts.providers;
    let known = providers.of_organization(services, organization).await?;
    let name_of = |account: &LinkedIdentity| {
        let mut known = known.iter();
        let provider = known.find(|provider| provider.issuer() == account.issuer);
        provider.map_or_else(
            || account.provider.clone(),
            |provider| provider.name.clone(),
        )
    };
    let content = LinkedAccounts {
        providers: known
            .iter()
            .map(|provider| (provider.id().to_owned(), provider.name.clone()))
            .collect(),
        accounts: linked
            .iter()
            .map(|account| ShownAccount {
                provider: name_of(account),
                email: account.email.clone(),
                issuer: account.issuer.clone(),
                subject: account.subject.clone(),
            })
            .collect(),
    };
    let title = (
        "Your accounts at identity providers",
        "Each of them signs you in.",
    );
    let page = visit.card(title, notice, &content);
    Ok(page.with_outward_forms())
}

/// Returns the session if its user has proved the identity a moment ago.
async fn recent(visit: &Visit) -> Result<SignedIn, Refusal> {
    let target = Target::new(PATH);
    let signed_in = require_session(visit, &target).await?;
    let now = visit.services().clock.now();
    if signed_in.is_recent(now, crate::RECENT_SECONDS) {
        return Ok(signed_in);
    }
    Err(Refusal::by(Identity::to_another_proof(&target)))
}

pub(super) async fn show(visit: Visit) -> Answer {
    let signed_in = recent(&visit).await?;
    let notice = match visit.query.get("done") {
        Some("linked") => Some(Notice::success("The account is linked.")),
        Some("unlinked") => Some(Notice::success("The account is unlinked.")),
        _ => None,
    };
    let page = page(&visit, &signed_in, notice.as_ref()).await?;
    Ok(page.into_response())
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    let signed_in = recent(&visit).await?;
    if let Some(id) = entered.get("link") {
        let provider = provider::find(&visit, id)?;
        let target = Target::new(&format!("{PATH}?done=linked"));
        let purpose = Purpose::Link(signed_in.session.id);
        return provider::travel(&visit, provider, (&target, purpose), None).await;
    }
    let (issuer, subject) = (entered.get("issuer"), entered.get("subject"));
    let (Some(issuer), Some(subject)) = (issuer, subject) else {
        return Err(super::unknown_page());
    };
    if !has_another_way(&visit, &signed_in, (issuer, subject)).await? {
        let notice = Notice::failure(
            "This account is your only way to sign in. Set a password or link another account first.",
        );
        let page = page(&visit, &signed_in, Some(&notice)).await?;
        return Err(Refusal::of(page.status(StatusCode::CONFLICT)));
    }
    let (services, client) = (visit.services(), visit.client());
    identities::unlink_own(services, &signed_in, issuer, subject, client).await?;
    Ok(redirect(&Link::to_path(PATH).query("done", "unlinked"), []))
}

/// Returns true if the user can sign in without this account.
async fn has_another_way(
    visit: &Visit,
    signed_in: &SignedIn,
    (issuer, subject): (&str, &str),
) -> Result<bool, Refusal> {
    let options = visit.options();
    if options.has_mailed_links || (options.has_passwords && has_password(visit, signed_in).await?)
    {
        return Ok(true);
    }
    let (services, organization) = (visit.services(), &signed_in.caller.organization.id);
    let linked = identities::of_user(services, organization, &signed_in.user.id).await?;
    let providers = &visit.parts.providers;
    let known = providers.of_organization(services, organization).await?;
    Ok(linked.iter().any(|account| {
        let is_this = account.issuer == issuer && account.subject == subject;
        !is_this
            && known
                .iter()
                .any(|provider| provider.issuer() == account.issuer)
    }))
}
