//! Usage of batches and vector stores: in the ledger once, however often it is reconciled.

use http::Method;
use serde_json::{Value, json};
use store::sql;
use usage::{MIN_LEDGER_DAYS, RetentionPeriods, forget, set_aside};

use super::{batch_of, keeper, line, world};
use crate::world::START_SECONDS;

fn usage() -> Value {
    json!({"usage": {"input_tokens": 40, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 21,
                     "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 61}})
}

const REPORTED: &str = "completions real succeeded input_tokens=40 output_tokens=21 num_model_requests=2 \
                        input_cached_tokens=8 input_uncached_tokens=32";

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_metered_once_however_often_it_is_fetched() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    let path = format!("/v1/batches/{batch}");
    world.get(&path, world.service()).await.json();
    assert!(world.ledger().await.is_empty(), "it has not ended");
    shelf.finish(&batch, "a\nb\n", usage());
    for _ in 0..3 {
        // Several see its end at once, and the note that it is in the ledger may get lost.
        let fetching = (0..4).map(|_| world.get(&path, world.service()));
        let looking = world.gateway.poll_objects();
        let (fetched, ()) = tokio::join!(futures_util::future::join_all(fetching), looking);
        assert!(fetched.iter().all(|answer| answer.status == 200));
        world.page("/v1/batches", world.service()).await;
        // As if the process had ended before it noted that the batch is settled.
        let due = sql!("UPDATE stored_objects SET due_at = 0 WHERE kind = 'batch'");
        world.change(due).await;
    }
    assert_eq!(world.consumed().await, [REPORTED]);
    let row = world.row().await;
    assert_eq!(row.id, batch);
    assert_eq!(row.who, [&*world.project, "", &*world.keys.service.id]);
    assert!(world.entries().await[0].event.batch);
}

#[tokio::test(flavor = "multi_thread")]
async fn s2_a_batch_that_is_settled_is_not_settled_again() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    let path = format!("/v1/batches/{batch}");
    shelf.finish(&batch, "a\nb\n", usage());
    world.get(&path, world.service()).await.json();
    assert_eq!(world.consumed().await, [REPORTED]);
    // Once the day of its row is dropped, a second row could not be told from the first, and would be set aside.
    world.clock.advance(100 * 86_400);
    let keep = RetentionPeriods {
        events: Some(MIN_LEDGER_DAYS),
        ..RetentionPeriods::default()
    };
    let forgotten = forget(world.store.usage(), keep, world.clock.now()).await;
    forgotten.expect("the day is dropped");
    assert!(world.ledger().await.is_empty());
    for _ in 0..3 {
        let told = world.get(&path, world.service()).await.json();
        assert_eq!(told["status"], "completed");
        assert_eq!(
            world.page("/v1/batches", world.service()).await.0,
            [&*batch]
        );
        world.gateway.poll_objects().await;
    }
    assert!(world.ledger().await.is_empty());
    assert_eq!(world.recorder.set_aside(), 0);
    let aside = set_aside(world.store.usage(), 10).await.expect("read");
    assert_eq!(aside, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_nobody_fetches_is_metered_after_a_restart_too() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.other()).await;
    let output = shelf.finish(&batch, "a\nb\n", usage());
    shelf.asked();
    world.gateway.poll_objects().await;
    assert!(shelf.asked().is_empty(), "not before a minute has passed");
    world.clock.advance(60);
    let upstreams = vec![keeper(shelf.base_url())];
    let _restarted = world.another_gateway(upstreams).await;
    world.rows(1).await;
    assert_eq!(shelf.asked(), [format!("GET /v1/batches/{batch}")]);
    assert_eq!(world.consumed().await, [REPORTED]);
    assert_eq!(world.row().await.who[0], world.other_project);
    world.clock.advance(3600);
    world.gateway.poll_objects().await;
    assert!(shelf.asked().is_empty(), "all is known");
    let content = format!("/v1/files/{output}/content");
    assert_eq!(world.get(&content, world.other()).await.status, 200);
    assert_eq!(world.get(&content, world.service()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_of_two_nodes_that_look_at_once_one_looks_at_a_batch() {
    let (world, shelf) = world().await;
    let node = world.another_node(vec![keeper(shelf.base_url())]).await;
    let mut batches = Vec::new();
    for _ in 0..12 {
        batches.push(world.batch(world.service()).await);
    }
    for batch in &batches {
        shelf.finish(batch, "a\nb\n", usage());
    }
    shelf.asked();
    world.clock.advance(60);
    let (here, there) = (&world.gateway, node.gateway());
    tokio::join!(here.poll_objects(), there.poll_objects());
    let mut asked = shelf.asked();
    asked.sort_unstable();
    let mut once: Vec<_> = (batches.iter())
        .map(|batch| format!("GET /v1/batches/{batch}"))
        .collect();
    once.sort_unstable();
    assert_eq!(asked, once);
    assert_eq!(world.rows(12).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn b12_a_batch_whose_node_died_while_it_looked_is_looked_at_again() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    shelf.finish(&batch, "a\nb\n", usage());
    world.clock.advance(60);
    shelf.asked();
    // Claimed until the year 2100 by a node that does not run any more.
    let claim = sql!(
        "UPDATE stored_objects SET claimed_until = $1",
        4_102_444_800_i64
    );
    world.change(claim).await;
    world.gateway.poll_objects().await;
    assert!(shelf.asked().is_empty(), "it is another node's");
    // The claim has ended by the clock of the database, not by that of the node, which is in the past.
    let end = sql!(
        "UPDATE stored_objects SET claimed_until = $1",
        1_767_225_600_i64
    );
    world.change(end).await;
    world.gateway.poll_objects().await;
    assert_eq!(shelf.asked(), [format!("GET /v1/batches/{batch}")]);
    world.rows(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_does_not_end_is_looked_at_again_and_again() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    shelf.asked();
    for _ in 0..3 {
        world.clock.advance(60);
        world.gateway.poll_objects().await;
        world.gateway.poll_objects().await;
    }
    assert_eq!(shelf.asked().len(), 3);
    shelf.set(&batch, json!({"object": "unclear"}));
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    shelf.set(&batch, json!({"object": "batch"}));
    assert_eq!(shelf.asked().len(), 1);
    shelf.finish(&batch, "a\nb\n", usage());
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    assert_eq!(world.consumed().await, [REPORTED]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_batch_does_not_say_is_read_from_its_output() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    let answer = |status: u16, body: Value| {
        json!({"id": "b", "custom_id": "a", "response": {"status_code": status, "request_id": "r", "body": body}, "error": null})
            .to_string()
    };
    let used = |input: i64, output: i64| json!({"choices": [], "usage": {"prompt_tokens": input, "completion_tokens": output}});
    let lines = [
        answer(200, used(10, 3)),
        answer(400, json!({"error": {"message": "no"}})),
        answer(200, used(5, 4)),
        json!({"id": "b", "custom_id": "a", "response": null, "error": {"code": "expired"}})
            .to_string(),
        "nonsense".to_owned(),
    ];
    shelf.finish(&batch, &lines.join("\n"), json!({}));
    world
        .get(&format!("/v1/batches/{batch}"), world.service())
        .await
        .json();
    // Reading it does not delay the client, but is done at once.
    world.rows(1).await;
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    let expected =
        "completions real succeeded input_tokens=15 output_tokens=7 num_model_requests=2";
    assert_eq!(world.consumed().await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_that_no_output_reports_is_estimated() {
    let (world, shelf) = world().await;
    let batch = world.batch(world.service()).await;
    let output = shelf.finish(&batch, "a\nb\n", json!({"status": "expired"}));
    world
        .get(&format!("/v1/batches/{batch}"), world.service())
        .await
        .json();
    world
        .delete(&format!("/v1/files/{output}"), world.service())
        .await
        .json();
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    // The line has twelve bytes of messages: three tokens, of which there were two.
    let expected = "completions real timed_out estimated input_tokens=6 num_model_requests=2";
    // The poller was woken by the first answer, and may still be at work.
    assert_eq!(world.consumed_once().await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_came_to_nothing_is_in_no_report() {
    let (world, shelf) = world().await;
    for status in ["failed", "cancelled", "expired"] {
        let batch = world.batch(world.service()).await;
        shelf.set(&batch, json!({"status": status}));
    }
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    assert!(world.ledger().await.is_empty());
    shelf.asked();
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    assert!(shelf.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_batch_is_metered_with_what_it_did() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    let batch = world
        .make("/v1/batches", world.service(), &batch_of(&file))
        .await
        .id();
    world
        .call(
            Method::POST,
            &format!("/v1/batches/{batch}/cancel"),
            world.service(),
            "",
        )
        .await
        .json();
    shelf.finish(&batch, "a\nb\n", usage());
    shelf.set(
        &batch,
        json!({"status": "cancelled", "completed_at": null, "cancelled_at": START_SECONDS}),
    );
    world
        .get(&format!("/v1/batches/{batch}"), world.service())
        .await
        .json();
    assert_eq!(
        world.consumed().await,
        [REPORTED.replace("succeeded", "client_gone")]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_store_is_metered_once_a_day() {
    let (world, shelf) = world().await;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({"name": "s"}))
        .await
        .id();
    shelf.set(&store, json!({"usage_bytes": 1000}));
    world.gateway.poll_objects().await;
    assert!(world.ledger().await.is_empty(), "its files come first");
    for _ in 0..2 {
        world.clock.advance(3600);
        world.gateway.poll_objects().await;
    }
    let day = |bytes: i64| format!("vector_stores  succeeded usage_bytes={bytes}");
    let estimated = |bytes: i64| format!("vector_stores  succeeded estimated usage_bytes={bytes}");
    assert_eq!(world.consumed().await, [day(1000)]);
    world.clock.advance(86_400);
    shelf.set(&store, json!({"usage_bytes": 2000}));
    world.gateway.poll_objects().await;
    world.gateway.poll_objects().await;
    assert_eq!(world.consumed().await, [day(1000), day(2000)]);
    // Nobody looks for two days.
    world.clock.advance(3 * 86_400);
    world.gateway.poll_objects().await;
    let all = [
        day(1000),
        day(2000),
        estimated(2000),
        estimated(2000),
        day(2000),
    ];
    assert_eq!(world.consumed().await, all);
    // The day that it is deleted on counts too.
    world.clock.advance(86_400 - 3 * 3600);
    shelf.asked();
    world
        .delete(&format!("/v1/vector_stores/{store}"), world.service())
        .await
        .json();
    let rows = world.ledger().await.len();
    let asked = shelf.asked();
    assert_eq!((rows, asked.len()), (6, 2), "{asked:?}");
    world.clock.advance(86_400);
    world.gateway.poll_objects().await;
    assert!(shelf.asked().is_empty());
}
