//! `/sign-in/forgot`: a link by mail. The answer is the same whether a user has the address or not.

use askama::Template;
use base::email::Email;
use http::StatusCode;
use pages::{Field, Html, InputKind, Notice};

use super::{Answer, REFUSED_FORM, unknown_page};
use crate::Visit;
use crate::background::SignInJob;
use crate::refusal::Refusal;

const RETRY_SECONDS: i64 = 5;

#[derive(Template)]
#[template(path = "forgot.html")]
struct ForgotForm {
    email: Field,
}

fn form(visit: &Visit, email: &str, notice: Option<&Notice>) -> Html {
    let content = ForgotForm {
        email: Field::input(InputKind::Email, "email", "E-mail address")
            .value(email)
            .autocomplete("username")
            .required()
            .focused(),
    };
    let introduction = "We mail you a link that signs you in once.";
    visit.card(("Get a sign-in link", introduction), notice, &content)
}

pub(super) fn show(visit: &Visit) -> Answer {
    if !visit.options().has_mailed_links {
        return Err(unknown_page());
    }
    Ok(form(visit, "", None).into_response())
}

#[derive(Template)]
#[template(path = "forgot_done.html")]
struct ForgotDone<'a> {
    email: &'a str,
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    if !visit.options().has_mailed_links {
        return Err(unknown_page());
    }
    let text = entered.text("email").unwrap_or_default();
    let Ok(email) = Email::new(text) else {
        let notice = Notice::failure("Enter an e-mail address such as ada@example.com.");
        let page = form(&visit, text, Some(&notice)).status(REFUSED_FORM);
        return Err(Refusal::of(page));
    };
    let job = SignInJob::MailLinks(email.as_str().to_owned());
    if !visit.parts.jobs.queue(job, visit.client()) {
        let notice = Notice::failure("Too many links are asked for. Try again in a few seconds.");
        let page = form(&visit, text, Some(&notice));
        let page = page.status(StatusCode::SERVICE_UNAVAILABLE);
        return Err(Refusal::of(page).retry_after(RETRY_SECONDS));
    }
    let content = ForgotDone {
        email: email.as_str(),
    };
    let title = ("Look into your mailbox", "");
    Ok(visit.card(title, None, &content).into_response())
}
