//! A database of its own for each test, and a directory for what else the test writes.

use store::Store;
use store::testing::Scratch;
use tempfile::TempDir;

/// An empty database that goes with the test.
pub struct TestDatabase {
    /// Its address.
    pub url: String,
    /// For the test's files.
    pub directory: TempDir,
    _scratch: Scratch,
}

impl TestDatabase {
    /// A new, empty database of the kind that this run of the tests is for.
    #[must_use]
    #[expect(
        clippy::new_without_default,
        reason = "a default that creates databases would surprise"
    )]
    pub fn new() -> Self {
        let scratch = Scratch::new();
        Self {
            url: scratch.url().to_owned(),
            directory: tempfile::tempdir().expect("a directory for the test"),
            _scratch: scratch,
        }
    }

    /// Opens it.
    pub async fn store(&self) -> Store {
        let store = Store::open(&self.url).await;
        store.expect("the test's database opens")
    }
}
