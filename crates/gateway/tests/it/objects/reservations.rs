//! Spend reservations of batches, from their creation to their settlement, and of vector stores, day by day.

use http::Method;
use serde_json::{Value, json};
use store::sql;
use tokio::task::JoinSet;

use super::{batch_of, keeper, line, world};
use crate::world::{Answer, World, chat, read, request};

/// The number of batches that fit in 10 dollars. A batch of one request reserves 28 input tokens and 1,000 output tokens, which
/// are 1.028 dollars.
const FITTING_COUNT: usize = 9;
/// The reservation for a batch of one request, in billionths of a dollar.
const MAX_BATCH_COST: i64 = 1_028_000_000;

fn reached() -> (u16, Value, Value) {
    (429, Value::Null, json!("insufficient_quota"))
}

fn usage(input: i64, output: i64) -> Value {
    json!({"usage": {"input_tokens": input, "output_tokens": output, "total_tokens": input + output}})
}

/// Returns the sum of all reservations, which must equal the stored sum.
pub(super) async fn reserved(world: &World) -> i64 {
    // One statement, since both change together.
    let both = sql!(
        "SELECT (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_reservations) AS in_rows, \
         (SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM spend_reserved) AS in_sums"
    );
    let mut read = world.store.usage().read().await.expect("a connection");
    let both = read.fetch_one(both, |row| {
        Ok((row.get::<i64>("in_rows")?, row.get::<i64>("in_sums")?))
    });
    let (rows, sums) = both.await.expect("what is reserved");
    assert_eq!(rows, sums);
    rows
}

/// Waits until this amount is reserved.
pub(super) async fn until_reserved(world: &World, amount: i64) {
    poll::until("the amount is reserved", async || {
        reserved(world).await == amount
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_batches_pass_no_limit_before_they_are_settled() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    world.limit_spend(Some(1_000)).await;
    shelf.asked();
    let create = async || {
        world
            .make("/v1/batches", world.service(), &batch_of(&file))
            .await
    };
    let mut batches = Vec::new();
    for _ in 0..50 {
        let answer = create().await;
        if answer.status == 200 {
            batches.push(answer.id());
        } else {
            assert_eq!(answer.refusal(), reached());
        }
    }
    assert_eq!(batches.len(), FITTING_COUNT);
    assert_eq!(
        shelf.asked().len(),
        FITTING_COUNT,
        "what is refused is not passed on"
    );
    assert_eq!(reserved(&world).await, 9 * MAX_BATCH_COST);
    // Requests leave room for them, too: less than a dollar is left.
    let message =
        |tokens: i64| format!(r#"{{"model":"real","max_tokens":{tokens},"messages":[]}}"#);
    assert_eq!(world.chat(&message(1_000)).await.status, 429);
    // This server has no models: what is admitted fails.
    assert_eq!(world.chat(&message(500)).await.status, 500);
    world.rows(1).await;
    // A month later they are still there.
    world.clock.advance(31 * 86_400);
    assert_eq!(world.chat(&message(1_000)).await.status, 429);
    // What one has cost takes the place of what was reserved for it.
    shelf.finish(&batches[0], "a\n", usage(40, 21));
    let path = format!("/v1/batches/{}", batches[0]);
    assert_eq!(world.get(&path, world.service()).await.status, 200);
    assert_eq!(reserved(&world).await, 8 * MAX_BATCH_COST);
    assert_eq!(create().await.status, 200);
    assert_eq!(create().await.refusal(), reached());
    // So it is with one that failed and with one that is cancelled, of which nothing is charged.
    for (batch, status) in [(&batches[1], "failed"), (&batches[2], "cancelled")] {
        shelf.set(batch, json!({"status": status}));
        world
            .get(&format!("/v1/batches/{batch}"), world.service())
            .await
            .json();
        world.gateway.poll_objects().await;
    }
    until_reserved(&world, 7 * MAX_BATCH_COST).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_batches_of_two_nodes_at_once_pass_no_limit() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    world.limit_spend(Some(1_000)).await;
    let node = world.another_node(vec![keeper(shelf.base_url())]).await;
    let mut clients = JoinSet::new();
    // As many at each node as a project may have under way there at once.
    for client in 0..32 {
        let gateway = [&world.gateway, node.gateway()][client % 2].clone();
        let body = batch_of(&file).to_string();
        let request = request(Method::POST, "/v1/batches", world.service(), &body);
        clients.spawn(async move { read(gateway.handle(request).await).await });
    }
    let answers: Vec<Answer> = clients.join_all().await;
    let (passed, refused): (Vec<_>, Vec<_>) =
        answers.iter().partition(|answer| answer.status == 200);
    assert_eq!(passed.len(), FITTING_COUNT);
    assert!(refused.iter().all(|answer| answer.refusal() == reached()));
    assert_eq!(reserved(&world).await, 9 * MAX_BATCH_COST);
    // Both know of all of them soon.
    let dear = r#"{"model":"real","max_tokens":1000,"messages":[]}"#;
    for gateway in [&world.gateway, node.gateway()] {
        let mut tries = 0;
        poll::until("the node knows of all batches", async || {
            tries += 1;
            assert!(tries <= 300, "not within three seconds");
            read(gateway.handle(chat(world.service(), dear)).await)
                .await
                .status
                == 429
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_what_nothing_came_of_is_released_whoever_was_killed() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    world.limit_spend(Some(1_000)).await;
    let create = async || {
        world
            .make("/v1/batches", world.service(), &batch_of(&file))
            .await
    };
    shelf.state().refuses = true;
    assert_eq!(create().await.status, 400);
    until_reserved(&world, 0).await;
    shelf.state().refuses = false;
    // Nor is what a rate limit refuses.
    let tokens = "batch_1_day_max_input_tokens";
    world.limit("real", tokens, 0).await;
    let refusal = create().await.refusal();
    assert_eq!(refusal.2, json!("rate_limit_exceeded"));
    until_reserved(&world, 0).await;
    world.limit("real", tokens, 1_000_000).await;
    let batch = create().await.id();
    assert_eq!(reserved(&world).await, MAX_BATCH_COST);
    // As if the process had been killed before it wrote down what the reservation is for.
    let expiry = world.clock.now().plus(3_600);
    let unbind = async || {
        let mut transaction = world.store.usage().begin().await.expect("a transaction");
        let pending = sql!(
            "UPDATE spend_reservations SET object_id = NULL, expires_at = $1",
            expiry
        );
        assert_eq!(transaction.execute(pending).await.expect("a row"), 1);
        transaction.commit().await.expect("a commit");
    };
    unbind().await;
    // It is found again, also when the model server's answer makes no sense, and neither time nor a restart ends it.
    shelf.set(&batch, json!({"status": 7}));
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    world.clock.advance(7_200);
    let node = world.another_node(vec![keeper(shelf.base_url())]).await;
    node.gateway().poll_objects().await;
    world.gateway.poll_objects().await;
    assert_eq!(reserved(&world).await, MAX_BATCH_COST);
    // As if the process had been killed before the batch was made: there is no such batch.
    unbind().await;
    let unmade = sql!("DELETE FROM stored_objects WHERE kind = 'batch'");
    world.change(unmade).await;
    node.gateway().poll_objects().await;
    assert_eq!(reserved(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_batch_that_cannot_be_bounded_is_refused_under_a_limit() {
    let (world, shelf) = world().await;
    let endless = line(r#"{"tools":[{"type":"web_search"}]}"#);
    let endless = world.file(world.service(), "batch", &endless).await;
    let bounded = line(r#"{"max_tokens":20,"n":3}"#);
    let bounded = world
        .file(world.service(), "batch", &format!("{bounded}\n{bounded}"))
        .await;
    let create = async |file: &str| {
        world
            .make("/v1/batches", world.service(), &batch_of(file))
            .await
    };
    assert_eq!(create(&endless).await.status, 200, "without a limit");
    world.limit_spend(Some(1_000)).await;
    let refusal = (400, json!("input_file_id"), json!("invalid_value"));
    let answer = create(&endless).await;
    assert_eq!(answer.refusal(), refusal);
    assert!(answer.message().contains("max_tool_calls"));
    let before = reserved(&world).await;
    assert_eq!(create(&bounded).await.status, 200);
    assert_eq!(reserved(&world).await - before, 2 * (28 + 60) * 1_000_000);
    // What an older version has looked at says nothing of this.
    let unknown = sql!(
        "UPDATE stored_objects SET work = REPLACE(work, '\"most\"', '\"more\"') WHERE kind = 'file'"
    );
    world.change(unknown).await;
    shelf.asked();
    let answer = create(&bounded).await;
    assert_eq!(answer.refusal(), refusal);
    assert!(answer.message().contains("Upload the file again"));
    assert!(shelf.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_the_next_day_of_a_vector_store_is_reserved_until_it_is_charged() {
    const DAY_SECONDS: i64 = 86_400;
    /// The cost of a gibibyte for a day, in billionths of a dollar.
    const MAX_DAY_COST: i64 = 1_600_000_000;
    let (world, shelf) = world().await;
    let spent = || world.spend.month_to_date(&world.organization.id, None).0;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({}))
        .await
        .id();
    shelf.set(&store, json!({"usage_bytes": 1 << 30}));
    world.clock.advance(3_600);
    for days in 1..=3 {
        for _ in 0..2 {
            world.gateway.poll_objects().await;
        }
        assert_eq!(
            (spent(), reserved(&world).await),
            (days * MAX_DAY_COST, MAX_DAY_COST + 1),
            "day {days}"
        );
        world.clock.advance(DAY_SECONDS);
    }
    // There is no room for what the day will cost: of 6.50 dollars, 4.80 are spent and 1.60 reserved.
    world.limit_spend(Some(650)).await;
    let dear = r#"{"model":"real","max_tokens":100,"messages":[]}"#;
    assert_eq!(world.chat(dear).await.status, 429);
    world.limit_spend(Some(660)).await;
    assert_ne!(world.chat(dear).await.status, 429);
    let path = format!("/v1/vector_stores/{store}");
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    world.recorder.flush().await;
    assert_eq!((spent(), reserved(&world).await), (4 * MAX_DAY_COST, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_vector_stores_are_refused_once_the_limit_is_reached() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "assistants", "x").await;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({}))
        .await
        .id();
    let path = format!("/v1/vector_stores/{store}");
    let asks = [
        ("/v1/vector_stores".to_owned(), json!({})),
        ("/v1/vector_stores".to_owned(), json!({"file_ids": [file]})),
        (format!("{path}/files"), json!({"file_id": file})),
        (
            format!("{path}/file_batches"),
            json!({"files": [{"file_id": file}]}),
        ),
        (format!("{path}/search"), json!({"query": "q"})),
    ];
    world.limit_spend(Some(1_000)).await;
    for (path, body) in &asks {
        assert_eq!(
            world.make(path, world.service(), body).await.status,
            200,
            "{path}"
        );
    }
    // A day of 64 MiB for each of three files, 10 cents and what rounding may add.
    assert_eq!(reserved(&world).await, 3 * 100_000_001);
    world.limit_spend(Some(35)).await;
    let (files, body) = &asks[2];
    assert_eq!(
        world.make(files, world.service(), body).await.refusal(),
        reached()
    );
    assert_eq!(reserved(&world).await, 300_000_003);
    // The API accepts no limit of 0, which is reached before anything is spent.
    let reached_at_once = sql!("UPDATE spend_limits SET threshold_amount = 0");
    world.change(reached_at_once).await;
    shelf.asked();
    for (path, body) in &asks {
        let answer = world.make(path, world.service(), body).await;
        assert_eq!(answer.refusal(), reached(), "{path}");
    }
    assert!(shelf.asked().is_empty(), "what is refused is not passed on");
    // What is there can be looked at and deleted.
    assert_eq!(world.get(&path, world.service()).await.status, 200);
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    // By then the days are in the ledger.
    world.clock.advance(26 * 3_600);
    world.gateway.poll_objects().await;
    assert_eq!(reserved(&world).await, 0);
}
