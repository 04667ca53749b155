//! Identity providers, as the configuration has them.

use askama::Template;
use base::ids::Id;
use http::Method;

use crate::client::Refusal;
use crate::context::{Context, Outcome};
use crate::options::IdentityProviderFacts;

/// The operation whose permission shows identity providers.
const PROVIDERS_LIKE: &str = "/organization/admin_api_keys";

#[derive(Template)]
#[template(path = "identity_providers.html")]
struct ProvidersPage<'a> {
    providers: Vec<&'a IdentityProviderFacts>,
    callback: String,
}

/// Answers the page of identity providers.
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
    let all = options.identity_providers.iter();
    let page = ProvidersPage {
        providers: all.filter(is_own).collect(),
        callback: options.public_url.trim_end_matches('/').to_owned(),
    };
    let page = context.page("Identity providers", &[], &page);
    Ok(page.into_response())
}
