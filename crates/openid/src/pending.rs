//! Sign-ins in progress: sealed into a cookie, so that the server keeps nothing and any node may finish them.

use base::secret::Pepper;
use base::{Entropy, UnixTime};
use serde::{Deserialize, Serialize};

use crate::encoding::{base64url, from_base64url};
use crate::{OpenIdError, Reason, Result};

/// Maximum age of a sign-in in progress, in seconds.
pub const MAX_PENDING_AGE: i64 = 600;
/// Maximum length of a sealed state, which browsers store in a cookie of 4096 bytes.
const MAX_SEALED_BYTES: usize = 3800;

/// State of a sign-in in progress. Without `Debug`, since the state has secrets.
#[derive(Serialize, Deserialize)]
pub struct PendingSignIn {
    pub(crate) provider: String,
    pub(crate) state: String,
    pub(crate) nonce: String,
    /// Verifier of PKCE.
    pub(crate) verifier: String,
    pub(crate) redirect_uri: String,
    pub(crate) context: String,
    pub(crate) step_up: Option<String>,
    pub(crate) started: UnixTime,
}

impl PendingSignIn {
    /// Seals the state for a cookie.
    ///
    /// # Errors
    /// The context or the redirect address is too long for a cookie.
    pub fn seal(&self, pepper: &Pepper, entropy: &Entropy) -> Result<String> {
        let text = serde_json::to_string(self).map_err(|_| Reason::State)?;
        let text = zeroize::Zeroizing::new(text);
        let sealed = base64url(&pepper.seal(entropy, &seal_context(&self.provider), &text));
        if sealed.len() > MAX_SEALED_BYTES {
            return Err(OpenIdError::new(
                Reason::State,
                "the state is too long for a cookie",
            ));
        }
        Ok(sealed)
    }

    /// Opens the cookie of a sign-in at `provider`.
    ///
    /// # Errors
    /// The text was not sealed for this provider by a node of this installation, or the sign-in has taken too long.
    pub fn open(pepper: &Pepper, provider: &str, sealed: &str, now: UnixTime) -> Result<Self> {
        if sealed.len() > MAX_SEALED_BYTES {
            return Err(Reason::State.into());
        }
        let sealed = from_base64url(sealed).ok_or(Reason::State)?;
        let text = pepper.unseal(&seal_context(provider), &sealed);
        let text = text.ok_or(Reason::State)?;
        let pending: Self = serde_json::from_str(&text).map_err(|_| Reason::State)?;
        pending.check_age(now)?;
        Ok(pending)
    }

    pub(crate) fn check_age(&self, now: UnixTime) -> Result<()> {
        if now >= self.started.plus(MAX_PENDING_AGE) {
            return Err(Reason::SignInExpired.into());
        }
        Ok(())
    }

    /// Returns the text that the caller began the sign-in with.
    #[must_use]
    pub fn context(&self) -> &str {
        &self.context
    }

    /// True if the sign-in is a step-up.
    #[must_use]
    pub fn is_step_up(&self) -> bool {
        self.step_up.is_some()
    }
}

/// Returns the context of sealed states, which no other sealed value has.
fn seal_context(provider: &str) -> String {
    format!("openid sign-in {provider}")
}
