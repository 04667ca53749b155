//! PostgreSQL: a pool of connections, on each of which a statement is prepared once.

mod address;
mod array_rows;
mod channel;
mod client;
mod connection_limit;
mod tls;
mod verifier;

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::time::Instant;
use tokio_postgres::Config;

use address::Address;
pub use channel::Channel;
pub(crate) use client::Client;
use tls::Tls;

use crate::timeouts::Timeouts;
use crate::{Error, MIN_CONNECTIONS, Result};

/// The size of the pool of a thread with its own runtime: one connection for its transaction, and one for reads beside it.
const MAX_CONNECTIONS_PER_THREAD: usize = 2;
/// The number of threads with their own pool: the ledger's writer, and the writer of bodies.
const POOLED_THREAD_COUNT: usize = 2;
/// The number of connections of a [`Channel`], of which a process has at most one.
const CHANNEL_CONNECTION_COUNT: usize = 1;
/// The time after which unacknowledged data ends a connection (`TCP_USER_TIMEOUT`).
const UNACKNOWLEDGED_TIMEOUT: Duration = Duration::from_secs(10);
/// The idle time before the first TCP keepalive probe, and the time between probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// The number of unanswered keepalive probes that ends a connection.
const MAX_KEEPALIVES: u32 = 3;

/// The connections to one database.
pub(crate) struct Postgres {
    config: Config,
    tls: Tls,
    pool: Pool,
    /// The largest number of connections of the process.
    connections: usize,
}

impl Postgres {
    /// Parses the URL and reads the files that it names. Connections are opened on demand, at most `connections` of them,
    /// those of [`Postgres::with_own_pool`] included.
    pub(crate) fn open(url: &str, connections: usize) -> Result<Self> {
        let connections = connections.max(MIN_CONNECTIONS);
        let Address { mut config, tls } = Address::parse(url)?;
        config.application_name("orgplane");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Timeouts::REQUEST.acquire);
        }
        if config.get_tcp_user_timeout().is_none() {
            config.tcp_user_timeout(UNACKNOWLEDGED_TIMEOUT);
        }
        config.keepalives_idle(KEEPALIVE_INTERVAL);
        config.keepalives_interval(KEEPALIVE_INTERVAL);
        config.keepalives_retries(MAX_KEEPALIVES);
        let tls = Tls::new(&tls)?;
        let elsewhere = POOLED_THREAD_COUNT * MAX_CONNECTIONS_PER_THREAD + CHANNEL_CONNECTION_COUNT;
        let pool = pool(&config, &tls, connections - elsewhere)?;
        Ok(Self {
            config,
            tls,
            pool,
            connections,
        })
    }

    /// Returns a handle to the same database with its own pool.
    pub(crate) fn with_own_pool(&self) -> Result<Self> {
        Ok(Self {
            config: self.config.clone(),
            tls: self.tls.clone(),
            pool: pool(&self.config, &self.tls, MAX_CONNECTIONS_PER_THREAD)?,
            connections: self.connections,
        })
    }

    /// Takes a connection from the pool.
    pub(crate) async fn connection(&self, timeouts: Timeouts) -> Result<Client> {
        let requested = Instant::now();
        match tokio::time::timeout(timeouts.acquire, self.pool.get()).await {
            Ok(object) => Ok(Client::new(object?, timeouts, requested)),
            Err(_) => Err(Error::Timeout),
        }
    }

    /// Connects a channel.
    pub(crate) async fn channel(&self) -> Result<Channel> {
        Channel::connect(&self.config, &self.tls).await
    }

    pub(crate) async fn begin(&self, timeouts: Timeouts) -> Result<Session> {
        self.session("BEGIN", timeouts).await
    }

    /// Begins a read-only transaction that sees the state at its first query.
    pub(crate) async fn snapshot(&self, timeouts: Timeouts) -> Result<Session> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        self.session(begin, timeouts).await
    }

    async fn session(&self, begin: &str, timeouts: Timeouts) -> Result<Session> {
        let client = self.connection(timeouts).await?;
        // Open from here on, so that drop rolls back: the answer to `BEGIN` may be late.
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
        session.client.enter_transaction();
        Ok(session)
    }
}

/// Creates a pool of at most `connections` connections.
fn pool(config: &Config, tls: &Tls, connections: usize) -> Result<Pool> {
    let recycling = ManagerConfig {
        recycling_method: RecyclingMethod::Fast,
    };
    let timeout = Some(Timeouts::JOB.acquire);
    Pool::builder(Manager::from_config(config.clone(), tls.clone(), recycling))
        .max_size(connections)
        .wait_timeout(timeout)
        .create_timeout(timeout)
        .runtime(Runtime::Tokio1)
        .build()
        .map_err(|error| Error::Pool(error.to_string()))
}

/// A transaction; rolled back when dropped before its commit.
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
        // A connection returns to the pool only after its transaction has ended.
        let mut client = self.client.take();
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
