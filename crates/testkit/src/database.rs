//! Storage of a test: a database, and a directory for other files.

use store::Store;
use store::testing::TestDatabase;
use tempfile::TempDir;

/// A database without rows and an empty directory, removed at the end of the test.
pub struct TestStorage {
    /// URL of the database.
    pub url: String,
    /// Directory for files of the test.
    pub directory: TempDir,
    _database: TestDatabase,
}

impl TestStorage {
    /// Creates a migrated database of the kind that this test run uses, and a directory.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default that creates databases would surprise"
    )]
    pub fn new() -> Self {
        Self::of(TestDatabase::new())
    }

    /// Creates a database without tables, and a directory.
    #[must_use]
    pub fn without_tables() -> Self {
        Self::of(TestDatabase::without_tables())
    }

    fn of(database: TestDatabase) -> Self {
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
