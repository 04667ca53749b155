//! Connections and messages that are refused.

use bytes::Bytes;
use serde_json::{Value, json};

use super::harness::{Client, SocketWorld, response, shake_hands};

const KEY_LINE: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_needs_a_key_and_a_whole_handshake() {
    let sockets = SocketWorld::start(response()).await;
    let narrow = sockets.world.narrow_key().await;
    let version = "sec-websocket-version: 13\r\n";
    let upgrade = "connection: keep-alive, Upgrade\r\n";
    let whole = format!("{upgrade}{version}{KEY_LINE}");
    let service = sockets.world.service();
    for (key, lines, status) in [
        (service, whole.clone(), 101),
        ("", whole.clone(), 401),
        ("sk-proj-unknown", whole.clone(), 401),
        (sockets.world.admin(), whole.clone(), 403),
        (narrow.secret.as_str(), whole.clone(), 403),
        (
            service,
            format!("connection: close\r\n{version}{KEY_LINE}"),
            400,
        ),
        (service, format!("{upgrade}{KEY_LINE}"), 400),
        (
            service,
            format!("{upgrade}sec-websocket-version: 8\r\n{KEY_LINE}"),
            400,
        ),
        (service, format!("{upgrade}{version}"), 400),
        (service, format!("{whole}{KEY_LINE}"), 400),
        (
            service,
            format!("{upgrade}{version}sec-websocket-key: short\r\n"),
            400,
        ),
        (
            service,
            format!("{whole}openai-project: proj_other\r\n"),
            401,
        ),
    ] {
        let (_, head, _) = shake_hands(sockets.listener.address, key, &lines).await;
        let expected = format!("HTTP/1.1 {status} ");
        assert!(head.starts_with(&expected), "{lines}: {head}");
    }
    assert!(sockets.upstream.handshakes().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_leaves_the_connection_open() {
    let sockets = SocketWorld::start(response()).await;
    let mut client = sockets.connect().await;
    for (message, code, param) in [
        ("", json!("invalid_json"), Value::Null),
        ("garbage", json!("invalid_json"), Value::Null),
        ("[]", json!("invalid_json"), Value::Null),
        (
            r#"{"type":"response.create","model":"real""#,
            json!("invalid_json"),
            Value::Null,
        ),
        (r#"{"model":"real"}"#, json!("invalid_value"), json!("type")),
        (
            r#"{"type":"response.cancel"}"#,
            json!("unknown_message_type"),
            json!("type"),
        ),
        (
            r#"{"type":"response.steer","previous_response_id":"r"}"#,
            json!("unknown_message_type"),
            json!("type"),
        ),
        (
            r#"{"type":"response.create"}"#,
            json!("invalid_value"),
            json!("model"),
        ),
        (
            r#"{"type":"response.create","model":"real","model":"x"}"#,
            json!("invalid_value"),
            json!("model"),
        ),
        (
            r#"{"type":"response.create","type":"x","model":"real"}"#,
            json!("invalid_value"),
            json!("type"),
        ),
        (
            r#"{"type":"response.create","model":"real","background":true}"#,
            json!("invalid_value"),
            json!("background"),
        ),
    ] {
        client.send(message).await;
        assert_eq!(client.error().await, (400, code, param), "{message}");
    }
    client
        .send(r#"{"type":"response.steer","stream_id":"lane"}"#)
        .await;
    let event = client.event().await;
    assert_eq!(event["stream_id"], "lane", "{event}");
    assert!(event["request_id"].is_string(), "{event}");
    assert_eq!(sockets.world.ledger().await, []);
    assert!(sockets.upstream.handshakes().is_empty());
    client.ask().await;
    assert_eq!(client.response().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_tells_when_to_try_again() {
    let sockets = SocketWorld::start(response()).await;
    sockets
        .world
        .limit("real", "max_requests_per_1_minute", 1)
        .await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.response().await;
    client.ask().await;
    let event = client.event().await;
    assert_eq!(
        (&event["status"], &event["error"]["code"]),
        (&json!(429), &json!("rate_limit_exceeded"))
    );
    for headers in [&event["headers"], &event["error"]["headers"]] {
        assert!(headers["retry-after"].is_string(), "{event}");
        assert_eq!(headers["x-ratelimit-remaining-requests"], "0", "{event}");
        assert_eq!(headers["x-request-id"], event["request_id"], "{event}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beyond_the_maximum_ends_the_connection() {
    let sockets = SocketWorld::start(response()).await;
    let mut client = sockets.connect().await;
    let long = Bytes::from(vec![b' '; gateway::MAX_REQUEST_BYTES + 1]);
    client.try_send(long).await;
    assert_eq!(
        client.error().await,
        (413, json!("request_too_large"), Value::Null)
    );
    assert_eq!(client.closed().await, Some(1009));
    assert_eq!(sockets.world.ledger().await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_count_against_the_memory_of_request_bodies() {
    let memory = base::Budget::new(base::BudgetLimits {
        total: 1 << 30,
        per_key: 1 << 20,
        per_project: 1 << 30,
    });
    let bounds = crate::world::Bounds {
        body_memory: memory.clone(),
        ..crate::world::Bounds::default()
    };
    let sockets = SocketWorld::bounded(response(), bounds).await;
    let mut client = sockets.connect().await;
    let fits = json!({"model": "real", "input": "x".repeat(900_000)});
    for _ in 0..3 {
        client.create(fits.clone()).await;
        assert_eq!(client.response().await.len(), 3);
    }
    client
        .create(json!({"model": "real", "input": "x".repeat(2_000_000)}))
        .await;
    assert_eq!(client.error().await.0, 429);
    assert_eq!(client.closed().await, Some(1013));
    poll::until("the memory is given back", async || memory.used() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_that_speaks_websocket_it_is_426() {
    let world = crate::world::World::start(crate::upstream::Reply::whole(200, "{}")).await;
    let listener = super::harness::Listener::start(&world.gateway).await;
    let refused = Client::connect(listener.address, world.service(), "").await;
    let refused = refused.err().expect("a refusal");
    assert!(refused.starts_with("HTTP/1.1 426 "), "{refused}");
    assert!(refused.contains("websocket_unavailable"), "{refused}");
}
