//! Reading the ledger, row by row.

use base::ids::{Id, KeyId, OrganizationId, ProjectId, UserId};
use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use store::{Connection, Database, Result, Row, Statement, USAGE_EVENTS, sql};

use super::{key, packed, partition};
use crate::{ApiSource, Charge, Dimension, Outcome, UsageEvent, UsageKind};

/// The number of rows that are read at once.
const PAGE_ROWS_COUNT: i64 = 5_000;

/// The most organizations whose rows one statement looks up.
const MAX_LOOKUP_ORGANIZATIONS: usize = 500;

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerEntry {
    /// The event.
    pub event: UsageEvent,
    /// The time at which it was recorded.
    pub recorded_at: UnixTime,
    /// The charges of the event.
    pub charges: Vec<Charge>,
    /// True if part of the usage had no price.
    pub unpriced: bool,
    /// The sum of the charges.
    pub amount: NanoDollars,
}

/// Reads the rows of a span of time, day by day, in the order in which they were recorded.
pub struct LedgerReader {
    /// The organization whose rows are read; `None` for all.
    organization: Option<OrganizationId>,
    start: UnixTime,
    end: UnixTime,
    /// The days that are left, in reverse order.
    days: Vec<UnixTime>,
    /// The number of the last row read of the day at the end of `days`.
    last: i64,
}

impl LedgerReader {
    /// Returns a reader of the rows whose events are of `start..end`, of one organization or all.
    ///
    /// # Errors
    /// The database failed.
    pub async fn of(
        connection: &mut Connection,
        organization: Option<OrganizationId>,
        start: UnixTime,
        end: UnixTime,
    ) -> Result<Self> {
        let mut days = partition::days(connection, start, end).await?;
        days.reverse();
        Ok(Self {
            organization,
            start,
            end,
            days,
            last: 0,
        })
    }

    /// Returns all rows.
    ///
    /// # Errors
    /// The database failed.
    pub async fn all(database: &Database) -> Result<Vec<LedgerEntry>> {
        let mut read = database.read().await?;
        let mut entries = Self::of(&mut read, None, UnixTime(i64::MIN), UnixTime(i64::MAX)).await?;
        let mut all = Vec::new();
        loop {
            let page = entries.next(&mut read).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// Returns the next few thousand rows, none at the end. Rows of a day that is dropped meanwhile are skipped.
    ///
    /// # Errors
    /// The database failed.
    pub async fn next(&mut self, connection: &mut Connection) -> Result<Vec<LedgerEntry>> {
        while let Some(&day) = self.days.last() {
            let read = |row: &Row<'_>| Ok((row.get::<i64>("number")?, LedgerEntry::read(row)?));
            let page = match connection.fetch_all(self.select(day), read).await {
                // The table was dropped meanwhile.
                Err(error) if error.is_missing_table() => Vec::new(),
                page => page?,
            };
            if let Some((number, _)) = page.last() {
                self.last = *number;
                return Ok(page.into_iter().map(|(_, entry)| entry).collect());
            }
            self.days.pop();
            self.last = 0;
        }
        Ok(Vec::new())
    }

    fn select(&self, day: UnixTime) -> Statement {
        let mut select = select_rows(day);
        select.push(" WHERE e.number > ");
        select.bind(self.last);
        select.push(" AND e.timestamp >= ").bind(self.start);
        select.push(" AND e.timestamp < ").bind(self.end);
        if let Some(organization) = &self.organization {
            select.push(" AND o.organization_id = ").bind(organization);
        }
        select
            .push(" ORDER BY e.number LIMIT ")
            .bind(PAGE_ROWS_COUNT);
        select
    }
}

/// Selects the rows of a day with all columns that [`LedgerEntry`] has.
pub(super) fn select_rows(day: UnixTime) -> Statement {
    let mut select = sql!(
        "SELECT e.number, o.organization_id, e.id, e.timestamp, e.recorded_at, e.estimated, e.unpriced, e.outcome, \
         e.amounts, e.amount, s.kind"
    );
    for dimension in Dimension::ALL {
        select.push(", s.").push(dimension.as_str());
    }
    select.push(" FROM ").push_partition(USAGE_EVENTS, day).push(
        " e JOIN usage_series s ON s.id = e.series JOIN usage_organizations o ON o.number = e.organization",
    );
    select
}

/// Returns the rows of a day that were reported with an id, each with its key: at most one with the prefix, and one
/// from before the prefix was introduced.
pub(crate) async fn reported(
    connection: &mut Connection,
    organization: &OrganizationId,
    day: UnixTime,
    id: &str,
) -> Result<Vec<(String, LedgerEntry)>> {
    let mut select = select_rows(day);
    select
        .push(" WHERE o.organization_id = ")
        .bind(organization);
    select.push(" AND e.outcome = 'reported' AND e.id IN ");
    select.bind_list(key::keys_of_reported(id));
    let read = |row: &Row<'_>| Ok((row.get::<String>("id")?, LedgerEntry::read(row)?));
    connection.fetch_all(select, read).await
}

/// Returns the rows of a request or batch, oldest first: its own, and those of the hosted tools that it used and of the
/// other lengths of its requests. `id` is also the id of a reported event, or of a day of a vector store.
///
/// # Errors
/// The database failed.
pub async fn rows_of_request(connection: &mut Connection, id: &str) -> Result<Vec<LedgerEntry>> {
    let numbers = sql!("SELECT number FROM usage_organizations");
    let numbers: Vec<i64> = connection
        .fetch_all(numbers, |row| row.get("number"))
        .await?;
    let keys = key::keys_of_request(id);
    let mut found = Vec::new();
    for day in partition::days(connection, UnixTime(i64::MIN), UnixTime(i64::MAX)).await? {
        for some in numbers.chunks(MAX_LOOKUP_ORGANIZATIONS) {
            let mut select = select_rows(day);
            select
                .push(" WHERE e.organization IN ")
                .bind_list(some.iter().copied());
            select.push(" AND e.id IN ").bind_list(keys.iter().cloned());
            select.push(" ORDER BY e.number");
            found.extend(connection.fetch_all(select, LedgerEntry::read).await?);
        }
    }
    Ok(found)
}

impl LedgerEntry {
    pub(super) fn read(row: &Row<'_>) -> Result<Self> {
        let (quantities, charges) = packed::read(row)?;
        let text = |dimension: Dimension| -> Result<Option<String>> {
            let text: String = row.get(dimension.as_str())?;
            Ok(Some(text).filter(|text| !text.is_empty()))
        };
        let outcome = row.word("outcome", Outcome::parse)?;
        let event = UsageEvent {
            organization_id: row.id::<OrganizationId>("organization_id")?,
            id: key::id_of(row.get("id")?, outcome),
            timestamp: row.time("timestamp")?,
            kind: row.word("kind", UsageKind::parse)?,
            project_id: row.id::<ProjectId>("project_id")?,
            user_id: text(Dimension::UserId)?.map(UserId::from_text),
            api_key_id: text(Dimension::ApiKeyId)?.map(KeyId::from_text),
            model: text(Dimension::Model)?,
            batch: row.get("batch")?,
            service_tier: text(Dimension::ServiceTier)?,
            size: text(Dimension::Size)?,
            source: text(Dimension::Source)?,
            vector_store_id: text(Dimension::VectorStoreId)?,
            context_level: text(Dimension::ContextLevel)?,
            api_source: row.word("api_source", source_of)?,
            quantities,
            estimated: row.get("estimated")?,
            outcome,
        };
        Ok(Self {
            event,
            recorded_at: row.time("recorded_at")?,
            charges,
            unpriced: row.get("unpriced")?,
            amount: NanoDollars(row.get("amount")?),
        })
    }
}

/// Returns the source that a series has in its column.
fn source_of(column: &str) -> Option<ApiSource> {
    match column {
        "" => Some(ApiSource::Unlabeled),
        name => ApiSource::parse(name),
    }
}

/// Returns the outcome of a request, by its id and the time of its admission; `None` while the ledger does not have it.
///
/// # Errors
/// The database failed.
pub async fn outcome_of(
    connection: &mut Connection,
    organization: &OrganizationId,
    id: &str,
    at: UnixTime,
) -> Result<Option<Outcome>> {
    let day = at.floor(SECONDS_PER_DAY);
    if partition::days(connection, day, day.plus(1))
        .await?
        .is_empty()
    {
        return Ok(None);
    }
    let mut outcome = sql!("SELECT e.outcome FROM ");
    outcome.push_partition(USAGE_EVENTS, day);
    outcome.push(
        " e JOIN usage_organizations o ON o.number = e.organization WHERE o.organization_id = ",
    );
    outcome.bind(organization).push(" AND e.id = ").bind(id);
    connection
        .fetch_optional(outcome, |row| row.word("outcome", Outcome::parse))
        .await
}

/// Returns the number of an organization; `None` if it has never used anything.
pub(crate) async fn number_of(
    connection: &mut Connection,
    organization: &OrganizationId,
) -> Result<Option<i64>> {
    let number = sql!(
        "SELECT number FROM usage_organizations WHERE organization_id = $1",
        organization
    );
    connection
        .fetch_optional(number, |row| row.get("number"))
        .await
}
