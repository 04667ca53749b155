//! Protection against lockout: an organization keeps an owner, and an owner's admin key that works for some time.

use base::ids::UserId;
use base::permission::OrganizationRole;
use base::secret::KeyKind;
use base::time::SECONDS_PER_DAY;
use base::{Error, Result, UnixTime};

use crate::operation::Write;
use crate::{args, tenant_sql};

/// The time for which an owner's admin key must remain valid after a change, in seconds: 30 days.
pub const MIN_KEY_LIFETIME_SECONDS: i64 = 30 * SECONDS_PER_DAY;

/// Returns the expiry of the owners' admin key that expires last: the end of time if one does not expire, the beginning
/// of time if there is none. Users who are owners only through a group do not count, because groups change without this
/// check.
///
/// # Errors
/// The database's.
pub(crate) async fn administrable_until(cx: &mut Write) -> Result<UnixTime> {
    let longest = tenant_sql!(
        cx,
        "SELECT COALESCE(k.expires_at, $4) AS until \
         FROM api_keys k JOIN users u ON u.organization_id = k.organization_id AND u.id = k.user_id \
         WHERE k.organization_id = $1 AND k.kind = $2 AND u.role = $3 AND k.scopes = '[]' ORDER BY 1 DESC LIMIT 1",
        args![
            KeyKind::Admin.as_str(),
            OrganizationRole::Owner.as_str(),
            UnixTime(i64::MAX)
        ],
    );
    let longest = cx.fetch_optional(longest, |row| row.time("until")).await?;
    Ok(longest.unwrap_or(UnixTime(i64::MIN)))
}

/// Refuses a change of this transaction after which no owner's admin key is valid for [`MIN_KEY_LIFETIME_SECONDS`], unless
/// the change leaves [`administrable_until`] no earlier than `before`.
///
/// # Errors
/// 400 `last_admin_key`; the database's.
pub(crate) async fn keep_administrable(cx: &mut Write, before: UnixTime) -> Result<()> {
    let until = administrable_until(cx).await?;
    if until >= before || until >= cx.now().plus(MIN_KEY_LIFETIME_SECONDS) {
        return Ok(());
    }
    let days = MIN_KEY_LIFETIME_SECONDS / SECONDS_PER_DAY;
    let message = format!(
        "No owner would have an admin key that works for {days} days more: the organization could not be administered \
         any more. Create an admin key without an end as an owner who stays one, or have one made on the machine of the \
         database: 'orgplane org key --email OWNER'."
    );
    Err(Error::refused("last_admin_key", message))
}

/// Refuses to demote or delete the last owner. `verb` is the participle for the message.
///
/// # Errors
/// 400 `last_owner`; the database's.
pub(crate) async fn refuse_last_owner(cx: &mut Write, user: &UserId, verb: &str) -> Result<()> {
    let others = tenant_sql!(
        cx,
        "SELECT id FROM users WHERE organization_id = $1 AND role = $2 AND id <> $3 LIMIT 1",
        args![OrganizationRole::Owner.as_str(), user],
    );
    if cx.fetch_optional(others, |_| Ok(())).await?.is_some() {
        return Ok(());
    }
    let message = format!(
        "'{user}' is the last owner of the organization and cannot be {verb}. Make somebody else an owner first."
    );
    Err(Error::refused("last_owner", message))
}
