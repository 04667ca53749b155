//! Connections in use, and those that can only read.

use std::ops::{Deref, DerefMut};

use base::UnixTime;

use crate::postgres::{Client, Session};
use crate::sqlite::{self, Reader, Writer};
use crate::{Error, Result, Row, Statement, Tables, sql};

/// A connection in use.
pub struct Connection(pub(super) Link);

pub(super) enum Link {
    Reader(Reader),
    Writer(Writer),
    Client(Client),
    Session(Session),
}

impl Connection {
    pub(super) async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        match &mut self.0 {
            Link::Reader(reader) => sqlite::execute(reader.connection()?, statement),
            Link::Writer(writer) => sqlite::execute(writer.connection(), statement),
            Link::Client(client) => client.execute(statement).await,
            Link::Session(session) => session.client().execute(statement).await,
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
        self.each(statement, keep).await?;
        Ok(found)
    }

    async fn each(
        &mut self,
        statement: &Statement,
        step: impl FnMut(&Row<'_>) -> Result<()>,
    ) -> Result<()> {
        match &mut self.0 {
            Link::Reader(reader) => sqlite::each(reader.connection()?, statement, step),
            Link::Writer(writer) => sqlite::each(writer.connection(), statement, step),
            Link::Client(client) => client.each(statement, step).await,
            Link::Session(session) => session.client().each(statement, step).await,
        }
    }

    /// Every row of the answer.
    ///
    /// # Errors
    /// What the database said, or what `read` made of a row.
    pub async fn fetch_all<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        self.fetch(&statement, read).await
    }

    /// The first row of the answer, if there is one.
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

    /// The one row of the answer.
    ///
    /// # Errors
    /// As [`Connection::fetch_all`], or there is none.
    pub async fn fetch_one<T>(
        &mut self,
        statement: Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<T> {
        let row = self.fetch_optional(statement, read).await?;
        row.ok_or(Error::NoRow)
    }

    /// The time by the clock of the database, which all of its nodes share. On SQLite it is this machine's.
    ///
    /// # Errors
    /// What the database said.
    pub async fn now(&mut self) -> Result<UnixTime> {
        let ask = match &self.0 {
            Link::Reader(_) | Link::Writer(_) => {
                "SELECT CAST(strftime('%s', 'now') AS INTEGER) AS now"
            }
            Link::Client(_) | Link::Session(_) => {
                "SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) AS BIGINT) AS now"
            }
        };
        self.fetch_one(sql!(ask), |row| row.time("now")).await
    }

    /// Runs statements without parameters, such as a migration.
    pub(crate) async fn batch(&mut self, text: &str) -> Result<()> {
        match &mut self.0 {
            Link::Reader(reader) => reader.connection()?.batch(text),
            Link::Writer(writer) => writer.connection().batch(text),
            Link::Client(client) => client.batch(text).await,
            Link::Session(session) => session.client().batch(text).await,
        }
    }
}

/// A connection that can only read.
pub struct Read(pub(super) Connection);

impl Read {
    /// The tables from which its queries have read since it was taken; on PostgreSQL that is not known, so it is all.
    #[must_use]
    pub fn tables(&self) -> Tables {
        match &self.0.0 {
            Link::Reader(reader) => reader.tables(),
            _ => Tables::ALL,
        }
    }

    /// As [`Connection::fetch_all`], for a query that may take milliseconds: on SQLite it runs on a thread of its own.
    ///
    /// # Errors
    /// As [`Connection::fetch_all`].
    pub async fn fetch_all_aside<T: Send + 'static>(
        self,
        statement: Statement,
        read: impl Fn(&Row<'_>) -> Result<T> + Send + 'static,
    ) -> Result<(Self, Vec<T>)> {
        let keep = move |found: &mut Vec<T>, row: &Row<'_>| {
            found.push(read(row)?);
            Ok(())
        };
        self.fold_aside(statement, Vec::new(), keep).await
    }

    /// Shows each row of the answer to `step`, together with what it makes of them: on SQLite on a thread of its own.
    ///
    /// # Errors
    /// What the database said, or what `step` made of a row.
    pub async fn fold_aside<S: Send + 'static>(
        self,
        statement: Statement,
        mut state: S,
        step: impl Fn(&mut S, &Row<'_>) -> Result<()> + Send + 'static,
    ) -> Result<(Self, S)> {
        match self.0.0 {
            Link::Reader(reader) => {
                let work = move || {
                    sqlite::each(reader.connection()?, &statement, |row| {
                        step(&mut state, row)
                    })?;
                    Ok((Self(Connection(Link::Reader(reader))), state))
                };
                tokio::task::spawn_blocking(work)
                    .await
                    .map_err(|_| Error::Busy)?
            }
            link => {
                let mut connection = Connection(link);
                connection
                    .each(&statement, |row| step(&mut state, row))
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
