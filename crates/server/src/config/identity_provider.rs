//! `[[identity_provider]]`: identity providers with OpenID Connect.

use std::collections::BTreeSet;
use std::path::PathBuf;

use anyhow::{Context, bail, ensure};
use base::ids::{Id, OrganizationId, parse_path_id};
use base::permission::OrganizationRole;
use identity::{
    EmailPolicy, IdentityProviderOptions, ProviderSettings, SignInOptions, check_issuer,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Config;

/// Maximum number of identity providers.
const MAX_PROVIDERS: usize = 50;
/// Maximum number of groups that follow a provider.
const MAX_GROUPS: usize = 200;
/// Maximum length of a provider's id.
const MAX_PROVIDER_ID_LEN: usize = 40;

/// An identity provider with OpenID Connect.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityProvider {
    /// Name in addresses, such as `/sign-in/provider/{id}`: lower-case letters, digits and hyphens; unique.
    pub id: String,
    /// Name on the sign-in page; `id` if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Id of the organization whose users sign in; needed only if there are several organizations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub organization: Option<String>,
    /// Issuer, exactly as the provider's discovery document has it. Must use `https`, except on this machine.
    pub issuer: String,
    /// Id of the client at the provider.
    pub client_id: String,
    /// Environment variable that holds the client's secret; a public client has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_env: Option<String>,
    /// File that holds the client's secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// Scopes that are requested beside `openid`.
    #[serde(default = "usual::scopes")]
    pub scopes: Vec<String>,
    /// Claim that identifies a user for good. Changing it unlinks every account.
    #[serde(default = "usual::subject_claim")]
    pub subject_claim: String,
    /// True if mail addresses stand for their users although the provider does not say that they are verified. Only for
    /// providers whose users cannot choose their address.
    #[serde(default)]
    pub trust_email: bool,
    /// Mail domains whose addresses find or make a user at the first sign-in. Subdomains are not included.
    #[serde(default)]
    pub domains: Vec<String>,
    /// Claim with the names of the user's groups.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub groups_claim: Option<String>,
    /// Groups whose members the claim decides at each sign-in. Other groups stay as they are.
    #[serde(default)]
    pub groups: Vec<String>,
    /// True if users who have an address in `domains` are made at their first sign-in.
    #[serde(default)]
    pub create_users: bool,
    /// Role in the organization of users who are made: `reader` or `owner`.
    #[serde(default = "usual::role")]
    pub role: String,
    /// PEM file of the trusted authorities; the system's if not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

/// Defaults.
mod usual {
    pub(super) fn scopes() -> Vec<String> {
        vec!["email".to_owned(), "profile".to_owned()]
    }

    pub(super) fn subject_claim() -> String {
        "sub".to_owned()
    }

    pub(super) fn role() -> String {
        "reader".to_owned()
    }
}

/// Checks the providers, which need not be reachable.
///
/// # Errors
/// A setting is wrong; the message names the provider.
pub(super) fn checked(providers: Vec<IdentityProvider>) -> anyhow::Result<Vec<IdentityProvider>> {
    ensure!(
        providers.len() <= MAX_PROVIDERS,
        "there must be at most {MAX_PROVIDERS} tables [[identity_provider]]"
    );
    let mut ids = BTreeSet::new();
    for provider in &providers {
        let id = &provider.id;
        provider
            .check()
            .with_context(|| format!("identity_provider '{id}'"))?;
        ensure!(ids.insert(id), "identity_provider.id '{id}' is given twice");
    }
    Ok(providers)
}

impl Config {
    /// Returns the ways to sign in, with the secrets of the identity providers.
    ///
    /// # Errors
    /// A secret or a certificate cannot be read.
    pub fn resolve_sign_in(&self) -> anyhow::Result<SignInOptions> {
        let providers = self.identity_providers.iter();
        let providers = providers.map(IdentityProvider::resolve);
        Ok(SignInOptions {
            providers: providers.collect::<anyhow::Result<_>>()?,
            ..self.sign_in.clone()
        })
    }
}

impl IdentityProvider {
    fn check(&self) -> anyhow::Result<()> {
        let is_id = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            (1..=MAX_PROVIDER_ID_LEN).contains(&self.id.len()) && self.id.chars().all(is_id),
            "id must have 1 to {MAX_PROVIDER_ID_LEN} lower-case letters, digits and hyphens"
        );
        ensure!(!self.client_id.is_empty(), "client_id must not be empty");
        if let Some(organization) = &self.organization {
            ensure!(
                parse_path_id::<OrganizationId>(organization).is_ok()
                    && organization.starts_with("org-"),
                "organization must be an id such as org-…"
            );
        }
        for domain in &self.domains {
            let is_domain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
            ensure!(
                domain.contains('.') && domain.chars().all(is_domain),
                "domains: '{domain}' is not a domain such as example.com"
            );
        }
        ensure!(
            !self.create_users || !self.domains.is_empty(),
            "create_users needs domains: else everybody with an account at the provider becomes a user"
        );
        ensure!(
            !self.trust_email || !self.domains.is_empty(),
            "trust_email needs domains, whose addresses are trusted"
        );
        ensure!(
            self.groups.is_empty() || self.groups_claim.is_some(),
            "groups need groups_claim, the claim that names them"
        );
        ensure!(
            self.groups.len() <= MAX_GROUPS,
            "groups must have at most {MAX_GROUPS} names"
        );
        self.role()?;
        check_issuer(&self.issuer).with_context(|| format!("issuer '{}'", self.issuer))?;
        Ok(())
    }

    fn role(&self) -> anyhow::Result<OrganizationRole> {
        let role = OrganizationRole::parse(&self.role);
        role.with_context(|| format!("role '{}' must be reader or owner", self.role))
    }

    /// Returns the options of the sign-in, with the client's secret.
    ///
    /// # Errors
    /// The secret or the certificates cannot be read.
    fn resolve(&self) -> anyhow::Result<IdentityProviderOptions> {
        let wrong = || format!("identity_provider '{}'", self.id);
        let authorities = self.ca_file.as_ref().map(|file| {
            std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))
        });
        Ok(IdentityProviderOptions {
            settings: ProviderSettings {
                id: self.id.clone(),
                issuer: self.issuer.clone(),
                client_id: self.client_id.clone(),
                client_secret: self.secret().with_context(wrong)?,
                scopes: self.scopes.clone(),
                subject_claim: self.subject_claim.clone(),
                groups_claim: self.groups_claim.clone(),
            },
            name: self.name.clone().unwrap_or_else(|| self.id.clone()),
            organization: self.organization.clone().map(OrganizationId::from_text),
            email_policy: EmailPolicy {
                trust_email: self.trust_email,
                domains: self.domains.clone(),
            },
            groups: self.groups.clone(),
            create_as: self.create_users.then(|| self.role()).transpose()?,
            authorities: authorities.transpose().with_context(wrong)?,
        })
    }

    fn secret(&self) -> anyhow::Result<Option<Zeroizing<String>>> {
        let text = match (&self.client_secret_env, &self.client_secret_file) {
            (None, None) => return Ok(None),
            (Some(variable), None) => std::env::var(variable)
                .with_context(|| format!("the variable {variable} holds no client secret"))?,
            (None, Some(file)) => std::fs::read_to_string(file)
                .with_context(|| format!("{} cannot be read", file.display()))?,
            (Some(_), Some(_)) => bail!("give one of client_secret_env and client_secret_file"),
        };
        let text = Zeroizing::new(text);
        let secret = base::text_without_mark(&text).trim();
        ensure!(!secret.is_empty(), "the client secret is empty");
        Ok(Some(Zeroizing::new(secret.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use crate::config::tests::load;

    const LEAST: &str = "[[identity_provider]]\nid = 'company'\nissuer = 'https://id.example/realms/a'\nclient_id = 'plane'\n";

    #[test]
    fn provider_has_defaults_and_is_shown_without_its_secret() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = directory.path().join("secret");
        std::fs::write(&file, "\u{feff}hunter2\n").expect("written");
        let text = format!("{LEAST}client_secret_file = '{}'", file.display());
        let config = load(&text).expect("loaded");
        let shown = config.show().expect("TOML");
        assert!(
            shown.contains("[[identity_provider]]\nid = \"company\""),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
        let options = config.resolve_sign_in().expect("resolved");
        let [provider] = &options.providers[..] else {
            panic!("one provider");
        };
        let settings = &provider.settings;
        assert_eq!(
            settings.client_secret.as_ref().map(|it| it.as_str()),
            Some("hunter2")
        );
        assert_eq!(settings.scopes, ["email", "profile"]);
        assert_eq!(
            (provider.name.as_str(), provider.create_as),
            ("company", None)
        );
        std::fs::remove_file(&file).expect("removed");
        let error = config.resolve_sign_in().err();
        let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("identity_provider 'company'"), "{error}");
    }

    #[test]
    fn wrong_provider_is_refused_by_its_id() {
        for (more, words) in [
            ("create_users = true", "create_users needs domains"),
            ("trust_email = true", "trust_email needs domains"),
            ("domains = ['company']", "'company' is not a domain"),
            ("groups = ['a']", "groups need groups_claim"),
            ("role = 'admin'", "'admin' must be reader or owner"),
            ("organization = 'x'", "organization must be an id"),
            ("client_secret = 'x'", "client_secret"),
        ] {
            let error = load(&format!("{LEAST}{more}")).err();
            let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(words), "{more}: {error}");
        }
        for (from, to, words) in [
            ("https://id", "http://id", "does not use https"),
            ("'company'", "'Company'", "lower-case letters"),
            ("'plane'", "''", "client_id must not be empty"),
        ] {
            let error = load(&LEAST.replace(from, to)).err();
            let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
            assert!(error.contains(words), "{to}: {error}");
        }
        let error = load(&format!("{LEAST}{LEAST}")).err();
        let error = error.map(|error| format!("{error:#}")).unwrap_or_default();
        assert!(error.contains("'company' is given twice"), "{error}");
    }
}
