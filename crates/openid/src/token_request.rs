//! The token request, which redeems the code.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::authorization::token_form;
use crate::encoding::{escaped, form};
use crate::http_client::{HttpClient, ProviderResponse};
use crate::metadata::Metadata;
use crate::pending::PendingSignIn;
use crate::settings::ProviderSettings;
use crate::{OpenIdError, Reason, Result};

/// Tokens of a sign-in. Without `Debug`; wiped when dropped.
pub(crate) struct Tokens {
    pub(crate) id_token: Zeroizing<String>,
    /// Access token that can be sent as bearer token.
    pub(crate) access_token: Option<Zeroizing<String>>,
}

#[derive(Deserialize)]
struct RawTokens {
    id_token: Option<String>,
    access_token: Option<String>,
    token_type: Option<String>,
}

#[derive(Deserialize)]
struct RawError {
    error: String,
    #[serde(default)]
    error_description: String,
}

/// Redeems the code of a sign-in.
pub(crate) async fn redeem(
    http: &HttpClient,
    settings: &ProviderSettings,
    metadata: &Metadata,
    pending: &PendingSignIn,
    code: &str,
) -> Result<Tokens> {
    let mut body = token_form(settings, pending, code);
    let mut authorization = None;
    match &settings.client_secret {
        None => {}
        Some(secret) if metadata.takes_secret_in_form => {
            body.push('&');
            body.push_str(&form(&[("client_secret", secret)]));
        }
        Some(secret) => {
            let pair = format!("{}:{}", escaped(&settings.client_id), escaped(secret));
            authorization = Some(format!("Basic {}", STANDARD.encode(pair)));
        }
    }
    let response = http.post_form(&metadata.token_endpoint, authorization, body);
    parse(&response.await?)
}

fn parse(response: &ProviderResponse) -> Result<Tokens> {
    if !response.status.is_success() {
        return Err(refusal(response));
    }
    let malformed = |detail| OpenIdError::new(Reason::Malformed, detail);
    let raw: RawTokens = serde_json::from_slice(&response.body)
        .map_err(|_| malformed("the token response is not JSON"))?;
    let is_bearer = |kind: &String| kind.eq_ignore_ascii_case("bearer");
    let is_usable = raw.token_type.as_ref().is_none_or(is_bearer);
    let id_token = raw.id_token;
    Ok(Tokens {
        id_token: id_token
            .ok_or_else(|| malformed("the token response has no id_token"))?
            .into(),
        access_token: raw.access_token.filter(|_| is_usable).map(Zeroizing::new),
    })
}

fn refusal(response: &ProviderResponse) -> OpenIdError {
    let status = response.status.as_u16();
    if response.is_temporary() {
        let detail = format!("token request: status {status}");
        return OpenIdError::new(Reason::ProviderUnavailable, detail);
    }
    let Ok(raw) = serde_json::from_slice::<RawError>(&response.body) else {
        let detail = format!("token request: status {status}");
        return OpenIdError::new(Reason::ProviderRefused, detail);
    };
    let reason = match raw.error.as_str() {
        "invalid_grant" => Reason::Replay,
        "invalid_client" | "unauthorized_client" => Reason::ClientRefused,
        _ => Reason::ProviderRefused,
    };
    let detail = format!(
        "token request: {}: {}",
        base::shown(&raw.error),
        raw.error_description
    );
    OpenIdError::new(reason, detail)
}
