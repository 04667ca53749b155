//! Audit events for reading stored bodies with `orgplane bodies`. Has no URL.

use base::ids::{IdGenerator, OrganizationId, ProjectId, RequestId};
use base::{Clock, Error, Result};
use serde_json::json;
use store::{Row, Store, sql};

use crate::operation::{Actor, AuditEntry, ChainHead, Event, EventType, append};

/// An operator's access to stored bodies.
pub struct BodiesAccess<'a> {
    /// Store of the audit log.
    pub store: &'a Store,
    /// Generator of the entry's id.
    pub ids: &'a IdGenerator,
    /// Wall clock.
    pub clock: &'a Clock,
    /// Project of the bodies.
    pub project: &'a ProjectId,
    /// Request whose bodies are read; `None` if only the list of stored requests is read.
    pub request: Option<&'a RequestId>,
    /// Number of bodies.
    pub count: usize,
}

/// Records the access in the audit log. Must be called before the bodies are shown.
///
/// # Errors
/// 404 if the project does not exist; the database's.
pub async fn record(access: BodiesAccess<'_>) -> Result<()> {
    let project = access.project;
    let mut transaction = access.store.begin().await?;
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
    let count = access.count;
    let event = match access.request {
        Some(request) => Event::new(kind, request, json!({"read": "contents", "count": count})),
        None => Event::new(kind, project, json!({"read": "list", "count": count})),
    };
    let head = ChainHead::advance(&mut transaction, &organization_id).await?;
    let entry = AuditEntry {
        id: access.ids.next(),
        organization_id,
        effective_at: access.clock.now(),
        project: Some((project.clone(), name)),
        actor: Actor::default(),
        event,
    };
    append(&mut transaction, &head, entry).await?;
    transaction.commit().await?;
    Ok(())
}
