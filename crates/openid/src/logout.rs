//! Back-channel logout: the token with which a provider ends sessions.

use base::UnixTime;

use crate::claims::Claims;
use crate::id_token::{MAX_CLOCK_SKEW_SECONDS, check_audience, check_issuer, check_not_in_future};
use crate::replay::ReplayGuard;
use crate::{OpenIdError, Reason, Result};

/// Event of a logout token.
const LOGOUT_EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";
/// Maximum age of a logout token, in seconds.
const MAX_LOGOUT_TOKEN_AGE: i64 = 300;

/// Notice that a user has signed out at the provider: all sessions that it names and that began until `issued_at` end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogoutNotice {
    /// Issuer.
    pub issuer: String,
    /// Value of the claim `sub` of the user, whose sessions all end if there is no session id.
    pub sub: Option<String>,
    /// Session at the provider that has ended.
    pub session_id: Option<String>,
    /// Time of the notice. Sessions that began later are not concerned.
    pub issued_at: UnixTime,
}

/// Checks the claims of a logout token whose signature was verified.
pub(crate) fn check(
    claims: &Claims,
    issuer: &str,
    client_id: &str,
    now: UnixTime,
    used: &ReplayGuard,
) -> Result<LogoutNotice> {
    let malformed = |detail| OpenIdError::new(Reason::Malformed, detail);
    check_issuer(claims, issuer)?;
    check_audience(claims, client_id)?;
    check_not_in_future(claims, now)?;
    let issued_at = claims.time("iat").ok_or(Reason::Expiry)?;
    let end = issued_at.plus(MAX_LOGOUT_TOKEN_AGE + MAX_CLOCK_SKEW_SECONDS);
    let expires = claims.time("exp").map(|it| it.plus(MAX_CLOCK_SKEW_SECONDS));
    if end <= now || expires.is_some_and(|expires| expires <= now) {
        return Err(OpenIdError::new(
            Reason::Expiry,
            "the logout token is too old",
        ));
    }
    let event = claims.object("events").and_then(|it| it.get(LOGOUT_EVENT));
    if !event.is_some_and(serde_json::Value::is_object) {
        return Err(malformed("the token is no logout token"));
    }
    if claims.has("nonce") {
        return Err(OpenIdError::new(
            Reason::Nonce,
            "a logout token has no nonce",
        ));
    }
    let identifier = |name| {
        let value = claims.has(name).then(|| claims.identifier(name));
        value.transpose().map(|value| value.map(str::to_owned))
    };
    let (sub, session_id) = (identifier("sub")?, identifier("sid")?);
    if sub.is_none() && session_id.is_none() {
        return Err(Reason::Subject.into());
    }
    let id = claims.identifier("jti");
    let id = id.map_err(|_| malformed("the logout token has no jti"))?;
    if !used.is_first(id, now, end) {
        return Err(Reason::Replay.into());
    }
    Ok(LogoutNotice {
        issuer: issuer.to_owned(),
        sub,
        session_id,
        issued_at,
    })
}
