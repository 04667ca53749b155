//! The nodes whose sessions are not over.

use store::{Result, Row, Store, sql};

use crate::Fingerprint;
use crate::table::LIVING;

/// A node whose session is not over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LivingNode {
    /// The name of the session.
    pub epoch: i64,
    /// The name of the node.
    pub name: String,
    /// The version of the program.
    pub version: String,
    /// Hashes of the configuration.
    pub fingerprint: Fingerprint,
    /// The age of the session, in seconds.
    pub age: i64,
    /// The time since the session was prolonged, in milliseconds.
    pub silence: i64,
    /// The revision of the keys and settings in the node's memory.
    pub revision: i64,
    /// The number of days for which the node keeps bodies.
    pub keep_bodies_days: i64,
}

impl LivingNode {
    pub(crate) fn read(row: &Row<'_>) -> Result<Self> {
        Ok(Self {
            epoch: row.get("epoch")?,
            name: row.get("name")?,
            version: row.get("version")?,
            fingerprint: Fingerprint::stored(row.get("fingerprint")?),
            age: row.get::<i64>("age")? / 1_000_000,
            silence: row.get::<i64>("silence")? / 1_000,
            revision: row.get("revision_seen")?,
            keep_bodies_days: row.get("keep_bodies_days")?,
        })
    }
}

/// Returns the nodes whose sessions are not over, oldest first; none on SQLite.
///
/// # Errors
/// The database's.
pub async fn living_nodes(store: &Store) -> Result<Vec<LivingNode>> {
    if store.administration().is_local() {
        return Ok(Vec::new());
    }
    let mut read = store.read().await?;
    read.fetch_all(sql!(LIVING), LivingNode::read).await
}
