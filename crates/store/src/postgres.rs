//! PostgreSQL: a pool of connections, statements prepared once on each.

mod address;
mod tls;
mod verifier;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use tokio_postgres::Config;
use tokio_postgres::types::ToSql;

use address::Address;
use tls::Tls;

use crate::value::{Driver, Layout};
use crate::{Error, Result, Row, Statement, Value};

const CONNECTIONS: usize = 16;
const CONNECTIONS_APART: usize = 2;
/// How long a server that is gone may leave what was sent to it unacknowledged.
const SILENCE: Duration = Duration::from_secs(30);
/// How long a caller waits for a connection before it is told to come back.
const TURN: Duration = Duration::from_secs(10);

/// The connections to one database.
pub(crate) struct Postgres {
    config: Config,
    tls: Tls,
    pool: Pool,
}

impl Postgres {
    /// Reads the URL and the files that it names; connections are made when they are needed.
    pub(crate) fn open(url: &str) -> Result<Self> {
        let Address { mut config, tls } = Address::parse(url)?;
        config.application_name("orgplane");
        config.connect_timeout(TURN);
        config.tcp_user_timeout(SILENCE);
        Self::with_connections(config, Tls::new(&tls)?, CONNECTIONS)
    }

    /// The same database through connections of its own.
    pub(crate) fn apart(&self) -> Result<Self> {
        Self::with_connections(self.config.clone(), self.tls.clone(), CONNECTIONS_APART)
    }

    fn with_connections(config: Config, tls: Tls, connections: usize) -> Result<Self> {
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let pool = Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling))
            .max_size(connections)
            .wait_timeout(Some(TURN))
            .create_timeout(Some(TURN))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| Error::Pool(error.to_string()))?;
        Ok(Self { config, tls, pool })
    }

    pub(crate) async fn connection(&self) -> Result<Object> {
        Ok(self.pool.get().await?)
    }

    pub(crate) async fn begin(&self) -> Result<Session> {
        self.session("BEGIN").await
    }

    /// A session to which nothing changes.
    pub(crate) async fn snapshot(&self) -> Result<Session> {
        self.session("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await
    }

    async fn session(&self, begin: &str) -> Result<Session> {
        let client = self.connection().await?;
        client.batch_execute(begin).await?;
        Ok(Session {
            client: Some(client),
        })
    }
}

/// A connection inside a transaction; rolled back when dropped before its commit.
pub(crate) struct Session {
    client: Option<Object>,
}

impl Session {
    pub(crate) fn client(&self) -> Result<&Object> {
        self.client.as_ref().ok_or(Error::Busy)
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        self.client()?.batch_execute("COMMIT").await?;
        self.client = None;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else {
            return;
        };
        // A connection whose transaction is not known to have ended never goes back to the pool.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            drop(Object::take(client));
            return;
        };
        runtime.spawn(async move {
            if client.batch_execute("ROLLBACK").await.is_err() {
                drop(Object::take(client));
            }
        });
    }
}

/// The whole of an error: the server's own words, or the driver's with their causes. The driver's `Display` alone says
/// "db error" or "error connecting to server".
pub(crate) fn describe(error: &tokio_postgres::Error) -> String {
    if let Some(db) = error.as_db_error() {
        return format!("{} ({})", db.message(), db.code().code());
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn parameters(statement: &Statement) -> Result<Vec<&(dyn ToSql + Sync)>> {
    let values = statement.values.iter().map(Value::storable);
    values
        .map(|value| Ok(value? as &(dyn ToSql + Sync)))
        .collect()
}

/// Runs a statement that gives no rows; how many rows it changed.
pub(crate) async fn execute(client: &Object, statement: &Statement) -> Result<u64> {
    let parameters = parameters(statement)?;
    let prepared = client.prepare_cached(&statement.text).await?;
    Ok(client.execute(&prepared, &parameters).await?)
}

/// Runs a statement and shows each of its rows to `step`.
pub(crate) async fn each(
    client: &Object,
    statement: &Statement,
    mut step: impl FnMut(&Row<'_>) -> Result<()>,
) -> Result<()> {
    let parameters = parameters(statement)?;
    let prepared = client.prepare_cached(&statement.text).await?;
    let rows = client.query(&prepared, &parameters).await?;
    let layout = Layout::default();
    rows.iter()
        .try_for_each(|row| step(&layout.row(Driver::Postgres(row))))
}
