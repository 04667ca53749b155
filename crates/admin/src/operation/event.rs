//! Audit events: what a change was, written in the transaction that made it, chained by hashes.

use base::email::email_key;
use base::ids::{AuditLogId, Id, OrganizationId, ProjectId, UserId};
use base::{EventType, Result, UnixTime};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use store::{Row, Transaction, sql};

use access::{Key, Owner};

use super::caller::actor_of;

/// What a change was.
pub struct Event {
    kind: EventType,
    targets: Targets,
    payload: Map<String, Json>,
}

/// What a change was made to: nearly always one thing.
struct Targets {
    one: Option<String>,
    others: Vec<String>,
}

impl Event {
    /// Something happened to the resource `id`; `details` are the payload's fields beside `id`.
    #[must_use]
    pub fn new<I: Id>(kind: EventType, id: &I, details: Json) -> Self {
        let mut payload = Map::from_iter([("id".to_owned(), json!(id.as_str()))]);
        if let Json::Object(details) = details {
            payload.extend(details);
        }
        Self {
            kind,
            targets: Targets {
                one: Some(id.as_str().to_owned()),
                others: Vec::new(),
            },
            payload,
        }
    }

    /// The same event, which is found by `id` too.
    #[must_use]
    pub(crate) fn filed_under<I: Id>(mut self, id: &I) -> Self {
        self.targets.others.push(id.as_str().to_owned());
        self
    }

    /// A key was refused. The contract's payload names nothing, so the entry is found by its actor only.
    pub(crate) fn sign_in_failed(code: &str, message: &str) -> Self {
        let payload = [("error_code", code), ("error_message", message)];
        Self {
            kind: EventType::LoginFailed,
            targets: Targets {
                one: None,
                others: Vec::new(),
            },
            payload: payload
                .map(|(name, value)| (name.to_owned(), json!(value)))
                .into_iter()
                .collect(),
        }
    }

    /// Something happened to several resources at once; `payload` says to which.
    #[must_use]
    pub fn of_several<'a, I: Id>(
        kind: EventType,
        ids: impl Iterator<Item = &'a I>,
        payload: Json,
    ) -> Self {
        Self {
            kind,
            targets: Targets {
                one: None,
                others: ids.map(|id| id.as_str().to_owned()).collect(),
            },
            payload: match payload {
                Json::Object(payload) => payload,
                _ => Map::new(),
            },
        }
    }
}

/// Who did it.
#[derive(Clone)]
pub(crate) struct Actor {
    id: Option<String>,
    key_id: Option<String>,
    email: Option<String>,
    shown: Json,
}

impl Actor {
    /// The key, and whoever owns it.
    pub(crate) fn of(key: &Key) -> Self {
        let (id, email) = match &key.owner {
            Owner::User { id, email } => (id.to_string(), Some(email.to_lowercase())),
            Owner::ServiceAccount { id } => (id.to_string(), None),
        };
        Self {
            id: Some(id),
            key_id: Some(key.id.to_string()),
            email,
            shown: actor_of(key),
        }
    }

    /// A person who has no key: the contract calls that a session.
    pub(crate) fn in_session(user: &UserId, email: &str) -> Self {
        Self {
            id: Some(user.to_string()),
            key_id: None,
            email: Some(email_key(email)),
            shown: json!({"type": "session", "session": {"user": {"id": user, "email": email}}}),
        }
    }

    /// Whoever types commands on the server itself, or nobody known.
    pub(crate) fn unknown() -> Self {
        Self {
            id: None,
            key_id: None,
            email: None,
            shown: Json::Null,
        }
    }
}

/// An entry of the audit log, before it is written.
pub(crate) struct Entry {
    pub(crate) id: AuditLogId,
    pub(crate) organization_id: OrganizationId,
    pub(crate) effective_at: UnixTime,
    pub(crate) project: Option<(ProjectId, String)>,
    pub(crate) actor: Actor,
    pub(crate) event: Event,
}

/// The newest entry's place in the chain.
pub(crate) struct Head {
    pub(crate) sequence: i64,
    pub(crate) hash: Vec<u8>,
    pub(crate) default_project: Option<(ProjectId, String)>,
}

impl Head {
    /// Takes the next place, and with it the organization's lock.
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

/// The hash of an entry: SHA-256 over the hash before it and everything that the entry says, a line for each part.
pub(crate) fn chain(before: &[u8], parts: [&str; 3]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(before);
    for part in parts {
        hash.update(part);
        hash.update("\n");
    }
    hash.finalize().into()
}

/// The part of an entry that is neither its actor nor its payload.
pub(crate) fn heading(
    sequence: i64,
    id: &AuditLogId,
    kind: &str,
    effective_at: UnixTime,
    project: (Option<&str>, Option<&str>),
) -> String {
    json!([sequence, id, kind, effective_at, project.0, project.1]).to_string()
}

/// Writes the entry as the newest of its organization's log.
pub(crate) async fn append(transaction: &mut Transaction, head: &Head, entry: Entry) -> Result<()> {
    let Entry {
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
    let Targets { one, others } = event.targets;
    let (project_id, project_name) = project.map_or((None, None), |(id, name)| {
        (Some(id.to_string()), Some(name))
    });
    let kind = event.kind.as_str();
    let project = (project_id.as_deref(), project_name.as_deref());
    let said = heading(head.sequence, &id, kind, effective_at, project);
    let hash = chain(&head.hash, [&said, &actor_shown, &payload]);
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
        one,
        payload,
        hash,
    );
    transaction.execute(insert).await?;
    file(transaction, &organization_id, &id, others).await?;
    let remember = sql!(
        "UPDATE organizations SET audit_hash = $2 WHERE id = $1",
        &organization_id,
        hash
    );
    transaction.execute(remember).await?;
    Ok(())
}

/// Files an entry under further targets.
async fn file(
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
