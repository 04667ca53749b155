//! Storage of a test: a database, and a directory for other files.

use store::Store;
use store::testing::TestDatabase;
use tempfile::TempDir;

/// An empty database and an empty directory, removed at the end of the test.
pub struct TestStorage {
    /// URL of the database.
    pub url: String,
    /// Directory for files of the test.
    pub directory: TempDir,
    _database: TestDatabase,
}

impl TestStorage {
    /// Creates an empty database of the kind that this test run uses, and a directory.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default that creates databases would surprise"
    )]
    pub fn new() -> Self {
        let database = TestDatabase::new();
        Self {
            url: database.url().to_owned(),
            directory: tempfile::tempdir().expect("a directory for the test"),
            _database: database,
        }
    }

    /// Opens the database.
    pub async fn store(&self) -> Store {
        let store = Store::open(&self.url).await;
        store.expect("the test's database opens")
    }
}
