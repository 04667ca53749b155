//! Transactions.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};

use super::connection::{Connection, Link};
use crate::{Result, Revision, Row, Statement, Tables, Value, sql, sqlite, step_aside};

/// A transaction; dropped before [`Transaction::commit`], it leaves no trace.
pub struct Transaction {
    connection: Connection,
    announce: Option<(Revision, Announce)>,
}

/// How a revision is told of a commit.
type Announce = fn(&Revision, Tables);

impl Transaction {
    pub(super) fn new(connection: Connection) -> Self {
        Self {
            connection,
            announce: None,
        }
    }

    /// What is told of the commit, and how.
    pub(crate) fn announcing(mut self, revision: Revision, how: Announce) -> Self {
        self.announce = Some((revision, how));
        self
    }

    /// Runs a statement that gives no rows; how many rows it changed.
    ///
    /// # Errors
    /// What the database said; [`Duplicate`](crate::Error::Duplicate) when a unique value is taken.
    pub async fn execute(&mut self, statement: Statement) -> Result<u64> {
        self.connection.execute(&statement).await
    }

    /// Writes many rows: runs `head`, then `($1, …), …` for the rows, then `tail`, which binds nothing, in as many
    /// statements as that takes. What they return, in no order that could be relied on.
    ///
    /// # Errors
    /// As [`Transaction::execute`], or what `read` made of a row.
    pub async fn write_rows<T>(
        &mut self,
        head: &Statement,
        rows: Vec<Vec<Value>>,
        tail: &Statement,
        read: fn(&Row<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut returned = Vec::new();
        for statement in head.with_rows(rows, tail) {
            returned.extend(self.connection.fetch(&statement, read).await?);
            step_aside();
        }
        Ok(returned)
    }

    /// Inserts rows that are not there yet: runs `head`, then `($1, …)`, then `tail`, which ends in `DO NOTHING`. Of each
    /// row, whether it was new. Its value in column `key`, which `key_name` names, must be no other row's.
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
        if let Link::Writer(writer) = &self.connection.0 {
            return sqlite::insert_each(writer.connection(), head, &rows, tail);
        }
        let keys: Vec<Value> = rows.iter().map(|row| row[key].clone()).collect();
        let mut tail = tail.clone();
        tail.push(" RETURNING ").push(key_name);
        let mut new = HashSet::new();
        for statement in head.with_rows(rows, &tail) {
            let read = |row: &Row<'_>| row.get::<String>(key_name);
            new.extend(self.connection.fetch(&statement, read).await?);
        }
        let is_new = |key: &Value| matches!(key, Value::Text(text) if new.contains(text));
        Ok(keys.iter().map(is_new).collect())
    }

    /// Whether this transaction has the turn that `name` stands for, which others that ask for it do not have until it
    /// has ended. On SQLite every transaction is alone.
    ///
    /// # Errors
    /// What the database said.
    pub async fn has_turn(&mut self, name: i64) -> Result<bool> {
        match &self.connection.0 {
            Link::Session(_) => {
                let ask = sql!("SELECT pg_try_advisory_xact_lock($1) AS mine", name);
                self.connection.fetch_one(ask, |row| row.get("mine")).await
            }
            _ => Ok(true),
        }
    }

    /// Waits for the turn that `name` stands for, which is this transaction's until it has ended. On SQLite every transaction
    /// is alone.
    ///
    /// # Errors
    /// What the database said.
    pub async fn wait_for_turn(&mut self, name: i64) -> Result<()> {
        if let Link::Session(_) = &self.connection.0 {
            let wait = sql!("SELECT pg_advisory_xact_lock($1)", name);
            self.connection.execute(&wait).await?;
        }
        Ok(())
    }

    /// Keeps every other writer of `table` out until this transaction ends. On SQLite each transaction does so anyway.
    ///
    /// # Errors
    /// What the database said.
    pub async fn keep_others_from(&mut self, table: &'static str) -> Result<()> {
        if let Link::Session(session) = &mut self.connection.0 {
            let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
            session.client().batch(&lock).await?;
        }
        Ok(())
    }

    /// Makes everything done last, and moves the revision.
    ///
    /// # Errors
    /// What the database said; then nothing has been done.
    pub async fn commit(self) -> Result<()> {
        let mut changed = Tables::ALL;
        match self.connection.0 {
            Link::Writer(writer) => changed = writer.commit()?,
            Link::Session(session) => session.commit().await?,
            Link::Reader(_) | Link::Client(_) => {}
        }
        if let Some((revision, announce)) = self.announce {
            announce(&revision, changed);
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
