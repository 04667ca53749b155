//! S22: texts that PostgreSQL cannot keep.

use base::Error as Refusal;
use store::testing::Scratch;
use store::{Error, Store, Value, sql};

const TABLE: &str = "CREATE TABLE t (id TEXT PRIMARY KEY)";
const NUL: &str = "a\0b";

fn is_refused<T>(result: Result<T, Error>) {
    let Err(error) = result else {
        panic!("a text with NUL passed");
    };
    assert!(matches!(error, Error::Nul), "{error}");
    assert!(error.is_permanent());
    let refusal = Refusal::from(error);
    assert_eq!(refusal.status.as_u16(), 400);
}

#[tokio::test]
async fn s22_no_statement_takes_a_text_that_one_database_cannot_keep() {
    let scratch = Scratch::new();
    let store = Store::open(scratch.url()).await.expect("a store");
    let mut transaction = store.begin().await.expect("a transaction");
    transaction.execute(sql!(TABLE)).await.expect("a table");
    transaction.commit().await.expect("committed");

    let ask = || sql!("SELECT id FROM t WHERE id = $1", NUL);
    let id = |row: &store::Row<'_>| row.get::<String>("id");
    let mut read = store.read().await.expect("a connection");
    is_refused(read.fetch_optional(ask(), id).await);
    is_refused(read.fetch_all_blocking(ask(), id).await);

    let head = sql!("INSERT INTO t (id) VALUES ");
    let tail = sql!(" ON CONFLICT (id) DO NOTHING");
    let rows = || vec![vec![Value::from("fine")], vec![Value::from(NUL)]];
    let mut transaction = store.begin().await.expect("a transaction");
    is_refused(
        transaction
            .execute(sql!("DELETE FROM t WHERE id = $1", NUL))
            .await,
    );
    let none = |_: &store::Row<'_>| Ok(());
    is_refused(transaction.write_rows(&head, rows(), &tail, none).await);
    is_refused(
        transaction
            .insert_new(&head, rows(), &tail, (0, "id"))
            .await,
    );
    let mut list = sql!("SELECT id FROM t WHERE id IN ");
    list.bind_list(["x", NUL]);
    is_refused(transaction.fetch_all(list, id).await);
    drop(transaction);

    let mut transaction = store.begin().await.expect("a transaction");
    let insert = sql!("INSERT INTO t VALUES ($1)", Value::shown(NUL));
    transaction.execute(insert).await.expect("a row");
    let kept = transaction.fetch_all(sql!("SELECT id FROM t"), id).await;
    assert_eq!(kept.expect("rows"), ["a\u{fffd}b"]);
}
