//! Identity providers, as the configuration has them.

use askama::Template;
use base::ids::Id;
use http::Method;

use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::options::IdentityProviderFacts;
use crate::provider_checks::ProviderStep;

/// The operation whose permission shows identity providers.
const PROVIDERS_LIKE: &str = "/organization/admin_api_keys";

/// The field of the form that names the provider to be checked.
const CHECKED: &str = "provider";

#[derive(Template)]
#[template(path = "identity_providers.html")]
struct ProvidersPage<'a> {
    providers: Vec<ShownProvider<'a>>,
    callback: String,
    path: &'a str,
}

/// A provider as the page shows it.
struct ShownProvider<'a> {
    facts: &'a IdentityProviderFacts,
    /// Outcomes of the check that was asked for; none without one.
    steps: Vec<ProviderStep>,
}

/// Answers the page of identity providers; its form checks one of them.
pub(crate) async fn answer(context: &Context<'_>) -> Outcome {
    if let Some(missing) = context.missing(&Method::GET, PROVIDERS_LIKE) {
        return Err(Refusal::from(base::Error::missing_scope(missing)));
    }
    let options = &context.console.options;
    let own = context.visitor.caller.organization.id.as_str();
    let is_own = |provider: &&IdentityProviderFacts| {
        let organization = provider.organization.as_deref();
        organization.is_none_or(|organization| organization == own)
    };
    let mut providers = Vec::new();
    for facts in options.identity_providers.iter().filter(is_own) {
        let is_checked = context.form.get(CHECKED) == Some(facts.id.as_str());
        let steps = if is_checked {
            let check = context.console.provider_checks.check(&facts.id);
            check.await.unwrap_or_default()
        } else {
            Vec::new()
        };
        providers.push(ShownProvider { facts, steps });
    }
    let page = ProvidersPage {
        providers,
        callback: options.public_url.trim_end_matches('/').to_owned(),
        path: &context.path,
    };
    let page = context.page("Identity providers", &[], &page);
    Ok(page.into_response())
}
