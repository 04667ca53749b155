//! Prices of batches whose requests have different lengths.

use gateway::{Durability, UpstreamConfig};
use serde_json::{Value, json};
use usage::{Metric, verify};

use super::storage_server::StorageServer;
use super::{batch_of, keeper};
use crate::upstream::{COMPLETION, Reply};
use crate::world::World;

/// Starts a gateway whose upstream keeps objects and serves `banded`: 4 dollars per million input tokens, half in batches, and
/// 5 in batches for requests of more than 272,000.
async fn world() -> (World, StorageServer) {
    let shelf = StorageServer::start().await;
    let upstream = UpstreamConfig {
        models: vec!["banded".to_owned()],
        ..keeper(shelf.base_url())
    };
    let reply = Reply::whole(200, COMPLETION);
    let world = World::with(reply, Durability::Batched, |_| vec![upstream]).await;
    (world, shelf)
}

/// Creates a batch whose requests have inputs of these lengths in bytes.
async fn batch(world: &World, lengths: &[usize]) -> String {
    let line = |length: &usize| {
        let body = json!({"model": "banded", "max_tokens": 10, "messages": "a".repeat(*length)});
        json!({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": body})
            .to_string()
    };
    let lines: Vec<String> = lengths.iter().map(line).collect();
    let file = world
        .file(world.service(), "batch", &lines.join("\n"))
        .await;
    let request = batch_of(&file);
    let batch = world.make("/v1/batches", world.service(), &request);
    batch.await.id()
}

/// Returns the line of an output, whose answer has these input tokens and 10 output tokens.
fn answer(input: i64) -> String {
    let usage = json!({"prompt_tokens": input, "completion_tokens": 10});
    let body = json!({"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}], "usage": usage});
    json!({"response": {"status_code": 200, "body": body}}).to_string()
}

/// Returns the end of the id after that of the batch, the requests, the input tokens and the cost of each row.
async fn rows(world: &World, batch: &str) -> Vec<(String, i64, i64, i64)> {
    let verified = verify(world.store.usage(), |_| {}).await.expect("proved");
    assert_eq!(verified.differences, []);
    let row = |entry: usage::LedgerEntry| {
        let amount = |metric| entry.event.quantities.or_zero(metric);
        let end = entry
            .event
            .id
            .strip_prefix(batch)
            .expect("the id of the batch");
        let requests = amount(Metric::NumModelRequests);
        (
            end.to_owned(),
            requests,
            amount(Metric::InputTokens),
            entry.amount.0,
        )
    };
    world.entries().await.into_iter().map(row).collect()
}

fn sum(requests: i64, input: i64) -> Value {
    json!({"usage": {"input_tokens": input, "output_tokens": 10 * requests, "total_tokens": input + 10 * requests},
           "request_counts": {"total": requests, "completed": requests, "failed": 0}})
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_a_batch_are_charged_each_by_its_own_length() {
    let (world, shelf) = world().await;
    let batch = batch(&world, &[300_000, 300_000, 10]).await;
    let output = [answer(272_000), answer(272_001), answer(1_000)].join("\n");
    shelf.finish(&batch, &output, sum(3, 545_001));
    for _ in 0..2 {
        world.clock.advance(60);
        world.gateway.poll_objects().await;
    }
    // (273,000 × 4 + 20 × 20) × 0.5 = 0.5462; 272,001 × 5 + 10 × 16 = 1.360165.
    let expected = [
        (String::new(), 2, 273_000, 546_200_000),
        ("/2".to_owned(), 1, 272_001, 1_360_165_000),
    ];
    assert_eq!(rows(&world, &batch).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_of_short_requests_is_charged_by_its_sum() {
    let (world, shelf) = world().await;
    let batch = batch(&world, &[100, 100]).await;
    // 272,000 of the tokens may be one request by the sum, but the requests have some hundred bytes.
    shelf.finish(&batch, "unread", sum(2, 272_010));
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    // (272,010 × 4 + 20 × 20) × 0.5 = 0.54422.
    let expected = [(String::new(), 2, 272_010, 544_220_000)];
    assert_eq!(rows(&world, &batch).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn batch_without_output_is_charged_as_if_its_requests_were_as_long_as_they_can_be() {
    let (world, shelf) = world().await;
    let batch = batch(&world, &[300_000, 10]).await;
    shelf.finish(&batch, "", sum(2, 280_000));
    shelf.set(&batch, json!({"output_file_id": null}));
    world.clock.advance(60);
    world.gateway.poll_objects().await;
    // 280,000 × 5 + 20 × 16 = 1.40032.
    let expected = [("/2".to_owned(), 2, 280_000, 1_400_320_000)];
    assert_eq!(rows(&world, &batch).await, expected);
}
