//! Test databases: an empty one for each test.

mod cluster;
mod content;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::NoTls;

pub use cluster::Cluster;
pub use content::{execute, row_counts};

/// An empty database, dropped with this value: a SQLite file in the temporary directory, or a database on the server
/// whose `postgres://` URL `ORGPLANE_TEST_DATABASE` has, of a user who may create databases.
pub struct TestDatabase {
    url: String,
    location: Location,
}

enum Location {
    Directory(PathBuf),
    Server { url: String, name: String },
}

impl TestDatabase {
    /// Creates an empty database.
    ///
    /// # Panics
    /// The database cannot be created.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default that creates databases would surprise"
    )]
    pub fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("orgplane_test_{}_{number}", std::process::id());
        match std::env::var("ORGPLANE_TEST_DATABASE") {
            Ok(url) if url.starts_with("postgres") => Self::on_server(url, name),
            _ => Self::in_directory(std::env::temp_dir().join(name)),
        }
    }

    fn in_directory(directory: PathBuf) -> Self {
        // A killed run may have left a directory behind, and process ids repeat.
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        Self {
            url: format!("sqlite://{}", directory.join("orgplane.db").display()),
            location: Location::Directory(directory),
        }
    }

    fn on_server(server: String, name: String) -> Self {
        let (authority, options) = server.split_once('?').unwrap_or((&server, ""));
        let host = match authority.rsplit_once('/') {
            Some((host, _)) if !host.ends_with('/') => host,
            _ => authority,
        };
        let url = format!("{host}/{name}?{options}");
        administer(
            &server,
            &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
        );
        administer(&server, &format!("CREATE DATABASE {name}"));
        Self {
            url,
            location: Location::Server { url: server, name },
        }
    }

    /// Returns the URL for [`crate::Store::open`].
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        match &self.location {
            // A directory that cannot be removed stays in the temporary directory.
            Location::Directory(directory) => drop(std::fs::remove_dir_all(directory)),
            Location::Server { url, name } => {
                administer(url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            }
        }
    }
}

/// Runs one statement outside of transactions, on another thread, since tests run inside a runtime.
fn administer(server: &str, statement: &str) {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(server, NoTls)
                .await
                .expect("ORGPLANE_TEST_DATABASE names a server");
            tokio::spawn(connection);
            client.batch_execute(statement).await.expect("a statement");
        });
    };
    std::thread::scope(|scope| drop(scope.spawn(work).join()));
}
