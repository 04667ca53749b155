//! Prompt caches of projects with zero data retention: model servers keep them in memory, or get no request.

use gateway::{Durability, UpstreamConfig};
use http::Method;
use serde_json::{Value, json};

use crate::upstream::{COMPLETION, Reply, Upstream};
use crate::websockets::harness::{SocketUpstream, SocketWorld, response, socket_config};
use crate::world::{Answer, Bounds, World, config, request};

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const COMPACT: &str = "/v1/responses/compact";
const FIELD: &str = "prompt_cache_retention";

/// Returns an upstream with models that have both prompt caches, the one of 24 hours, and none that is known.
fn with_models(mut upstream: UpstreamConfig) -> UpstreamConfig {
    let models = ["real", "gpt-5.4", "gpt-5.5"];
    upstream.models = models.map(str::to_owned).to_vec();
    upstream.aliases = [("memory".to_owned(), "gpt-5.4".to_owned())].into();
    upstream
}

async fn world() -> World {
    let upstreams = |url| vec![with_models(config("local", url))];
    World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        upstreams,
    )
    .await
}

async fn post(world: &World, path: &str, body: &str) -> Answer {
    let asked = request(Method::POST, path, world.service(), body);
    world.send(asked).await
}

/// The path, the body of a client, and the body that is forwarded under zero data retention.
const FORWARDED: [(&str, &str, &str); 11] = [
    (
        RESPONSES,
        r#"{"model":"gpt-5.4","input":"x"}"#,
        r#"{"model":"gpt-5.4","store":false,"prompt_cache_retention":"in_memory","input":"x"}"#,
    ),
    (
        CHAT,
        r#"{"model":"gpt-5.4"}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory"}"#,
    ),
    (
        CHAT,
        r#"{"model":"memory", "n":1}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory", "n":1}"#,
    ),
    (
        COMPACT,
        r#"{"model":"gpt-5.4"}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory"}"#,
    ),
    (
        CHAT,
        r#"{"prompt_cache_retention" : null,"model":"gpt-5.4"}"#,
        r#"{"prompt_cache_retention" : "in_memory","model":"gpt-5.4"}"#,
    ),
    (
        CHAT,
        r#"{"model":"gpt-5.4","prompt_cache_retenti\u006fn":"in-memory"}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retenti\u006fn":"in_memory"}"#,
    ),
    (
        CHAT,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"in_\u006demory"}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"in_\u006demory"}"#,
    ),
    (
        CHAT,
        r#"{"model":"gpt-5.4","metadata":{"prompt_cache_retention":"24h"}}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory","metadata":{"prompt_cache_retention":"24h"}}"#,
    ),
    (CHAT, r#"{"model":"real"}"#, r#"{"model":"real"}"#),
    (
        CHAT,
        r#"{"model":"real","prompt_cache_retention":"in_memory"}"#,
        r#"{"model":"real","prompt_cache_retention":"in_memory"}"#,
    ),
    (
        "/v1/responses/input_tokens",
        r#"{"model":"gpt-5.5","input":"x"}"#,
        r#"{"model":"gpt-5.5","input":"x"}"#,
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn zero_data_retention_asks_for_a_prompt_cache_in_memory() {
    let world = world().await;
    for (path, before, _) in FORWARDED {
        assert_eq!(
            post(&world, path, before).await.status,
            200,
            "{path} {before}"
        );
        let asked = world.upstream.asked().pop().expect("a request");
        let before = before.replace("\"memory\"", "\"gpt-5.4\"");
        assert_eq!(asked.body, before, "unchanged without zero data retention");
    }
    world.retain("zero_data_retention").await;
    for (path, before, after) in FORWARDED {
        let answer = post(&world, path, before).await;
        assert_eq!(answer.status, 200, "{path} {before}: {}", answer.body);
        let asked = world.upstream.asked().pop().expect("a request");
        assert_eq!(asked.body, after, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zero_data_retention_refuses_a_prompt_cache_of_24_hours() {
    let world = world().await;
    world
        .retain_everywhere("enhanced_zero_data_retention")
        .await;
    for path in [CHAT, RESPONSES, COMPACT] {
        for (model, value) in [
            ("gpt-5.4", Some(r#""24h""#)),
            ("memory", Some(r#""2\u0034h""#)),
            ("real", Some(r#""24h""#)),
            ("real", Some(r#""48h""#)),
            ("real", Some("24")),
            ("gpt-5.4", Some("true")),
            ("gpt-5.4", Some(r#"["in_memory"]"#)),
            ("gpt-5.5", None),
            ("gpt-5.5", Some("null")),
            ("gpt-5.5", Some(r#""in_memory""#)),
        ] {
            let value = value.map(|value| format!(r#","{FIELD}":{value}"#));
            let body = format!(r#"{{"model":"{model}"{}}}"#, value.unwrap_or_default());
            let answer = post(&world, path, &body).await;
            let [message, _, param, code] = answer.error();
            assert_eq!(answer.status, 400, "{path} {body}");
            assert_eq!((param, code), (json!(FIELD), json!("zero_data_retention")));
            assert!(message.to_string().contains("zero data retention"));
        }
        for name in ["Prompt_Cache_Retention", "prompt_cache_retention"] {
            let body = format!(r#"{{"model":"gpt-5.4","{FIELD}":"in_memory","{name}":"24h"}}"#);
            let answer = post(&world, path, &body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error()[2].clone()),
                (400, json!(name))
            );
        }
    }
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_with_zero_data_retention_chooses_the_prompt_cache() {
    let keeping = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let keeping_url = keeping.base_url();
    let upstreams = |url| {
        let clean = UpstreamConfig {
            zero_data_retention: true,
            ..config("clean", url)
        };
        vec![
            with_models(config("keeping", keeping_url)),
            with_models(clean),
        ]
    };
    let world = World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        upstreams,
    )
    .await;
    world.retain("zero_data_retention").await;
    for body in [
        r#"{"model":"gpt-5.5"}"#,
        r#"{"model":"gpt-5.5","prompt_cache_retention":"24h"}"#,
        r#"{"model":"gpt-5.4","prompt_cache_retention":"24h"}"#,
    ] {
        for _ in 0..2 {
            assert_eq!(world.chat(body).await.status, 200, "{body}");
            assert_eq!(world.upstream.asked().pop().expect("a request").body, body);
        }
    }
    assert!(
        keeping.asked().is_empty(),
        "the other account would keep it"
    );
    for _ in 0..4 {
        assert_eq!(world.chat(r#"{"model":"gpt-5.4"}"#).await.status, 200);
    }
    let in_memory = r#"{"model":"gpt-5.4","prompt_cache_retention":"in_memory"}"#;
    let bodies: Vec<_> = keeping
        .asked()
        .into_iter()
        .map(|asked| asked.body)
        .collect();
    assert_eq!(bodies, [in_memory, in_memory]);
    let last = world.upstream.asked().pop().expect("a request").body;
    assert_eq!(last, r#"{"model":"gpt-5.4"}"#, "as the client sent it");
    let stored = r#"{"model":"gpt-5.4","conversation":"conv_1"}"#;
    let refused = post(&world, RESPONSES, stored).await;
    assert_eq!(
        refused.error()[3],
        "zero_data_retention",
        "nothing else is allowed"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_over_websocket_ask_for_a_prompt_cache_in_memory() {
    let upstream = SocketUpstream::start(response()).await;
    let base_url = upstream.base_url();
    let upstreams = |_| vec![with_models(socket_config("sockets", base_url))];
    let world = World::bounded(Reply::whole(200, COMPLETION), upstreams, Bounds::default()).await;
    let sockets = SocketWorld::around(world, upstream).await;
    sockets.world.retain("zero_data_retention").await;
    let mut client = sockets.connect().await;
    client
        .create(json!({"model": "memory", "input": "x"}))
        .await;
    client.response().await;
    let last = sockets.upstream.asked().pop().expect("a message");
    let last: Value = serde_json::from_str(&last).expect("JSON");
    assert_eq!(
        (&last["model"], &last[FIELD]),
        (&json!("gpt-5.4"), &json!("in_memory"))
    );
    for message in [
        json!({"model": "gpt-5.5", "input": "x"}),
        json!({"model": "gpt-5.4", "input": "x", FIELD: "24h"}),
    ] {
        client.create(message).await;
        let refused = (400, json!("zero_data_retention"), json!(FIELD));
        assert_eq!(client.error().await, refused);
    }
    assert_eq!(sockets.upstream.asked().len(), 1);
}
