//! The age up to which the snapshot is trusted while the database is unavailable.

use std::time::Duration;

use access::Directory;
use store::Store;
use store::testing::TestDatabase;

#[tokio::test]
async fn a_snapshot_is_trusted_up_to_the_configured_age() {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    let start = async |max_age| {
        let started = Directory::start_bounded(store.clone(), max_age).await;
        let (directory, following) = started.expect("a directory");
        // Without the follower, the snapshot ages as during an outage.
        drop(following);
        directory
    };
    let bounded = start(Some(Duration::from_millis(300))).await;
    let unbounded = start(None).await;
    assert!(bounded.check_age().is_ok());
    poll::until("the snapshot is too old", async || {
        bounded.age() > Duration::from_millis(300)
    })
    .await;
    let refused = bounded.check_age().expect_err("it is too old");
    assert_eq!(
        (refused.status.as_u16(), refused.retry_after),
        (503, Some(5))
    );
    assert!(!bounded.is_current());
    assert!(unbounded.is_current() && unbounded.check_age().is_ok());
}
