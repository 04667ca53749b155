//! The memory of request bodies, which administration and the gateway share: bounded for each key.

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Request, header};
use serde_json::{Value, json};
use testkit::{Answer, Bounds, Server, ServerOptions};

const PROJECTS: &str = "/organization/projects";
const EVENTS: &str = "/organization/usage/events";
/// The bytes that one key may use, an eighth of what all may use together.
const OF_A_KEY: usize = 2_000;

async fn server() -> Server {
    Server::with(ServerOptions {
        bounds: Bounds {
            body_memory_bytes: OF_A_KEY as u64 * 8,
            ..Bounds::default()
        },
        ..ServerOptions::default()
    })
    .await
}

/// A body that is never sent, of which the head says how long it is.
fn announced(path: &str, length: usize) -> Request<Body> {
    let nothing = stream::pending::<Result<Bytes, std::io::Error>>();
    Request::post(format!("/v1{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::CONTENT_LENGTH, length)
        .body(Body::from_stream(nothing))
        .expect("a request")
}

fn assert_refused(answer: &Answer) {
    assert_eq!(
        (answer.status.as_u16(), &answer.json["error"]["code"]),
        (429, &json!("rate_limit_exceeded")),
        "{}",
        answer.json
    );
    assert_eq!(answer.headers["retry-after"], "1");
}

#[tokio::test]
async fn memory_of_request_bodies_is_bounded_for_each_key() {
    let server = server().await;
    let long = json!({"name": "x".repeat(OF_A_KEY)});
    for (who, path) in [
        (server.admin(), PROJECTS),
        (server.admin(), EVENTS),
        (server.anonymous(), "/organization/invites/accept"),
    ] {
        // Before anything of it has come, and as it comes.
        assert_refused(&who.send(announced(path, OF_A_KEY + 1)).await);
        assert_refused(&who.post(path, long.clone()).await);
        assert_eq!(server.services().body_memory.used(), 0, "it is given back");
    }
    assert!(
        server
            .admin()
            .post(PROJECTS, json!({"name": "A"}))
            .await
            .status
            .is_success()
    );
}

#[tokio::test]
async fn an_announced_body_that_is_not_sent_blocks_no_other_request() {
    let server = server().await;
    let admin = server.admin();
    let waiting = admin.clone();
    let waiting = tokio::spawn(async move { waiting.send(announced(PROJECTS, OF_A_KEY)).await });
    while server.services().body_memory.used() == 0 {
        tokio::task::yield_now().await;
    }
    assert_refused(&admin.post(PROJECTS, json!({"name": "A"})).await);
    let stranger = server.stranger();
    let made: Value = stranger.post(PROJECTS, json!({"name": "A"})).await.ok();
    assert_eq!(made["name"], "A");
    waiting.abort();
    let _ = waiting.await;
    assert_eq!(server.services().body_memory.used(), 0);
    assert!(
        admin
            .post(PROJECTS, json!({"name": "A"}))
            .await
            .status
            .is_success()
    );
}
