//! WebSocket connections, and clients that ask for one where none is served: refused at once, so that they fall back to HTTP.

mod ends;
pub mod harness;
mod refusals;
mod responses;
mod stored;
mod timers;
mod transports;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, request};

/// Returns a request for a WebSocket.
fn socket(path: &str, key: &str, upgrade: &'static str) -> Request<Full<Bytes>> {
    let mut asked = request(Method::GET, path, key, "");
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", upgrade),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        let value = HeaderValue::from_static(value);
        asked.headers_mut().insert(name, value);
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn websocket_of_an_api_that_is_not_offered_is_refused_by_its_name() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for (path, name) in [
        ("/v1/realtime?model=real", "the Realtime API"),
        ("/v1/realtime/translations", "the Realtime API"),
        ("/v1/live/sessions", "live sessions"),
        ("/v1/live/sessions/s/attach", "live sessions"),
    ] {
        let answer = world.send(socket(path, world.service(), "websocket")).await;
        let [message, kind, _, code] = answer.error();
        assert_eq!((answer.status.as_u16(), code), (404, "not_offered".into()));
        assert_eq!(kind, "invalid_request_error");
        assert!(message.to_string().contains(name), "{path}: {message}");
    }
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_10_a_websocket_is_426_with_words_that_say_what_to_do() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for path in ["/v1/responses", "/v1/responses?model=real"] {
        for (key, upgrade) in [
            (world.service(), "websocket"),
            ("", "WebSocket"),
            (world.service(), "h2c, websocket"),
        ] {
            let answer = world.send(socket(path, key, upgrade)).await;
            assert_eq!(answer.status, 426, "{path} {upgrade}: {answer:?}");
            let [message, kind, _, code] = answer.error();
            assert_eq!(kind, "invalid_request_error");
            assert_eq!(code, "websocket_unavailable");
            assert!(
                message.to_string().contains("POST /v1/responses"),
                "{message}"
            );
            assert!(
                answer.headers.contains_key("upgrade"),
                "as RFC 9110 wants it"
            );
        }
    }
    let plain = world
        .send(request(Method::GET, "/v1/responses", world.service(), ""))
        .await;
    assert_eq!(
        (plain.status.as_u16(), plain.header("allow")),
        (405, "POST")
    );
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn models_query_without_client_version_is_passed_over() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for query in [
        "version=0.155.1",
        "limit=1000&after=x",
        "_=1760000000",
        "%zz&=",
        "models",
    ] {
        for path in ["/v1/models", "/v1/models/real"] {
            let asked = request(Method::GET, &format!("{path}?{query}"), world.service(), "");
            let answer = world.send(asked).await;
            assert_eq!(answer.status, 200, "{path}?{query}: {}", answer.body);
            let without = world
                .send(request(Method::GET, path, world.service(), ""))
                .await;
            assert_eq!(answer.body, without.body);
        }
    }
}
