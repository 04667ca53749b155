//! Transactions.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};

use super::connection::{Connection, DriverConnection};
use crate::cooperative::yield_now_if_due;
use crate::{Result, Revision, Row, Statement, Value, sql, sqlite};

/// A transaction; rolled back when dropped before [`Transaction::commit`].
pub struct Transaction {
    connection: Connection,
    revision: Option<Revision>,
}

impl Transaction {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            revision: None,
        }
    }

    /// Sets the revision that the commit advances.
    pub(crate) fn advancing(self, revision: Revision) -> Self {
        Self {
            revision: Some(revision),
            ..self
        }
    }

    /// Runs a statement that returns no rows; returns the number of rows that it changed.
    ///
    /// # Errors
    /// The database's; [`Duplicate`](crate::Error::Duplicate) if a unique value is taken.
    pub async fn execute(&mut self, statement: Statement) -> Result<u64> {
        self.connection.execute(&statement).await
    }

    /// Writes many rows in as few statements as possible: each is `head`, then `($1, …), …` for its rows, then `tail`,
    /// which has no parameters. Returns the rows that the statements return, in no defined order.
    ///
    /// # Errors
    /// As [`Transaction::execute`], or those of `read`.
    pub async fn write_rows<T>(
        &mut self,
        head: &Statement,
        rows: Vec<Vec<Value>>,
        tail: &Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        if let DriverConnection::Session(session) = &mut self.connection.0 {
            return session.client().write_rows(head, rows, tail, read).await;
        }
        let mut returned = Vec::new();
        for statement in head.with_rows(rows, tail) {
            returned.extend(self.connection.fetch(&statement, read).await?);
            yield_now_if_due();
        }
        Ok(returned)
    }

    /// Inserts the rows that do not exist: runs `head`, then `($1, …)`, then `tail`, which ends in `DO NOTHING`. Returns
    /// for each row whether it was inserted. The value at index `key`, whose column is `key_name`, must be unique among
    /// the rows.
    ///
    /// # Errors
    /// As [`Transaction::execute`].
    pub async fn insert_new(
        &mut self,
        head: &Statement,
        rows: Vec<Vec<Value>>,
        tail: &Statement,
        (key, key_name): (usize, &'static str),
    ) -> Result<Vec<bool>> {
        if let DriverConnection::Writer(writer) = &self.connection.0 {
            return sqlite::insert_each(writer.connection(), head, &rows, tail);
        }
        let keys: Vec<Value> = rows.iter().map(|row| row[key].clone()).collect();
        let mut tail = tail.clone();
        tail.push(" RETURNING ").push(key_name).push(" AS key");
        let read = |row: &Row<'_>| row.get::<String>("key");
        let inserted = self.write_rows(head, rows, &tail, read).await?;
        if inserted.len() == keys.len() {
            return Ok(vec![true; keys.len()]);
        }
        let inserted: HashSet<String> = inserted.into_iter().collect();
        let is_new = |key: &Value| matches!(key, Value::Text(text) if inserted.contains(text));
        Ok(keys.iter().map(is_new).collect())
    }

    /// Takes the advisory lock `id` until the end of the transaction, if no other transaction holds it; returns whether
    /// it was taken. On SQLite it always is, since write transactions exclude each other.
    ///
    /// # Errors
    /// The database's.
    pub async fn try_advisory_lock(&mut self, id: i64) -> Result<bool> {
        match &self.connection.0 {
            DriverConnection::Session(_) => {
                let lock = sql!("SELECT pg_try_advisory_xact_lock($1) AS is_taken", id);
                let is_taken = |row: &Row<'_>| row.get("is_taken");
                self.connection.fetch_one(lock, is_taken).await
            }
            _ => Ok(true),
        }
    }

    /// Waits for the advisory lock `id`, which the transaction holds until its end. On SQLite write transactions exclude
    /// each other anyway.
    ///
    /// # Errors
    /// The database's.
    pub async fn advisory_lock(&mut self, id: i64) -> Result<()> {
        if let DriverConnection::Session(_) = &self.connection.0 {
            let wait = sql!("SELECT pg_advisory_xact_lock($1)", id);
            self.connection.execute(&wait).await?;
        }
        Ok(())
    }

    /// Excludes all other writers of `table` until the end of the transaction. On SQLite write transactions exclude each
    /// other anyway.
    ///
    /// # Errors
    /// The database's.
    pub async fn lock_table(&mut self, table: &'static str) -> Result<()> {
        if let DriverConnection::Session(session) = &mut self.connection.0 {
            let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
            session.client().batch(&lock).await?;
        }
        Ok(())
    }

    /// Commits, and advances the revision if the transaction has one.
    ///
    /// # Errors
    /// The database's; then nothing was changed.
    pub async fn commit(self) -> Result<()> {
        let revision = self.revision;
        let committed = move || revision.iter().for_each(Revision::advance);
        match self.connection.0 {
            DriverConnection::Writer(writer) => writer.commit(committed).await?,
            DriverConnection::Session(session) => {
                session.commit().await?;
                committed();
            }
            DriverConnection::Reader(_) | DriverConnection::Client(_) => {}
        }
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Connection;
    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
