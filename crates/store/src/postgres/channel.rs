//! A connection apart from the pools, on which a process is notified of the commits of others.

use std::collections::HashMap;
use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_postgres::{AsyncMessage, Client, Config, Connection};

use super::client::parameters;
use super::tls::Tls;
use crate::value::{ColumnIndexes, DriverRow};
use crate::{Error, Result, Row, Statement, sql};

/// The time in which a connection must be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The time in which each call must be answered.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most notifications that wait to be taken. Further ones are dropped: those that wait say the same.
const NOTIFICATION_CAPACITY: usize = 64;

/// A connection that hears notifications and runs short statements, each of them a transaction of its own.
///
/// After an error the channel is of no use; a call that is not answered within a second is one.
pub struct Channel {
    client: Client,
    prepared: HashMap<String, tokio_postgres::Statement>,
    heard: mpsc::Receiver<String>,
    connection: JoinHandle<()>,
}

impl Channel {
    pub(super) async fn connect(config: &Config, tls: &Tls) -> Result<Self> {
        let connected = timeout(CONNECT_TIMEOUT, config.connect(tls.clone())).await;
        let (client, connection) = match connected {
            Ok(connected) => connected.map_err(deadpool_postgres::PoolError::Backend)?,
            Err(_) => return Err(Error::Timeout),
        };
        let (sender, heard) = mpsc::channel(NOTIFICATION_CAPACITY);
        let channel = Self {
            client,
            prepared: HashMap::new(),
            heard,
            connection: tokio::spawn(drive(connection, sender)),
        };
        answered(channel.client.batch_execute("LISTEN orgplane")).await?;
        Ok(channel)
    }

    /// Notifies all processes that listen, this one included.
    ///
    /// # Errors
    /// The database's.
    pub async fn notify(&mut self, payload: &str) -> Result<()> {
        let notify = sql!("SELECT pg_notify('orgplane', $1)", payload);
        self.fetch_all(notify, |_| Ok(())).await?;
        Ok(())
    }

    /// Waits for a notification, and returns its payload; `None` once the connection is lost. Nothing is lost if the future
    /// is dropped.
    pub async fn notified(&mut self) -> Option<String> {
        self.heard.recv().await
    }

    /// Runs a statement and returns the rows of its result.
    ///
    /// # Errors
    /// The database's, or those of `read`.
    pub async fn fetch_all<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let parameters = parameters(&statement)?;
        let prepared = match self.prepared.get(&*statement.text) {
            Some(prepared) => prepared.clone(),
            None => {
                let prepared = answered(self.client.prepare(&statement.text)).await?;
                let text = statement.text.clone().into_owned();
                self.prepared.insert(text, prepared.clone());
                prepared
            }
        };
        let rows = answered(self.client.query(&prepared, &parameters)).await?;
        let indexes = ColumnIndexes::default();
        let rows = rows.iter();
        rows.map(|row| read(&indexes.row(DriverRow::Postgres(row))))
            .collect()
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

async fn answered<T>(call: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T> {
    match timeout(CALL_TIMEOUT, call).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Error::Timeout),
    }
}

/// Drives the connection until its end, and passes on its notifications.
async fn drive<S, T>(mut connection: Connection<S, T>, heard: mpsc::Sender<String>)
where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notification(notification)) => {
                drop(heard.try_send(notification.payload().to_owned()));
            }
            Ok(_) => {}
            Err(error) => {
                tracing::debug!(%error, "connection for notifications lost");
                return;
            }
        }
    }
}
