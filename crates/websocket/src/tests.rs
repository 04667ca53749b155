//! Tests of the connections and their bounds.

use base::{Budget, BudgetLimits, BudgetPermit};
use bytes::Bytes;
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, Response, StatusCode};
use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;

const MAX_MESSAGE_BYTES: usize = 2 * 1024 * 1024;

fn budget(per_key: u64) -> Budget {
    Budget::new(BudgetLimits {
        total: u64::MAX,
        per_key,
        per_project: u64::MAX,
    })
}

fn empty(budget: &Budget) -> BudgetPermit {
    budget
        .take("key", None, 0)
        .expect("nothing is always there")
}

async fn pair(budget: &Budget) -> (WebSocket<DuplexStream>, WebSocket<DuplexStream>) {
    let (client, server) = duplex(64 * 1024);
    let client = WebSocket::client(client, Vec::new(), empty(budget), MAX_MESSAGE_BYTES);
    let server = WebSocket::server(server, empty(budget), MAX_MESSAGE_BYTES);
    (client.await, server.await)
}

async fn text(socket: &mut WebSocket<DuplexStream>) -> Bytes {
    loop {
        match socket.receive().await.expect("a message") {
            Incoming::Text(text) => return text,
            Incoming::Control => {}
            Incoming::Binary => panic!("binary"),
        }
    }
}

#[test]
fn accept_key_is_that_of_the_standard() {
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(accept_key(key.as_bytes()), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(is_handshake_key(key.as_bytes()));
    assert!(is_handshake_key(
        new_key().expect("random bytes").as_bytes()
    ));
    for bad in ["", "x", "dGhlIHNhbXBsZQ==", "dGhlIHNhbXBsZSBub25jZQ==\n"] {
        assert!(!is_handshake_key(bad.as_bytes()), "{bad:?}");
    }
}

#[test]
fn handshake_is_accepted_by_its_own_key_alone() {
    let key = new_key().expect("random bytes");
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("keep-alive, Upgrade"));
    let accept = HeaderValue::try_from(accept_key(key.as_bytes())).expect("a value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    assert!(is_accepted(&response, &key));
    assert!(!is_accepted(&response, "dGhlIHNhbXBsZSBub25jZQ=="));
    let protocol = HeaderValue::from_static("chat");
    response
        .headers_mut()
        .insert(SEC_WEBSOCKET_PROTOCOL, protocol);
    assert!(!is_accepted(&response, &key));
}

#[tokio::test]
async fn messages_of_any_length_pass_and_are_charged_until_they_are_dropped() {
    let budget = budget(u64::MAX);
    let (mut client, mut server) = pair(&budget).await;
    for length in [0, 1, 125, 126, 70_000, MAX_MESSAGE_BYTES] {
        let sent = Bytes::from("é".repeat(length / 2));
        let (received, result) = tokio::join!(text(&mut server), client.send_text(sent.clone()));
        assert_eq!((received.clone(), result), (sent.clone(), Ok(())));
        let is_large = length > 100_000;
        assert!(!is_large || budget.used() >= length as u64, "{length}");
        drop(received);
        let (received, _) = tokio::join!(text(&mut client), server.send_text(sent.clone()));
        assert_eq!(received, sent);
        drop(received);
        assert_eq!(budget.used(), 0, "{length}");
    }
}

#[tokio::test]
async fn message_beyond_a_bound_ends_the_connection() {
    let long = Bytes::from("x".repeat(MAX_MESSAGE_BYTES + 1));
    let unbounded = budget(u64::MAX);
    let (mut client, mut server) = pair(&unbounded).await;
    let sending = tokio::spawn(async move { client.send_text(long).await });
    let error = server.receive().await.expect_err("too long");
    assert_eq!(error, ReceiveError::TooLong);
    server.close(1009, "too long").await;
    sending.abort();
    let small = budget(100_000);
    let (mut client, mut server) = pair(&small).await;
    let text = Bytes::from("x".repeat(200_000));
    let sending = tokio::spawn(async move { client.send_text(text).await });
    let error = server.receive().await.expect_err("no memory");
    assert!(matches!(error, ReceiveError::NoMemory(_)), "{error:?}");
    server.close(1013, "no memory").await;
    sending.abort();
    assert_eq!((unbounded.used(), small.used()), (0, 0));
}

#[tokio::test]
async fn close_tells_its_code() {
    let budget = budget(u64::MAX);
    let (mut client, server) = pair(&budget).await;
    let reason = "é".repeat(100);
    let (received, ()) = tokio::join!(client.receive(), server.close(1001, &reason));
    assert_eq!(
        received.expect_err("closed"),
        ReceiveError::Closed(Some(1001))
    );
}

#[tokio::test]
async fn binary_messages_and_pings_are_told_apart() {
    let budget = budget(u64::MAX);
    let (mut client, mut server) = pair(&budget).await;
    client.ping().await.expect("sent");
    let received = server.receive().await.expect("a ping");
    assert!(matches!(received, Incoming::Control));
    let (mut raw, server) = duplex(1024);
    let mut server = WebSocket::server(server, empty(&budget), MAX_MESSAGE_BYTES).await;
    // A masked binary frame of one byte.
    raw.write_all(&[0x82, 0x81, 0, 0, 0, 0, 7])
        .await
        .expect("sent");
    let received = server.receive().await.expect("a message");
    assert!(matches!(received, Incoming::Binary));
}

proptest! {
    #[test]
    fn any_bytes_end_in_a_message_or_an_error(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.expect("a runtime").block_on(async {
            let budget = budget(1_000_000);
            let (mut raw, server) = duplex(4096);
            let mut server = WebSocket::server(server, empty(&budget), 1024).await;
            for piece in pieces {
                raw.write_all(&piece).await.expect("sent");
            }
            drop(raw);
            while let Ok(received) = server.receive().await {
                if let Incoming::Text(text) = received {
                    assert!(std::str::from_utf8(&text).is_ok());
                }
            }
            drop(server);
            assert_eq!(budget.used(), 0);
        });
    }
}
