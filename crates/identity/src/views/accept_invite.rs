//! `/invites/accept`: the acceptance of an invitation, which creates the user and signs in.

use admin::invites::accept_and_sign_in;
use admin::sessions::SignInMethod;
use askama::Template;
use axum::body::Body;
use base::name::Name;
use base::secret::MAX_LENGTH;
use http::{Response, StatusCode};
use pages::{Field, FormData, Html, InputKind, Notice};

use super::link::{TokenField, token_of};
use super::provider::{self, Purpose};
use super::{Answer, REFUSED_FORM};
use crate::refusal::{INVITE_TOKEN, Refusal};
use crate::{Target, Visit};

#[derive(Template)]
#[template(path = "accept_invite.html")]
struct AcceptForm<'a> {
    token: TokenField,
    name: Field,
    /// Ids and names of providers with which the invited person can join.
    providers: Vec<(&'a str, &'a str)>,
}

/// Returns the page with what was entered before; `faults` are the messages of the token and of the name.
fn form(visit: &Visit, entered: &FormData, (token, name): (&str, &str)) -> Html {
    let content = AcceptForm {
        token: TokenField::new(
            "Code of the invitation",
            entered.text("token").unwrap_or_default(),
            token,
        ),
        name: Field::input(InputKind::Text, "name", "Your name")
            .value(entered.text("name").unwrap_or_default())
            .autocomplete("name")
            .error(name)
            .required()
            .focused(),
        providers: visit
            .parts
            .providers
            .all()
            .map(|provider| (provider.id(), provider.name.as_str()))
            .collect(),
    };
    let introduction = "Others in the organization see your name.";
    let notice = (!token.is_empty()).then(|| Notice::failure("The invitation was not accepted."));
    let title = ("Accept your invitation", introduction);
    visit
        .card(title, notice.as_ref(), &content)
        .with_outward_forms()
}

/// Shows the form. The token is in the fragment; invitations that were mailed by earlier versions have it in the query.
pub(super) fn show(visit: &Visit) -> Response<Body> {
    form(visit, &visit.query, ("", "")).into_response()
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    let token = token_of(entered.text("token").unwrap_or_default());
    if let Some(id) = entered.get("provider") {
        return join_with(&visit, &entered, (token, id)).await;
    }
    let name = match Name::new(entered.text("name").unwrap_or_default()) {
        Ok(name) => name,
        Err(fault) => {
            let fault = format!("The name {fault}.");
            let page = form(&visit, &entered, ("", &fault));
            return Err(Refusal::of(page.status(REFUSED_FORM)));
        }
    };
    let old = visit.signed_in().await?;
    let new = visit.new_session(SignInMethod::Invite, None, old.as_ref());
    match accept_and_sign_in(visit.services(), token, &name, visit.client(), new).await {
        Ok(started) => {
            let target = if visit.options().has_passwords {
                Target::new("/account/password?welcome")
            } else {
                Target::default()
            };
            visit.finish(started, old.as_ref(), &target).await
        }
        Err(error) if error.status == StatusCode::BAD_REQUEST => {
            let page = form(&visit, &entered, (error.message.as_ref(), ""));
            Err(Refusal::of(page.status(REFUSED_FORM)).of_attempt(INVITE_TOKEN))
        }
        Err(error) => Err(error.into()),
    }
}

/// Leads to a provider, whose account accepts the invitation. A name that is missing is taken from the account.
async fn join_with(visit: &Visit, entered: &FormData, (token, id): (&str, &str)) -> Answer {
    let provider = provider::find(visit, id)?;
    let name = entered.text("name").unwrap_or_default();
    let fault = match (token, Name::new(name)) {
        ("", _) => Some(("Enter the code of the invitation.", String::new())),
        (_, Err(fault)) if !name.is_empty() => Some(("", format!("The name {fault}."))),
        _ if token.len() > MAX_LENGTH => Some(("The code is too long.", String::new())),
        _ => None,
    };
    if let Some((token, name)) = fault {
        let page = form(visit, entered, (token, &name));
        return Err(Refusal::of(page.status(REFUSED_FORM)));
    }
    let purpose = Purpose::Join(token.to_owned(), name.to_owned());
    provider::travel(visit, provider, (&Target::default(), purpose), None).await
}
