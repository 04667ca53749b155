//! For tests only: a database of its own for each test.

mod cluster;
mod content;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::NoTls;

pub use cluster::Cluster;
pub use content::{execute, row_counts};

/// An empty database, dropped with this value: a SQLite file in the temporary directory, or a database on the server
/// whose `postgres://` URL `ORGPLANE_TEST_DATABASE` has, of a user who may create databases.
pub struct Scratch {
    url: String,
    place: Place,
}

enum Place {
    Directory(PathBuf),
    Server { url: String, name: String },
}

impl Scratch {
    /// Makes one.
    ///
    /// # Panics
    /// When that does not work.
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
        // A run that was killed may have left one behind, and processes' numbers come again.
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        Self {
            url: format!("sqlite://{}", directory.join("orgplane.db").display()),
            place: Place::Directory(directory),
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
            place: Place::Server { url: server, name },
        }
    }

    /// What [`crate::Store::open`] takes.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        match &self.place {
            // What is left in the temporary directory harms nobody.
            Place::Directory(directory) => drop(std::fs::remove_dir_all(directory)),
            Place::Server { url, name } => {
                administer(url, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
            }
        }
    }
}

/// Runs one statement outside of transactions, on a thread of its own, since tests run inside a runtime.
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
