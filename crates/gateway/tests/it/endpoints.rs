//! Every endpoint that is forwarded to models: the forwarded bytes, and the rows in the ledger.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::upstream::{Reply, Step, nobody, send};
use crate::world::{Answer, World, config, request};

mod edits;
mod kinds;
mod streams;
mod tools;

pub const PATHS: &[&str] = &[
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/responses",
    "/v1/embeddings",
    "/v1/moderations",
    "/v1/decisions",
    "/v1/images/generations",
    "/v1/images/edits",
    "/v1/images/variations",
    "/v1/audio/speech",
    "/v1/audio/transcriptions",
    "/v1/audio/translations",
    "/v1/responses/compact",
    "/v1/responses/input_tokens",
];

/// Returns a request for the model `nick`, in JSON, or as a form where the path requires one.
fn body(path: &str, model: &str) -> String {
    let is_parts = ["edits", "variations", "transcriptions", "translations"]
        .iter()
        .any(|name| path.ends_with(name));
    if is_parts {
        let file = "Content-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\nContent-Type: audio/mpeg\r\n\r\n\0\x01";
        let named = "Content-Disposition: form-data; name=\"model\"\r\n\r\n";
        return format!("--x-1\r\n{file}\r\n--x-1\r\n{named}{model}\r\n--x-1--\r\n");
    }
    format!(
        r#" {{"model" : "{model}", "input":"h\u00e4llo", "prompt":"hello", "messages":[], "n":1.0e0}} "#
    )
}

/// Returns a request to `path` with this key.
fn post(key: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, path, key, body);
    let kind = if body.starts_with("--x-1") {
        "multipart/form-data; boundary=x-1"
    } else {
        "application/json"
    };
    let kind = HeaderValue::from_static(kind);
    request.headers_mut().insert("content-type", kind);
    request
}

/// Returns the body of an answer.
async fn bytes(response: Response<gateway::Body>) -> Bytes {
    response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes()
}

impl World {
    async fn post(&self, path: &str, body: &str) -> Answer {
        self.send(post(self.service(), path, body)).await
    }
}

/// An answer for every endpoint: with usage under both names, and an image.
const ANSWER: &str =
    r#"{"data":[{}],"usage":{"prompt_tokens":3,"input_tokens":3,"output_tokens":2}}"#;

#[tokio::test(flavor = "multi_thread")]
async fn bytes_are_forwarded_unchanged_both_ways() {
    for path in PATHS {
        let world = World::start(Reply::whole(200, ANSWER).with("x-model-region", "here")).await;
        let body = body(path, "real");
        let answer = world.post(path, &body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, ANSWER),
            "{path}"
        );
        assert_eq!(answer.header("content-length"), ANSWER.len().to_string());
        assert_eq!(answer.header("x-model-region"), "here");
        assert_eq!(
            answer.header("openai-organization"),
            world.organization_id()
        );
        assert_eq!(answer.header("openai-version"), "2020-10-01");
        assert!(answer.header("openai-processing-ms").parse::<u64>().is_ok());
        let asked = world.upstream.asked().remove(0);
        assert_eq!(asked.path, *path);
        assert_eq!(asked.body, body, "{path}");
        let row = world.row().await;
        assert_eq!(row.id, answer.header("x-request-id"), "{path}");
        assert_eq!(
            (row.outcome.as_str(), row.requests),
            (
                "succeeded",
                Some(i64::from(!path.ends_with("/input_tokens")))
            ),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_models_name_is_edited() {
    for path in PATHS {
        let world = World::start(Reply::whole(200, ANSWER)).await;
        assert_eq!(world.post(path, &body(path, "nick")).await.status, 200);
        assert_eq!(world.upstream.asked()[0].body, body(path, "real"), "{path}");
        assert_eq!(world.row().await.model, "real");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_error_is_forwarded_and_costs_nothing() {
    let error = r#"{"error":{"message":"theirs","type":"t","param":null,"code":null},"usage":{"prompt_tokens":3}}"#;
    for path in PATHS {
        for status in [400, 429, 500] {
            let world = World::start(Reply::whole(status, error)).await;
            let answer = world.post(path, &body(path, "real")).await;
            assert_eq!(
                (answer.status.as_u16(), answer.body.as_str()),
                (status, error),
                "{path}"
            );
            nothing(&world, path).await;
        }
    }
}

/// Checks that the only row of the ledger has no usage.
async fn nothing(world: &World, path: &str) {
    let consumed = world.consumed_once().await;
    let told = " real upstream_failed num_model_requests=0";
    let source = consumed.find(" source=").unwrap_or(consumed.len());
    assert!(consumed[..source].ends_with(told), "{path}: {consumed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unavailable_upstream_costs_nothing() {
    for path in PATHS {
        let nobody = nobody();
        let configure = |_| vec![config("gone", nobody)];
        let world = World::with(
            Reply::whole(200, ANSWER),
            gateway::Durability::Batched,
            configure,
        );
        let world = world.await;
        let answer = world.post(path, &body(path, "real")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()[3].clone()),
            (502, "upstream_error".into())
        );
        nothing(&world, path).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnected_client_is_metered_to_the_end_of_the_answer() {
    for path in PATHS {
        let gate = Arc::new(Semaphore::new(0));
        let reply = Reply::whole(200, ANSWER).after(Step::Gate(Arc::clone(&gate)));
        let world = World::start(reply).await;
        tokio::select! {
            _ = world.gateway.handle(post(world.service(), path, &body(path, "real"))) => panic!("the gate is shut"),
            () = asked(&world) => {}
        }
        assert_eq!(world.ledger().await, []);
        gate.add_permits(1);
        let hung_up = world.consumed_once().await;
        let world = World::start(Reply::whole(200, ANSWER)).await;
        world.post(path, &body(path, "real")).await;
        let read = world.consumed_once().await;
        assert_eq!(hung_up, read.replace("succeeded", "client_gone"), "{path}");
        assert!(!hung_up.contains("estimated"), "{hung_up}");
    }
}

async fn asked(world: &World) {
    poll::until("the upstream is asked", async || {
        !world.upstream.asked().is_empty()
    })
    .await;
}

/// Returns the status, code and parameter of a refusal.
fn told(answer: &Answer) -> (u16, Value, Value) {
    let [_, _, param, code] = answer.error();
    (answer.status.as_u16(), code, param)
}

fn refusal(status: u16, code: &str, param: &str) -> (u16, Value, Value) {
    let param = match param {
        "" => Value::Null,
        name => name.into(),
    };
    (status, code.into(), param)
}

#[tokio::test(flavor = "multi_thread")]
async fn all_endpoints_refuse_with_the_same_errors() {
    let world = World::start(Reply::whole(200, ANSWER)).await;
    let narrow_key = world.narrow_key().await;
    for path in PATHS {
        let right = body(path, "real");
        // A list of stored chat completions is at the same path.
        let (others, allow): (&[Method], _) = match *path {
            "/v1/chat/completions" => (&[Method::PUT, Method::DELETE], "GET, POST"),
            _ => (&[Method::GET, Method::PUT, Method::DELETE], "POST"),
        };
        for method in others {
            let answer = world
                .send(request(method.clone(), path, world.service(), &right))
                .await;
            assert_eq!(told(&answer), refusal(405, "method_not_allowed", ""));
            assert_eq!(answer.header("allow"), allow, "{path}");
        }
        let narrow = request(Method::POST, path, &narrow_key.secret, &right);
        let answer = world.send(narrow).await;
        assert_eq!(told(&answer), refusal(403, "insufficient_permissions", ""));
        let unknown = refusal(404, "model_not_found", "model");
        let answer = world.post(path, &body(path, "other")).await;
        assert_eq!(told(&answer), unknown, "{path}");
        let missing = right.replace("\"model\"", "\"other\"");
        let answer = world.post(path, &missing).await;
        let expected = match *path {
            "/v1/moderations" => unknown,
            _ => refusal(400, "invalid_value", "model"),
        };
        assert_eq!(told(&answer), expected, "{path}");
        let answer = world
            .send(request(Method::POST, path, world.service(), "%"))
            .await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(world.ledger().await, [], "nothing was admitted");
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_paths_are_never_forwarded() {
    let world = World::start(Reply::whole(200, ANSWER)).await;
    for path in [
        "/v1",
        "/v1/",
        "/v1/unheard-of",
        "/v1/embeddings/",
        "/v1/audio",
        "/v1/images",
        "/v1/responses/",
        "/v1/responses/r/x",
        "/v1//responses",
        "/v1/Responses",
    ] {
        let answer = world
            .send(request(Method::POST, path, world.service(), "{}"))
            .await;
        assert_eq!(told(&answer), refusal(404, "unknown_url", ""), "{path}");
    }
    assert_eq!(world.ledger().await, []);
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn stored_answers_are_not_offered_where_no_upstream_stores() {
    let world = World::start(Reply::whole(200, ANSWER)).await;
    for (method, path, allow) in [
        (Method::GET, "/v1/responses/resp_1", "GET, DELETE"),
        (Method::DELETE, "/v1/responses/resp_1", "GET, DELETE"),
        (Method::POST, "/v1/responses/resp_1/cancel", "POST"),
        (Method::GET, "/v1/responses/resp_1/input_items", "GET"),
        (Method::POST, "/v1/conversations", "POST"),
        (Method::GET, "/v1/conversations/conv_1", "GET, POST, DELETE"),
        (Method::GET, "/v1/conversations/c/items", "GET, POST"),
        (Method::GET, "/v1/conversations/c/items/i", "GET, DELETE"),
        (Method::GET, "/v1/chat/completions", "GET, POST"),
        (Method::GET, "/v1/chat/completions/c", "GET, POST, DELETE"),
        (Method::GET, "/v1/chat/completions/c/messages", "GET"),
    ] {
        let answer = world
            .send(request(method.clone(), path, world.service(), ""))
            .await;
        assert_eq!(answer.status, 404, "{path}");
        assert_eq!(answer.error()[3], "not_offered");
        assert_eq!(
            answer.header("openai-organization"),
            world.organization_id()
        );
        let answer = world.send(request(method, path, "", "")).await;
        assert_eq!(answer.status, 401, "{path}");
        let answer = world
            .send(request(Method::PUT, path, world.service(), ""))
            .await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, allow)
        );
    }
    let background = r#"{"model":"real","input":"x","background":true}"#;
    for path in [
        "/v1/responses",
        "/v1/responses/compact",
        "/v1/responses/input_tokens",
    ] {
        let answer = world.post(path, background).await;
        assert_eq!(
            (answer.status.as_u16(), answer.error()[2].clone()),
            (400, "background".into()),
            "{path}"
        );
    }
    assert!(world.upstream.asked().is_empty());
}
