//! For tests only: the content of a whole database, beyond the statements of the program.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use tokio_postgres::{Client, NoTls};

use super::on_own_thread;

/// Returns how many rows each table of the database at `url` has.
///
/// # Panics
/// The database cannot be read.
#[must_use]
pub fn row_counts(url: &str) -> BTreeMap<String, i64> {
    if let Some(files) = sqlite_files(url) {
        return files.iter().flat_map(|file| counts_of_file(file)).collect();
    }
    let mut counts = BTreeMap::new();
    on_postgres(url, async |client| {
        let tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'";
        for row in client.query(tables, &[]).await.expect("tables") {
            let table: String = row.get(0);
            let query = format!("SELECT COUNT(*) FROM {table}");
            let count = client.query_one(&query, &[]).await.expect("a count").get(0);
            counts.insert(table, count);
        }
    });
    counts
}

/// Executes statements that the program has no use for, in the administrative database; on PostgreSQL there is no other.
///
/// # Panics
/// When one fails.
pub fn execute(url: &str, statements: &str) {
    if let Some([administration, _]) = sqlite_files(url) {
        let connection = Connection::open(administration).expect("a database");
        return connection.execute_batch(statements).expect("statements");
    }
    on_postgres(url, async |client| {
        client.batch_execute(statements).await.expect("statements");
    });
}

/// Returns the files of the administrative and the usage database, unless `url` is one of PostgreSQL.
fn sqlite_files(url: &str) -> Option<[PathBuf; 2]> {
    let path = url.strip_prefix("sqlite://")?;
    let usage = path.replace(".db", "-usage.db");
    Some([path.into(), usage.into()])
}

fn counts_of_file(file: &Path) -> Vec<(String, i64)> {
    let connection = Connection::open(file).expect("a database");
    let tables = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'";
    let mut tables = connection.prepare(tables).expect("a statement");
    let names = tables.query_map([], |row| row.get::<_, String>(0));
    names
        .expect("tables")
        .map(|name| {
            let name = name.expect("a name");
            let query = format!("SELECT COUNT(*) FROM {name}");
            let count = connection.query_row(&query, [], |row| row.get(0));
            (name, count.expect("a count"))
        })
        .collect()
}

fn on_postgres(url: &str, work: impl AsyncFnOnce(Client) + Send) {
    let ended = on_own_thread(async || {
        let connected = tokio_postgres::connect(url, NoTls).await;
        let (client, connection) = connected.expect("a server of PostgreSQL");
        tokio::spawn(connection);
        work(client).await;
    });
    ended.expect("a thread without a panic");
}
