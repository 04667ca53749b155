//! `/sign-in/link`: the sign-in with a link. The token is in the fragment of the address, which the browser keeps to itself;
//! a script puts it into the form, or the user pastes it.

use admin::credentials::links;
use admin::sessions::SignInMethod;
use askama::Template;
use askama::filters::HtmlSafe;
use http::StatusCode;
use pages::{Html, Notice};

use super::{Answer, REFUSED_FORM};
use crate::refusal::{INVALID_LINK, Refusal};
use crate::{Target, Visit};

#[derive(Template)]
#[template(path = "link.html")]
struct LinkForm {
    token: TokenField,
}

/// The field for the token of a link, which takes the fragment of the address, and is hidden then.
#[derive(Template)]
#[template(path = "token_field.html")]
pub(super) struct TokenField {
    label: &'static str,
    value: String,
    error: String,
}

impl HtmlSafe for TokenField {}

impl TokenField {
    pub(super) fn new(label: &'static str, value: &str, error: &str) -> Self {
        Self {
            label,
            value: value.to_owned(),
            error: error.to_owned(),
        }
    }
}

fn form(visit: &Visit, notice: Option<&Notice>) -> Html {
    let content = LinkForm {
        token: TokenField::new("Code of the link", "", ""),
    };
    let title = ("Sign in with a link", "The link works once.");
    visit.card(title, notice, &content)
}

pub(super) fn show(visit: &Visit) -> Answer {
    Ok(form(visit, None).into_response())
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    let token = token_of(entered.text("token").unwrap_or_default());
    let old = visit.signed_in().await?;
    let new = visit.new_session(SignInMethod::Link, None, old.as_ref());
    match links::redeem(visit.services(), token, visit.client(), new).await {
        Ok(started) => {
            let target = Target::default();
            visit.finish(started, old.as_ref(), &target).await
        }
        Err(error) if error.status == StatusCode::BAD_REQUEST => {
            let page = form(&visit, Some(&Notice::failure(error.message.as_ref())));
            Err(Refusal::of(page.status(REFUSED_FORM)).of_attempt(INVALID_LINK))
        }
        Err(error) => Err(error.into()),
    }
}

/// Returns the token in a text that may be the whole link.
pub(super) fn token_of(text: &str) -> &str {
    let token = text.rsplit(['#', '=']).next().unwrap_or_default();
    token.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_found_in_a_pasted_link() {
        for text in [
            "abc",
            " abc ",
            "#abc",
            "http://localhost:8080/sign-in/link#abc",
            "https://plane.example/invites/accept?token=abc",
        ] {
            assert_eq!(token_of(text), "abc", "{text}");
        }
    }
}
