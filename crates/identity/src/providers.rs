//! Identity providers: the configured ones, and the meaning of their claims.

use std::fmt;
use std::sync::Arc;

use admin::Services;
use admin::credentials::provider_sign_in::{self, ProviderClaims, ProviderGroups};
use admin::sessions::ProviderSession;
use base::ids::OrganizationId;
use base::name::Name;
use base::permission::OrganizationRole;
use base::{Clock, Entropy};
use egress::Proxies;
use http::StatusCode;
use openid::{EmailPolicy, HttpClient, OpenIdError, Provider, ProviderIdentity, ProviderSettings};

use crate::refusal::Refusal;

/// Options of an identity provider.
#[derive(Clone)]
pub struct IdentityProviderOptions {
    /// Client at the provider.
    pub settings: ProviderSettings,
    /// Name for people.
    pub name: String,
    /// Organization whose users sign in; the only one if not set.
    pub organization: Option<OrganizationId>,
    /// Policy for mail addresses.
    pub email_policy: EmailPolicy,
    /// Names of the groups whose members the provider decides.
    pub groups: Vec<String>,
    /// Role of users who are made at their first sign-in; `None` if none are made.
    pub create_as: Option<OrganizationRole>,
    /// Trusted authorities in PEM; the system's if not set.
    pub authorities: Option<Vec<u8>>,
}

/// Error: an identity provider cannot be used as it is configured.
#[derive(Debug, thiserror::Error)]
#[error("identity_provider '{id}': {reason}")]
pub struct IdentityProviderError {
    id: String,
    reason: String,
}

/// Configured identity providers.
#[derive(Default)]
pub struct IdentityProviders(Vec<ConfiguredProvider>);

/// A configured identity provider.
pub(crate) struct ConfiguredProvider {
    pub(crate) client: Provider,
    pub(crate) name: String,
    organization: Option<OrganizationId>,
    email_policy: EmailPolicy,
    groups: Vec<String>,
    create_as: Option<OrganizationRole>,
}

impl IdentityProviders {
    /// Creates the providers. None of them has to be reachable. May read files, and blocks.
    ///
    /// # Errors
    /// An issuer is not secure, or certificates cannot be read.
    pub fn new(
        options: &[IdentityProviderOptions],
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<Self, IdentityProviderError> {
        let mut system: Option<Arc<HttpClient>> = None;
        let mut providers = Vec::with_capacity(options.len());
        for option in options {
            let id = option.settings.id.clone();
            let wrong = |reason: &dyn fmt::Display| IdentityProviderError {
                id: id.clone(),
                reason: reason.to_string(),
            };
            let http = match (&option.authorities, &system) {
                (None, Some(http)) => Arc::clone(http),
                (authorities, _) => {
                    let http = HttpClient::new(authorities.as_deref(), Proxies::of_environment());
                    let http = Arc::new(http.map_err(|error| wrong(&error))?);
                    if authorities.is_none() {
                        system = Some(Arc::clone(&http));
                    }
                    http
                }
            };
            if option.email_policy.trust_email {
                tracing::warn!(
                    provider = id,
                    "mail addresses of the identity provider are trusted without verification"
                );
            }
            let client = Provider::new(
                option.settings.clone(),
                http,
                clock.clone(),
                entropy.clone(),
            );
            providers.push(ConfiguredProvider {
                client: client.map_err(|error| wrong(&error))?,
                name: option.name.clone(),
                organization: option.organization.clone(),
                email_policy: option.email_policy.clone(),
                groups: option.groups.clone(),
                create_as: option.create_as,
            });
        }
        Ok(Self(providers))
    }

    /// Returns the provider with this id.
    pub(crate) fn find(&self, id: &str) -> Option<&ConfiguredProvider> {
        self.0.iter().find(|provider| provider.id() == id)
    }

    /// Returns the providers in the order of the configuration.
    pub(crate) fn all(&self) -> impl Iterator<Item = &ConfiguredProvider> {
        self.0.iter()
    }

    /// Returns the providers whose users are those of this organization.
    pub(crate) async fn of_organization(
        &self,
        services: &Services,
        organization: &OrganizationId,
    ) -> base::Result<Vec<&ConfiguredProvider>> {
        let only = provider_sign_in::organization(services, None).await?;
        let found = self.all().filter(|provider| {
            let own = provider.organization.as_ref().or(only.as_ref());
            own == Some(organization)
        });
        Ok(found.collect())
    }
}

impl ConfiguredProvider {
    pub(crate) fn id(&self) -> &str {
        &self.client.settings().id
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.client.settings().issuer
    }

    /// Returns the organization whose users sign in.
    pub(crate) async fn organization(
        &self,
        services: &Services,
    ) -> Result<OrganizationId, Refusal> {
        let found = provider_sign_in::organization(services, self.organization.as_ref()).await?;
        found.ok_or_else(|| {
            let id = self.id();
            let message = match &self.organization {
                None => format!(
                    "There are several organizations. An administrator must name one of them as 'organization' of the identity \
                     provider '{id}' in the configuration."
                ),
                Some(organization) => format!(
                    "There is no organization '{organization}'. An administrator must correct 'organization' of the identity \
                     provider '{id}' in the configuration."
                ),
            };
            let status = StatusCode::SERVICE_UNAVAILABLE;
            Refusal::page(status, "The identity provider is not set up", &message)
        })
    }

    /// Returns the account and the session at the provider.
    pub(crate) fn session(&self, identity: &ProviderIdentity) -> ProviderSession {
        ProviderSession {
            provider: self.id().to_owned(),
            issuer: identity.issuer.clone(),
            subject: identity.subject.clone(),
            id: identity.session_id.clone(),
        }
    }

    /// Returns the claims as far as they matter, or with them the reason why the address does not.
    pub(crate) fn claims<'a>(
        &'a self,
        identity: &'a ProviderIdentity,
        session: &'a ProviderSession,
        name: Option<&'a Name>,
    ) -> (ProviderClaims<'a>, Option<OpenIdError>) {
        let (own_email, error) = match identity.own_email(&self.email_policy) {
            Ok(email) => (Some(email), None),
            Err(error) => (None, Some(error)),
        };
        let claims = ProviderClaims {
            session,
            email: identity.email.as_ref(),
            own_email,
            name,
            create_as: self.create_as,
            groups: self.groups(identity),
        };
        (claims, error)
    }

    /// Returns the groups that follow the provider; `None` if the provider says nothing about groups.
    fn groups<'a>(&'a self, identity: &'a ProviderIdentity) -> Option<ProviderGroups<'a>> {
        let member_of = identity.groups.as_deref()?;
        Some(ProviderGroups {
            managed: &self.groups,
            member_of,
        })
    }
}

impl fmt::Debug for IdentityProviderOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("IdentityProviderOptions");
        shown.field("id", &self.settings.id).finish_non_exhaustive()
    }
}
