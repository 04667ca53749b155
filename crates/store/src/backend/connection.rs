//! Connections, and read-only connections.

use std::ops::{Deref, DerefMut};

use base::UnixTime;

use crate::postgres::{Client, Session};
use crate::sqlite::{self, Reader, Writer, run_blocking};
use crate::{Error, Result, Row, Statement, sql};

/// A connection that runs queries.
pub struct Connection(pub(super) DriverConnection);

pub(super) enum DriverConnection {
    Reader(Reader),
    Writer(Writer),
    Client(Client),
    Session(Session),
}

impl Connection {
    pub(super) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        match &mut self.0 {
            DriverConnection::Reader(reader) => sqlite::execute(reader.connection()?, statement),
            DriverConnection::Writer(writer) => sqlite::execute(writer.connection(), statement),
            DriverConnection::Client(client) => client.execute(statement).await,
            DriverConnection::Session(session) => session.client().execute(statement).await,
        }
    }

    pub(crate) async fn fetch<T>(
        &mut self,
        statement: &Statement,
        read: impl Fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        let keep = |row: &Row<'_>| {
            found.push(read(row)?);
            Ok(())
        };
        self.for_each_row(statement, keep).await?;
        Ok(found)
    }

    async fn for_each_row(
        &mut self,
        statement: &Statement,
        step: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match &mut self.0 {
            DriverConnection::Reader(reader) => {
                sqlite::for_each_row(reader.connection()?, statement, step)
            }
            DriverConnection::Writer(writer) => {
                sqlite::for_each_row(writer.connection(), statement, step)
            }
            DriverConnection::Client(client) => client.for_each_row(statement, step).await,
            DriverConnection::Session(session) => {
                session.client().for_each_row(statement, step).await
            }
        }
    }

    /// Returns every row of the result.
    ///
    /// # Errors
    /// The database's, or those of `read`.
    pub async fn fetch_all<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.fetch(&statement, read).await
    }

    /// Returns the first row of the result; `None` if it is empty.
    ///
    /// # Errors
    /// As [`Connection::fetch_all`].
    pub async fn fetch_optional<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Option<T>> {
        Ok(self.fetch_all(statement, read).await?.into_iter().next())
    }

    /// Returns the first row of the result.
    ///
    /// # Errors
    /// As [`Connection::fetch_all`]; [`Error::NoRow`] if the result is empty.
    pub async fn fetch_one<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let row = self.fetch_optional(statement, read).await?;
        row.ok_or(Error::NoRow)
    }

    /// Makes all further queries of a SQLite reader see the state at the next of them, which saves each the locks of a
    /// transaction of its own. Has no effect on other connections.
    pub(crate) fn pin_snapshot(&self) -> Result<()> {
        match &self.0 {
            DriverConnection::Reader(reader) => reader.pin_snapshot(),
            _ => Ok(()),
        }
    }

    /// Returns the time by the database's clock, which all nodes share. On SQLite it is this machine's.
    ///
    /// # Errors
    /// The database's.
    pub async fn now(&mut self) -> Result<UnixTime> {
        let select = match &self.0 {
            DriverConnection::Reader(_) | DriverConnection::Writer(_) => {
                "SELECT CAST(strftime('%s', 'now') AS INTEGER) AS now"
            }
            DriverConnection::Client(_) | DriverConnection::Session(_) => {
                "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT) AS now"
            }
        };
        self.fetch_one(sql!(select), |row| row.time("now")).await
    }

    /// Runs statements without parameters, such as a migration.
    pub(crate) async fn batch(&mut self, text: &str) -> Result<()> {
        match &mut self.0 {
            DriverConnection::Reader(reader) => Ok(reader.connection()?.execute_batch(text)?),
            DriverConnection::Writer(writer) => Ok(writer.connection().execute_batch(text)?),
            DriverConnection::Client(client) => client.batch(text).await,
            DriverConnection::Session(session) => session.client().batch(text).await,
        }
    }
}

/// A read-only connection.
pub struct Read(pub(super) Connection);

impl Read {
    /// Returns every row of the result, as [`Connection::fetch_all`], for a query that may take milliseconds: on SQLite it
    /// runs on a thread for blocking calls.
    ///
    /// # Errors
    /// As [`Connection::fetch_all`].
    pub async fn fetch_all_blocking<T: Send + 'static>(
        self,
        statement: Statement,
        read: impl Fn(&Row<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(Self, Vec<T>)> {
        let keep = move |found: &mut Vec<T>, row: &Row<'_>| {
            found.push(read(row)?);
            Ok(())
        };
        self.fold_blocking(statement, Vec::new(), keep).await
    }

    /// Folds the rows of the result into `state` by `step`: on SQLite on a thread for blocking calls.
    ///
    /// # Errors
    /// The database's, or those of `step`.
    pub async fn fold_blocking<S: Send + 'static>(
        self,
        statement: Statement,
        mut state: S,
        step: impl Fn(&mut S, &Row<'_>) -> Result<()> + Send + 'static,
    ) -> Result<(Self, S)> {
        match self.0.0 {
            DriverConnection::Reader(reader) => {
                run_blocking(move || {
                    sqlite::for_each_row(reader.connection()?, &statement, |row| {
                        step(&mut state, row)
                    })?;
                    Ok((Self(Connection(DriverConnection::Reader(reader))), state))
                })
                .await
            }
            connection => {
                let mut connection = Connection(connection);
                connection
                    .for_each_row(&statement, |row| step(&mut state, row))
                    .await?;
                Ok((Self(connection), state))
            }
        }
    }
}

impl Deref for Read {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Read {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}
