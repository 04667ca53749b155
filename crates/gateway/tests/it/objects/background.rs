//! Responses that the upstream makes in the background: metered once, whoever asks for them and whenever.

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};
use store::sql;

use super::storage_server::StorageServer;
use super::{keeper, world};
use crate::world::{START_SECONDS, World};

/// The row of a response that has ended: outcome, estimated, input tokens, output tokens and requests.
pub(super) const COMPLETED: (&str, bool, Option<i64>, Option<i64>, Option<i64>) =
    ("succeeded", false, Some(11), Some(7), Some(1));
/// The row of a response that has consumed no more than its input, as far as is known: no text counts as a token.
pub(super) const INPUT_ONLY: (&str, bool, Option<i64>, Option<i64>, Option<i64>) =
    ("client_gone", true, Some(2), Some(1), Some(1));
pub(super) const MINUTE_SECONDS: i64 = 60;
pub(super) const HOUR_SECONDS: i64 = 3_600;

impl World {
    /// Creates a response in the background, and returns its id and the id of the request.
    pub(super) async fn background(&self, key: &str) -> (String, String) {
        let answer = self.respond(key, &json!({"background": true})).await;
        assert_eq!(answer.json()["status"], "queued");
        let request = answer.header("x-request-id").to_owned();
        (answer.id(), request)
    }

    /// Polls what is due after this time.
    pub(super) async fn poll_after(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.gateway.poll_objects().await;
    }

    /// Returns the number of responses whose usage is not in the ledger.
    pub(super) async fn unmetered(&self) -> i64 {
        let count = sql!(
            "SELECT COUNT(*) AS count FROM stored_objects WHERE kind = 'response' AND due_at IS NOT NULL"
        );
        let mut read = self.store.read().await.expect("a read");
        let count = read.fetch_one(count, |row| row.get("count")).await;
        count.expect("a count")
    }

    /// Waits until the usage of every response is in the ledger, which has this many rows then.
    pub(super) async fn until_metered(&self, rows: usize) {
        poll::until("every response is metered", async || {
            self.gateway.poll_objects().await;
            self.unmetered().await == 0
        })
        .await;
        assert_eq!(self.ledger().await.len(), rows);
    }
}

/// Starts a world with a response in the background.
pub(super) async fn running() -> (World, StorageServer, String) {
    let (world, shelf) = world().await;
    let (response, _) = world.background(world.service()).await;
    (world, shelf, response)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_nobody_fetches_is_metered_once_it_has_ended() {
    let (world, shelf) = world().await;
    let (response, request) = world.background(world.service()).await;
    let asked: Value = serde_json::from_slice(&shelf.state().asked[0].1).expect("JSON");
    assert_eq!(asked["background"], true);
    world.poll_after(2).await;
    assert!(world.ledger().await.is_empty(), "it has not ended");
    shelf.set(&response, json!({"status": "in_progress"}));
    world.poll_after(MINUTE_SECONDS).await;
    assert!(world.ledger().await.is_empty(), "it has not ended");
    shelf.complete(&response);
    world.poll_after(MINUTE_SECONDS).await;
    let row = world.rows(1).await.remove(0);
    assert_eq!((row.sums(), &row.id), (COMPLETED, &request));
    assert_eq!(row.who, [&*world.project, "", &*world.keys.service.id]);
    let event = &world.entries().await[0].event;
    assert_eq!(
        event.timestamp.0, START_SECONDS,
        "the time of the admission"
    );
    assert!(!event.batch);
    world.until_metered(1).await;
    shelf.asked();
    world.poll_after(HOUR_SECONDS).await;
    let path = format!("/v1/responses/{response}");
    world.get(&path, world.service()).await.json();
    assert_eq!(shelf.asked(), [format!("GET {path}")], "all is known");
    assert_eq!(world.ledger().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_response_is_polled_once_a_minute() {
    let (world, shelf, response) = running().await;
    let mut polls = Vec::new();
    for _ in 0..20 {
        shelf.asked();
        world.clock.advance(60);
        poll::until("the response is polled", async || {
            world.gateway.poll_objects().await;
            let due = sql!("SELECT due_at FROM stored_objects WHERE kind = 'response'");
            let mut read = world.store.read().await.expect("a read");
            let due: i64 = read
                .fetch_one(due, |row| row.get("due_at"))
                .await
                .expect("due");
            due > world.clock.now().0
        })
        .await;
        polls.push(shelf.asked().len());
    }
    assert_eq!(polls, [1; 20]);
    assert_eq!(world.unmetered().await, 1);
    shelf.complete(&response);
    world.poll_after(60).await;
    world.until_metered(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_metered_as_soon_as_its_client_sees_its_end() {
    let (world, shelf, response) = running().await;
    let path = format!("/v1/responses/{response}");
    assert_eq!(
        world.get(&path, world.service()).await.json()["status"],
        "queued"
    );
    assert!(world.ledger().await.is_empty());
    shelf.complete(&response);
    assert_eq!(world.get(&path, world.other()).await.status, 404);
    assert!(world.ledger().await.is_empty());
    let fetching = (0..8).map(|_| world.get(&path, world.service()));
    let fetched = join_all(fetching).await;
    assert!(fetched.iter().all(|answer| answer.status == 200));
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.sums(), COMPLETED);
    // As if the process had ended before it noted that the response is metered.
    let due = sql!("UPDATE stored_objects SET due_at = 0 WHERE kind = 'response'");
    world.change(due).await;
    world.until_metered(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_metered_after_a_restart() {
    let (world, shelf, response) = running().await;
    shelf.complete(&response);
    world.clock.advance(MINUTE_SECONDS);
    let upstreams = vec![keeper(shelf.base_url())];
    let _restarted = world.another_gateway(upstreams).await;
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.sums(), COMPLETED);
    world.until_metered(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_metered_once_by_two_nodes() {
    let (world, shelf) = world().await;
    let node = world.another_node(vec![keeper(shelf.base_url())]).await;
    let mut responses = Vec::new();
    for _ in 0..12 {
        responses.push(world.background(world.service()).await.0);
    }
    for response in &responses {
        shelf.complete(response);
    }
    for _ in 0..3 {
        world.clock.advance(MINUTE_SECONDS);
        let (here, there) = (&world.gateway, node.gateway());
        tokio::join!(here.poll_objects(), there.poll_objects());
        let due = sql!("UPDATE stored_objects SET due_at = 0 WHERE kind = 'response'");
        world.change(due).await;
    }
    world.until_metered(12).await;
    let rows = world.ledger().await;
    assert!(rows.iter().all(|row| row.sums() == COMPLETED), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_answers_at_once_is_metered_at_once() {
    let (world, shelf) = world().await;
    shelf.state().refuses = true;
    let more = json!({"background": true});
    let answer = world.respond(world.service(), &more).await;
    assert_eq!(answer.json()["status"], "completed");
    assert_eq!(world.row().await.sums(), COMPLETED);
    assert_eq!(world.unmetered().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_response_has_one_row_and_is_not_polled() {
    let (world, shelf) = world().await;
    shelf.state().response = Some(json!({"error": {"message": "boom", "type": "server_error"}}));
    let more = json!({"background": true});
    world.respond(world.service(), &more).await;
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.outcome, "upstream_failed");
    assert_eq!(world.unmetered().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_cannot_be_recorded_is_cancelled_deleted_and_estimated() {
    let (world, shelf) = world().await;
    let rename = sql!("ALTER TABLE stored_objects RENAME TO elsewhere");
    world.change(rename).await;
    let more = json!({"background": true});
    let answer = world.respond(world.service(), &more).await;
    assert!(answer.is_broken, "{}", answer.body);
    poll::until("the response is deleted", async || {
        shelf
            .state()
            .objects
            .values()
            .all(|it| it["object"] != "response")
    })
    .await;
    let asked = shelf.asked();
    assert!(asked[1].ends_with("/cancel"), "{asked:?}");
    assert_eq!(world.rows(1).await[0].sums(), INPUT_ONLY);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_the_upstream_repeats_is_metered_once() {
    let (world, shelf) = world().await;
    let (first, _) = world.background(world.service()).await;
    shelf.state().next_id = Some(first.clone());
    let (again, _) = world.background(world.service()).await;
    assert_eq!(first, again);
    shelf.complete(&first);
    world.poll_after(2).await;
    world.until_metered(2).await;
    let mut rows: Vec<_> = world.ledger().await;
    rows.sort_by_key(|row| row.requests);
    assert_eq!(rows[0].sums(), ("succeeded", false, None, None, Some(0)));
    assert_eq!(rows[1].sums(), COMPLETED);
    // The response of another project is not the caller's.
    shelf.state().next_id = Some(first.clone());
    let more = json!({"background": true});
    let foreign = world.respond(world.other(), &more).await;
    assert!(foreign.is_broken);
    assert_eq!(world.rows(3).await.len(), 3);
    let path = format!("/v1/responses/{first}");
    assert_eq!(world.get(&path, world.other()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_has_one_row_whatever_is_asked_in_which_order() {
    // Each digit of a number is an action.
    for seed in 0..24_usize {
        let (world, shelf, response) = running().await;
        let path = format!("/v1/responses/{response}");
        let (mut number, mut is_deleted) = (seed * 2_654_435_761 % 1_000_003, false);
        for _ in 0..6 {
            match number % 6 {
                0 => drop(world.get(&path, world.service()).await),
                1 if seed % 3 == 0 => {
                    let cancel = format!("{path}/cancel");
                    world.call(Method::POST, &cancel, world.service(), "").await;
                }
                2 if !is_deleted => shelf.complete(&response),
                3 if seed % 2 == 0 && !is_deleted => {
                    assert_eq!(world.delete(&path, world.service()).await.status, 200);
                    is_deleted = true;
                }
                4 => {
                    let due = sql!("UPDATE stored_objects SET due_at = 0 WHERE kind = 'response'");
                    world.change(due).await;
                }
                _ => world.poll_after(7).await,
            }
            number /= 6;
        }
        if !is_deleted {
            shelf.complete(&response);
        }
        world.poll_after(MINUTE_SECONDS).await;
        world.until_metered(1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn background_is_refused_where_the_response_could_not_be_fetched() {
    let (world, shelf) = world().await;
    let unstored = json!({"background": true, "store": false});
    let refused = world.respond(world.service(), &unstored).await;
    assert_eq!(
        refused.refusal(),
        (400, json!("store"), json!("invalid_value"))
    );
    let odd = json!({"background": "yes"});
    let refused = world.respond(world.service(), &odd).await;
    assert_eq!(
        refused.refusal(),
        (400, json!("background"), json!("invalid_value"))
    );
    world.retain("zero_data_retention").await;
    let more = json!({"background": true});
    let refused = world.respond(world.service(), &more).await;
    let zero = (400, json!("background"), json!("zero_data_retention"));
    assert_eq!(refused.refusal(), zero);
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    assert!(world.ledger().await.is_empty());
}
