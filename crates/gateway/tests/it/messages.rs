//! `/v1/messages` in Anthropic's format: what is forwarded and refused, and in which words.

use bytes::Bytes;
use gateway::{ApiFormat, Durability, KeyHeader, UpstreamConfig, UpstreamKey};
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, config, request};

mod affinity;
mod metering;
mod policy;

const PATH: &str = "/v1/messages";
const COUNT_PATH: &str = "/v1/messages/count_tokens";

/// Message with 10 fresh input tokens, 40 from a cache, 20 that are written to it, and 7 of output.
const MESSAGE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"real","content":[{"type":"text","text":"Hello there"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"cache_read_input_tokens":40,"cache_creation_input_tokens":20,"cache_creation":{"ephemeral_5m_input_tokens":15,"ephemeral_1h_input_tokens":5},"output_tokens":7,"service_tier":"standard"}}"#;
const BODY: &str =
    r#" {"model" : "real", "max_tokens":50, "messages":[{"role":"user","content":"h\u00e4llo"}]} "#;

fn anthropic(name: &str, base_url: String) -> UpstreamConfig {
    UpstreamConfig {
        format: ApiFormat::Anthropic,
        api_key: Some(UpstreamKey::new("sk-upstream".to_owned())),
        ..config(name, base_url)
    }
}

async fn start(reply: Reply) -> World {
    World::with(reply, Durability::Batched, |url| {
        vec![anthropic("claude", url)]
    })
    .await
}

/// Returns a request without a key.
fn keyless(path: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, path, "", body);
    let headers = request.headers_mut();
    for (name, value) in [
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    request
}

/// Returns a request with a key in `x-api-key`, as the official clients send it.
fn post(key: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    with(keyless(path, body), "x-api-key", key)
}

fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &str,
) -> Request<Full<Bytes>> {
    let value = HeaderValue::from_str(value).expect("a value");
    request.headers_mut().append(name, value);
    request
}

impl World {
    async fn message(&self, body: &str) -> Answer {
        self.send(post(self.service(), PATH, body)).await
    }
}

/// Returns the status and the type of an error, whose envelope must be Anthropic's.
fn refusal(answer: &Answer) -> (u16, String) {
    let body: Value = serde_json::from_str(&answer.body).expect(&answer.body);
    assert_eq!(body["type"], "error", "{body}");
    assert_eq!(body["request_id"], answer.header("request-id"), "{body}");
    let members = |value: &Value| value.as_object().map(serde_json::Map::len);
    assert_eq!(
        (members(&body), members(&body["error"])),
        (Some(3), Some(2))
    );
    assert!(body["error"]["message"].is_string(), "{body}");
    let kind = body["error"]["type"].as_str().expect("a type");
    (answer.status.as_u16(), kind.to_owned())
}

fn told(status: u16, kind: &str) -> (u16, String) {
    (status, kind.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_version_and_betas_are_forwarded_unchanged() {
    let reply = Reply::whole(200, MESSAGE)
        .with("request-id", "req_theirs")
        .with("anthropic-organization-id", "theirs")
        .with("anthropic-ratelimit-requests-remaining", "7");
    let world = start(reply).await;
    for (path, query) in [(PATH, ""), (COUNT_PATH, "?beta=true")] {
        let mut request = post(world.service(), &format!("{path}{query}"), BODY);
        for beta in ["context-1m-2025-08-07, other-beta", "third=beta;v=1"] {
            request = with(request, "anthropic-beta", beta);
        }
        let request = with(request, "anthropic-user-profile-id", "uprof_1");
        let answer = world.send(request).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, MESSAGE));
        assert_eq!(answer.header("request-id"), answer.header("x-request-id"));
        assert_ne!(answer.header("request-id"), "req_theirs");
        let names = [
            "anthropic-organization-id",
            "anthropic-ratelimit-requests-remaining",
        ];
        assert!(!names.iter().any(|name| answer.headers.contains_key(*name)));
        let asked = world.upstream.asked().pop().expect("it was asked");
        assert_eq!(asked.path, format!("{path}{query}"));
        assert_eq!(asked.body, BODY);
        assert_eq!(asked.headers["anthropic-version"], "2023-06-01");
        let betas: Vec<_> = asked.headers.get_all("anthropic-beta").iter().collect();
        assert_eq!(
            betas,
            ["context-1m-2025-08-07, other-beta", "third=beta;v=1"]
        );
        assert_eq!(asked.headers["x-api-key"], "sk-upstream");
        for name in ["authorization", "anthropic-user-profile-id"] {
            assert!(!asked.headers.contains_key(name), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_of_an_upstream_can_be_a_bearer_token() {
    let world = World::with(Reply::whole(200, MESSAGE), Durability::Batched, |url| {
        vec![UpstreamConfig {
            key_header: Some(KeyHeader::Authorization),
            ..anthropic("claude", url)
        }]
    })
    .await;
    assert_eq!(world.message(BODY).await.status, 200);
    let asked = world.upstream.asked().remove(0);
    assert_eq!(asked.headers["authorization"], "Bearer sk-upstream");
    assert!(!asked.headers.contains_key("x-api-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_models_name_is_edited() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    let nick = BODY.replace("real", "nick");
    assert_eq!(world.message(&nick).await.status, 200);
    assert_eq!(world.upstream.asked()[0].body, BODY);
    assert_eq!(world.row().await.model, "real");
}

#[tokio::test(flavor = "multi_thread")]
async fn key_comes_in_either_header_of_these_paths_alone() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    let bearer = |key: &str| format!("Bearer {key}");
    let (key, other) = (world.service(), world.other());
    for (authorization, api_key, status) in [
        (None, Some(key), 200),
        (Some(bearer(key)), None, 200),
        (Some(bearer(key)), Some(key), 200),
        (Some(bearer(key)), Some(other), 401),
        (Some("Basic x".to_owned()), Some(key), 401),
        (None, Some("sk-proj-unknown"), 401),
        (None, None, 401),
    ] {
        let mut request = keyless(PATH, BODY);
        if let Some(value) = authorization {
            request = with(request, "authorization", &value);
        }
        if let Some(value) = api_key {
            request = with(request, "x-api-key", value);
        }
        let answer = world.send(request).await;
        assert_eq!(answer.status, status, "{}", answer.body);
        if status == 401 {
            assert_eq!(refusal(&answer), told(401, "authentication_error"));
        }
    }
    for path in ["/v1/chat/completions", "/v1/responses"] {
        let answer = world.send(post(key, path, BODY)).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(
            answer.error()[3],
            "invalid_api_key",
            "the envelope is OpenAI's"
        );
    }
    assert_eq!(world.upstream.asked().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_the_envelope_of_the_format() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    let narrow_key = world.narrow_key().await;
    for path in [PATH, COUNT_PATH] {
        for (body, expected) in [
            ("%", told(400, "invalid_request_error")),
            (r#"{"max_tokens":1}"#, told(400, "invalid_request_error")),
            (r#"{"model":"other"}"#, told(404, "not_found_error")),
            (
                r#"{"model":"real","Model":"x"}"#,
                told(400, "invalid_request_error"),
            ),
            (
                r#"{"model":"real","max_tokens":-1}"#,
                told(400, "invalid_request_error"),
            ),
            (
                r#"{"model":"real","fallbacks":[{"model":"x"}]}"#,
                told(400, "invalid_request_error"),
            ),
        ] {
            // A count of tokens has no maximum.
            if path == COUNT_PATH && body.contains("-1") {
                continue;
            }
            let answer = world.send(post(world.service(), path, body)).await;
            assert_eq!(refusal(&answer), expected, "{path} {body}");
        }
        let answer = world.send(post(&narrow_key.secret, path, BODY)).await;
        assert_eq!(refusal(&answer), told(403, "permission_error"), "{path}");
        for query in ["?beta=false", "?beta=true&x=1", "?x"] {
            let path = format!("{path}{query}");
            let answer = world.send(post(world.service(), &path, BODY)).await;
            assert_eq!(
                refusal(&answer),
                told(400, "invalid_request_error"),
                "{path}"
            );
        }
        let answer = world
            .send(request(Method::GET, path, world.service(), ""))
            .await;
        assert_eq!(refusal(&answer), told(405, "invalid_request_error"));
        assert_eq!(answer.header("allow"), "POST");
    }
    let answer = world
        .send(post(world.service(), "/v1/messages/batches", "{}"))
        .await;
    assert_eq!(refusal(&answer), told(404, "not_found_error"));
    assert_eq!(world.ledger().await, [], "nothing was admitted");
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn error_of_the_upstream_passes_and_its_absence_is_told_in_the_format() {
    let theirs = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"request_id":"req_1"}"#;
    for status in [400, 529] {
        let world = start(Reply::whole(status, theirs)).await;
        let answer = world.message(BODY).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (status, theirs));
        let consumed = world.consumed_once().await;
        assert_eq!(
            consumed,
            "completions real upstream_failed num_model_requests=0"
        );
    }
    let nobody = crate::upstream::nobody();
    let configure = |_| vec![anthropic("gone", nobody)];
    let world = World::with(Reply::whole(200, MESSAGE), Durability::Batched, configure).await;
    assert_eq!(refusal(&world.message(BODY).await), told(502, "api_error"));
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_served_in_the_format_of_their_upstream_alone() {
    let openai = crate::upstream::Upstream::start(Reply::whole(200, COMPLETION)).await;
    let url = openai.base_url();
    let world = World::with(Reply::whole(200, MESSAGE), Durability::Batched, |claude| {
        let gpt = UpstreamConfig {
            models: vec!["gpt".to_owned()],
            aliases: std::collections::BTreeMap::new(),
            ..config("openai", url)
        };
        vec![anthropic("claude", claude), gpt]
    })
    .await;
    let answer = world.message(&BODY.replace("real", "gpt")).await;
    assert_eq!(refusal(&answer), told(404, "not_found_error"));
    assert!(
        answer.body.contains("not at /v1/messages"),
        "{}",
        answer.body
    );
    let answer = world.chat(r#"{"model":"real","messages":[]}"#).await;
    assert_eq!(answer.status, 404);
    let [message, _, param, code] = answer.error();
    assert_eq!((param, code), (json!("model"), json!("model_not_found")));
    assert!(
        message
            .as_str()
            .is_some_and(|it| it.contains("at /v1/messages only"))
    );
    assert_eq!(
        world.chat(r#"{"model":"gpt","messages":[]}"#).await.status,
        200
    );
    assert_eq!(world.message(BODY).await.status, 200);
    let counts = [world.upstream.asked().len(), openai.asked().len()];
    assert_eq!(counts, [1, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_are_listed_in_the_format_that_the_client_names() {
    let world = World::with(Reply::whole(200, MESSAGE), Durability::Batched, |url| {
        let gpt = UpstreamConfig {
            models: vec!["gpt".to_owned()],
            ..config("openai", "http://127.0.0.1:1/v1".to_owned())
        };
        vec![anthropic("claude", url), gpt]
    })
    .await;
    let get = async |path: &str| {
        let mut request = post(world.service(), path, "");
        *request.method_mut() = Method::GET;
        world.send(request).await
    };
    let page = get("/v1/models?limit=1000").await;
    let page: Value = serde_json::from_str(&page.body).expect("a page");
    let model = |id: &str| json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z", "lifecycle": "active"});
    let expected = json!({"data": [model("nick"), model("real")], "has_more": false, "first_id": "nick", "last_id": "real"});
    assert_eq!(page, expected);
    let one: Value = serde_json::from_str(&get("/v1/models/real").await.body).expect("a model");
    assert_eq!(one, model("real"));
    assert_eq!(
        refusal(&get("/v1/models/gpt").await),
        told(404, "not_found_error")
    );
    world.list_models("allow_list", &["real"]).await;
    let page: Value = serde_json::from_str(&get("/v1/models").await.body).expect("a page");
    assert_eq!(page["data"], json!([model("real")]));
    assert_eq!(
        refusal(&get("/v1/models/nick").await),
        told(403, "permission_error")
    );
    let page = world
        .send(request(Method::GET, "/v1/models", world.service(), ""))
        .await;
    let page: Value = serde_json::from_str(&page.body).expect("a page");
    assert_eq!(
        (&page["object"], page["data"].as_array().map(Vec::len)),
        (&json!("list"), Some(0))
    );
}
