//! A connection in use. One that does not answer in time is closed, since its answer may still come.

use std::future::Future;
use std::time::Duration;

use deadpool_postgres::Object;
use tokio::time::Instant;
use tokio_postgres::types::ToSql;

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
}

impl Client {
    /// A connection that was waited for since `asked`.
    pub(super) fn new(object: Object, timeouts: Timeouts, asked: Instant) -> Self {
        let first = (asked + timeouts.acquire).max(Instant::now() + MIN_TIMEOUT);
        Self {
            object: Some(object),
            timeouts,
            first: Some(first),
        }
    }

    /// Runs a statement that gives no rows; how many rows it changed.
    pub(crate) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        let parameters = parameters(statement)?;
        self.run(async |object| {
            let prepared = object.prepare_cached(&statement.text).await?;
            object.execute(&prepared, &parameters).await
        })
        .await
    }

    /// Runs a statement and shows each of its rows to `step`.
    pub(crate) async fn each(
        &mut self,
        statement: &Statement,
        mut step: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        let parameters = parameters(statement)?;
        let rows = self.run(async |object| {
            let prepared = object.prepare_cached(&statement.text).await?;
            object.query(&prepared, &parameters).await
        });
        let layout = Layout::default();
        rows.await?
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
                self.close();
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
        }
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

fn parameters(statement: &Statement) -> Result<Vec<&(dyn ToSql + Sync)>> {
    let values = statement.values.iter().map(Value::storable);
    values
        .map(|value| Ok(value? as &(dyn ToSql + Sync)))
        .collect()
}
