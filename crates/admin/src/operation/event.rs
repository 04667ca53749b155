//! Audit events, written in the transaction of the change that they describe, and chained by hashes.

use base::email::email_key;
use base::ids::{AuditLogId, Id, OrganizationId, ProjectId, SessionId, UserId};
use base::{ClientAddress, EventType, Result, UnixTime};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use store::{Row, Transaction, sql};

use access::{Key, Owner};

use super::caller::actor_of;

/// The description of a change.
pub struct Event {
    kind: EventType,
    /// The id of the changed resource, if there is exactly one.
    target: Option<String>,
    /// The further ids by which the event is found.
    more_targets: Vec<String>,
    payload: Map<String, Json>,
}

impl Event {
    /// Returns the event of a change to the resource `id`; `details` are the payload's fields besides `id`.
    #[must_use]
    pub fn new<I: Id>(kind: EventType, id: &I, details: Json) -> Self {
        let mut payload = Map::from_iter([("id".to_owned(), json!(id.as_str()))]);
        if let Json::Object(details) = details {
            payload.extend(details);
        }
        Self {
            kind,
            target: Some(id.as_str().to_owned()),
            more_targets: Vec::new(),
            payload,
        }
    }

    /// Adds a resource id by which the event is found.
    #[must_use]
    pub(crate) fn filed_under<I: Id>(mut self, id: &I) -> Self {
        self.more_targets.push(id.as_str().to_owned());
        self
    }

    /// Returns an event of a user's session. It is found by the ids of both, and has all sessions of the user loaded again.
    pub(crate) fn of_session(
        kind: EventType,
        user: &UserId,
        session: &SessionId,
        payload: Json,
    ) -> Self {
        Self {
            kind,
            target: Some(user.to_string()),
            more_targets: vec![session.to_string()],
            payload: fields(payload),
        }
    }

    /// Returns the event of a refused key or sign-in. The contract's payload names no resource, so the event is found by its
    /// actor only.
    pub(crate) fn sign_in_failed(code: &str, message: &str) -> Self {
        let payload = [("error_code", code), ("error_message", message)];
        Self {
            kind: EventType::LoginFailed,
            target: None,
            more_targets: Vec::new(),
            payload: payload
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .into_iter()
                .collect(),
        }
    }

    /// Returns the event of a change to several resources, which `payload` describes.
    #[must_use]
    pub fn of_several<'a, I: Id>(
        kind: EventType,
        ids: impl Iterator<Item = &'a I>,
        payload: Json,
    ) -> Self {
        Self {
            kind,
            target: None,
            more_targets: ids.map(|id| id.as_str().to_owned()).collect(),
            payload: fields(payload),
        }
    }
}

fn fields(payload: Json) -> Map<String, Json> {
    match payload {
        Json::Object(payload) => payload,
        _ => Map::new(),
    }
}

/// The actor of a change; by default an unknown one, such as the user of a command on the server.
#[derive(Clone, Default)]
pub(crate) struct Actor {
    id: Option<String>,
    key_id: Option<String>,
    email: Option<String>,
    shown: Json,
}

impl Actor {
    /// Returns the actor of a request with a key or a session.
    pub(crate) fn of(key: &Key) -> Self {
        let (id, email) = match &key.owner {
            Owner::User { id, email } => (id.to_string(), Some(email.to_lowercase())),
            Owner::ServiceAccount { id } => (id.to_string(), None),
        };
        Self {
            id: Some(id),
            // A session is not among what the contract shows of an actor, and the index has nothing that an entry does not say.
            key_id: (!key.is_session()).then(|| key.id.to_string()),
            email,
            shown: actor_of(key),
        }
    }

    /// Returns the actor of a request by a user without a key, which the contract calls a session.
    pub(crate) fn in_session(user: &UserId, email: &str) -> Self {
        Self {
            id: Some(user.to_string()),
            key_id: None,
            email: Some(email_key(email)),
            shown: json!({"type": "session", "session": {"user": {"id": user, "email": email}}}),
        }
    }

    /// Returns the actor of a request by a person who did not prove an identity.
    pub(crate) fn without_identity() -> Self {
        Self {
            shown: json!({"type": "session", "session": {}}),
            ..Self::default()
        }
    }

    /// Adds the address of the client. The contract has it for sessions; for keys it is an extension.
    pub(crate) fn at(mut self, client: Option<ClientAddress>) -> Self {
        for kind in ["session", "api_key"] {
            if let (Some(client), Some(Json::Object(shown))) = (client, self.shown.get_mut(kind)) {
                shown.insert("ip_address".to_owned(), json!(client.to_string()));
            }
        }
        self
    }
}

/// An entry of the audit log, before it is written.
pub(crate) struct AuditEntry {
    pub(crate) id: AuditLogId,
    pub(crate) organization_id: OrganizationId,
    pub(crate) effective_at: UnixTime,
    pub(crate) project: Option<(ProjectId, String)>,
    pub(crate) actor: Actor,
    pub(crate) event: Event,
}

/// The sequence number of the next entry, and the hash that it is chained to.
pub(crate) struct ChainHead {
    pub(crate) sequence: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) default_project: Option<(ProjectId, String)>,
}

impl ChainHead {
    /// Takes the next sequence number, and with it the lock of the organization's row.
    pub(crate) async fn advance(
        transaction: &mut Transaction,
        organization: &OrganizationId,
    ) -> Result<Self> {
        let statement = sql!(
            "UPDATE organizations SET revision = revision + 1 WHERE id = $1 \
             RETURNING revision, audit_hash, default_project_id, \
                 (SELECT p.name FROM projects p WHERE p.organization_id = organizations.id \
                  AND p.id = organizations.default_project_id) AS default_project_name",
            organization
        );
        Ok(transaction.fetch_one(statement, Self::read).await?)
    }

    fn read(row: &Row<'_>) -> store::Result<Self> {
        let project = row.optional_id("default_project_id")?;
        let name: Option<String> = row.get("default_project_name")?;
        Ok(Self {
            sequence: row.get("revision")?,
            hash: row.get("audit_hash")?,
            default_project: project.zip(name),
        })
    }
}

/// Returns the hash of an entry: SHA-256 over the previous hash and the entry's parts, a line each.
pub(crate) fn chain(before: &[u8], parts: [&str; 3]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    for part in parts {
        hash.update(part);
        hash.update("\n");
    }
    hash.finalize().into()
}

/// Returns the first part of an entry: all fields except its actor and its payload.
pub(crate) fn heading(
    sequence: i64,
    id: &AuditLogId,
    kind: &str,
    effective_at: UnixTime,
    project: (Option<&str>, Option<&str>),
) -> String {
    json!([sequence, id, kind, effective_at, project.0, project.1]).to_string()
}

/// Appends an entry to its organization's log.
pub(crate) async fn append(
    transaction: &mut Transaction,
    head: &ChainHead,
    entry: AuditEntry,
) -> Result<()> {
    let AuditEntry {
        id,
        organization_id,
        effective_at,
        project,
        actor,
        event,
    } = entry;
    let (actor_shown, payload) = (
        actor.shown.to_string(),
        Json::Object(event.payload).to_string(),
    );
    let (project_id, project_name) = project.map_or((None, None), |(id, name)| {
        (Some(id.to_string()), Some(name))
    });
    let kind = event.kind.as_str();
    let project = (project_id.as_deref(), project_name.as_deref());
    let heading = heading(head.sequence, &id, kind, effective_at, project);
    let hash = chain(&head.hash, [&heading, &actor_shown, &payload]);
    let insert = sql!(
        "INSERT INTO audit_logs (organization_id, sequence, id, type, effective_at, project_id, project_name, \
             actor_id, actor_key_id, actor_email, actor, resource_id, payload, hash) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        &organization_id,
        head.sequence,
        &id,
        kind,
        effective_at,
        project_id,
        project_name,
        actor.id,
        actor.key_id,
        actor.email,
        actor_shown,
        event.target,
        payload,
        hash,
    );
    transaction.execute(insert).await?;
    insert_targets(transaction, &organization_id, &id, event.more_targets).await?;
    let update = sql!(
        "UPDATE organizations SET audit_hash = $2 WHERE id = $1",
        &organization_id,
        hash
    );
    transaction.execute(update).await?;
    Ok(())
}

/// Records the further resource ids of an entry.
async fn insert_targets(
    transaction: &mut Transaction,
    organization: &OrganizationId,
    id: &AuditLogId,
    targets: Vec<String>,
) -> Result<()> {
    for target in targets {
        let insert = sql!(
            "INSERT INTO audit_log_targets (organization_id, resource_id, audit_log_id) VALUES ($1, $2, $3)",
            organization,
            target,
            id
        );
        transaction.execute(insert).await?;
    }
    Ok(())
}
