//! Audit events for refused keys.

use std::net::IpAddr;
use std::sync::Arc;

use access::Key;
use base::{ClientAddress, Result};

use crate::Services;
use crate::operation::{Actor, AuditEntry, ChainHead, Event, append};

/// A refused key of a known organization.
pub struct RefusedKey {
    /// The key.
    pub key: Arc<Key>,
    /// Address of the client.
    pub address: IpAddr,
    /// Stable code of the reason.
    pub reason: &'static str,
    /// Number of further refusals at this address since the last entry.
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
        actor: Actor::of(key).at(Some(ClientAddress(*address))),
        event: Event::sign_in_failed(reason, &message),
    };
    append(&mut transaction, &head, entry).await?;
    transaction.commit().await?;
    Ok(())
}
