//! Responses over WebSocket that an upstream stores: recorded for their project like those over HTTP.

use std::sync::Arc;

use http::Method;
use serde_json::{Value, json};
use store::sql;
use tokio::sync::Semaphore;

use super::harness::{
    CREATED, DELTA, SocketStep, SocketUpstream, SocketWorld, event, gated, response, storing_config,
};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Bounds, World, read, request};

const PATH: &str = "/v1/responses/resp_1";

impl SocketWorld {
    /// Returns the status of a request for the response with this key.
    async fn retrieve(&self, key: &str) -> u16 {
        let asked = request(Method::GET, PATH, key, "");
        self.world.send(asked).await.status.as_u16()
    }

    /// Waits until the project can retrieve the response.
    async fn until_recorded(&self) {
        poll::until("the response is recorded", async || {
            self.retrieve(self.world.service()).await == 200
        })
        .await;
    }
}

fn next() -> Value {
    json!({"model": "real", "input": "Hi", "previous_response_id": "resp_1"})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_its_projects_on_every_connection_over_http_and_on_every_node() {
    let sockets = SocketWorld::storing(response()).await;
    let world = &sockets.world;
    let mut client = sockets.connect().await;
    client.ask().await;
    assert_eq!(client.response().await.len(), 3);
    assert_eq!(sockets.retrieve(world.service()).await, 200);
    let config = storing_config("sockets", sockets.upstream.base_url());
    let node = world.another_node(vec![config]).await;
    let asked = request(Method::GET, PATH, world.service(), "");
    let elsewhere = read(node.gateway().handle(asked).await).await;
    assert_eq!(elsewhere.status, 200, "{}", elsewhere.body);
    let mut second = sockets.connect_with(world.owner()).await;
    second.create(next()).await;
    assert_eq!(
        second.response().await.len(),
        3,
        "another key of the project"
    );
    let body = next().to_string();
    let over_http = world.send(request(
        Method::POST,
        "/v1/responses",
        world.service(),
        &body,
    ));
    assert_eq!(over_http.await.status, 200);
    let mut other = sockets.connect_with(world.other()).await;
    other.create(next()).await;
    let refused = (404, json!("not_found"), json!("previous_response_id"));
    assert_eq!(other.error().await, refused);
    assert_eq!(sockets.retrieve(world.other()).await, 404);
    let deletion = request(Method::DELETE, PATH, world.service(), "");
    assert_eq!(world.send(deletion).await.status, 200);
    client.create(next()).await;
    assert_eq!(
        client.error().await,
        refused,
        "it is gone on its connection, too"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_can_be_named_while_its_events_come() {
    let gate = Arc::new(Semaphore::new(0));
    let sockets = SocketWorld::storing(gated(&gate)).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.event().await;
    sockets.until_recorded().await;
    gate.add_permits(1);
    assert_eq!(client.response().await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_cannot_be_recorded_breaks_off_and_is_deleted() {
    let sockets = SocketWorld::storing(response()).await;
    let rename = sql!("ALTER TABLE stored_objects RENAME TO elsewhere");
    sockets.world.change(rename).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    assert_eq!(client.event().await["type"], "response.created");
    assert_eq!(client.event().await["type"], "response.output_text.delta");
    assert_eq!(client.error().await.0, 503);
    assert_eq!(client.closed().await, Some(1011));
    poll::until("the response is deleted", async || {
        sockets.upstream.requested() == [format!("DELETE {PATH}")]
    })
    .await;
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_whose_client_hangs_up_is_recorded_once_it_is_drained() {
    for reads_first in [true, false] {
        let gate = Arc::new(Semaphore::new(0));
        let mut steps = vec![SocketStep::Gate(Arc::clone(&gate))];
        steps.extend(response());
        let steps = if reads_first { gated(&gate) } else { steps };
        let sockets = SocketWorld::storing(steps).await;
        let mut client = sockets.connect().await;
        client.ask().await;
        poll::until("the upstream is asked", async || {
            sockets.upstream.asked().len() == 1
        })
        .await;
        if reads_first {
            client.event().await;
        }
        drop(client);
        poll::until("the response is drained", async || {
            sockets.world.gateway.running_drains() == 1
        })
        .await;
        gate.add_permits(1);
        sockets.until_recorded().await;
        let row = sockets.world.rows(1).await.remove(0);
        assert_eq!(
            row.sums(),
            ("client_gone", false, Some(11), Some(7), Some(1))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_broken_response_has_named_is_its_projects() {
    let steps = vec![event(CREATED), event(DELTA), SocketStep::Die];
    let sockets = SocketWorld::storing(steps).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    assert_eq!(client.response().await.len(), 3);
    assert_eq!(client.closed().await, Some(1011));
    sockets.until_recorded().await;
    assert_eq!(sockets.world.rows(1).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_that_is_not_stored_is_continued_on_its_connection_alone() {
    let sockets = SocketWorld::storing(response()).await;
    let mut client = sockets.connect().await;
    let unstored = json!({"model": "real", "input": "Hi", "store": false});
    client.create(unstored).await;
    client.response().await;
    client.create(next()).await;
    assert_eq!(client.response().await.len(), 3);
    sockets.until_recorded().await;
    let sockets = SocketWorld::storing(response()).await;
    let mut client = sockets.connect().await;
    sockets.world.retain("zero_data_retention").await;
    client.ask().await;
    client.response().await;
    assert_eq!(sockets.retrieve(sockets.world.service()).await, 404);
    let mut second = sockets.connect().await;
    second.create(next()).await;
    assert_eq!(second.error().await.0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_is_continued_at_the_upstream_that_has_it() {
    let upstreams = [
        SocketUpstream::start(response()).await,
        SocketUpstream::start(response()).await,
    ];
    let config = |shelf: usize| {
        let name = format!("sockets{shelf}");
        storing_config(&name, upstreams[shelf].base_url())
    };
    let configs = vec![config(0), config(1)];
    let reply = Reply::whole(200, COMPLETION);
    let world = World::bounded(reply, |_| configs, Bounds::default()).await;
    let sockets = SocketWorld::around(world, upstreams[0].clone()).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.response().await;
    let counts = || upstreams.each_ref().map(|it| it.asked().len());
    let first = counts();
    for _ in 0..4 {
        let mut client = sockets.connect().await;
        client.create(next()).await;
        assert_eq!(client.response().await.len(), 3);
    }
    assert_eq!(counts(), first.map(|count| count * 5));
}
