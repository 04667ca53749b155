//! Rotation of keys: a new key takes the place of an old one, which works for some time beside it.

use base::ids::KeyId;
use base::name::Name;
use base::time::SECONDS_PER_DAY;
use base::{Error, Result, UnixTime, inline_schema};
use schemars::{JsonSchema, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use store::Row;

use super::{IssuedKey, Lifetime, MAX_LIFETIME_SECONDS, NewOwner, Scopes, created_event, expired};
use crate::operation::{Event, EventType, Write};
use crate::{args, tenant_sql};

/// The time for which the old key works beside the new one, in seconds.
#[derive(Clone, Copy, Debug)]
struct Overlap(i64);

/// Default overlap: a day.
const DEFAULT_OVERLAP_SECONDS: i64 = SECONDS_PER_DAY;
/// Maximum overlap: 30 days.
const MAX_OVERLAP_SECONDS: i64 = 30 * SECONDS_PER_DAY;

impl<'de> Deserialize<'de> for Overlap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let seconds = i64::deserialize(deserializer)?;
        if (0..=MAX_OVERLAP_SECONDS).contains(&seconds) {
            return Ok(Self(seconds));
        }
        Err(serde::de::Error::custom(format_args!(
            "must be 0 to {MAX_OVERLAP_SECONDS} seconds"
        )))
    }
}

inline_schema!(Overlap, "Overlap", |_| json_schema!({
    "type": "integer", "minimum": 0, "maximum": MAX_OVERLAP_SECONDS,
}));

/// A request to rotate a key.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateKey {
    /// Seconds for which the old key works beside the new one, 0 to 2,592,000; null or absent for 86,400, a day.
    overlap_seconds: Option<Overlap>,
    /// Lifetime of the new key in seconds, 1 to 31,536,000; null or absent for that of the old key.
    expires_in_seconds: Option<Lifetime>,
}

/// A key that another one has replaced.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ReplacedKey {
    id: KeyId,
    /// Time from which on the key is refused.
    expires_at: UnixTime,
}

/// The result of a rotation.
pub(crate) struct Rotation {
    pub(crate) issued: IssuedKey,
    pub(crate) replaced: ReplacedKey,
    /// The event of the old key. That of the new one is recorded besides.
    pub(crate) event: Event,
}

/// The properties of a key that its successor has, too.
struct OldKey {
    name: String,
    scopes: String,
    created_at: UnixTime,
    expires_at: Option<UnixTime>,
}

const OLD: &str = "\
    SELECT name, scopes, created_at, expires_at FROM api_keys WHERE organization_id = $1 AND id = $2";

/// Issues a key with the name, the scopes and the owner of another one, which expires after the overlap.
///
/// # Errors
/// 400: the old key has expired. 403: the new key would have permissions that the caller lacks. 404: there is no such key.
/// The database's.
pub(crate) async fn rotate(
    cx: &mut Write,
    id: &KeyId,
    owner: NewOwner<'_>,
    body: RotateKey,
) -> Result<Rotation> {
    let old = tenant_sql!(cx, OLD, args![id]);
    let old = cx.find(id, old, OldKey::read).await?;
    let now = cx.now();
    if old.expires_at.is_some_and(|at| at <= now) {
        return Err(expired(id));
    }
    let name = Name::new(&old.name).map_err(|_| Error::internal())?;
    let scopes = Scopes::from_json(&old.scopes);
    let lifetime = body.expires_in_seconds.or_else(|| old.lifetime());
    let issued = super::issue(cx, owner, &name, &scopes, lifetime).await?;
    let Overlap(overlap) = body
        .overlap_seconds
        .unwrap_or(Overlap(DEFAULT_OVERLAP_SECONDS));
    let end = now.plus(overlap);
    let expires_at = old.expires_at.map_or(end, |at| at.min(end));
    let update = tenant_sql!(
        cx,
        "UPDATE api_keys SET expires_at = $3 WHERE organization_id = $1 AND id = $2",
        args![id, expires_at],
    );
    cx.execute(update).await?;
    cx.also(created_event(&issued.id, &scopes));
    let details = json!({"changes_requested": {"expires_in_seconds": expires_at.0 - now.0}});
    Ok(Rotation {
        issued,
        replaced: ReplacedKey {
            id: id.clone(),
            expires_at,
        },
        event: Event::new(EventType::ApiKeyUpdated, id, details),
    })
}

impl OldKey {
    fn read(row: &Row<'_>) -> store::Result<Self> {
        Ok(Self {
            name: row.get("name")?,
            scopes: row.get("scopes")?,
            created_at: row.time("created_at")?,
            expires_at: row.optional_time("expires_at")?,
        })
    }

    /// Returns the time from the creation to the expiry, at most the longest lifetime; `None` if the key does not expire.
    fn lifetime(&self) -> Option<Lifetime> {
        let seconds = self.expires_at?.0 - self.created_at.0;
        Some(Lifetime(seconds.clamp(1, MAX_LIFETIME_SECONDS)))
    }
}
