//! Statements that were prepared before a column changed its type.

use store::testing::TestDatabase;
use store::{Store, sql};

const READ: &str = "SELECT id, name FROM organizations ORDER BY id";

async fn change(store: &Store, statement: &'static str) {
    let mut transaction = store.begin().await.expect("a transaction");
    transaction.execute(sql!(statement)).await.expect(statement);
    transaction.commit().await.expect("a commit");
}

/// Returns a store with an organization; `None` on SQLite, which prepares stale statements anew and has no such types.
async fn store_with_organization() -> Option<(TestDatabase, Store)> {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    if store.kind() == "sqlite" {
        return None;
    }
    let mut transaction = store.begin().await.expect("a transaction");
    let insert = "INSERT INTO organizations (id, name, created_at, revision, audit_hash) VALUES ('org-1', 'O', 1, 0, $1)";
    let insert = sql!(insert, Vec::<u8>::new());
    transaction.execute(insert).await.expect("a row");
    transaction.commit().await.expect("a commit");
    Some((database, store))
}

#[tokio::test]
async fn b8_stale_statement_is_prepared_anew() {
    let Some((database, store)) = store_with_organization().await else {
        return;
    };
    let other = Store::open(database.url()).await.expect("a store");
    let mut read = store.read().await.expect("a connection");
    for statement in [
        "SELECT 1",
        "ALTER TABLE organizations ALTER COLUMN name TYPE VARCHAR(500)",
        "ALTER TABLE organizations ALTER COLUMN name TYPE TEXT",
    ] {
        change(&other, statement).await;
        for _ in 0..2 {
            let names = read.fetch_all(sql!(READ), |row| row.get::<String>("name"));
            assert_eq!(names.await.expect(statement), ["O"]);
        }
    }
}

#[tokio::test]
async fn b8_stale_statement_in_a_transaction_is_an_outage() {
    let Some((database, store)) = store_with_organization().await else {
        return;
    };
    let other = Store::open(database.url()).await.expect("a store");
    let ask = async || {
        let mut transaction = store.begin().await?;
        let names = transaction.fetch_all(sql!(READ), |row| row.get::<String>("name"));
        let names = names.await?;
        transaction.commit().await?;
        Ok::<_, store::Error>(names)
    };
    assert_eq!(ask().await.expect("rows"), ["O"]);
    let widen = "ALTER TABLE organizations ALTER COLUMN name TYPE VARCHAR(500)";
    change(&other, widen).await;
    let refused = ask().await.expect_err("the plan is stale");
    assert_eq!(refused.outage(), Some(store::Outage::Busy), "{refused}");
    assert_eq!(ask().await.expect("rows"), ["O"]);
}
