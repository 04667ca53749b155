//! A connection in use. One that does not answer in time is closed, since its answer may still come.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

use crate::outage::is_stale_plan;
use crate::timeouts::Timeouts;
use crate::value::{Driver, Layout};
use crate::{Error, Result, Row, Statement, Value};

/// The time that is left for a first answer, however long the connection was waited for.
const MIN_TIMEOUT: Duration = Duration::from_secs(1);
/// The time in which a server that lives tells that a statement has taken too long.
const GRACE: Duration = Duration::from_secs(1);

/// A connection from the pool.
pub(crate) struct Client {
    /// The connection; `None` once an answer did not come in time.
    object: Option<Object>,
    timeouts: Timeouts,
    /// The end of the time for the first answer; none after it.
    first: Option<Instant>,
    is_in_transaction: bool,
}

impl Client {
    /// A connection that was waited for since `asked`.
    pub(super) fn new(object: Object, timeouts: Timeouts, asked: Instant) -> Self {
        let first = (asked + timeouts.acquire).max(Instant::now() + MIN_TIMEOUT);
        Self {
            object: Some(object),
            timeouts,
            first: Some(first),
            is_in_transaction: false,
        }
    }

    /// To be told that a transaction has begun: a statement that fails takes it down, so none is tried again in it.
    pub(super) fn enters_transaction(&mut self) {
        self.is_in_transaction = true;
    }

    /// Runs a statement that gives no rows; how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        let parameters = parameters(statement)?;
        let mut outcome = self.execute_once(&statement.text, &parameters).await;
        if self.may_try_again(&outcome) {
            outcome = self.execute_once(&statement.text, &parameters).await;
        }
        outcome
    }

    async fn execute_once(&mut self, text: &str, parameters: &Parameters<'_>) -> Result<u64> {
        self.run(async |object| {
            let prepared = object.prepare_cached(text).await?;
            object.execute(&prepared, parameters).await
        })
        .await
    }

    async fn query_once(
        &mut self,
        text: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<tokio_postgres::Row>> {
        self.run(async |object| {
            let prepared = object.prepare_cached(text).await?;
            object.query(&prepared, parameters).await
        })
        .await
    }

    /// True if a statement failed only since it was prepared before a column changed its type. Every connection then prepares
    /// all of its statements anew.
    fn may_try_again<T>(&self, outcome: &Result<T>) -> bool {
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

    /// Runs a statement and shows each of its rows to `step`.
    pub(crate) async fn each(
        &mut self,
        statement: &Statement,
        mut step: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let parameters = parameters(statement)?;
        let mut rows = self.query_once(&statement.text, &parameters).await;
        if self.may_try_again(&rows) {
            rows = self.query_once(&statement.text, &parameters).await;
        }
        let layout = Layout::default();
        rows?
            .iter()
            .try_for_each(|row| step(&layout.row(Driver::Postgres(row))))
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
        let limit = statement.map(|limit| Instant::now() + limit + GRACE);
        let deadline = self.first.or(limit);
        let object = self.object.as_ref().ok_or_else(closed)?;
        match within(deadline, work(object)).await {
            Some(outcome) => {
                self.first = None;
                Ok(outcome?)
            }
            None => {
                self.give_up();
                Err(Error::Timeout)
            }
        }
    }

    /// The connection, taken out of a value that ends.
    pub(super) fn hand_over(&mut self) -> Self {
        Self {
            object: self.object.take(),
            timeouts: self.timeouts,
            first: Some(Instant::now() + self.timeouts.acquire),
            is_in_transaction: self.is_in_transaction,
        }
    }

    /// Closes the connection, and those that nobody uses now: they go the same way, and each would have to be waited for.
    fn give_up(&mut self) {
        if let Some(pool) = self.object.as_ref().and_then(Object::pool) {
            pool.retain(|_, _| false);
        }
        self.close();
    }

    /// Closes the connection instead of giving it back.
    pub(super) fn close(&mut self) {
        drop(self.object.take().map(Object::take));
    }
}

fn closed() -> Error {
    Error::Pool("the connection was closed after it did not answer".to_owned())
}

/// The outcome of `work`, unless it takes longer.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => tokio::time::timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

type Parameters<'a> = [&'a (dyn ToSql + Sync)];

fn parameters(statement: &Statement) -> Result<Vec<&(dyn ToSql + Sync)>> {
    let values = statement.values.iter().map(Value::storable);
    values
        .map(|value| Ok(value? as &(dyn ToSql + Sync)))
        .collect()
}
