//! `/organization/audit_logs/verification`: the newest entries are verified against the hash chain. An extension of the
//! contract; `orgplane audit verify` verifies the whole log.

use base::ids::AuditLogId;
use base::{Error, Permission, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use store::Row;

use super::verify::{BrokenEntry, LoggedEntry, VerifiedLog};
use crate::literal::literals;
use crate::operation::{Limit, Operation, Organization, Read, operations};
use crate::{args, tenant_sql};

pub(super) fn operations() -> Vec<Operation> {
    const VERIFICATION: &str = "/organization/audit_logs/verification";
    const ABOUT: &str = "Verifies the newest entries of the audit log against its hash chain.";
    operations! {
        GET "audit-logs verify", VERIFICATION, Permission::AuditLogsRead, ABOUT, verify, extension;
    }
}

literals! {
    VerificationObject = "organization.audit_log.verification";
}

/// The result of a verification.
#[derive(Debug, Serialize, JsonSchema)]
struct Verification {
    object: VerificationObject,
    /// True if every entry that was verified is as it was written.
    intact: bool,
    /// Position of the first entry that was verified, from 1.
    first_sequence: i64,
    /// Position of the last intact entry; one less than the first if there is none.
    last_sequence: i64,
    /// Number of entries of the log.
    entries: i64,
    /// Hash of the last intact entry, in hexadecimal. A copy in another place proves later that no earlier entry was replaced.
    hash: String,
    /// First entry that is not as it was written; null if there is none.
    broken: Option<BrokenAuditLog>,
}

/// An entry that is not as it was written.
#[derive(Debug, Serialize, JsonSchema)]
struct BrokenAuditLog {
    /// Position in the log, from 1.
    sequence: i64,
    /// Id; null if the entry is missing.
    id: Option<AuditLogId>,
    /// Fault, as the end of a sentence.
    reason: &'static str,
}

impl From<BrokenEntry> for BrokenAuditLog {
    fn from(broken: BrokenEntry) -> Self {
        let BrokenEntry {
            sequence,
            id,
            reason,
        } = broken;
        Self {
            sequence,
            id,
            reason,
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct VerifyAuditLogs {
    /// Maximum number of entries that are verified, from the newest back.
    #[serde(default)]
    newest: Limit<1000, 1, 10_000>,
}

async fn verify(mut cx: Read, _: Organization, query: VerifyAuditLogs) -> Result<Verification> {
    let head = tenant_sql!(
        cx,
        "SELECT revision, audit_hash FROM organizations WHERE id = $1",
        args![],
    );
    let read = |row: &Row<'_>| Ok((row.get("revision")?, row.get("audit_hash")?));
    let (entries, head): (i64, Vec<u8>) = cx
        .fetch_optional(head, read)
        .await?
        .ok_or_else(Error::internal)?;
    let before = entries.saturating_sub(query.newest.0).max(0);
    let mut log = VerifiedLog {
        organization_id: cx.organization().clone(),
        entries: before,
        hash: hash_of(&mut cx, before).await?,
        broken: None,
    };
    let rows = tenant_sql!(
        cx,
        "SELECT sequence, id, type, effective_at, project_id, project_name, actor_id, actor_key_id, actor_email, actor, \
                resource_id, payload, hash \
         FROM audit_logs WHERE organization_id = $1 AND sequence > $2 AND sequence <= $3 ORDER BY sequence",
        args![before, entries],
    );
    let rows = cx.fetch_all(rows, LoggedEntry::read).await?;
    log.follow(rows);
    log.compare(entries, &head);
    Ok(Verification {
        object: VerificationObject,
        intact: log.broken.is_none(),
        first_sequence: before + 1,
        last_sequence: log.entries,
        entries,
        hash: log.hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        broken: log.broken.map(BrokenAuditLog::from),
    })
}

/// Returns the hash of an entry; empty before the first entry, and if the entry is gone: the next one does not follow then.
async fn hash_of(cx: &mut Read, sequence: i64) -> Result<Vec<u8>> {
    let hash = tenant_sql!(
        cx,
        "SELECT hash FROM audit_logs WHERE organization_id = $1 AND sequence = $2",
        args![sequence],
    );
    let found = cx.fetch_optional(hash, |row| row.get("hash")).await?;
    Ok(found.unwrap_or_default())
}
