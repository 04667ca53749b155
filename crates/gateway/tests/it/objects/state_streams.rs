//! Stored answers that are under way: their ids can be used early, and are recorded whoever reads the answer to its end.

use std::sync::Arc;

use gateway::{Durability, UpstreamConfig};
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::sync::Semaphore;

use super::not_found;
use crate::upstream::{Reply, Step, send};
use crate::world::{World, config, read, request};

const CREATED: &str = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n";
const ITEM: &str = "data: {\"type\":\"response.output_item.done\",\"item\":{\"id\":\"msg_1\",\"type\":\"message\"}}\n\n";
const COMPLETED: &str = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\
                         \"output\":[],\"usage\":{\"input_tokens\":11,\"output_tokens\":7}}}\n\n";
const STREAM: &str = r#"{"model":"real","stream":true}"#;

fn storing(url: String) -> Vec<UpstreamConfig> {
    let mut upstream = config("local", url);
    upstream.stores = true;
    vec![upstream]
}

/// Starts a gateway whose upstream sends the first event, and the others once the gate opens.
async fn gated() -> (World, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::stream(vec![
        send(CREATED),
        Step::Gate(Arc::clone(&gate)),
        send(ITEM),
        send(COMPLETED),
    ]);
    let world = World::with(reply, Durability::Batched, storing).await;
    (world, gate)
}

/// Waits until the project may name the response, and an item of it if `with_item`.
async fn until_recorded(world: &World, with_item: bool) {
    let body = match with_item {
        true => json!({"model": "real", "input": [{"type": "item_reference", "id": "msg_1"}]}),
        false => json!({"model": "real", "previous_response_id": "resp_1"}),
    };
    world
        .upstream
        .replies(Reply::whole(200, r#"{"id":"resp_2","output":[]}"#));
    poll::until("the id is recorded", async || {
        let key = world.service();
        world.make("/v1/responses", key, &body).await.status == 200
    })
    .await;
    let refused = world.make("/v1/responses", world.other(), &body).await;
    let param = if with_item {
        "input"
    } else {
        "previous_response_id"
    };
    assert_eq!(refused.refusal(), not_found(json!(param)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_can_be_named_while_it_is_streamed() {
    let (world, gate) = gated().await;
    let asked = request(Method::POST, "/v1/responses", world.service(), STREAM);
    let mut body = world.gateway.handle(asked).await.into_body();
    body.frame().await.expect("a frame").expect("a piece");
    until_recorded(&world, false).await;
    gate.add_permits(1);
    let rest = body.collect().await.expect("the rest").to_bytes();
    assert!(rest.ends_with(COMPLETED.as_bytes()));
    until_recorded(&world, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_no_response_that_is_nobodys() {
    for reads_first in [true, false] {
        let (world, gate) = gated().await;
        let asked = request(Method::POST, "/v1/responses", world.service(), STREAM);
        let mut body = world.gateway.handle(asked).await.into_body();
        if reads_first {
            body.frame().await.expect("a frame").expect("a piece");
        }
        drop(body);
        gate.add_permits(1);
        let row = world.rows(1).await.remove(0);
        assert_eq!(
            row.sums(),
            ("client_gone", false, Some(11), Some(7), Some(1))
        );
        until_recorded(&world, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_answer_has_named_is_its_projects() {
    let steps = vec![send(CREATED), send(ITEM), Step::Die];
    let world = World::with(Reply::stream(steps), Durability::Batched, storing).await;
    let asked = request(Method::POST, "/v1/responses", world.service(), STREAM);
    assert!(world.send(asked).await.is_broken);
    until_recorded(&world, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_node_knows_a_response_as_soon_as_it_has_ended() {
    let reply = Reply::whole(200, r#"{"id":"resp_1","output":[{"id":"msg_1"}]}"#);
    let world = World::with(reply, Durability::Strict, storing).await;
    let asked = request(
        Method::POST,
        "/v1/responses",
        world.service(),
        r#"{"model":"real"}"#,
    );
    let answer = world.send(asked).await;
    assert_eq!((answer.status.as_u16(), answer.is_broken), (200, false));
    let node = world.another_node(storing(world.upstream.base_url())).await;
    let named = r#"{"model":"real","previous_response_id":"resp_1"}"#;
    let named = request(Method::POST, "/v1/responses", world.service(), named);
    let answer = read(node.gateway().handle(named).await).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}
