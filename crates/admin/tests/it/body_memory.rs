//! The memory budget of request bodies, which the Administration API and the gateway share.

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Request, header};
use serde_json::{Value, json};
use testkit::{Answer, Bounds, Server, ServerOptions};

const PROJECTS: &str = "/organization/projects";
const EVENTS: &str = "/organization/usage/events";
/// Budget of one key: an eighth of the total.
const KEY_BUDGET_BYTES: usize = 2_000;

async fn server() -> Server {
    Server::with(ServerOptions {
        bounds: Bounds {
            body_memory_bytes: KEY_BUDGET_BYTES as u64 * 8,
            ..Bounds::default()
        },
        ..ServerOptions::default()
    })
    .await
}

/// Builds a request that announces a body and never sends it.
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
    let long = json!({"name": "x".repeat(KEY_BUDGET_BYTES)});
    for (who, path) in [
        (server.admin(), PROJECTS),
        (server.admin(), EVENTS),
        (server.anonymous(), "/organization/invites/accept"),
    ] {
        // Refused before the first byte, and while the body arrives.
        assert_refused(&who.send(announced(path, KEY_BUDGET_BYTES + 1)).await);
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
    let waiting =
        tokio::spawn(async move { waiting.send(announced(PROJECTS, KEY_BUDGET_BYTES)).await });
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
