//! S22: texts with NUL characters, which PostgreSQL cannot store.

use base::Error as Refusal;
use store::testing::TestDatabase;
use store::{Error, Store, Value, sql};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY)";
const NUL: &str = "a\0b";

fn assert_refused<T>(result: Result<T, Error>) {
    let Err(error) = result else {
        panic!("a text with NUL was accepted");
    };
    assert!(matches!(error, Error::Nul), "{error}");
    assert!(error.is_permanent());
    let refusal = Refusal::from(error);
    assert_eq!(refusal.status.as_u16(), 400);
}

#[tokio::test]
async fn s22_nul_character_is_refused_on_both_databases() {
    let database = TestDatabase::new();
    let store = Store::open(database.url()).await.expect("a store");
    let mut transaction = store.begin().await.expect("a transaction");
    transaction.execute(sql!(TABLE)).await.expect("a table");
    transaction.commit().await.expect("a commit");

    let ask = || sql!("SELECT id FROM t WHERE id = $1", NUL);
    let id = |row: &store::Row<'_>| row.get::<String>("id");
    let mut read = store.read().await.expect("a connection");
    assert_refused(read.fetch_optional(ask(), id).await);
    assert_refused(read.fetch_all_blocking(ask(), id).await);

    let head = sql!("INSERT INTO t (id) VALUES ");
    let tail = sql!(" ON CONFLICT (id) DO NOTHING");
    let rows = || vec![vec![Value::from("fine")], vec![Value::from(NUL)]];
    let mut transaction = store.begin().await.expect("a transaction");
    assert_refused(
        transaction
            .execute(sql!("DELETE FROM t WHERE id = $1", NUL))
            .await,
    );
    let none = |_: &store::Row<'_>| Ok(());
    assert_refused(transaction.write_rows(&head, rows(), &tail, none).await);
    assert_refused(
        transaction
            .insert_new(&head, rows(), &tail, (0, "id"))
            .await,
    );
    let mut list = sql!("SELECT id FROM t WHERE id IN ");
    list.bind_list(["x", NUL]);
    assert_refused(transaction.fetch_all(list, id).await);
    drop(transaction);

    let mut transaction = store.begin().await.expect("a transaction");
    let insert = sql!("INSERT INTO t VALUES ($1)", Value::shown(NUL));
    transaction.execute(insert).await.expect("a row");
    let kept = transaction.fetch_all(sql!("SELECT id FROM t"), id).await;
    assert_eq!(kept.expect("rows"), ["a\u{fffd}b"]);
}
