//! Metering of answers of any length, type, content coding and spelling, complete or not.

mod encodings;
mod failures;
mod large;
mod shapes;
mod streams;

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use usage::Metric;

use crate::upstream::{Reply, Step, send};
use crate::world::{Answer, World, config, request};

const CHAT: &str = "/v1/chat/completions";
const MODEL: &str = r#"{"model":"real","messages":[]}"#;
const STREAM: &str = r#"{"model":"real","messages":[],"stream":true}"#;

impl World {
    async fn consult(&self, path: &str, body: &str) -> Answer {
        let mut request = request(Method::POST, path, self.service(), body);
        let json = http::HeaderValue::from_static("application/json");
        request.headers_mut().insert("content-type", json);
        self.send(request).await
    }
}

/// Returns a world with timeouts that are long enough for a slow machine.
async fn world(reply: Reply) -> World {
    World::with(reply, gateway::Durability::Batched, |url| {
        let mut config = config("local", url);
        config.timeout_seconds = 120;
        vec![config]
    })
    .await
}

/// Returns an event of a stream.
fn event(data: &str) -> String {
    format!("data: {data}\n\n")
}

/// Returns some text, a finish reason, usage of 11 + 7 tokens, and the end of the stream.
fn chat_events() -> [String; 4] {
    [
        r#"{"choices":[{"index":0,"delta":{"content":"Hello"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#,
        "[DONE]",
    ]
    .map(event)
}
