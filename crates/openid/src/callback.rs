//! The callback: the query with which the provider sends the browser back.

use crate::encoding::{is_same, pairs};
use crate::pending::PendingSignIn;
use crate::{OpenIdError, Reason, Result};

/// Maximum length of the callback's query.
const MAX_QUERY_BYTES: usize = 16 * 1024;

/// Query of the callback. Without `Debug`, since the query has the code.
#[derive(Default)]
pub struct Callback {
    code: Option<String>,
    state: Option<String>,
    issuer: Option<String>,
    error: Option<String>,
    description: Option<String>,
}

impl Callback {
    /// Parses the query of the callback. Unknown parameters are ignored.
    ///
    /// # Errors
    /// The query is too long, is not UTF-8, or has a parameter twice.
    pub fn parse(query: &str) -> Result<Self> {
        let malformed = |detail| OpenIdError::new(Reason::Malformed, detail);
        if query.len() > MAX_QUERY_BYTES {
            return Err(malformed("the callback is too long"));
        }
        let pairs = pairs(query).ok_or_else(|| malformed("the callback is not UTF-8"))?;
        let mut callback = Self::default();
        for (name, value) in pairs {
            let field = match name.as_str() {
                "code" => &mut callback.code,
                "state" => &mut callback.state,
                "iss" => &mut callback.issuer,
                "error" => &mut callback.error,
                "error_description" => &mut callback.description,
                _ => continue,
            };
            if field.replace(value).is_some() {
                return Err(malformed("the callback has a parameter twice"));
            }
        }
        Ok(callback)
    }

    /// Checks that the callback belongs to the sign-in and comes from the issuer. Returns the code.
    ///
    /// # Errors
    /// The callback belongs to another sign-in or comes from another issuer, or the provider reports an error.
    pub(crate) fn code(
        &self,
        pending: &PendingSignIn,
        issuer: &str,
        has_issuer: bool,
    ) -> Result<&str> {
        let state = self.state.as_deref().ok_or(Reason::State)?;
        if !is_same(state, &pending.state) {
            return Err(Reason::State.into());
        }
        match self.issuer.as_deref() {
            Some(found) if found != issuer => {
                return Err(OpenIdError::new(Reason::Issuer, base::shown(found)));
            }
            None if has_issuer => {
                return Err(OpenIdError::new(Reason::Issuer, "the callback has no iss"));
            }
            _ => {}
        }
        if let Some(error) = &self.error {
            let description = self.description.as_deref().unwrap_or_default();
            let detail = format!("{}: {}", base::shown(error), description);
            return Err(OpenIdError::new(reason_of(error), detail));
        }
        let code = self.code.as_deref().filter(|code| !code.is_empty());
        code.ok_or_else(|| OpenIdError::new(Reason::Malformed, "the callback has no code"))
    }
}

/// Returns the reason for an error of the authorization endpoint.
fn reason_of(error: &str) -> Reason {
    match error {
        "access_denied" | "consent_required" | "account_selection_required" => Reason::AccessDenied,
        "login_required" | "interaction_required" => Reason::Reauthentication,
        "temporarily_unavailable" | "server_error" => Reason::ProviderUnavailable,
        _ => Reason::ProviderRefused,
    }
}
