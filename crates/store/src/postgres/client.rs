//! Connections on loan from the pool. A connection that does not answer in time is closed, since a late answer would be
//! taken for that of the next statement.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use super::array_rows::ArrayRows;
use crate::outage::is_stale_plan;
use crate::timeouts::Timeouts;
use crate::value::{ColumnIndexes, DriverRow};
use crate::{Error, Result, Row, Statement, Value};

/// The least time for the first answer, however long the connection was waited for.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The time beyond the statement timeout in which a live server reports that it cancelled the statement.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(1);

/// The most rows that one statement writes.
const MAX_ARRAY_ROWS: usize = 4_096;

/// A connection on loan from the pool.
pub(crate) struct Client {
    /// The connection; `None` after an answer did not come in time.
    object: Option<Object>,
    timeouts: Timeouts,
    /// The deadline of the first answer; `None` after it.
    first_deadline: Option<Instant>,
    is_in_transaction: bool,
}

impl Client {
    /// Returns a connection that was requested from the pool at `requested`.
    pub(super) fn new(object: Object, timeouts: Timeouts, requested: Instant) -> Self {
        let first_deadline = (requested + timeouts.acquire).max(Instant::now() + MIN_TIMEOUT);
        Self {
            object: Some(object),
            timeouts,
            first_deadline: Some(first_deadline),
            is_in_transaction: false,
        }
    }

    /// Marks that a transaction has begun. A failed statement aborts it, so statements are not retried from here on.
    pub(super) fn enter_transaction(&mut self) {
        self.is_in_transaction = true;
    }

    /// Runs a statement that returns no rows; returns the number of rows that it changed.
    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        let parameters = parameters(statement)?;
        let mut outcome = self.execute_once(&statement.text, &parameters).await;
        if self.should_retry(&outcome) {
            outcome = self.execute_once(&statement.text, &parameters).await;
        }
        outcome
    }

    async fn execute_once(&mut self, text: &str, parameters: &BoundParameters<'_>) -> Result<u64> {
        self.run(async |object| {
            let prepared = object.prepare_cached(text).await?;
            object.execute(&prepared, parameters).await
        })
        .await
    }

    async fn query_once(
        &mut self,
        text: &str,
        parameters: &BoundParameters<'_>,
    ) -> Result<Vec<tokio_postgres::Row>> {
        self.run(async |object| {
            let prepared = object.prepare_cached(text).await?;
            object.query(&prepared, parameters).await
        })
        .await
    }

    /// True if a statement failed because it was prepared before a column changed its type, and can be retried. All
    /// connections then prepare their statements anew.
    fn should_retry<T>(&self, outcome: &Result<T>) -> bool {
        let Err(Error::Postgres(error)) = outcome else {
            return false;
        };
        if !is_stale_plan(error) {
            return false;
        }
        if let Some(object) = &self.object {
            object.statement_cache.clear();
            if let Some(pool) = Object::pool(object) {
                pool.manager().statement_caches.clear();
            }
        }
        !self.is_in_transaction
    }

    /// Runs a statement and calls `step` with each row of its result.
    pub(crate) async fn for_each_row(
        &mut self,
        statement: &Statement,
        mut step: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let parameters = parameters(statement)?;
        let mut rows = self.query_once(&statement.text, &parameters).await;
        if self.should_retry(&rows) {
            rows = self.query_once(&statement.text, &parameters).await;
        }
        let indexes = ColumnIndexes::default();
        rows?
            .iter()
            .try_for_each(|row| step(&indexes.row(DriverRow::Postgres(row))))
    }

    /// Writes rows and returns those that the statement returns: `head`, then the rows, then `tail`, as
    /// [`Transaction::write_rows`](crate::Transaction::write_rows).
    pub(crate) async fn write_rows<T>(
        &mut self,
        head: &Statement,
        mut rows: Vec<Vec<Value>>,
        tail: &Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut returned = Vec::new();
        let indexes = ColumnIndexes::default();
        let mut keep = |row: &Row<'_>| {
            returned.push(read(row)?);
            Ok(())
        };
        while rows.len() > 1 {
            let rest = rows.split_off(rows.len().min(MAX_ARRAY_ROWS));
            match ArrayRows::new(head, rows, tail)? {
                Ok(arrays) => {
                    let found = self.query_once(&arrays.text, &arrays.parameters()).await?;
                    for row in &found {
                        keep(&indexes.row(DriverRow::Postgres(row)))?;
                    }
                    rows = rest;
                }
                Err(mut some) => {
                    some.extend(rest);
                    rows = some;
                    break;
                }
            }
        }
        for statement in head.with_rows(rows, tail) {
            self.for_each_row(&statement, &mut keep).await?;
        }
        Ok(returned)
    }

    /// Runs statements without parameters.
    pub(crate) async fn batch(&mut self, text: &str) -> Result<()> {
        self.run(async |object| object.batch_execute(text).await)
            .await
    }

    async fn run<T>(
        &mut self,
        work: impl AsyncFnOnce(&Object) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T> {
        let statement = self.timeouts.statement;
        let limit = statement.map(|limit| Instant::now() + limit + CANCEL_TIMEOUT);
        let deadline = self.first_deadline.or(limit);
        let object = self.object.as_ref().ok_or_else(closed)?;
        match before_deadline(deadline, work(object)).await {
            Some(outcome) => {
                self.first_deadline = None;
                Ok(outcome?)
            }
            None => {
                self.discard();
                Err(Error::Timeout)
            }
        }
    }

    /// Moves the connection out of a value that is being dropped.
    pub(super) fn take(&mut self) -> Self {
        Self {
            object: self.object.take(),
            timeouts: self.timeouts,
            first_deadline: Some(Instant::now() + self.timeouts.acquire),
            is_in_transaction: self.is_in_transaction,
        }
    }

    /// Closes the connection and the idle ones of its pool, which use the same route and would time out one by one.
    fn discard(&mut self) {
        if let Some(pool) = self.object.as_ref().and_then(Object::pool) {
            pool.retain(|_, _| false);
        }
        self.close();
    }

    /// Closes the connection instead of returning it to the pool.
    pub(super) fn close(&mut self) {
        drop(self.object.take().map(Object::take));
    }
}

fn closed() -> Error {
    Error::Pool("the connection was closed after it did not answer".to_owned())
}

/// Returns the outcome of `work`; `None` if the deadline passes first.
async fn before_deadline<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

type BoundParameters<'a> = [&'a (dyn ToSql + Sync)];

pub(super) fn parameters(statement: &Statement) -> Result<Vec<&(dyn ToSql + Sync)>> {
    let values = statement.values.iter().map(Value::storable);
    values
        .map(|value| Ok(value? as &(dyn ToSql + Sync)))
        .collect()
}
