//! Fake model server of the demo: returns a fixed text and counts words as tokens.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use axum::routing::post;
use http::{HeaderValue, header};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// Starts the server on a free loopback port.
pub(super) async fn start() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let router = Router::new()
        .route("/v1/chat/completions", post(answer))
        .route("/v1/embeddings", post(embed));
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

/// Answers with one short vector, which is the same for every text.
async fn embed(body: Bytes) -> Response {
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let tokens = words(&request["input"].to_string());
    let embedding = json!({"object": "embedding", "index": 0, "embedding": [0.6, 0.0, 0.8]});
    let answer = json!({
        "object": "list", "model": request["model"], "data": [embedding],
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    });
    typed("application/json", Body::from(answer.to_string()))
}

/// Counts words, which are the tokens of this server.
fn words(text: &str) -> usize {
    text.split_whitespace().count()
}

#[derive(Deserialize)]
struct Question {
    model: String,
    #[serde(default)]
    messages: Vec<Value>,
    #[serde(default)]
    stream: bool,
}

const ANSWER: &str = "This is the orgplane demo. No model was asked: these words are built in, but the key was checked, \
                      and this request is in the ledger.";

async fn answer(body: Bytes) -> Response {
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        let mut response = Response::new(Body::from(
            r#"{"error":{"message":"not a chat request","type":"invalid_request_error","param":null,"code":null}}"#,
        ));
        *response.status_mut() = http::StatusCode::BAD_REQUEST;
        return response;
    };
    let asked: usize = question
        .messages
        .iter()
        .map(|message| words(&message.to_string()))
        .sum();
    let usage = json!({
        "prompt_tokens": asked, "completion_tokens": words(ANSWER), "total_tokens": asked + words(ANSWER),
    });
    if question.stream {
        streamed(&question.model, &usage)
    } else {
        whole(&question.model, &usage)
    }
}

fn whole(model: &str, usage: &Value) -> Response {
    let message = json!({ "role": "assistant", "content": ANSWER, "refusal": null });
    let choice =
        json!({ "index": 0, "message": message, "finish_reason": "stop", "logprobs": null });
    let completion = json!({
        "id": "chatcmpl-demo", "object": "chat.completion", "created": 0, "model": model,
        "choices": [choice], "usage": usage,
    });
    typed("application/json", Body::from(completion.to_string()))
}

fn streamed(model: &str, usage: &Value) -> Response {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({
            "id": "chatcmpl-demo", "object": "chat.completion.chunk", "created": 0, "model": model,
            "choices": choices, "usage": usage,
        });
        format!("data: {chunk}\n\n")
    };
    let delta = |delta: Value, reason: Value| json!([{ "index": 0, "delta": delta, "finish_reason": reason }]);
    let words = ANSWER.split_inclusive(' ');
    let mut events: Vec<String> = words
        .map(|word| chunk(delta(json!({ "content": word }), Value::Null), Value::Null))
        .collect();
    events.push(chunk(delta(json!({}), json!("stop")), Value::Null));
    events.push(chunk(json!([]), usage.clone()));
    events.push("data: [DONE]\n\n".to_owned());
    let events = events
        .into_iter()
        .map(|event| Ok::<_, Infallible>(Bytes::from(event)));
    typed(
        "text/event-stream",
        Body::from_stream(futures_util::stream::iter(events)),
    )
}

fn typed(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
