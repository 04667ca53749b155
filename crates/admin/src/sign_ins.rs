//! Entries of the audit log about keys of an organization that were refused.

use std::net::IpAddr;
use std::sync::Arc;

use access::Key;
use base::Result;

use crate::Services;
use crate::operation::{Actor, AuditEntry, ChainHead, Event, append};

/// A key that was refused, of an organization that is known.
pub struct RefusedKey {
    /// The key.
    pub key: Arc<Key>,
    /// The address that it came from.
    pub address: IpAddr,
    /// A short stable word for why it was refused.
    pub reason: &'static str,
    /// The times that it was refused there since the last entry, beside this one.
    pub more: u64,
}

/// Writes `login.failed` to the audit log.
///
/// # Errors
/// The database's.
pub async fn record(services: &Services, refused: &RefusedKey) -> Result<()> {
    let RefusedKey {
        key,
        address,
        reason,
        more,
    } = refused;
    let mut message = format!("An API key was refused, which came from {address}.");
    if *more > 0 {
        message.push_str(&format!(
            " So it was {more} times more since the last entry."
        ));
    }
    let mut transaction = services.store.begin().await?;
    let mut head = ChainHead::advance(&mut transaction, &key.organization.id).await?;
    let entry = AuditEntry {
        id: services.ids.next(),
        organization_id: key.organization.id.clone(),
        effective_at: services.clock.now(),
        project: head.default_project.take(),
        actor: Actor::of(key),
        event: Event::sign_in_failed(reason, &message),
    };
    append(&mut transaction, &head, entry).await?;
    transaction.commit().await?;
    Ok(())
}
