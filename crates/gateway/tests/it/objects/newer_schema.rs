//! Repository of objects on a table that a newer version has changed.

use base::ids::{Id, OrganizationId, ProjectId};
use base::{Clock, UnixTime};
use gateway::{ObjectKind, ObjectOwner, ObjectRepository, UpstreamObject};
use store::testing::TestDatabase;
use store::{Statement, Store, sql};

const PROJECT: &str = "INSERT INTO projects (organization_id, id, name, created_at) VALUES ('org-1', 'proj_1', 'P', 1)";

fn object() -> UpstreamObject {
    UpstreamObject {
        owner: ObjectOwner {
            organization: OrganizationId::from_text("org-1".to_owned()),
            project: ProjectId::from_text("proj_1".to_owned()),
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
    }
}

async fn commit(store: &Store, statements: Vec<Statement>) {
    let mut transaction = store.begin().await.expect("a transaction");
    for statement in statements {
        transaction.execute(statement).await.expect("a change");
    }
    transaction.commit().await.expect("a commit");
}

#[tokio::test(flavor = "multi_thread")]
async fn b8_a_column_that_a_newer_node_adds_stops_no_older_repository() {
    let database = TestDatabase::new();
    let open = || async {
        let store = Store::open(database.url()).await.expect("a store");
        store.for_requests()
    };
    let (here, there) = (open().await, open().await);
    let organization = "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'O', 1, 0, $1)";
    commit(
        &here,
        vec![sql!(organization, Vec::<u8>::new()), sql!(PROJECT)],
    )
    .await;
    let repository = ObjectRepository::new(there, Clock::fake(UnixTime(1_000)));
    let object = object();
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
    commit(&here, vec![add]).await;
    for _ in 0..60 {
        read_both().await;
    }
}
