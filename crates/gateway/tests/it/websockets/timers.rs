//! Bounds of the time for which a connection stays open: without a message, in all, and without an answer to pings. The tests
//! advance the clock of the runtime.

use std::sync::Arc;
use std::time::Duration;

use gateway::UpstreamConfig;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::harness::{
    Client, SocketUpstream, SocketWorld, gated, response, shake_hands, socket_config,
};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Bounds, World};

/// The longest time without a message.
const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// A ping and a close frame of a server, and a pong of a client whose mask is zero.
const PING: [u8; 2] = [0x89, 0];
const CLOSE: [u8; 2] = [0x88, 2];
const PONG: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

/// Bounds of a gateway that trusts its keys at any age: when the clock leaps, it has not heard of its database.
fn without_stale_keys() -> Bounds {
    Bounds {
        stale_keys: None,
        ..Bounds::default()
    }
}

/// Asks, and gets a response.
async fn ask(client: &mut Client) {
    client.ask().await;
    let events = client.response().await;
    assert_eq!(
        events.last().map(String::as_str),
        Some("response.completed")
    );
}

#[tokio::test]
async fn a_connection_ends_ten_minutes_after_its_last_message() {
    let sockets = SocketWorld::bounded(response(), without_stale_keys()).await;
    let mut client = sockets.connect().await;
    for _ in 0..2 {
        ask(&mut client).await;
        poll::advance(IDLE_TIMEOUT - Duration::from_secs(1)).await;
    }
    ask(&mut client).await;
    poll::advance(IDLE_TIMEOUT).await;
    assert_eq!(client.closed().await, Some(1001));
    poll::until("the upstream's connections end", async || {
        sockets.upstream.ended() == sockets.upstream.handshakes().len()
    })
    .await;
    assert_eq!(sockets.world.rows(3).await.len(), 3);
}

#[tokio::test]
async fn a_connection_ends_after_sixty_minutes_with_an_error_that_says_so() {
    let sockets = SocketWorld::bounded(response(), without_stale_keys()).await;
    let mut client = sockets.connect().await;
    for _ in 0..6 {
        poll::advance(IDLE_TIMEOUT * 9 / 10).await;
        ask(&mut client).await;
    }
    poll::advance(IDLE_TIMEOUT * 6 / 10).await;
    let (_, code, param) = client.error().await;
    assert_eq!(
        (code, param),
        (json!("websocket_connection_limit_reached"), Value::Null)
    );
    assert_eq!(client.closed().await, Some(1001));
}

#[tokio::test]
async fn a_response_that_runs_after_sixty_minutes_is_complete_before_its_connection_ends() {
    let gate = Arc::new(Semaphore::new(0));
    let upstream = SocketUpstream::start(gated(&gate)).await;
    let config = UpstreamConfig {
        timeout_seconds: 3 * 3_600,
        ..socket_config("sockets", upstream.base_url())
    };
    let reply = Reply::whole(200, COMPLETION);
    let world = World::bounded(reply, |_| vec![config], without_stale_keys()).await;
    let sockets = SocketWorld::around(world, upstream).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.event().await;
    client.event().await;
    poll::advance(IDLE_TIMEOUT * 61 / 10).await;
    gate.add_permits(1);
    assert_eq!(client.response().await, ["response.completed"]);
    assert_eq!(client.error().await.1, "websocket_connection_limit_reached");
    assert_eq!(client.closed().await, Some(1001));
    let row = sockets.world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
}

/// Connects without a reader that would answer pings.
async fn connect(sockets: &SocketWorld) -> TcpStream {
    let lines = "connection: Upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let (address, key) = (sockets.listener.address, sockets.world.service());
    let (stream, head, rest) = shake_hands(address, key, lines).await;
    assert!(
        head.starts_with("HTTP/1.1 101 ") && rest.is_empty(),
        "{head}"
    );
    stream
}

/// Waits for the next ping.
async fn pinged(stream: &mut TcpStream) {
    poll::advance(PING_INTERVAL).await;
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame, PING);
}

#[tokio::test]
async fn a_client_that_leaves_two_pings_unanswered_is_taken_for_gone() {
    let sockets = SocketWorld::bounded(response(), without_stale_keys()).await;
    let mut stream = connect(&sockets).await;
    pinged(&mut stream).await;
    pinged(&mut stream).await;
    poll::advance(PING_INTERVAL).await;
    let mut frame = [0; 2];
    stream.read_exact(&mut frame).await.expect("a frame");
    assert_eq!(frame, CLOSE);
}

#[tokio::test]
async fn a_client_that_answers_pings_stays_connected() {
    let sockets = SocketWorld::bounded(response(), without_stale_keys()).await;
    let mut stream = connect(&sockets).await;
    for _ in 0..6 {
        pinged(&mut stream).await;
        stream.write_all(&PONG).await.expect("sent");
    }
}
