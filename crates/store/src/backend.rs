//! The only match on the kind of database.

use std::collections::HashSet;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;

use deadpool_postgres::Object;

use crate::postgres::{self, Postgres, Session};
use crate::sqlite::{self, Files, Reader, Sqlite, Writer};
use crate::{Error, Result, Revision, Row, Statement, Value, sql, step_aside};

/// One database: administration or usage.
#[derive(Clone)]
pub struct Database(Kind);

#[derive(Clone)]
enum Kind {
    Sqlite(Arc<Sqlite>),
    Postgres(Arc<Postgres>),
}

/// Opens what `url` names: the administrative and the usage database.
pub(crate) async fn open(url: &str) -> Result<(Database, Database)> {
    if url.starts_with("sqlite://") {
        let files = Files::parse(url)?;
        let open = |path: &Path| -> Result<Database> {
            let file = Sqlite::open(path, files.synchronous)?;
            Ok(Database(Kind::Sqlite(Arc::new(file))))
        };
        return Ok((open(&files.administration)?, open(&files.usage)?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        let database = Database(Kind::Postgres(Arc::new(Postgres::open(url)?)));
        database.read().await?;
        return Ok((database.clone(), database));
    }
    Err(Error::Url(
        "must begin with sqlite:// or postgres://".to_owned(),
    ))
}

impl Database {
    /// A connection that can only read.
    ///
    /// # Errors
    /// The database cannot be reached, or none of its connections came free in time.
    pub async fn read(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.0 {
            Kind::Sqlite(file) => Link::Reader(file.read().await?),
            Kind::Postgres(pool) => Link::Client(pool.connection().await?),
        })))
    }

    /// A connection that can only read, and sees nothing of what is committed from its first query on.
    ///
    /// # Errors
    /// As [`Database::read`].
    pub async fn snapshot(&self) -> Result<Read> {
        Ok(Read(Connection(match &self.0 {
            Kind::Sqlite(file) => Link::Reader(file.snapshot().await?),
            Kind::Postgres(pool) => Link::Session(pool.snapshot().await?),
        })))
    }

    /// A transaction: on SQLite the writer's turn (`BEGIN IMMEDIATE`), so that it never fails half-way for another's
    /// sake.
    ///
    /// # Errors
    /// The database cannot be reached, or no turn came in time.
    pub async fn begin(&self) -> Result<Transaction> {
        let link = match &self.0 {
            Kind::Sqlite(file) => Link::Writer(file.begin().await?),
            Kind::Postgres(pool) => Link::Session(pool.begin().await?),
        };
        Ok(Transaction {
            connection: Connection(link),
            announce: None,
        })
    }

    /// The same database for a thread that has a runtime of its own: on PostgreSQL through connections of its own,
    /// which live and end with that runtime.
    ///
    /// # Errors
    /// The connections' pool cannot be made.
    pub fn apart(self) -> Result<Self> {
        Ok(Self(match self.0 {
            Kind::Sqlite(file) => Kind::Sqlite(file),
            Kind::Postgres(pool) => Kind::Postgres(Arc::new(pool.apart()?)),
        }))
    }

    /// Whether only this machine's processes write to it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.0, Kind::Sqlite(_))
    }

    /// Which database this is, for people and for migrations.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match &self.0 {
            Kind::Sqlite(_) => "sqlite",
            Kind::Postgres(_) => "postgres",
        }
    }
}

/// A connection in use.
pub struct Connection(Link);

enum Link {
    Reader(Reader),
    Writer(Writer),
    Client(Object),
    Session(Session),
}

impl Connection {
    async fn execute(&mut self, statement: &Statement) -> Result<u64> {
        match &self.0 {
            Link::Reader(reader) => sqlite::execute(reader.connection()?, statement),
            Link::Writer(writer) => sqlite::execute(writer.connection(), statement),
            Link::Client(client) => postgres::execute(client, statement).await,
            Link::Session(session) => postgres::execute(session.client()?, statement).await,
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
        match &self.0 {
            Link::Reader(reader) => sqlite::each(reader.connection()?, statement, step),
            Link::Writer(writer) => sqlite::each(writer.connection(), statement, step),
            Link::Client(client) => postgres::each(client, statement, step).await,
            Link::Session(session) => postgres::each(session.client()?, statement, step).await,
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

    /// Runs statements without parameters, such as a migration.
    pub(crate) async fn batch(&mut self, text: &str) -> Result<()> {
        match &self.0 {
            Link::Reader(reader) => Ok(reader.connection()?.execute_batch(text)?),
            Link::Writer(writer) => Ok(writer.connection().execute_batch(text)?),
            Link::Client(client) => Ok(client.batch_execute(text).await?),
            Link::Session(session) => Ok(session.client()?.batch_execute(text).await?),
        }
    }
}

/// A connection that can only read.
pub struct Read(Connection);

impl Read {
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

/// A transaction; dropped before [`Transaction::commit`], it leaves no trace.
pub struct Transaction {
    connection: Connection,
    announce: Option<(Revision, Announce)>,
}

/// How a revision is told of a commit.
type Announce = fn(&Revision);

impl Transaction {
    /// What is told of the commit, and how.
    pub(crate) fn announcing(mut self, revision: Revision, how: Announce) -> Self {
        self.announce = Some((revision, how));
        self
    }

    /// Runs a statement that gives no rows; how many rows it changed.
    ///
    /// # Errors
    /// What the database said; [`Error::Duplicate`] when a unique value is taken.
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

    /// Keeps every other writer of `table` out until this transaction ends. On SQLite each transaction does so anyway.
    ///
    /// # Errors
    /// What the database said.
    pub async fn keep_others_from(&mut self, table: &'static str) -> Result<()> {
        if let Link::Session(session) = &self.connection.0 {
            let lock = format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE");
            session.client()?.batch_execute(&lock).await?;
        }
        Ok(())
    }

    /// Makes everything done last, and moves the revision.
    ///
    /// # Errors
    /// What the database said; then nothing has been done.
    pub async fn commit(self) -> Result<()> {
        match self.connection.0 {
            Link::Writer(writer) => writer.commit()?,
            Link::Session(session) => session.commit().await?,
            Link::Reader(_) | Link::Client(_) => {}
        }
        if let Some((revision, announce)) = self.announce {
            announce(&revision);
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
