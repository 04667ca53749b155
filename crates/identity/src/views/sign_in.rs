//! `/sign-in`: the ways to sign in, and the sign-in with a password.

use admin::credentials::attempts::{self, Admission};
use admin::credentials::{Account, accounts};
use admin::sessions::{self, SignInMethod};
use askama::Template;
use http::StatusCode;
use pages::{Field, FormData, Html, InputKind, Link, Notice, redirect};
use zeroize::Zeroizing;

use super::{Answer, REFUSED_FORM, choose};
use crate::background::SignInJob;
use crate::passwords::MAX_PASSWORD_LENGTH;
use crate::refusal::{Refusal, THROTTLED_ACCOUNT, WRONG_PASSWORD};
use crate::{Target, Visit};

/// The most bytes of an address that is looked up.
const MAX_EMAIL_BYTES: usize = 254;
const BYTES_PER_CHARACTER: usize = 4;
const SECONDS_PER_MINUTE: i64 = 60;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInForm<'a> {
    target: &'a str,
    email: Option<Field>,
    password: Field,
    /// Names of providers, and the links that lead to them.
    providers: Vec<(&'a str, Link)>,
    /// Link to the page that mails links.
    forgot: Option<Link>,
}

impl SignInForm<'_> {
    fn has_passwords(&self) -> bool {
        self.email.is_some()
    }

    /// True if nothing is configured with which a user could sign in.
    fn has_nothing(&self) -> bool {
        self.email.is_none() && self.providers.is_empty() && self.forgot.is_none()
    }
}

pub(super) async fn show(visit: Visit) -> Answer {
    let target = Target::in_form(&visit.query);
    if visit.signed_in().await?.is_some() {
        return Ok(redirect(&Link::to_path(target.as_str()), []));
    }
    let notice = visit
        .query
        .has("signed_out")
        .then(|| Notice::success("You are signed out."));
    Ok(form(&visit, &target, "", notice.as_ref()).into_response())
}

/// Returns the page with the address that was entered before.
fn form(visit: &Visit, target: &Target, email: &str, notice: Option<&Notice>) -> Html {
    let options = visit.options();
    let field = Field::input(InputKind::Email, "email", "E-mail address")
        .value(email)
        .autocomplete("username")
        .required();
    let password = Field::input(InputKind::Password, "password", "Password")
        .autocomplete("current-password")
        .required();
    let providers = visit.parts.providers.all().map(|provider| {
        let path = format!("/sign-in/provider/{}", provider.id());
        (provider.name.as_str(), target.link_by(&path))
    });
    let content = SignInForm {
        target: target.as_str(),
        email: options.has_passwords.then_some(if email.is_empty() {
            field.focused()
        } else {
            field
        }),
        password,
        providers: providers.collect(),
        forgot: options
            .has_mailed_links
            .then(|| target.link_by("/sign-in/forgot")),
    };
    let page = visit.card(("Sign in", ""), notice, &content);
    page.with_outward_forms()
}

/// The outcome of a check of a password.
pub(super) enum Checked {
    /// The users of the address who have this password; at least one.
    Right(Vec<Account>),
    /// No user has the password.
    Wrong,
    /// Too many attempts have failed.
    Throttled {
        /// Seconds until the next attempt.
        seconds: i64,
    },
}

/// Checks the password of an address. An address that no user has takes the same time as a wrong password.
pub(super) async fn check(
    visit: &Visit,
    email: &str,
    password: &Zeroizing<String>,
) -> Result<Checked, Refusal> {
    let services = visit.services();
    let accounts = accounts(services, email).await?;
    let attempt = match attempts::begin(services, email, !accounts.is_empty()).await? {
        Admission::Allowed(attempt) => attempt,
        Admission::Throttled { seconds } => return Ok(Checked::Throttled { seconds }),
    };
    let with_password = accounts.iter().filter(|one| one.password.is_some());
    let with_password: Vec<&Account> = with_password.collect();
    let hashes = with_password.iter();
    let hashes = hashes.filter_map(|account| account.password.clone());
    let verified = visit.parts.passwords.verify(password, hashes.collect());
    let verified = verified.await?.into_iter().zip(with_password);
    let right = verified.filter(|(is_right, _)| *is_right);
    let right: Vec<Account> = right.map(|(_, account)| account.clone()).collect();
    if right.is_empty() {
        if !accounts.is_empty() {
            let job = SignInJob::RecordFailure(attempt, accounts);
            // The metric and the log have the failure anyway.
            let _ = visit.parts.jobs.queue(job, visit.client());
        }
        return Ok(Checked::Wrong);
    }
    attempt.succeeded(services).await?;
    Ok(Checked::Right(right))
}

/// Returns the password in a form; `None` if it is missing or longer than any password.
pub(super) fn password_in(form: &FormData, name: &str) -> Option<Zeroizing<String>> {
    let password = form.get(name)?;
    let is_plausible =
        !password.is_empty() && password.len() <= MAX_PASSWORD_LENGTH * BYTES_PER_CHARACTER;
    is_plausible.then(|| Zeroizing::new(password.to_owned()))
}

/// Returns the notice of a throttled attempt.
pub(super) fn throttled(seconds: i64) -> Notice {
    let wait = if seconds < SECONDS_PER_MINUTE {
        format!("{seconds} s")
    } else {
        format!("{} min", seconds.div_euclid(SECONDS_PER_MINUTE) + 1)
    };
    Notice::failure(format!(
        "Too many attempts with this address have failed. Try again in {wait}, or sign in without a password."
    ))
}

pub(super) async fn submit(mut visit: Visit) -> Answer {
    let entered = visit.form().await?;
    if !visit.options().has_passwords {
        return Err(super::unknown_page());
    }
    let target = Target::in_form(&entered);
    let email = entered.text("email").unwrap_or_default();
    let password = password_in(&entered, "password");
    let (false, Some(password)) = (email.is_empty() || email.len() > MAX_EMAIL_BYTES, password)
    else {
        let notice = Notice::failure("Enter your e-mail address and your password.");
        let page = form(&visit, &target, email, Some(&notice));
        return Err(Refusal::of(page.status(REFUSED_FORM)));
    };
    let right = match check(&visit, email, &password).await? {
        Checked::Right(right) => right,
        Checked::Wrong => {
            let notice = Notice::failure("The address or the password is wrong.");
            let page = form(&visit, &target, email, Some(&notice)).status(REFUSED_FORM);
            return Err(Refusal::of(page).of_attempt(WRONG_PASSWORD));
        }
        Checked::Throttled { seconds } => {
            let page = form(&visit, &target, email, Some(&throttled(seconds)));
            let page = page.status(StatusCode::TOO_MANY_REQUESTS);
            return Err(Refusal::of(page)
                .retry_after(seconds)
                .of_attempt(THROTTLED_ACCOUNT));
        }
    };
    if let [account] = &right[..] {
        return begin(&visit, account, &target).await;
    }
    Ok(choose::show(&visit, &right, &target))
}

/// Begins the session of a user who has given the right password.
pub(super) async fn begin(visit: &Visit, account: &Account, target: &Target) -> Answer {
    let old = visit.signed_in().await?;
    let new = visit.new_session(SignInMethod::Password, None, old.as_ref());
    let (organization, user) = (&account.organization_id, &account.user_id);
    let started = sessions::begin(visit.services(), organization, user, visit.client(), new);
    visit.finish(started.await?, old.as_ref(), target).await
}
