//! Metadata of a provider: its discovery document.

use http::Uri;
use serde::Deserialize;

use crate::settings::{Issuer, secure_address};
use crate::{OpenIdError, Reason, Result};

/// Metadata of a provider.
pub(crate) struct Metadata {
    pub(crate) authorization_endpoint: String,
    pub(crate) token_endpoint: Uri,
    pub(crate) jwks: Uri,
    pub(crate) user_info_endpoint: Option<Uri>,
    pub(crate) end_session_endpoint: Option<String>,
    /// True if the callback must name the issuer (RFC 9207).
    pub(crate) has_issuer_in_callback: bool,
    /// True if the client's secret goes into the form of the token request, not into a header.
    pub(crate) takes_secret_in_form: bool,
}

#[derive(Deserialize)]
struct RawMetadata {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    userinfo_endpoint: Option<String>,
    end_session_endpoint: Option<String>,
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

impl Metadata {
    /// Parses the discovery document of `issuer`.
    ///
    /// # Errors
    /// The document is incomplete, names another issuer, or an address in the document is insecure.
    pub(crate) fn parse(bytes: &[u8], issuer: &Issuer) -> Result<Self> {
        let raw: RawMetadata = serde_json::from_slice(bytes).map_err(|error| {
            OpenIdError::new(Reason::Malformed, format!("discovery document: {error}"))
        })?;
        if raw.issuer != issuer.text {
            return Err(OpenIdError::new(Reason::Issuer, base::shown(&raw.issuer)));
        }
        let checked = |text: String| {
            secure_address(&text, issuer.is_plain)?;
            Ok::<_, OpenIdError>(text)
        };
        let address = |text: &str| secure_address(text, issuer.is_plain);
        let methods = raw.token_endpoint_auth_methods_supported;
        let takes = |name: &str| {
            let mut names = methods.iter().flatten();
            names.any(|known| known == name)
        };
        Ok(Self {
            authorization_endpoint: checked(raw.authorization_endpoint)?,
            token_endpoint: address(&raw.token_endpoint)?,
            jwks: address(&raw.jwks_uri)?,
            user_info_endpoint: raw.userinfo_endpoint.as_deref().map(address).transpose()?,
            end_session_endpoint: raw.end_session_endpoint.map(checked).transpose()?,
            has_issuer_in_callback: raw.authorization_response_iss_parameter_supported,
            takes_secret_in_form: !takes("client_secret_basic") && takes("client_secret_post"),
        })
    }
}
