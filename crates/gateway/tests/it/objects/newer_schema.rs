//! Repository of objects on a table that a newer version has changed.

use base::{Clock, UnixTime};
use gateway::{ObjectKind, ObjectOwner, ObjectRepository, UpstreamObject};
use store::testing::TestDatabase;
use store::{Store, sql};
use testkit::Organization;

fn object(organization: &Organization) -> UpstreamObject {
    UpstreamObject {
        owner: ObjectOwner {
            organization: organization.id.clone(),
            project: organization.default_project_id.clone(),
            key: None,
            user: None,
        },
        kind: ObjectKind::File,
        id: "file-1".to_owned(),
        upstream: "local".to_owned(),
        purpose: "batch".to_owned(),
        created_at: 1_000,
        work: None,
        due_at: Some(UnixTime(1)),
        expires_at: None,
        bytes: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_a_column_that_a_newer_node_adds_stops_no_older_repository() {
    let database = TestDatabase::new();
    let open = || async {
        let store = Store::open(database.url()).await.expect("a store");
        store.for_requests()
    };
    let (here, there) = (open().await, open().await);
    let organization = Organization::on(&here, &[]).await;
    let repository = ObjectRepository::new(there, Clock::fake(UnixTime(1_000)));
    let object = object(&organization);
    assert!(repository.add(&object).await.expect("added"));
    let read_both = || async {
        let found = repository.find(&object.owner, ObjectKind::File, &["file-1"]);
        assert_eq!(found.await.expect("found").len(), 1);
        assert_eq!(repository.due(UnixTime(9), 9).await.expect("due").len(), 1);
    };
    // Every statement is prepared on every connection that is in use by now.
    for _ in 0..3 {
        read_both().await;
    }
    let add = sql!("ALTER TABLE stored_objects ADD COLUMN later TEXT");
    let mut transaction = here.begin().await.expect("a transaction");
    transaction.execute(add).await.expect("a column");
    transaction.commit().await.expect("a commit");
    for _ in 0..60 {
        read_both().await;
    }
}
