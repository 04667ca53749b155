//! Answers of batches that the upstream stores: they belong to the project of the batch once it has ended.

use serde_json::{Value, json};
use store::sql;

use super::storage_server::StorageServer;
use super::{not_found, world};
use crate::world::World;

/// The number of answers, which are more than one transaction records.
const ANSWER_COUNT: usize = 1_100;

/// Creates a batch of two requests for responses, and returns its id.
async fn batch_of_responses(world: &World, more: &Value) -> String {
    let mut body = json!({"model": "real", "input": "Hi"});
    let more = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(more);
    let line = json!({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body});
    let input = format!("{line}\n{line}");
    let file = world.file(world.service(), "batch", &input).await;
    let batch =
        json!({"input_file_id": file, "endpoint": "/v1/responses", "completion_window": "24h"});
    world
        .make("/v1/batches", world.service(), &batch)
        .await
        .id()
}

/// Returns the line of an output whose answer has this id and an item.
fn answered(id: &str) -> String {
    let body = json!({"id": id, "object": "response", "status": "completed",
                      "output": [{"type": "message", "id": format!("msg_{id}")}],
                      "usage": {"input_tokens": 11, "output_tokens": 7}});
    let response = json!({"status_code": 200, "request_id": "req_1", "body": body});
    json!({"id": "batch_req_1", "custom_id": "a", "response": response, "error": null}).to_string()
}

/// Ends a batch with these answers, which the upstream keeps.
fn finish(shelf: &StorageServer, batch: &str, ids: &[String], members: Value) {
    let lines: Vec<String> = ids.iter().map(|id| answered(id)).collect();
    for id in ids {
        let mut state = shelf.state();
        state.next_id = Some(id.clone());
        state.keep("response", json!({}));
    }
    shelf.finish(batch, &lines.join("\n"), members);
}

impl World {
    /// Returns the number of recorded responses and items.
    async fn recorded_answers(&self) -> i64 {
        let count = "SELECT COUNT(*) AS count FROM stored_objects WHERE kind IN ('response', 'response_item')";
        let mut read = self.store.read().await.expect("a read");
        let count = read.fetch_one(sql!(count), |row| row.get("count"));
        count.await.expect("a count")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_answers_of_a_batch_are_its_projects() {
    let reported = json!({"usage": {"input_tokens": 22, "output_tokens": 14, "total_tokens": 36,
                          "input_tokens_details": {"cached_tokens": 0},
                          "output_tokens_details": {"reasoning_tokens": 0}}});
    for members in [json!({}), reported] {
        let (world, shelf) = world().await;
        let batch = batch_of_responses(&world, &json!({})).await;
        let ids: Vec<String> = (0..ANSWER_COUNT).map(|it| format!("resp_{it}")).collect();
        finish(&shelf, &batch, &ids, members);
        // A client that looks before the poller does not end the batch without its answers.
        let path = format!("/v1/batches/{batch}");
        assert_eq!(world.get(&path, world.service()).await.status, 200);
        world.clock.advance(61);
        world.gateway.poll_objects().await;
        poll::until("the answers are recorded", async || {
            world.recorded_answers().await == 2 * ANSWER_COUNT as i64
        })
        .await;
        for id in [&ids[0], &ids[ANSWER_COUNT - 1]] {
            let path = format!("/v1/responses/{id}");
            assert_eq!(world.get(&path, world.service()).await.status, 200);
            let refused = world.get(&path, world.other()).await.refusal();
            assert_eq!(refused, not_found(Value::Null));
        }
        let next = json!({"model": "real", "input": "x", "previous_response_id": ids[5]});
        let made = world.make("/v1/responses", world.service(), &next).await;
        assert_eq!(made.status, 200, "{}", made.body);
        let refused = world.make("/v1/responses", world.other(), &next).await;
        assert_eq!(refused.refusal(), not_found(json!("previous_response_id")));
        world.rows(2).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_output_of_a_batch_that_stores_nothing_is_not_read_for_its_answers() {
    let (world, shelf) = world().await;
    let batch = batch_of_responses(&world, &json!({"store": false})).await;
    let reported = json!({"usage": {"input_tokens": 22, "output_tokens": 14, "total_tokens": 36}});
    finish(&shelf, &batch, &["resp_1".to_owned()], reported);
    shelf.asked();
    world.clock.advance(61);
    world.gateway.poll_objects().await;
    world.rows(1).await;
    let asked = shelf.asked();
    assert!(
        !asked.iter().any(|line| line.ends_with("/content")),
        "{asked:?}"
    );
    assert_eq!(world.recorded_answers().await, 0);
}
