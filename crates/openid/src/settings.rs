//! Settings of a client at a provider, and the rule for addresses: `https`, or this machine.

use std::net::IpAddr;

use http::Uri;
use zeroize::Zeroizing;

use crate::{OpenIdError, Reason, Result};

/// Settings of a client at a provider. Without `Debug`, since the settings have a secret.
#[derive(Clone)]
pub struct ProviderSettings {
    /// Name of the provider in the configuration and in addresses.
    pub id: String,
    /// Issuer, exactly as the provider's discovery document has the issuer.
    pub issuer: String,
    /// Id of the client at the provider.
    pub client_id: String,
    /// Secret of the client; none for a public client.
    pub client_secret: Option<Zeroizing<String>>,
    /// Scopes beside `openid`.
    pub scopes: Vec<String>,
    /// Claim that holds the subject of an identity, usually `sub`.
    pub subject_claim: String,
    /// Claim that holds the names of the user's groups.
    pub groups_claim: Option<String>,
}

/// Address of a provider.
pub(crate) struct Issuer {
    /// Text to compare with.
    pub(crate) text: String,
    /// True if the provider runs on this machine and does not use TLS.
    pub(crate) is_plain: bool,
}

impl Issuer {
    /// Parses an issuer.
    ///
    /// # Errors
    /// The issuer is no address with `https`, has a query or a fragment, or uses `http` on another machine.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if text.contains(['?', '#']) {
            let detail = "the issuer must have neither a query nor a fragment";
            return Err(OpenIdError::new(Reason::InsecureAddress, detail));
        }
        let uri = secure_address(text, true)?;
        Ok(Self {
            text: text.to_owned(),
            is_plain: uri.scheme_str() == Some("http"),
        })
    }

    /// Returns the address of the discovery document.
    pub(crate) fn discovery(&self) -> Result<Uri> {
        let base = self.text.trim_end_matches('/');
        secure_address(
            &format!("{base}/.well-known/openid-configuration"),
            self.is_plain,
        )
    }
}

/// Checks that a text can be an issuer.
///
/// # Errors
/// The text is no address with `https`, nor on this machine, or has a query or a fragment.
pub fn check_issuer(text: &str) -> Result<()> {
    Issuer::parse(text).map(|_| ())
}

/// Parses an address that uses `https`, or `http` on this machine if `is_plain`. Only a provider that is itself reached
/// by `http` may name such addresses.
pub(crate) fn secure_address(text: &str, is_plain: bool) -> Result<Uri> {
    let insecure = || OpenIdError::new(Reason::InsecureAddress, base::shown(text));
    let uri: Uri = text.parse().map_err(|_| insecure())?;
    let host = uri.host().ok_or_else(insecure)?;
    let has_credentials = uri.authority().is_some_and(|it| it.as_str().contains('@'));
    let is_allowed = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => is_plain && is_loopback(host),
        _ => false,
    };
    if is_allowed && !has_credentials && !text.contains('#') {
        Ok(uri)
    } else {
        Err(insecure())
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    match address.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_use_https_or_this_machine() {
        for right in [
            "https://login.example",
            "https://login.example:8443/tenant/v2.0",
            "http://127.0.0.1:1234",
            "http://localhost",
            "http://[::1]:80/a/",
        ] {
            assert!(Issuer::parse(right).is_ok(), "{right}");
        }
        for wrong in [
            "http://login.example",
            "http://127.0.0.1.example",
            "http://localhost.example",
            "http://10.0.0.1",
            "https://login.example?x",
            "https://login.example#x",
            "https://user@login.example",
            "ftp://localhost",
            "login.example",
            "/a",
            "",
        ] {
            let error = Issuer::parse(wrong).err().expect(wrong);
            assert_eq!(error.reason(), Reason::InsecureAddress, "{wrong}");
        }
    }

    #[test]
    fn provider_with_tls_names_no_address_without_tls() {
        assert!(secure_address("http://127.0.0.1/keys", false).is_err());
        assert!(secure_address("http://127.0.0.1/keys", true).is_ok());
    }

    #[test]
    fn discovery_is_below_the_issuer() {
        for issuer in ["https://h.example/a", "https://h.example/a/"] {
            let address = Issuer::parse(issuer).and_then(|issuer| issuer.discovery());
            let expected = "https://h.example/a/.well-known/openid-configuration";
            assert_eq!(address.expect("an address"), expected);
        }
    }
}
