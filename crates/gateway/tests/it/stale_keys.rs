//! Keys in memory while the database is unreachable: valid up to the maximum age of the directory, and no longer.

use std::time::Duration;

use serde_json::json;
use store::sql;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, Bounds, World, config};

const MODEL: &str = r#"{"model":"real"}"#;

/// Renames a table so that keys can be read, or cannot.
async fn rename(world: &World, statement: &'static str) {
    let mut transaction = world.store.begin_untracked().await.expect("a transaction");
    transaction.execute(sql!(statement)).await.expect(statement);
    transaction.commit().await.expect("a commit");
}

async fn until_answered(world: &World, status: u16) -> Answer {
    poll::value("the status of answers changes", async || {
        Some(world.chat(MODEL).await).filter(|answer| answer.status == status)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn s8_keys_that_are_too_old_are_not_believed_until_the_database_is_back() {
    let bounds = Bounds {
        stale_keys: Some(Duration::from_secs(2)),
        ..Bounds::default()
    };
    let upstreams = |url| vec![config("local", url)];
    let world = World::bounded(Reply::whole(200, COMPLETION), upstreams, bounds).await;
    rename(&world, "ALTER TABLE organizations RENAME TO away").await;
    assert_eq!(world.chat(MODEL).await.status, 200, "they are still young");
    let answer = until_answered(&world, 503).await;
    let [message, _, _, code] = answer.error();
    assert_eq!(
        (code, answer.header("retry-after")),
        (json!("overloaded"), "5")
    );
    assert!(message.to_string().contains("database"), "{message}");
    rename(&world, "ALTER TABLE away RENAME TO organizations").await;
    until_answered(&world, 200).await;
}
