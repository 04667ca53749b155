//! Strict durability: who has the whole answer can find it in the ledger.

use std::time::Duration;

use gateway::Durability;
use http_body_util::BodyExt;
use store::sql;

use crate::upstream::{COMPLETION, EVENTS, Reply, nobody};
use crate::world::{World, chat, config};

async fn count(world: &World) -> usize {
    let all = usage::LedgerReader::all(world.store.usage()).await;
    all.expect("the ledger").len()
}

/// Starts a world with a model that answers, and one whose server is unreachable.
async fn strict() -> World {
    let nobody = nobody();
    World::with(Reply::whole(200, COMPLETION), Durability::Strict, |url| {
        let mut gone = config("gone", nobody);
        gone.models = vec!["gone".into()];
        gone.aliases.clear();
        vec![config("local", url), gone]
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_byte_waits_for_the_ledger() {
    let world = strict().await;
    let replies = [
        Reply::whole(200, COMPLETION),
        Reply::events(),
        Reply::whole(500, "oh"),
    ];
    let mut expected = 0;
    for reply in replies {
        world.upstream.replies(reply);
        let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
        assert!(!answer.body.is_empty());
        expected += 1;
        assert_eq!(count(&world).await, expected);
    }
    assert_eq!(world.chat(r#"{"model":"gone"}"#).await.status, 502);
    assert_eq!(count(&world).await, expected + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_that_says_done_waits_too() {
    let mut reply = Reply::events();
    reply
        .steps
        .push(crate::upstream::Step::Wait(Duration::from_secs(3)));
    let world = World::with(reply, Durability::Strict, |url| vec![config("local", url)]).await;
    let request = chat(world.service(), r#"{"model":"real","stream":true}"#);
    let mut body = world.gateway.handle(request).await.into_body();
    let mut text = Vec::new();
    while !text.ends_with(EVENTS[3].as_bytes()) {
        let frame = body.frame().await.expect("a frame").expect("a piece");
        text.extend_from_slice(&frame.into_data().expect("data"));
    }
    assert_eq!(count(&world).await, 1);
}

/// Waits until a row is queued for the ledger.
async fn until_waiting(world: &World) {
    poll::until("a row waits", async || {
        !world.recorder.oldest_age().is_zero()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s16_no_answer_ends_well_whose_row_was_not_written() {
    for (model, status) in [("real", 200), ("gone", 503)] {
        let mut world = strict().await;
        let task = world.recorder_task.take().expect("it runs");
        let database = world.store.usage();
        let mut transaction = database.begin().await.expect("a transaction");
        let change = sql!("ALTER TABLE usage_sums RENAME TO away");
        transaction.execute(change).await.expect("a change");
        transaction.commit().await.expect("a commit");
        let body = format!(r#"{{"model":"{model}"}}"#);
        let stop = async {
            until_waiting(&world).await;
            task.stop(Duration::ZERO).await;
        };
        let (answer, ()) = tokio::join!(world.chat(&body), stop);
        assert_eq!(answer.status, status);
        if status == 200 {
            assert!(answer.is_broken, "{answer:?}");
        } else {
            assert!(answer.body.contains("The ledger ended"), "{answer:?}");
            assert_eq!(answer.headers["retry-after"], "5");
        }
        assert_eq!(count(&world).await, 0);
    }
}
