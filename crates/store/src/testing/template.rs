//! Databases that are migrated once and copied for each test: a copy takes a fraction of the time of all migrations.

use std::path::Path;
use std::sync::OnceLock;

use super::{Server, on_own_thread};
use crate::{Store, migrate};

/// The files of a SQLite database, administration and usage.
const FILE_NAMES: [&str; 2] = ["orgplane.db", "orgplane-usage.db"];
/// Takes the lock under which test programs make the template one after the other; it ends with the connection. Its
/// number is arbitrary, and is not the one of the migrations.
const LOCK: &str = "SELECT pg_advisory_lock(7017220832)";

/// Writes migrated, empty files into a directory.
pub(super) fn write_files(directory: &Path) {
    static FILES: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    let made = directory.join("template");
    let files = FILES.get_or_init(|| {
        std::fs::create_dir_all(&made).expect("the temporary directory can be written");
        let files = migrated_files(&made);
        // What cannot be removed goes with the directory of the test.
        drop(std::fs::remove_dir_all(&made));
        files
    });
    for (name, content) in FILE_NAMES.iter().zip(files) {
        let written = std::fs::write(directory.join(name), content);
        written.expect("the temporary directory can be written");
        private(&directory.join(name));
    }
}

/// Migrates a database in a directory and reads its files, whose write-ahead logs are in them by then.
fn migrated_files(directory: &Path) -> [Vec<u8>; 2] {
    let url = format!("sqlite://{}", directory.join(FILE_NAMES[0]).display());
    let migrated = on_own_thread(async || drop(Store::open(&url).await.expect("migrations")));
    migrated.expect("a migrated database");
    FILE_NAMES.map(|name| {
        let file = directory.join(name);
        let connection = rusqlite::Connection::open(&file).expect("a database");
        let is_busy = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |row| {
            row.get::<_, bool>(0)
        });
        assert!(!is_busy.expect("a checkpoint"), "{}", file.display());
        std::fs::read(file).expect("a database")
    })
}

/// Takes the rights of others at a file away, as the program does.
fn private(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(file, mode).expect("a file of our own");
}

/// Returns the name of a migrated database on a server, which stays there: its name follows from the migrations, so that
/// every test program with the same migrations copies the same one.
pub(super) fn name_on(server: &Server) -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = format!("orgplane_template_{}", migrate::fingerprint());
        on_own_thread(async || make(server, &name).await).expect("a template");
        name
    })
}

async fn make(server: &Server, name: &str) {
    let client = server.connect().await;
    client.batch_execute(LOCK).await.expect("the lock");
    let find = "SELECT 1 FROM pg_database WHERE datname = $1";
    let found = client.query_opt(find, &[&name]).await;
    if found.expect("the databases").is_some() {
        return;
    }
    // A program that is killed meanwhile leaves only this name behind.
    let unfinished = format!("{name}_unfinished");
    for statement in [
        format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)"),
        format!("CREATE DATABASE {unfinished}"),
    ] {
        client.batch_execute(&statement).await.expect("a database");
    }
    let store = Store::open(&server.url_of(&unfinished)).await;
    drop(store.expect("migrations"));
    // PostgreSQL waits a few seconds for connections that are being closed.
    let rename = format!("ALTER DATABASE {unfinished} RENAME TO {name}");
    client.batch_execute(&rename).await.expect("a template");
}
