//! The revision of a snapshot, and waits for it.

use std::sync::Arc;
use std::time::Duration;

use access::Directory;
use store::Store;
use store::testing::TestDatabase;
use testkit::Organization;
use tokio::time::Instant;

/// A directory without its follower, so that its snapshot stays as it is.
async fn standing(database: &TestDatabase) -> (Store, Arc<Directory>) {
    let store = Store::open(database.url()).await.expect("a store");
    let (directory, following) = Directory::start(store.clone()).await.expect("a directory");
    drop(following);
    (store, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_until_the_snapshot_has_the_revision_that_it_names() {
    let database = TestDatabase::new();
    let (store, before) = standing(&database).await;
    let other = Store::open(database.url()).await.expect("a store");
    let (following, _task) = Directory::start(other).await.expect("a directory");
    // Commits of the organization's store are those of another process.
    let _organization = Organization::on(&store, &["m"]).await;
    let (_, after) = standing(&database).await;
    assert!(after.revision() > before.revision());
    assert!(following.wait_for_revision(after.revision()).await);
    assert_eq!(following.revision(), after.revision());

    let started = Instant::now();
    assert!(!before.wait_for_revision(after.revision()).await);
    let waited = started.elapsed();
    let expected = Duration::from_millis(900)..Duration::from_secs(5);
    assert!(expected.contains(&waited), "{waited:?}");
}

#[tokio::test]
async fn a_snapshot_is_fresh_for_a_second() {
    let database = TestDatabase::new();
    let (_store, directory) = standing(&database).await;
    assert!(directory.is_fresh());
    poll::until("the snapshot is not fresh", async || !directory.is_fresh()).await;
    assert!(directory.age() >= Duration::from_secs(1));
    assert!(directory.is_current());
}
