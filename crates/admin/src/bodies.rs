//! What reading kept bodies leaves in the audit log: what `orgplane bodies` does. It has no URL.

use base::ids::{IdGenerator, OrganizationId, ProjectId, RequestId};
use base::{Clock, Error, Result};
use serde_json::json;
use store::{Row, Store, sql};

use crate::operation::{Actor, AuditEntry, ChainHead, Event, EventType, append};

/// What an operator is about to read.
pub struct Reading<'a> {
    /// Where the audit log is.
    pub store: &'a Store,
    /// The entry's id.
    pub ids: &'a IdGenerator,
    /// The time.
    pub clock: &'a Clock,
    /// Whose bodies they are.
    pub project: &'a ProjectId,
    /// The request whose bodies are read; none when it is only read of which there are some.
    pub request: Option<&'a RequestId>,
    /// Of how many bodies.
    pub count: usize,
}

/// Writes down that bodies are read; to be called before they are shown.
///
/// # Errors
/// There is no such project, or the database's.
pub async fn record(reading: Reading<'_>) -> Result<()> {
    let project = reading.project;
    let mut transaction = reading.store.begin().await?;
    let statement = sql!(
        "SELECT organization_id, name FROM projects WHERE id = $1",
        project
    );
    let read = |row: &Row<'_>| Ok((row.id("organization_id")?, row.get("name")?));
    let found: Option<(OrganizationId, String)> =
        transaction.fetch_optional(statement, read).await?;
    let (organization_id, name) =
        found.ok_or_else(|| Error::not_found("project", &project.to_string()))?;
    let kind = EventType::BodiesRead;
    let count = reading.count;
    let event = match reading.request {
        Some(request) => Event::new(kind, request, json!({"read": "contents", "count": count})),
        None => Event::new(kind, project, json!({"read": "list", "count": count})),
    };
    let head = ChainHead::advance(&mut transaction, &organization_id).await?;
    let entry = AuditEntry {
        id: reading.ids.next(),
        organization_id,
        effective_at: reading.clock.now(),
        project: Some((project.clone(), name)),
        actor: Actor::unknown(),
        event,
    };
    append(&mut transaction, &head, entry).await?;
    transaction.commit().await?;
    Ok(())
}
