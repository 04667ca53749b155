//! A connection to a file, which knows from which tables its statements read and to which they write: SQLite's own
//! planner says so, once for each text.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{CachedStatement, OpenFlags};

use super::{LOCK_TIMEOUT, Synchronous};
use crate::Result;
use crate::tables::{Catalog, Tables};

/// Statements that a connection keeps prepared.
const PREPARED: usize = 256;
/// Of how many texts it is known what they use. Days of usage have tables, and thus texts, of their own.
const MOST_TEXTS: usize = 1024;
/// 4 MiB of pages between checkpoints.
const CHECKPOINT_PAGES: i64 = 1024;

/// A connection to one file.
pub(crate) struct Connection {
    inner: rusqlite::Connection,
    by_text: RefCell<HashMap<String, Uses>>,
    /// What SQLite has said of the statements prepared since this was taken.
    said: Arc<Mutex<Option<Uses>>>,
    used: Cell<Uses>,
}

/// The tables that are read from and written to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Uses {
    pub(crate) read: Tables,
    pub(crate) written: Tables,
}

impl Uses {
    const ALL: Self = Self {
        read: Tables::ALL,
        written: Tables::ALL,
    };

    fn with(self, other: Self) -> Self {
        Self {
            read: self.read.with(other.read),
            written: self.written.with(other.written),
        }
    }

    fn of(catalog: &Catalog, action: AuthAction<'_>) -> Self {
        let mut uses = Self::default();
        match action {
            AuthAction::Select
            | AuthAction::Function { .. }
            | AuthAction::Recursive
            | AuthAction::Transaction { .. }
            | AuthAction::Pragma { .. } => {}
            AuthAction::Read { table_name, .. } => uses.read = catalog.table(table_name),
            AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => uses.written = catalog.table(table_name),
            // Whatever changes tables themselves changes all that is in them.
            _ => uses = Self::ALL,
        }
        uses
    }
}

impl Connection {
    /// Opens `path`; `catalog` is that of all connections to it.
    pub(super) fn open(
        path: &Path,
        flags: OpenFlags,
        synchronous: Synchronous,
        catalog: &Arc<Catalog>,
    ) -> Result<Self> {
        let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut inner = rusqlite::Connection::open_with_flags(path, flags)?;
        inner.busy_timeout(LOCK_TIMEOUT)?;
        inner.set_prepared_statement_cache_capacity(PREPARED);
        // Without this, each binding of a value may plan the prepared statement anew, which costs more than running it.
        inner.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        inner.pragma_update(None, "journal_mode", "WAL")?;
        inner.pragma_update(None, "synchronous", synchronous.as_str())?;
        inner.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        inner.pragma_update(None, "foreign_keys", true)?;
        inner.pragma_update(None, "temp_store", "MEMORY")?;
        inner.pragma_update(None, "cache_size", -32 * 1024)?;
        let said = Arc::default();
        inner.authorizer(Some(listener(Arc::clone(catalog), Arc::clone(&said))))?;
        Ok(Self {
            inner,
            by_text: RefCell::default(),
            said,
            used: Cell::default(),
        })
    }

    /// Sets how long a statement waits for a lock of the file.
    pub(super) fn wait_for_lock(&self, timeout: Duration) -> Result<()> {
        Ok(self.inner.busy_timeout(timeout)?)
    }

    pub(super) fn only_reads(&self) -> Result<()> {
        Ok(self.inner.pragma_update(None, "query_only", true)?)
    }

    /// Prepares a statement. What it uses counts from now on as used.
    pub(super) fn prepare(&self, text: &str) -> Result<CachedStatement<'_>> {
        let known = self.by_text.borrow().get(text).copied();
        if known.is_none() {
            // What was said of other texts is not about this one.
            self.take_said();
        }
        let prepared = self.inner.prepare_cached(text)?;
        let uses = known.unwrap_or_else(|| self.learn(text));
        self.used.set(self.used.get().with(uses));
        Ok(prepared)
    }

    /// What SQLite has said of the statement that was prepared just now.
    fn learn(&self, text: &str) -> Uses {
        let uses = self.take_said().unwrap_or(Uses::ALL);
        let mut by_text = self.by_text.borrow_mut();
        if by_text.len() >= MOST_TEXTS {
            by_text.clear();
            // What stays prepared would not be spoken of again.
            self.inner.flush_prepared_statement_cache();
        }
        by_text.insert(text.to_owned(), uses);
        uses
    }

    fn take_said(&self) -> Option<Uses> {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.take()
    }

    /// Runs `BEGIN`, `COMMIT` or another word that uses no table.
    pub(super) fn command(&self, word: &str) -> rusqlite::Result<()> {
        self.inner.prepare_cached(word)?.execute(())?;
        Ok(())
    }

    /// Runs statements without parameters. What they use is not known, so everything counts as used.
    pub(crate) fn batch(&self, text: &str) -> Result<()> {
        self.used.set(Uses::ALL);
        Ok(self.inner.execute_batch(text)?)
    }

    /// Whether no transaction is open.
    pub(super) fn is_autocommit(&self) -> bool {
        self.inner.is_autocommit()
    }

    /// Nothing counts as used yet.
    pub(super) fn forget_uses(&self) {
        self.used.set(Uses::default());
    }

    /// The tables used since [`Connection::forget_uses`].
    pub(crate) fn uses(&self) -> Uses {
        self.used.get()
    }
}

/// Takes down what SQLite says while it prepares a statement, and objects to nothing.
fn listener(
    catalog: Arc<Catalog>,
    said: Arc<Mutex<Option<Uses>>>,
) -> impl for<'a> FnMut(AuthContext<'a>) -> Authorization + Send + 'static {
    move |context| {
        let uses = Uses::of(&catalog, context.action);
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        *said = Some(said.unwrap_or_default().with(uses));
        Authorization::Allow
    }
}

#[cfg(test)]
pub(super) fn in_memory(synchronous: Synchronous, catalog: &Arc<Catalog>) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    let path = Path::new(":memory:");
    Connection::open(path, flags, synchronous, catalog).expect("a connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = "
        CREATE TABLE a (id INTEGER PRIMARY KEY, n BIGINT UNIQUE);
        CREATE TABLE b (a BIGINT REFERENCES a (id) ON DELETE CASCADE, n BIGINT);
        CREATE TABLE c (n BIGINT);
        CREATE TABLE d (n BIGINT);
        CREATE VIEW v AS SELECT n FROM c;
        CREATE TRIGGER t AFTER INSERT ON c BEGIN UPDATE d SET n = (SELECT MAX(n) FROM b); END;";

    #[test]
    fn sqlite_says_what_a_statement_uses() {
        let catalog = Arc::default();
        let connection = in_memory(Synchronous::Normal, &catalog);
        connection.batch(SCHEMA).expect("tables");
        assert_eq!(connection.uses().written, Tables::ALL);
        let set = |names: &str| {
            let tables = names.chars().map(|name| catalog.table(&name.to_string()));
            tables.fold(Tables::default(), Tables::with)
        };
        for (text, read, written) in [
            ("SELECT 1", "", ""),
            ("SELECT COUNT(*) FROM a", "a", ""),
            ("SELECT c.n FROM c JOIN d ON d.n = c.n", "cd", ""),
            (
                "SELECT (SELECT MAX(n) FROM b) FROM a WHERE n IN (SELECT n FROM d)",
                "abd",
                "",
            ),
            (
                "WITH x AS (SELECT n FROM a) SELECT n FROM x UNION SELECT n FROM b",
                "ab",
                "",
            ),
            ("SELECT n FROM v", "cv", ""),
            (
                "UPDATE d SET n = 1 WHERE EXISTS (SELECT 1 FROM c)",
                "c",
                "d",
            ),
            ("INSERT INTO d SELECT n FROM a", "a", "d"),
            (
                "INSERT INTO a (n) VALUES (?1) ON CONFLICT (n) DO UPDATE SET n = 2",
                "a",
                "a",
            ),
            ("INSERT INTO d VALUES (1) RETURNING n", "d", "d"),
            ("DELETE FROM d", "", "d"),
            // What follows from it.
            ("DELETE FROM a", "ab", "ab"),
            ("INSERT INTO c VALUES (1)", "b", "cd"),
        ] {
            // The second time nothing is prepared.
            for _ in 0..2 {
                connection.forget_uses();
                drop(connection.prepare(text).expect(text));
                let uses = connection.uses();
                let expected = (set(read), set(written));
                assert_eq!((uses.read, uses.written), expected, "{text}");
            }
        }
    }

    #[test]
    fn uses_add_up_and_outlast_what_is_known_of_texts() {
        let catalog = Arc::default();
        let connection = in_memory(Synchronous::Normal, &catalog);
        connection.batch(SCHEMA).expect("tables");
        let use_of = |texts: &[&str]| {
            connection.forget_uses();
            for text in texts {
                drop(connection.prepare(text).expect("prepared"));
            }
            connection.uses().read
        };
        let [c, d] = ["c", "d"].map(|name| catalog.table(name));
        assert_eq!(use_of(&["SELECT n FROM c", "SELECT n FROM d"]), c.with(d));
        for number in 0..MOST_TEXTS {
            let text = format!("SELECT n FROM c WHERE n = {number}");
            assert_eq!(use_of(&[&text]), c);
        }
        assert_eq!(use_of(&["SELECT n FROM d"]), d);
        connection.command("BEGIN").expect("begun");
        assert_eq!(connection.uses().read, d);
    }
}
