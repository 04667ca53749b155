//! Pages of the ledger: the newest rows of an organization first.

use base::UnixTime;
use base::ids::OrganizationId;
use base::time::SECONDS_PER_DAY;
use store::{Connection, Result, Row, Statement};

use super::partition;
use super::read::{LedgerEntry, select_rows};
use crate::{Dimension, UsageKind};

/// Maximum number of days that one page reads.
const MAX_PAGE_DAYS: usize = 31;

/// A query of rows of the ledger.
#[derive(Clone, Debug)]
pub struct LedgerQuery {
    /// Organization of the rows.
    pub organization_id: OrganizationId,
    /// Start of the period, inclusive.
    pub start: UnixTime,
    /// End of the period, exclusive.
    pub end: UnixTime,
    /// Kind of the rows; `None` for all.
    pub kind: Option<UsageKind>,
    /// Dimensions with the values that rows must have one of.
    pub filters: Vec<(Dimension, Vec<String>)>,
    /// True if only rows count that have usage without a price.
    pub is_unpriced: bool,
    /// Maximum number of rows, at least 1.
    pub limit: usize,
    /// Position of the last row of the previous page.
    pub after: Option<LedgerPosition>,
}

/// The position of a row: rows of later days come first, and of a day those that were recorded later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LedgerPosition {
    /// First second of the row's day.
    pub day: UnixTime,
    /// Number of the row in the table of its day.
    pub number: i64,
}

/// A page of rows.
#[derive(Debug)]
pub struct LedgerPage {
    /// Rows, newest first. Fewer than the limit, even none, if the days that a page may read have no more.
    pub entries: Vec<LedgerEntry>,
    /// Position after which the next page begins; `None` if there are no more rows.
    pub next: Option<LedgerPosition>,
}

impl LedgerQuery {
    /// Reads a page.
    ///
    /// # Errors
    /// The database failed.
    pub async fn fetch(&self, connection: &mut Connection) -> Result<LedgerPage> {
        let mut days = partition::days(connection, self.start, self.end).await?;
        days.retain(|day| self.after.is_none_or(|after| *day <= after.day));
        let mut entries = Vec::new();
        let mut last = None;
        for (count, day) in days.into_iter().rev().enumerate() {
            if count == MAX_PAGE_DAYS {
                // The next page begins with this day.
                let number = i64::MAX;
                let next = Some(LedgerPosition { day, number });
                return Ok(LedgerPage { entries, next });
            }
            for (number, entry) in self.rows_of(connection, day, entries.len()).await? {
                if entries.len() == self.limit {
                    let next = last;
                    return Ok(LedgerPage { entries, next });
                }
                last = Some(LedgerPosition { day, number });
                entries.push(entry);
            }
        }
        Ok(LedgerPage {
            entries,
            next: None,
        })
    }

    /// Reads the rows of a day that a page lacks if it has `count` of them, and one more.
    async fn rows_of(
        &self,
        connection: &mut Connection,
        day: UnixTime,
        count: usize,
    ) -> Result<Vec<(i64, LedgerEntry)>> {
        let read = |row: &Row<'_>| Ok((row.get::<i64>("number")?, LedgerEntry::read(row)?));
        let select = self.select(day, self.limit.saturating_sub(count) + 1);
        match connection.fetch_all(select, read).await {
            // The table was dropped meanwhile.
            Err(error) if error.is_missing_table() => Ok(Vec::new()),
            rows => rows,
        }
    }

    fn select(&self, day: UnixTime, limit: usize) -> Statement {
        let mut select = select_rows(day);
        select
            .push(" WHERE o.organization_id = ")
            .bind(&self.organization_id);
        if let Some(after) = self.after.filter(|after| after.day == day) {
            select.push(" AND e.number < ").bind(after.number);
        }
        // A day that is wholly in the period needs no comparison of times.
        if self.start > day {
            select.push(" AND e.timestamp >= ").bind(self.start);
        }
        if self.end < day.plus(SECONDS_PER_DAY) {
            select.push(" AND e.timestamp < ").bind(self.end);
        }
        if self.is_unpriced {
            select.push(" AND e.unpriced");
        }
        if let Some(kind) = self.kind {
            select.push(" AND s.kind = ").bind(kind.as_str());
        }
        for (dimension, values) in &self.filters {
            select.push(" AND s.").push(dimension.as_str()).push(" IN ");
            select.bind_list(values.iter().cloned());
        }
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        select.push(" ORDER BY e.number DESC LIMIT ").bind(limit);
        select
    }
}
