//! The identity that a provider has confirmed.

use base::UnixTime;
use base::email::Email;

use crate::claims::Claims;
use crate::settings::ProviderSettings;
use crate::{EmailPolicy, Reason, Result};

/// Issuer of accounts of companies and of everybody else.
const GOOGLE: &str = "https://accounts.google.com";

/// Identity that a provider has confirmed. The pair of issuer and subject is the identity, all else is hearsay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderIdentity {
    /// Issuer.
    pub issuer: String,
    /// Subject: the value of the configured claim.
    pub subject: String,
    /// Value of the claim `sub`, which logout tokens name.
    pub sub: String,
    /// Session at the provider, which logout tokens name.
    pub session_id: Option<String>,
    /// Mail address, not necessarily the user's own: see [`ProviderIdentity::own_email`].
    pub email: Option<Email>,
    /// Claim of the provider that the address belongs to the user.
    pub email_verified: Option<bool>,
    /// Domain of the company that manages the account, as Google calls it.
    pub hosted_domain: Option<String>,
    /// Name of the user.
    pub name: Option<String>,
    /// Names of the user's groups; `None` if the provider sent none, which is not the same as an empty list.
    pub groups: Option<Vec<String>>,
    /// Time at which the user authenticated at the provider.
    pub authenticated_at: Option<UnixTime>,
}

impl ProviderIdentity {
    pub(crate) fn new(issuer: &str, settings: &ProviderSettings, claims: &Claims) -> Result<Self> {
        let groups_claim = settings.groups_claim.as_deref();
        Ok(Self {
            issuer: issuer.to_owned(),
            subject: claims.identifier(&settings.subject_claim)?.to_owned(),
            sub: claims.identifier("sub")?.to_owned(),
            session_id: claims.identifier("sid").ok().map(str::to_owned),
            email: claims.text("email").and_then(|text| Email::new(text).ok()),
            email_verified: claims.flag("email_verified"),
            hosted_domain: claims.text("hd").map(str::to_owned),
            name: claims.name("name"),
            groups: groups_claim.and_then(|name| claims.groups(name)),
            authenticated_at: claims.time("auth_time"),
        })
    }

    /// Returns the mail address if the policy lets it stand for the user.
    ///
    /// # Errors
    /// There is no address, or neither the provider nor the policy vouches for the address, or its domain is another one. At
    /// Google, anybody may have verified an address of a company before leaving it, so the company must manage the account.
    pub fn own_email(&self, policy: &EmailPolicy) -> Result<&Email> {
        let email = self.email.as_ref().ok_or(Reason::EmailMissing)?;
        if self.email_verified != Some(true) && !policy.trust_email {
            return Err(Reason::EmailNotVerified.into());
        }
        let is_managed = self.hosted_domain.is_some() || self.issuer != GOOGLE;
        if !policy.has_domain_of(email) || !is_managed {
            return Err(Reason::EmailDomain.into());
        }
        Ok(email)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn company_must_manage_an_account_at_google() {
        let policy = EmailPolicy {
            trust_email: false,
            domains: vec!["example.com".to_owned()],
        };
        let mut identity = ProviderIdentity {
            issuer: "https://accounts.google.com".to_owned(),
            subject: "1".to_owned(),
            sub: "1".to_owned(),
            session_id: None,
            email: Email::new("ada@example.com").ok(),
            email_verified: Some(true),
            hosted_domain: None,
            name: None,
            groups: None,
            authenticated_at: None,
        };
        let refusal = identity.own_email(&policy).map_err(|error| error.reason());
        assert_eq!(refusal, Err(Reason::EmailDomain));
        identity.hosted_domain = Some("example.com".to_owned());
        assert!(identity.own_email(&policy).is_ok());
        identity.hosted_domain = None;
        identity.issuer = "https://id.example.com".to_owned();
        assert!(identity.own_email(&policy).is_ok());
    }
}
