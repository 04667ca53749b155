//! Events set aside: events of the gateway that the database refused, kept in a table of their own until the ledger
//! accepts them.

use base::UnixTime;
use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use serde::{Deserialize, Serialize};
use store::{Connection, Database, Error, Result, Row, sql};

use crate::{Metric, Outcome, Quantities, UsageEvent, UsageKind};

/// The longest reason in bytes.
const MAX_REASON_BYTES: usize = 1_000;

/// An event that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// The number of the event in the table.
    pub(crate) number: i64,
    /// The time at which it was set aside.
    pub set_aside_at: UnixTime,
    /// The database's reason to refuse it.
    pub reason: String,
    /// The event.
    pub event: UsageEvent,
}

/// The JSON form of an event.
#[derive(Serialize, Deserialize)]
struct StoredEvent {
    id: String,
    timestamp: i64,
    organization_id: String,
    r#type: String,
    project_id: String,
    user_id: Option<String>,
    api_key_id: Option<String>,
    model: Option<String>,
    batch: bool,
    service_tier: Option<String>,
    size: Option<String>,
    source: Option<String>,
    vector_store_id: Option<String>,
    context_level: Option<String>,
    quantities: Vec<(String, i64)>,
    estimated: bool,
    outcome: String,
}

impl From<&UsageEvent> for StoredEvent {
    fn from(event: &UsageEvent) -> Self {
        let text = |id: &str| id.to_owned();
        let there = |metric: &Metric| {
            let amount = event.quantities.get(*metric)?;
            Some((metric.as_str().to_owned(), amount))
        };
        Self {
            id: event.id.clone(),
            timestamp: event.timestamp.0,
            organization_id: text(event.organization_id.as_str()),
            r#type: text(event.kind.as_str()),
            project_id: text(event.project_id.as_str()),
            user_id: event.user_id.as_ref().map(|id| text(id.as_str())),
            api_key_id: event.api_key_id.as_ref().map(|id| text(id.as_str())),
            model: event.model.clone(),
            batch: event.batch,
            service_tier: event.service_tier.clone(),
            size: event.size.clone(),
            source: event.source.clone(),
            vector_store_id: event.vector_store_id.clone(),
            context_level: event.context_level.clone(),
            quantities: Metric::ALL.iter().filter_map(there).collect(),
            estimated: event.estimated,
            outcome: text(event.outcome.as_str()),
        }
    }
}

impl StoredEvent {
    fn into_event(self) -> Option<UsageEvent> {
        let mut quantities = Quantities::default();
        for (metric, amount) in self.quantities {
            quantities.set_signed(Metric::parse(&metric)?, amount);
        }
        Some(UsageEvent {
            id: self.id,
            timestamp: UnixTime(self.timestamp),
            organization_id: OrganizationId::from_text(self.organization_id),
            kind: UsageKind::parse(&self.r#type)?,
            project_id: ProjectId::from_text(self.project_id),
            user_id: self.user_id.map(UserId::from_text),
            api_key_id: self.api_key_id.map(KeyId::from_text),
            model: self.model,
            batch: self.batch,
            service_tier: self.service_tier,
            size: self.size,
            source: self.source,
            vector_store_id: self.vector_store_id,
            context_level: self.context_level,
            quantities,
            estimated: self.estimated,
            outcome: Outcome::parse(&self.outcome)?,
        })
    }
}

/// Returns an event as JSON, complete.
pub(crate) fn json_of(event: &UsageEvent) -> String {
    serde_json::to_string(&StoredEvent::from(event)).unwrap_or_default()
}

impl SetAside {
    fn read(row: &Row<'_>) -> Result<Self> {
        let packed: Vec<u8> = row.get("event")?;
        let event = serde_json::from_slice::<StoredEvent>(&packed).ok();
        let broken = || Error::Column("event".to_owned(), "is no event".to_owned());
        Ok(Self {
            number: row.get("number")?,
            set_aside_at: row.time("set_aside_at")?,
            reason: row.get("reason")?,
            event: event.and_then(StoredEvent::into_event).ok_or_else(broken)?,
        })
    }
}

/// Sets an event aside, unless it is already set aside.
pub(crate) async fn add(
    database: &Database,
    event: &UsageEvent,
    reason: &str,
    now: UnixTime,
) -> Result<()> {
    let mut reason = reason.replace('\0', "\u{fffd}");
    reason.truncate(reason.floor_char_boundary(MAX_REASON_BYTES));
    let packed = json_of(event).into_bytes();
    let mut transaction = database.begin().await?;
    let known = sql!(
        "SELECT number FROM usage_set_aside WHERE event = $1",
        packed.clone()
    );
    let known = transaction.fetch_optional(known, |row| row.get::<i64>("number"));
    if known.await?.is_none() {
        let insert = sql!(
            "INSERT INTO usage_set_aside (set_aside_at, reason, event) VALUES ($1, $2, $3)",
            now,
            reason,
            packed
        );
        transaction.execute(insert).await?;
    }
    transaction.commit().await
}

/// Returns at most `limit` events that were set aside after the one with this number, oldest first.
pub(crate) async fn after(
    connection: &mut Connection,
    number: i64,
    limit: i64,
) -> Result<Vec<SetAside>> {
    let select = sql!(
        "SELECT number, set_aside_at, reason, event FROM usage_set_aside WHERE number > $1 ORDER BY number LIMIT $2",
        number,
        limit
    );
    connection.fetch_all(select, SetAside::read).await
}

/// Removes an event that is in the ledger now.
pub(crate) async fn remove(database: &Database, number: i64) -> Result<()> {
    let mut transaction = database.begin().await?;
    let delete = sql!("DELETE FROM usage_set_aside WHERE number = $1", number);
    transaction.execute(delete).await?;
    transaction.commit().await
}

/// Returns the number of events that are set aside.
pub(crate) async fn count(connection: &mut Connection) -> Result<i64> {
    let count = sql!("SELECT CAST(COUNT(*) AS BIGINT) AS events FROM usage_set_aside");
    connection.fetch_one(count, |row| row.get("events")).await
}

/// Returns at most `limit` events that are set aside, oldest first.
///
/// # Errors
/// The database cannot be read.
pub async fn set_aside(database: &Database, limit: i64) -> Result<Vec<SetAside>> {
    after(&mut *database.read().await?, i64::MIN, limit).await
}
