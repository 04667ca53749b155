//! PostgreSQL: a pool of connections, statements prepared once on each.

mod address;
mod client;
mod room;
mod tls;
mod verifier;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::time::Instant;
use tokio_postgres::Config;

use address::Address;
pub(crate) use client::Client;
use tls::Tls;

use crate::timeouts::Timeouts;
use crate::{Error, MIN_CONNECTIONS, Result};

/// The connections of a thread with a runtime of its own: one for its transaction, and one to look beside it.
const CONNECTIONS_APART: usize = 2;
/// The threads that have connections of their own: the ledger's writer, and the writer of bodies.
const THREADS_APART: usize = 2;
/// The time that a server may leave what was sent to it unacknowledged.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time without a byte after which the kernel asks whether the server is still there, and between such questions.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The unanswered questions after which a connection is gone.
const MAX_KEEPALIVES: u32 = 3;

/// The connections to one database.
pub(crate) struct Postgres {
    config: Config,
    tls: Tls,
    pool: Pool,
    /// The most connections of the process.
    connections: usize,
}

impl Postgres {
    /// Reads the URL and the files that it names; connections are made when they are needed.
    ///
    /// At most so many are open at once, those of [`Postgres::apart`] included.
    pub(crate) fn open(url: &str, connections: usize) -> Result<Self> {
        let connections = connections.max(MIN_CONNECTIONS);
        let Address { mut config, tls } = Address::parse(url)?;
        config.application_name("orgplane");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Timeouts::REQUEST.acquire);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(SILENCE_TIMEOUT);
        }
        config.keepalives_idle(KEEPALIVE_INTERVAL);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(MAX_KEEPALIVES);
        let tls = Tls::new(&tls)?;
        let pool = pool(
            &config,
            &tls,
            connections - THREADS_APART * CONNECTIONS_APART,
        )?;
        Ok(Self {
            config,
            tls,
            pool,
            connections,
        })
    }

    /// The same database through connections of its own.
    pub(crate) fn apart(&self) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            tls: self.tls.clone(),
            pool: pool(&self.config, &self.tls, CONNECTIONS_APART)?,
            connections: self.connections,
        })
    }

    /// A connection for statements that take no longer than a session allows them.
    pub(crate) async fn connection(&self, timeouts: Timeouts) -> Result<Client> {
        let asked = Instant::now();
        match tokio::time::timeout(timeouts.acquire, self.pool.get()).await {
            Ok(object) => Ok(Client::new(object?, timeouts, asked)),
            Err(_) => Err(Error::Timeout),
        }
    }

    pub(crate) async fn begin(&self, timeouts: Timeouts) -> Result<Session> {
        self.session("BEGIN", timeouts).await
    }

    /// A session to which nothing changes.
    pub(crate) async fn snapshot(&self, timeouts: Timeouts) -> Result<Session> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.session(begin, timeouts).await
    }

    async fn session(&self, begin: &str, timeouts: Timeouts) -> Result<Session> {
        let client = self.connection(timeouts).await?;
        // From here on its end is a rollback: the first answer may be late.
        let mut session = Session {
            client,
            is_open: true,
        };
        match timeouts.statement {
            None => session.client.batch(begin).await?,
            Some(limit) => {
                let limit = limit.as_millis();
                let limits = format!(
                    "{begin}; SET LOCAL statement_timeout = {limit}; SET LOCAL lock_timeout = {limit}"
                );
                session.client.batch(&limits).await?;
            }
        }
        session.client.enters_transaction();
        Ok(session)
    }
}

/// A pool of at most so many connections.
fn pool(config: &Config, tls: &Tls, connections: usize) -> Result<Pool> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let longest = Some(Timeouts::JOB.acquire);
    Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling))
        .max_size(connections)
        .wait_timeout(longest)
        .create_timeout(longest)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::Pool(error.to_string()))
}

/// A connection inside a transaction; rolled back when dropped before its commit.
pub(crate) struct Session {
    client: Client,
    is_open: bool,
}

impl Session {
    pub(crate) fn client(&mut self) -> &mut Client {
        &mut self.client
    }

    pub(crate) async fn commit(mut self) -> Result<()> {
        self.client.batch("COMMIT").await?;
        self.is_open = false;
        Ok(())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_open {
            return;
        }
        // A connection whose transaction is not known to have ended never goes back to the pool.
        let mut client = self.client.hand_over();
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            client.close();
            return;
        };
        runtime.spawn(async move {
            if client.batch("ROLLBACK").await.is_err() {
                client.close();
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
