//! A database of its own for each test: a SQLite file, or one made in the PostgreSQL that `ORGPLANE_TEST_DATABASE` names.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use store::{Options, Store};
use tempfile::TempDir;

/// An empty database that goes with the test.
pub struct TestDatabase {
    /// Its address.
    pub url: String,
    /// Where a SQLite file is; other files of the test may lie here too.
    pub directory: TempDir,
}

impl TestDatabase {
    /// A new, empty database of the kind that this run of the tests is for.
    #[must_use]
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        let server = std::env::var("ORGPLANE_TEST_DATABASE").unwrap_or_default();
        let url = if server.is_empty() || server == "sqlite" {
            format!("sqlite://{}", directory.path().join("test.db").display())
        } else {
            create(&server)
        };
        Self { url, directory }
    }

    /// Opens it.
    pub async fn store(&self) -> Store {
        Store::open(&self.url, Options::default())
            .await
            .expect("the test's database opens")
    }
}

impl Default for TestDatabase {
    fn default() -> Self {
        Self::new()
    }
}

/// Creates a database beside the one that `server` names. It goes when the throw-away server does.
fn create(server: &str) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let name = format!(
        "test_{}_{}",
        std::process::id(),
        MADE.fetch_add(1, Ordering::SeqCst)
    );
    let done = Command::new("psql")
        .args([
            "--quiet",
            "--no-psqlrc",
            "--dbname",
            server,
            "--command",
            &format!("CREATE DATABASE {name}"),
        ])
        .output()
        .expect("psql is there; `cargo xtask test` installs it");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let (base, query) = server
        .split_once('?')
        .map_or((server, None), |(base, query)| (base, Some(query)));
    let (base, _) = base.rsplit_once('/').expect("the URL of a database");
    query.map_or_else(
        || format!("{base}/{name}"),
        |query| format!("{base}/{name}?{query}"),
    )
}
