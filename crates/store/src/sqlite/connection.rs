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
    define_translate(&connection)?;
    Ok(connection)
}

/// Adds the function `translate` of PostgreSQL, which replaces each character of the second argument by the one at the same
/// place in the third.
fn define_translate(connection: &Connection) -> Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8
        | FunctionFlags::SQLITE_DETERMINISTIC
        | FunctionFlags::SQLITE_INNOCUOUS;
    connection.create_scalar_function("translate", 3, flags, |context| {
        let text: Option<String> = context.get(0)?;
        let (from, to): (String, String) = (context.get(1)?, context.get(2)?);
        let translated = |character: char| match from.chars().position(|other| other == character) {
            Some(index) => to.chars().nth(index),
            None => Some(character),
        };
        Ok(text.map(|text| text.chars().filter_map(translated).collect::<String>()))
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
    fn translate_replaces_characters_as_in_postgresql() {
        let connection = in_memory(Synchronous::Normal);
        for (text, from, to, expected) in [
            (Some("ÄRZTE Über"), "ÄE", "äe", Some("äRZTe Über")),
            (Some("12345"), "143", "ax", Some("a2x5")),
            (Some("50%"), "", "", Some("50%")),
            (None, "a", "b", None),
        ] {
            let sql = "SELECT translate(?1, ?2, ?3)";
            let translated =
                connection.query_row(sql, (text, from, to), |row| row.get::<_, Option<String>>(0));
            assert_eq!(translated.expect("a row").as_deref(), expected);
        }
    }
}
