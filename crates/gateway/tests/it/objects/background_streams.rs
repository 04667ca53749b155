//! Streams of responses in the background: metered by their end, or by the poller if they do not come to it.

use std::sync::Arc;

use gateway::{Durability, UpstreamConfig};
use http::Method;
use http_body_util::BodyExt;
use serde_json::json;
use store::sql;
use tokio::sync::Semaphore;

use crate::upstream::{Reply, Step, send};
use crate::world::{World, config, request};

const CREATED: &str = "data: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"queued\",\"background\":true,\
                       \"output\":[]}}\n\n";
const DELTA: &str = "data: {\"type\":\"response.output_text.delta\",\"delta\":\"Hello\"}\n\n";
const COMPLETED: &str = "data: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\",\
                         \"output\":[],\"usage\":{\"input_tokens\":11,\"output_tokens\":7}}}\n\n";
const RESPONSE: &str = r#"{"id":"resp_1","object":"response","status":"completed","output":[],"usage":{"input_tokens":11,"output_tokens":7}}"#;
const STREAM: &str = r#"{"model":"real","input":"Hello","stream":true,"background":true}"#;
/// The row of the response: outcome, estimated, input tokens, output tokens and requests.
const METERED: (&str, bool, Option<i64>, Option<i64>, Option<i64>) =
    ("succeeded", false, Some(11), Some(7), Some(1));

fn storing(url: String) -> Vec<UpstreamConfig> {
    let mut upstream = config("local", url);
    upstream.stores = true;
    vec![upstream]
}

async fn world(steps: Vec<Step>) -> World {
    World::with(Reply::stream(steps), Durability::Batched, storing).await
}

impl World {
    /// Makes the upstream answer with the complete response, and waits until it is metered.
    async fn until_ended(&self) {
        self.upstream.replies(Reply::whole(200, RESPONSE));
        self.clock.advance(60);
        self.until_metered(1).await;
    }

    async fn stream(&self) -> gateway::Body {
        let asked = request(Method::POST, "/v1/responses", self.service(), STREAM);
        let response = self.gateway.handle(asked).await;
        assert_eq!(response.status(), 200);
        response.into_body()
    }

    /// Returns the methods and paths that the upstream was asked for after the first one.
    fn asked_later(&self) -> Vec<String> {
        let asked = self.upstream.asked();
        asked[1..].iter().map(|it| it.path.clone()).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_the_end_of_the_response_is_metered_by_it() {
    for together in [false, true] {
        let steps = match together {
            true => vec![send(&[CREATED, DELTA, COMPLETED].concat())],
            false => vec![send(CREATED), send(DELTA), send(COMPLETED)],
        };
        let world = world(steps).await;
        let body = world.stream().await.collect().await.expect("a stream");
        assert!(body.to_bytes().ends_with(COMPLETED.as_bytes()));
        assert_eq!(world.row().await.sums(), METERED);
        assert_eq!(world.unmetered().await, 0);
        world.poll_after(3_600).await;
        assert_eq!(world.asked_later(), [""; 0], "nothing is polled");
        assert_eq!(world.ledger().await.len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_the_response_to_the_poller() {
    let gate = Arc::new(Semaphore::new(0));
    let world = world(vec![
        send(CREATED),
        Step::Gate(Arc::clone(&gate)),
        send(COMPLETED),
    ])
    .await;
    let mut body = world.stream().await;
    body.frame().await.expect("a frame").expect("a piece");
    assert_eq!(world.unmetered().await, 1, "recorded before its id is sent");
    drop(body);
    assert!(world.ledger().await.is_empty(), "nothing is estimated");
    assert_eq!(world.gateway.running_drains(), 0, "nor drained");
    world.until_ended().await;
    assert_eq!(world.row().await.sums(), METERED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_before_the_first_event_leaves_the_response_to_the_poller() {
    let gate = Arc::new(Semaphore::new(0));
    let world = world(vec![
        send(": wait\n\n"),
        Step::Gate(Arc::clone(&gate)),
        send(CREATED),
        Step::Gate(Arc::new(Semaphore::new(0))),
    ])
    .await;
    drop(world.stream().await);
    assert!(world.ledger().await.is_empty());
    gate.add_permits(1);
    poll::until("the response is recorded", async || {
        world.unmetered().await == 1
    })
    .await;
    poll::until("the drain has ended", async || {
        world.gateway.running_drains() == 0
    })
    .await;
    world.until_ended().await;
    assert_eq!(world.row().await.sums(), METERED);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_dies_and_comes_back_meters_the_response_once() {
    let world = world(vec![send(CREATED), send(DELTA), Step::Die]).await;
    let asked = request(Method::POST, "/v1/responses", world.service(), STREAM);
    let answer = world.send(asked).await;
    assert!(answer.is_broken && answer.body.contains("resp_1"));
    assert!(world.ledger().await.is_empty(), "nothing is estimated");
    // It is away for a while.
    world.upstream.replies(Reply::whole(503, "{}"));
    for _ in 0..3 {
        world.poll_after(60).await;
    }
    assert!(world.ledger().await.is_empty());
    world.until_ended().await;
    assert_eq!(world.row().await.sums(), METERED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_dies_before_its_id_is_estimated_once() {
    let world = world(vec![send(": wait\n\n"), Step::Die]).await;
    let asked = request(Method::POST, "/v1/responses", world.service(), STREAM);
    assert!(world.send(asked).await.is_broken);
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.outcome, "upstream_failed");
    assert_eq!(world.unmetered().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_streamed_again_is_metered_once() {
    let world = world(vec![send(CREATED), Step::Die]).await;
    let asked = request(Method::POST, "/v1/responses", world.service(), STREAM);
    assert!(world.send(asked).await.is_broken);
    world
        .upstream
        .replies(Reply::stream(vec![send(DELTA), send(COMPLETED)]));
    let again = "/v1/responses/resp_1?stream=true&starting_after=1";
    for _ in 0..3 {
        let answer = world.get(again, world.service()).await;
        assert_eq!((answer.status.as_u16(), answer.is_broken), (200, false));
        assert!(answer.body.ends_with(COMPLETED));
    }
    world.until_ended().await;
    assert_eq!(world.row().await.sums(), METERED);
    assert_eq!(world.get(again, world.service()).await.status, 200);
    assert_eq!(world.ledger().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_response_cannot_be_recorded_breaks_off() {
    let gate = Arc::new(Semaphore::new(0));
    let world = world(vec![send(CREATED), Step::Gate(gate), send(COMPLETED)]).await;
    let rename = sql!("ALTER TABLE stored_objects RENAME TO elsewhere");
    world.change(rename).await;
    let body = world.stream().await;
    world.upstream.replies(Reply::whole(200, RESPONSE));
    let read = body.collect().await;
    assert!(read.is_err(), "{:?}", read.map(|body| body.to_bytes()));
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("client_gone", true, Some(2), Some(1), Some(1)));
    poll::until("the response is cancelled and deleted", async || {
        world.asked_later().len() >= 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_response_ends_its_stream() {
    let cancelled = json!({"type": "response.cancelled", "response": {
        "id": "resp_1", "status": "cancelled", "output": [], "usage": {"input_tokens": 11, "output_tokens": 3}}});
    let cancelled = format!("data: {cancelled}\n\n");
    let world = world(vec![send(CREATED), send(&cancelled)]).await;
    world.stream().await.collect().await.expect("a stream");
    assert_eq!(
        world.row().await.sums(),
        ("client_gone", false, Some(11), Some(3), Some(1))
    );
    assert_eq!(world.unmetered().await, 0);
}
