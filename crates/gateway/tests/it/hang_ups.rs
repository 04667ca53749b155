//! Clients that hang up: the answer is drained in the background, and recorded in the ledger once.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send, serve};
use crate::world::{World, chat};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

/// Returns a stream of two events, a gate, the usage and the end.
fn gated(gate: &Arc<Semaphore>) -> Reply {
    Reply::stream(vec![
        send(EVENTS[0]),
        send(EVENTS[1]),
        Step::Gate(Arc::clone(gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ])
}

async fn asked(world: &World) {
    poll::until("the upstream is asked", async || {
        !world.upstream.asked().is_empty()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_answer_began() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::whole(200, COMPLETION).after(Step::Gate(Arc::clone(&gate)));
    let world = World::start(reply).await;
    let request = world.gateway.handle(chat(world.service(), MODEL));
    tokio::select! {
        _ = request => panic!("the gate is shut"),
        () = asked(&world) => {}
    }
    assert_eq!(world.ledger().await, []);
    gate.add_permits(1);
    let row = world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
    assert_eq!(world.upstream.asked().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_upstream_failed() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::start(Reply::whole(500, "{}").after(Step::Gate(Arc::clone(&gate)))).await;
    let request = world.gateway.handle(chat(world.service(), MODEL));
    tokio::select! {
        _ = request => panic!("the gate is shut"),
        () = asked(&world) => {}
    }
    gate.add_permits(1);
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_the_middle_of_a_stream() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::start(gated(&gate)).await;
    let response = world.gateway.handle(chat(world.service(), STREAM)).await;
    let mut body = response.into_body();
    body.frame().await.expect("a frame").expect("a piece");
    drop(body);
    assert_eq!(world.ledger().await, []);
    gate.add_permits(1);
    let row = world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_real_connection() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::start(gated(&gate)).await;
    let gateway = world.gateway.clone();
    let address = serve(move |request| {
        let gateway = gateway.clone();
        async move { gateway.handle(request).await }
    })
    .await;
    let mut client = TcpStream::connect(address).await.expect("a connection");
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n{STREAM}",
        world.service(),
        STREAM.len()
    );
    client.write_all(head.as_bytes()).await.expect("a request");
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("Hello") {
        client.read_buf(&mut answer).await.expect("an answer");
    }
    drop(client);
    poll::until("the answer is drained", async || {
        world.gateway.running_drains() == 1
    })
    .await;
    gate.add_permits(1);
    let row = world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_last_event_is_no_hang_up() {
    let gate = Arc::new(Semaphore::new(0));
    let mut reply = Reply::events();
    reply.steps.push(Step::Gate(gate));
    let world = World::start(reply).await;
    let mut body = world
        .gateway
        .handle(chat(world.service(), STREAM))
        .await
        .into_body();
    let mut text = Vec::new();
    while !text.ends_with(EVENTS[3].as_bytes()) {
        let frame = body.frame().await.expect("a frame").expect("a piece");
        text.extend_from_slice(&frame.into_data().expect("data"));
    }
    drop(body);
    assert_eq!(
        world.row().await.sums(),
        ("succeeded", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_never_read_is_counted() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    drop(world.gateway.handle(chat(world.service(), MODEL)).await);
    let row = world.rows(1).await.remove(0);
    assert_eq!(
        row.sums(),
        ("client_gone", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_what_ends_in_time_and_estimates_the_rest() {
    let gate = Arc::new(Semaphore::new(0));
    let world = World::start(gated(&gate)).await;
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let mut body = world
            .gateway
            .handle(chat(world.service(), STREAM))
            .await
            .into_body();
        body.frame().await.expect("a frame").expect("a piece");
        bodies.push(body);
    }
    drop(bodies);
    gate.add_permits(1);
    let World {
        task,
        recorder,
        store,
        ..
    } = world;
    task.stop(Duration::from_millis(500)).await;
    recorder.flush().await;
    let all = usage::LedgerReader::all(store.usage())
        .await
        .expect("the ledger");
    let mut rows: Vec<bool> = all.iter().map(|entry| entry.event.estimated).collect();
    rows.sort_unstable();
    assert_eq!(rows, [false, true]);
}
