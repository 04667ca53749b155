//! Checks of the ID token's claims.

use base::UnixTime;

use crate::algorithm::Algorithm;
use crate::claims::Claims;
use crate::encoding::{from_base64url, is_same};
use crate::{OpenIdError, Reason, Result};

/// Maximum difference between the clocks of this machine and of the provider.
pub const MAX_CLOCK_SKEW_SECONDS: i64 = 60;

/// Values that the claims of an ID token must have.
pub(crate) struct IdTokenChecks<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) nonce: &'a str,
    pub(crate) algorithm: Algorithm,
    pub(crate) access_token: Option<&'a str>,
    /// Start of the sign-in: neither the token nor a renewed authentication may be older.
    pub(crate) started: UnixTime,
    pub(crate) now: UnixTime,
    /// True if the user must have authenticated since the start of the sign-in.
    pub(crate) is_step_up: bool,
}

impl IdTokenChecks<'_> {
    /// Checks the claims of a token whose signature was verified.
    ///
    /// # Errors
    /// The reason of the first claim that is wrong.
    pub(crate) fn check(&self, claims: &Claims) -> Result<()> {
        check_issuer(claims, self.issuer)?;
        check_audience(claims, self.client_id)?;
        check_times(claims, self.now)?;
        let issued = claims.time("iat").ok_or(Reason::Expiry)?;
        if issued < self.started.plus(-MAX_CLOCK_SKEW_SECONDS) {
            return Err(OpenIdError::new(
                Reason::Expiry,
                "iat is before the sign-in",
            ));
        }
        let nonce = claims.text("nonce").ok_or(Reason::Nonce)?;
        if !is_same(nonce, self.nonce) {
            return Err(Reason::Nonce.into());
        }
        self.check_access_token(claims)?;
        claims.identifier("sub")?;
        if self.is_step_up {
            self.check_authentication(claims)?;
        }
        Ok(())
    }

    fn check_access_token(&self, claims: &Claims) -> Result<()> {
        if !claims.has("at_hash") {
            return Ok(());
        }
        let hash = claims.text("at_hash").and_then(from_base64url);
        let expected = self
            .access_token
            .map(|token| self.algorithm.half_hash(token));
        if hash.is_none() || hash != expected {
            return Err(Reason::AccessTokenHash.into());
        }
        Ok(())
    }

    fn check_authentication(&self, claims: &Claims) -> Result<()> {
        let authenticated = claims
            .time("auth_time")
            .ok_or_else(|| OpenIdError::new(Reason::Reauthentication, "no auth_time"))?;
        let since = self.started.plus(-MAX_CLOCK_SKEW_SECONDS);
        if authenticated < since || authenticated > self.now.plus(MAX_CLOCK_SKEW_SECONDS) {
            return Err(Reason::Reauthentication.into());
        }
        Ok(())
    }
}

/// Checks that the configured issuer made the token.
pub(crate) fn check_issuer(claims: &Claims, issuer: &str) -> Result<()> {
    if claims.text("iss") == Some(issuer) {
        return Ok(());
    }
    let found = claims.text("iss").unwrap_or_default();
    Err(OpenIdError::new(Reason::Issuer, base::shown(found)))
}

/// Checks that the token is meant for this client, and was issued to this client.
pub(crate) fn check_audience(claims: &Claims, client_id: &str) -> Result<()> {
    let audiences = claims.audiences().ok_or(Reason::Audience)?;
    let party = claims.text("azp");
    let is_meant = audiences.contains(&client_id);
    let is_issued_to_client = match party {
        Some(party) => party == client_id,
        None => !claims.has("azp") && audiences.len() == 1,
    };
    if is_meant && is_issued_to_client {
        return Ok(());
    }
    let detail = format!("aud {audiences:?}, azp {party:?}");
    Err(OpenIdError::new(Reason::Audience, detail))
}

/// Checks that the token is valid now: `exp` is required, `iat` and `nbf` must not be in the future.
fn check_times(claims: &Claims, now: UnixTime) -> Result<()> {
    let expires = claims.time("exp").ok_or(Reason::Expiry)?;
    if expires.plus(MAX_CLOCK_SKEW_SECONDS) <= now {
        return Err(OpenIdError::new(Reason::Expiry, "exp has passed"));
    }
    check_not_in_future(claims, now)
}

/// Checks that `iat` and `nbf` are not in the future.
pub(crate) fn check_not_in_future(claims: &Claims, now: UnixTime) -> Result<()> {
    let latest = now.plus(MAX_CLOCK_SKEW_SECONDS);
    for name in ["iat", "nbf"] {
        if claims.time(name).is_some_and(|time| time > latest) {
            return Err(OpenIdError::new(
                Reason::Expiry,
                format!("{name} is in the future"),
            ));
        }
    }
    Ok(())
}
