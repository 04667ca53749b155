//! The console, for browsers that have the cookie of a session.

use std::sync::Arc;

use admin::Services;
use admin::sessions::{SignInMethod, SignedIn};
use axum::body::Body;
use axum::response::Response;
use base::UnixTime;
use console::{
    CONSOLE_PATH, Console, ConsoleOptions, GatewayFacts, IdentityProviderFacts, ProviderChecks,
    ProviderStep, ProviderSteps, UpstreamFacts, Visitor,
};
use gateway::Gateway;
use http::Request;
use identity::{Identity, IdentityProviderOptions, OpenIdError, RECENT_SECONDS, SignInOptions};
use pages::{Crumb, ErrorPage, Link, Preferences, redirect};
use serde_json::Value as Json;
use usage::PriceBook;

/// The console behind sign-in.
pub(crate) struct ConsoleService {
    identity: Identity,
    console: Console,
}

/// Returns true if a path is one of the console.
pub(crate) fn is_console(path: &str) -> bool {
    path == "/"
        || path
            .strip_prefix(CONSOLE_PATH)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl ConsoleService {
    /// Creates the console.
    pub(crate) fn new(
        services: &Arc<Services>,
        identity: &Identity,
        gateway: Arc<RunningGateway>,
    ) -> Self {
        let options = ConsoleOptions {
            public_url: services.public_url.clone(),
            recent_sign_in_seconds: RECENT_SECONDS,
            has_passwords: identity.has_passwords(),
            identity_providers: gateway.identity_providers.clone(),
            sends_mail: gateway.sends_mail,
        };
        Self {
            identity: identity.clone(),
            console: Console::new(
                Arc::clone(services),
                gateway,
                Arc::new(SignInProviders(identity.clone())),
                options,
            ),
        }
    }

    /// Answers a request for a page. Whoever is not signed in is led to the sign-in page, and from there back.
    pub(crate) async fn answer(&self, request: Request<Body>) -> Response {
        if request.uri().path() == "/" {
            return redirect(&Link::new(["console"]), []);
        }
        match self.identity.signed_in(request.headers()).await {
            Ok(Some(signed_in)) => {
                let visitor = visitor(signed_in);
                Box::pin(self.console.answer(&visitor, request)).await
            }
            Ok(None) => Identity::to_sign_in(&request),
            Err(error) => {
                let preferences = Preferences::of(request.headers());
                let way_on = Crumb {
                    label: "Try again".to_owned(),
                    link: Link::new(["console"]),
                };
                let page = ErrorPage {
                    status: error.status,
                    title: "The console is not available",
                    message: &error.message,
                    preferences: &preferences,
                    way_on: Some(&way_on),
                };
                page.render().into_response()
            }
        }
    }
}

/// The gateway of this process and its prices, as the console shows them.
pub(crate) struct RunningGateway {
    gateway: Gateway,
    prices: PriceBook,
    identity_providers: Vec<IdentityProviderFacts>,
    sends_mail: bool,
}

impl RunningGateway {
    /// Creates the view of a gateway, of a server with these identity providers, and with a mail server or not.
    pub(crate) fn new(
        gateway: Gateway,
        prices: PriceBook,
        identity_providers: Vec<IdentityProviderFacts>,
        sends_mail: bool,
    ) -> Self {
        Self {
            gateway,
            prices,
            identity_providers,
            sends_mail,
        }
    }
}

/// Returns the configured identity providers, without their secrets.
pub(crate) fn provider_facts(options: &SignInOptions) -> Vec<IdentityProviderFacts> {
    options.providers.iter().map(provider_fact).collect()
}

fn provider_fact(provider: &IdentityProviderOptions) -> IdentityProviderFacts {
    let (settings, policy) = (&provider.settings, &provider.email_policy);
    let list = |items: &[String]| match items {
        [] => "none".to_owned(),
        items => items.join(", "),
    };
    let users = match provider.create_as {
        Some(role) => format!("created at the first sign-in, as {}", role.as_str()),
        None => "must exist before the first sign-in".to_owned(),
    };
    let emails = if policy.trust_email {
        "trusted as they are"
    } else {
        "trusted if the provider has verified them"
    };
    let shown = [
        ("Client id", settings.client_id.clone()),
        ("Scopes", list(&settings.scopes)),
        ("Subject", settings.subject_claim.clone()),
        ("Domains", list(&policy.domains)),
        ("Mail addresses", emails.to_owned()),
        ("New users", users),
        ("Groups of the provider", list(&provider.groups)),
    ];
    IdentityProviderFacts {
        id: settings.id.clone(),
        name: provider.name.clone(),
        issuer: settings.issuer.clone(),
        organization: provider.organization.as_ref().map(ToString::to_string),
        settings: shown.map(|(name, value)| (name.to_owned(), value)).to_vec(),
    }
}

impl GatewayFacts for RunningGateway {
    fn upstreams(&self) -> Vec<UpstreamFacts> {
        let upstreams = self.gateway.upstreams();
        let facts = upstreams.map(|upstream| {
            let listed = self.gateway.listed_models();
            let own = listed.filter(|(_, name)| *name == upstream.name);
            UpstreamFacts {
                name: upstream.name.to_owned(),
                is_healthy: upstream.is_healthy,
                models: own.map(|(model, _)| model.to_owned()).collect(),
            }
        });
        facts.collect()
    }

    fn has_wildcard(&self) -> bool {
        self.gateway.has_wildcard()
    }

    fn prices(&self, model: &str, time: UnixTime) -> Option<Json> {
        let prices = self.prices.list_prices(model, time)?;
        serde_json::to_value(prices).ok()
    }
}

/// The identity providers of the sign-in, as the console checks them.
struct SignInProviders(Identity);

impl ProviderChecks for SignInProviders {
    fn check<'a>(&'a self, id: &'a str) -> ProviderSteps<'a> {
        Box::pin(async move {
            let check = self.0.check_provider(id).await?;
            let discovery = check.discovery.map(|()| "found, and complete.".to_owned());
            let keys = check.keys.map(|keys| {
                keys.map(|count| match count {
                    1 => "1 key can be used.".to_owned(),
                    count => format!("{count} keys can be used."),
                })
            });
            let step = |name, outcome: Result<String, OpenIdError>| ProviderStep {
                name,
                outcome: outcome.map_err(|error| fault(&error)),
            };
            let discovery = [step("Discovery document", discovery)];
            let keys = keys.map(|keys| step("Keys", keys));
            Some(discovery.into_iter().chain(keys).collect())
        })
    }
}

/// Returns what is wrong with a provider, for an administrator, and what to do.
fn fault(error: &OpenIdError) -> String {
    format!(
        "{error} {} (Code: {})",
        error.reason().advice(),
        error.code()
    )
}

fn visitor(signed_in: SignedIn) -> Visitor {
    Visitor {
        user_id: signed_in.user.id.to_string(),
        name: signed_in.user.name,
        email: signed_in.user.email,
        role: signed_in.user.role.as_str().to_owned(),
        authenticated_at: signed_in.session.authenticated_at,
        came_by_link: signed_in.session.method == SignInMethod::Link,
        caller: signed_in.caller,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_the_console_are_its_own() {
        for own in ["/", "/console", "/console/projects"] {
            assert!(is_console(own), "{own}");
        }
        for other in ["/consoles", "/v1/console", "/sign-in"] {
            assert!(!is_console(other), "{other}");
        }
    }
}
