//! Verification of the audit log: every hash is recomputed from the entries.
//!
//! `/organization/audit_logs/verification` verifies the newest entries of an organization, as far as a request may take.

use base::Result;
use base::ids::{AuditLogId, OrganizationId};
use serde_json::Value as Json;
use store::{Read, Row, Store, sql};

use crate::column;
use crate::operation::{chain, heading};

/// The result of verifying an organization's log.
#[derive(Debug)]
pub struct VerifiedLog {
    /// Organization of the log.
    pub organization_id: OrganizationId,
    /// Number of valid entries, from the first on.
    pub entries: i64,
    /// Hash of the last valid entry. A copy in another place proves later that no earlier entry was replaced.
    pub hash: Vec<u8>,
    /// First invalid entry, if any.
    pub broken: Option<BrokenEntry>,
}

/// The first invalid entry.
#[derive(Debug)]
pub struct BrokenEntry {
    /// Position in the log, from 1.
    pub sequence: i64,
    /// Id; `None` if the entry is missing.
    pub id: Option<AuditLogId>,
    /// The fault, as the end of a sentence.
    pub reason: &'static str,
}

/// Number of entries that are read at a time.
const MAX_BATCH_ENTRIES: i64 = 1000;

/// Verifies all entries of all organizations. `progress` is called with the number of verified entries and the total.
///
/// # Errors
/// The database's.
pub async fn verify(store: &Store, mut progress: impl FnMut(u64, u64)) -> Result<Vec<VerifiedLog>> {
    let mut connection = store.read().await?;
    let organizations = sql!("SELECT id, revision, audit_hash FROM organizations ORDER BY id");
    let read = |row: &Row<'_>| {
        Ok(StoredHead {
            organization_id: row.id("id")?,
            entries: row.get("revision")?,
            hash: row.get("audit_hash")?,
        })
    };
    let mut verified = Vec::new();
    let heads = connection.fetch_all(organizations, read).await?;
    let all = heads.iter().map(|head| head.entries.unsigned_abs()).sum();
    let mut before = 0;
    for head in heads {
        let of_this = |done: i64| progress(before + done.unsigned_abs(), all);
        let one = verify_one(&mut connection, head, of_this).await?;
        before += one.entries.unsigned_abs();
        verified.push(one);
    }
    Ok(verified)
}

/// The head of a log, as its organization stores it.
struct StoredHead {
    organization_id: OrganizationId,
    entries: i64,
    hash: Vec<u8>,
}

const ENTRIES: &str = "\
    SELECT sequence, id, type, effective_at, project_id, project_name, actor_id, actor_key_id, actor_email, actor, \
           resource_id, payload, hash \
    FROM audit_logs WHERE organization_id = $1 AND sequence > $2 ORDER BY sequence LIMIT $3";

async fn verify_one(
    connection: &mut Read,
    head: StoredHead,
    mut progress: impl FnMut(i64),
) -> Result<VerifiedLog> {
    let mut verified = VerifiedLog {
        organization_id: head.organization_id,
        entries: 0,
        hash: Vec::new(),
        broken: None,
    };
    loop {
        let (of, after) = (&verified.organization_id, verified.entries);
        let entries = sql!(ENTRIES, of, after, MAX_BATCH_ENTRIES);
        let entries = connection.fetch_all(entries, LoggedEntry::read).await?;
        if entries.is_empty() {
            break;
        }
        verified.follow(entries);
        if verified.broken.is_some() {
            return Ok(verified);
        }
        progress(verified.entries);
    }
    verified.compare(head.entries, &head.hash);
    Ok(verified)
}

impl VerifiedLog {
    /// Verifies the entries that follow, up to the first invalid one.
    pub(super) fn follow(&mut self, entries: impl IntoIterator<Item = LoggedEntry>) {
        for entry in entries {
            if let Some(reason) = entry.fault(self) {
                let is_gone = entry.sequence != self.entries + 1;
                self.broken = Some(BrokenEntry {
                    sequence: self.entries + 1,
                    id: Some(entry.id).filter(|_| !is_gone),
                    reason,
                });
                return;
            }
            self.entries = entry.sequence;
            self.hash = entry.hash;
        }
    }

    /// Compares the last entry with the one that the organization remembers, unless an entry is invalid.
    pub(super) fn compare(&mut self, entries: i64, hash: &[u8]) {
        if self.broken.is_none() && (self.entries, &*self.hash) != (entries, hash) {
            self.broken = Some(BrokenEntry {
                sequence: self.entries + 1,
                id: None,
                reason: "is gone: the organization remembers a later entry than the last one in the log",
            });
        }
    }
}

/// An entry in the database.
pub(super) struct LoggedEntry {
    sequence: i64,
    id: AuditLogId,
    heading: String,
    actor: String,
    payload: String,
    hash: Vec<u8>,
    /// True if the columns for searching match the entry's content.
    has_matching_index: bool,
}

impl LoggedEntry {
    pub(super) fn read(row: &Row<'_>) -> store::Result<Self> {
        let (sequence, id) = (row.get("sequence")?, row.id("id")?);
        let kind: String = row.get("type")?;
        let project: [Option<String>; 2] = [row.get("project_id")?, row.get("project_name")?];
        let project = (project[0].as_deref(), project[1].as_deref());
        Ok(Self {
            heading: heading(sequence, &id, &kind, row.time("effective_at")?, project),
            sequence,
            id,
            actor: row.get("actor")?,
            payload: row.get("payload")?,
            hash: row.get("hash")?,
            has_matching_index: has_matching_index(row)?,
        })
    }

    /// Returns the fault of the entry that follows `before`, if any.
    fn fault(&self, before: &VerifiedLog) -> Option<&'static str> {
        if self.sequence != before.entries + 1 {
            return Some("is gone");
        }
        let hash = chain(&before.hash, [&self.heading, &self.actor, &self.payload]);
        if hash.as_slice() != self.hash {
            return Some("does not say what it said when it was written");
        }
        (!self.has_matching_index).then_some("is filed under what it does not say")
    }
}

/// Returns true if the columns for searching, which are not hashed, match the hashed content.
fn has_matching_index(row: &Row<'_>) -> store::Result<bool> {
    let (Ok(actor), Ok(payload)) = (
        column::json::<Json>(row, "actor"),
        column::json::<Json>(row, "payload"),
    ) else {
        return Ok(false);
    };
    for name in ["actor_id", "actor_key_id", "actor_email"] {
        let value: Option<String> = row.get(name)?;
        if value.is_some_and(|value| !contains_text(&actor, &value)) {
            return Ok(false);
        }
    }
    // Events of sessions are filed under their user.
    let resource: Option<String> = row.get("resource_id")?;
    Ok(
        match (&resource, payload.get("id").and_then(Json::as_str)) {
            (Some(resource), id) if id != Some(resource) => {
                contains_text(&payload, resource) || contains_text(&actor, resource)
            }
            (resource, id) => resource.as_deref() == id,
        },
    )
}

/// Returns true if a string in the value equals `text`.
fn contains_text(value: &Json, text: &str) -> bool {
    match value {
        Json::String(said) => said.to_lowercase() == text.to_lowercase(),
        Json::Array(items) => items.iter().any(|item| contains_text(item, text)),
        Json::Object(fields) => fields.values().any(|field| contains_text(field, text)),
        _ => false,
    }
}
