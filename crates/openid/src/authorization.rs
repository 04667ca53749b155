//! The authorization request: the address at the provider that the browser is sent to.

use base::UnixTime;

use crate::encoding::{base64url, form, with_query};
use crate::metadata::Metadata;
use crate::pending::PendingSignIn;
use crate::settings::ProviderSettings;

/// Request to sign in.
pub struct AuthorizationRequest {
    /// Address of this server that the provider sends the browser back to.
    pub redirect_uri: String,
    /// Text that the caller gets back at the end, such as the path to show then. Sealed with the state.
    pub context: String,
    /// Subject that must authenticate anew, for a step-up.
    pub step_up: Option<String>,
    /// Address that the provider may fill in.
    pub login_hint: Option<String>,
}

/// Sign-in that has begun.
pub struct BegunSignIn {
    /// Address at the provider that the browser is sent to.
    pub address: String,
    /// State for the browser's cookie.
    pub pending: PendingSignIn,
}

/// Returns the address of the authorization request.
pub(crate) fn address(
    settings: &ProviderSettings,
    metadata: &Metadata,
    pending: &PendingSignIn,
    login_hint: Option<&str>,
) -> String {
    let challenge = ring::digest::digest(&ring::digest::SHA256, pending.verifier.as_bytes());
    let challenge = base64url(challenge.as_ref());
    let mut scope = "openid".to_owned();
    for name in settings.scopes.iter().filter(|name| *name != "openid") {
        scope.push(' ');
        scope.push_str(name);
    }
    let mut pairs = vec![
        ("response_type", "code"),
        ("response_mode", "query"),
        ("client_id", settings.client_id.as_str()),
        ("redirect_uri", pending.redirect_uri.as_str()),
        ("scope", scope.as_str()),
        ("state", pending.state.as_str()),
        ("nonce", pending.nonce.as_str()),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
    ];
    if pending.step_up.is_some() {
        pairs.extend([("prompt", "login"), ("max_age", "0")]);
    }
    pairs.extend(login_hint.map(|hint| ("login_hint", hint)));
    with_query(&metadata.authorization_endpoint, &pairs)
}

/// Returns the form of the token request.
pub(crate) fn token_form(
    settings: &ProviderSettings,
    pending: &PendingSignIn,
    code: &str,
) -> String {
    form(&[
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &pending.redirect_uri),
        ("client_id", &settings.client_id),
        ("code_verifier", &pending.verifier),
    ])
}

impl PendingSignIn {
    /// Creates the state of a sign-in that starts now.
    pub(crate) fn start(
        provider: &str,
        request: &AuthorizationRequest,
        now: UnixTime,
        entropy: &base::Entropy,
    ) -> Self {
        let random = || base64url(&entropy.bytes::<32>());
        Self {
            provider: provider.to_owned(),
            state: random(),
            nonce: random(),
            verifier: random(),
            redirect_uri: request.redirect_uri.clone(),
            context: request.context.clone(),
            step_up: request.step_up.clone(),
            started: now,
        }
    }
}
