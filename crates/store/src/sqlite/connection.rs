//! Opening of connections to one SQLite file.

use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, OpenFlags};

use super::{LOCK_TIMEOUT, Synchronous};
use crate::Result;

/// The prepared statements that a connection keeps.
const STATEMENT_CACHE_CAPACITY: usize = 256;
/// The pages (4 KiB each) in the write-ahead log after which a commit runs a checkpoint.
const MAX_LOG_PAGE_COUNT: i64 = 1024;
/// The size of a connection's page cache in KiB, which SQLite takes as a negative number.
const PAGE_CACHE_CAPACITY: i64 = 32 * 1024;

/// Opens a connection in WAL mode.
pub(super) fn open(path: &Path, flags: OpenFlags, synchronous: Synchronous) -> Result<Connection> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCK_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE_CAPACITY);
    // Without this, each binding of a value may plan the prepared statement anew, which costs more than running it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", synchronous.as_str())?;
    connection.pragma_update(None, "wal_autocheckpoint", MAX_LOG_PAGE_COUNT)?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -PAGE_CACHE_CAPACITY)?;
    define_lower(&connection)?;
    Ok(connection)
}

/// Replaces the function `lower`, which knows only ASCII in SQLite, by one that knows Unicode like PostgreSQL's.
fn define_lower(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("lower", 1, flags, |context| {
        let text: Option<String> = context.get(0)?;
        Ok(text.map(|text| text.to_lowercase()))
    })?;
    Ok(())
}

/// Opens a connection that refuses to write.
pub(super) fn open_reader(path: &Path, synchronous: Synchronous) -> Result<Connection> {
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE, synchronous)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

/// Runs `BEGIN`, `COMMIT` or another statement without parameters, prepared once.
pub(super) fn command(connection: &Connection, text: &str) -> Result<()> {
    connection.prepare_cached(text)?.execute(())?;
    Ok(())
}

/// Opens an empty database in memory.
#[cfg(test)]
pub(super) fn in_memory(synchronous: Synchronous) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
    open(Path::new(":memory:"), flags, synchronous).expect("a connection")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lower_knows_letters_beyond_ascii() {
        let connection = in_memory(Synchronous::Normal);
        for (text, expected) in [
            (Some("ÄRZTE Über"), Some("ärzte über")),
            (Some("50%"), Some("50%")),
            (None, None),
        ] {
            let lower = connection.query_row("SELECT lower(?1)", [text], |row| row.get(0));
            let lower: Option<String> = lower.expect("a row");
            assert_eq!(lower.as_deref(), expected);
        }
    }
}
