//! Test databases: one for each test.

mod cluster;
mod content;
mod template;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio_postgres::{Client, NoTls};

pub use cluster::Cluster;
pub use content::{execute, row_counts};

/// A database without rows, dropped with this value: a SQLite file in the temporary directory, or a database on the
/// server whose `postgres://` URL `ORGPLANE_TEST_DATABASE` has, of a user who may create databases.
pub struct TestDatabase {
    url: String,
    location: Location,
}

enum Location {
    Directory(PathBuf),
    Server { server: Server, name: String },
}

/// Contents of a database when a test gets it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Content {
    /// All tables, as the migrations leave them.
    Migrated,
    Nothing,
}

impl TestDatabase {
    /// Creates a migrated database.
    ///
    /// # Panics
    /// The database cannot be created.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default that creates databases would surprise"
    )]
    pub fn new() -> Self {
        Self::with(Content::Migrated)
    }

    /// Creates a database without tables, for tests that migrate or restore one.
    ///
    /// # Panics
    /// The database cannot be created.
    #[must_use]
    pub fn without_tables() -> Self {
        Self::with(Content::Nothing)
    }

    fn with(content: Content) -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("orgplane_test_{}_{number}", std::process::id());
        match std::env::var("ORGPLANE_TEST_DATABASE") {
            Ok(url) if url.starts_with("postgres") => Self::on_server(Server(url), name, content),
            _ => Self::in_directory(std::env::temp_dir().join(name), content),
        }
    }

    fn in_directory(directory: PathBuf, content: Content) -> Self {
        // A killed run may have left a directory behind, and process ids repeat.
        drop(std::fs::remove_dir_all(&directory));
        std::fs::create_dir_all(&directory).expect("the temporary directory can be written");
        if content == Content::Migrated {
            template::write_files(&directory);
        }
        Self {
            url: format!("sqlite://{}", directory.join("orgplane.db").display()),
            location: Location::Directory(directory),
        }
    }

    fn on_server(server: Server, name: String, content: Content) -> Self {
        let copied = match content {
            Content::Migrated => format!(" TEMPLATE {}", template::name_on(&server)),
            Content::Nothing => String::new(),
        };
        let made = server.administer(&[
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name}{copied}"),
        ]);
        made.expect("a database");
        Self {
            url: server.url_of(&name),
            location: Location::Server { server, name },
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
            // A panic here would hide the failure of the test.
            Location::Server { server, name } => {
                drop(server.administer(&[format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")]));
            }
        }
    }
}

/// The PostgreSQL server for tests, by the URL of one of its databases.
struct Server(String);

impl Server {
    /// Returns the URL of another database.
    fn url_of(&self, name: &str) -> String {
        let (authority, options) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let host = match authority.rsplit_once('/') {
            Some((host, _)) if !host.ends_with('/') => host,
            _ => authority,
        };
        format!("{host}/{name}?{options}")
    }

    async fn connect(&self) -> Client {
        let connected = tokio_postgres::connect(&self.0, NoTls).await;
        let (client, connection) = connected.expect("ORGPLANE_TEST_DATABASE names a server");
        tokio::spawn(connection);
        client
    }

    /// Runs statements outside of transactions.
    fn administer(&self, statements: &[String]) -> std::thread::Result<()> {
        on_own_thread(async || {
            let client = self.connect().await;
            for statement in statements {
                client.batch_execute(statement).await.expect("a statement");
            }
        })
    }
}

/// Runs `work` on another thread, since tests run inside a runtime.
///
/// # Errors
/// The work has panicked.
fn on_own_thread(work: impl AsyncFnOnce() + Send) -> std::thread::Result<()> {
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(work());
    };
    std::thread::scope(|scope| scope.spawn(work).join())
}
