//! Limits of responses in the background: the maximum cost is reserved until the response is metered.

use serde_json::{Value, json};

use super::reservations::{reserved, until_reserved};
use super::{keeper, world};
use crate::world::World;

/// The output tokens that a response may have.
const MAX_TOKENS: i64 = 1_000;
/// The cost of an answer with 11 and 7 tokens, in billionths of a dollar.
const MAX_ANSWER_COST: i64 = 18_000_000;
/// A lower bound of the reservation for a response, in billionths of a dollar.
const MIN_RESERVED: i64 = MAX_TOKENS * 1_000_000;

fn background() -> Value {
    json!({"background": true, "max_output_tokens": MAX_TOKENS})
}

fn spent(world: &World) -> i64 {
    world.spend.month_to_date(&world.organization.id, None).0
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_the_cost_of_a_response_stays_reserved_until_it_is_metered() {
    let (world, shelf) = world().await;
    world.limit_spend(Some(200)).await;
    let response = world.respond(world.service(), &background()).await.id();
    let amount = reserved(&world).await;
    assert!((MIN_RESERVED..=MIN_RESERVED + 200_000_000).contains(&amount));
    // There is no room for another one, at once and two hours later, here and on a node that has just started.
    world.poll_after(7_200).await;
    let node = world.another_node(vec![keeper(shelf.base_url())]).await;
    node.gateway().poll_objects().await;
    world.poll_after(7_200).await;
    let refused = world.respond(world.service(), &background()).await;
    assert_eq!(
        refused.refusal(),
        (429, Value::Null, json!("insufficient_quota"))
    );
    assert_eq!(reserved(&world).await, amount);
    assert_eq!(spent(&world), 0);
    shelf.complete(&response);
    world.poll_after(60).await;
    world.until_metered(1).await;
    // The other node may have metered it.
    poll::until("the cost is known here", async || {
        spent(&world) == MAX_ANSWER_COST
    })
    .await;
    assert_eq!(reserved(&world).await, 0);
    let next = world.respond(world.service(), &background()).await;
    assert_eq!(next.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_limit_counts_the_responses_that_began_before_it() {
    let (world, _shelf) = world().await;
    world.respond(world.service(), &background()).await.id();
    assert!(reserved(&world).await >= MIN_RESERVED);
    world.limit_spend(Some(200)).await;
    let refused = world.respond(world.service(), &background()).await;
    assert_eq!(
        refused.refusal(),
        (429, Value::Null, json!("insufficient_quota"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_a_reservation_that_the_process_did_not_bind_is_bound_again() {
    let (world, shelf) = world().await;
    world.limit_spend(Some(200)).await;
    let response = world.respond(world.service(), &background()).await.id();
    let amount = reserved(&world).await;
    let expiry = world.clock.now().plus(3_600);
    let mut transaction = world.store.usage().begin().await.expect("a transaction");
    let pending = store::sql!(
        "UPDATE spend_reservations SET object_id = NULL, expires_at = $1",
        expiry
    );
    assert_eq!(transaction.execute(pending).await.expect("a row"), 1);
    transaction.commit().await.expect("a commit");
    world.poll_after(60).await;
    world.poll_after(7_200).await;
    assert_eq!(reserved(&world).await, amount);
    shelf.complete(&response);
    world.poll_after(60).await;
    world.until_metered(1).await;
    assert_eq!(reserved(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn s6_what_nothing_came_of_is_released() {
    let (world, shelf) = world().await;
    world.limit_spend(Some(200)).await;
    // The answer has the end of the response.
    shelf.state().refuses = true;
    world.respond(world.service(), &background()).await.json();
    world.rows(1).await;
    until_reserved(&world, 0).await;
    // The upstream refuses.
    shelf.state().response = Some(json!({"error": {"message": "boom", "type": "server_error"}}));
    world.respond(world.service(), &background()).await;
    world.rows(2).await;
    until_reserved(&world, 0).await;
    shelf.state().response = None;
    shelf.state().refuses = false;
    // A rate limit refuses.
    world.limit("real", "max_requests_per_1_minute", 0).await;
    let refused = world.respond(world.service(), &background()).await;
    assert_eq!(refused.status, 429);
    until_reserved(&world, 0).await;
    world.limit("real", "max_requests_per_1_minute", 100).await;
    // The client deletes the response.
    let response = world.respond(world.service(), &background()).await.id();
    assert_ne!(reserved(&world).await, 0);
    let path = format!("/v1/responses/{response}");
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    assert_eq!(reserved(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tokens_that_a_response_reserved_of_a_rate_limit_are_not_refunded() {
    let (world, shelf) = world().await;
    world.limit("real", "max_tokens_per_1_minute", 1_500).await;
    let response = world.respond(world.service(), &background()).await.id();
    shelf.complete(&response);
    let path = format!("/v1/responses/{response}");
    world.get(&path, world.service()).await.json();
    world.rows(1).await;
    let refused = world.respond(world.service(), &background()).await;
    let [_, kind, _, code] = refused.error();
    assert_eq!(
        (refused.status.as_u16(), kind, code),
        (429, json!("tokens"), json!("rate_limit_exceeded"))
    );
}
