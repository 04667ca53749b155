//! Relayed answers, and their records in the ledger.

use std::sync::Arc;

use gateway::{Durability, UpstreamKey};
use tokio::sync::Semaphore;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, send};
use crate::world::{World, chat, config};

#[tokio::test(flavor = "multi_thread")]
async fn answer_is_forwarded_unchanged_and_recorded() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let body = r#" {"model" : "real", "messages":[{"role":"user","content":"hi"}], "n":1.0e0 }"#;
    let answer = world.send(chat(world.owner(), body)).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (200, COMPLETION)
    );
    assert_eq!(
        answer.header("content-length"),
        COMPLETION.len().to_string()
    );
    assert_eq!(world.upstream.asked()[0].body, body);
    let row = world.row().await;
    assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    assert_eq!(row.id, answer.header("x-request-id"));
    assert_eq!(row.model, "real");
    assert_eq!(
        row.who,
        [
            &*world.project,
            &world.keys.owner.owner_id,
            &*world.keys.owner.id
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_are_forwarded_only_where_they_belong() {
    let reply = Reply::whole(200, COMPLETION)
        .with("x-request-id", "theirs")
        .with("set-cookie", "a=b")
        .with("openai-organization", "theirs")
        .with("x-model-region", "here");
    let world = World::with(reply, Durability::Batched, |url| {
        let mut config = config("local", url);
        config.api_key = Some(UpstreamKey::new("their-secret".into()));
        vec![config]
    })
    .await;
    let mut request = chat(world.service(), r#"{"model":"real"}"#);
    for (name, value) in [
        ("cookie", "c"),
        ("openai-beta", "b"),
        ("accept-encoding", "gzip"),
        ("x-own", "o"),
    ] {
        request
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    let answer = world.send(request).await;
    let asked = world.upstream.asked().remove(0);
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.headers["authorization"], "Bearer their-secret");
    assert_eq!(asked.headers["openai-beta"], "b");
    assert_eq!(asked.headers["accept-encoding"], "identity");
    for name in ["cookie", "x-own"] {
        assert!(!asked.headers.contains_key(name), "{name}");
    }
    assert_eq!(answer.header("x-model-region"), "here");
    assert_eq!(
        answer.header("openai-organization"),
        world.organization_id()
    );
    assert_eq!(answer.header("openai-version"), "2020-10-01");
    assert!(answer.header("x-request-id").starts_with("req_"));
    assert!(answer.header("openai-processing-ms").parse::<u64>().is_ok());
    assert_eq!(answer.header("set-cookie"), "");
    assert!(!format!("{answer:?}").contains("their-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn alias_is_replaced_by_the_upstreams_name() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    world.chat(r#"{"messages":[], "model": "nick" }"#).await;
    assert_eq!(
        world.upstream.asked()[0].body,
        r#"{"messages":[], "model": "real" }"#
    );
    assert_eq!(world.row().await.model, "real");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_requested_and_hidden_from_a_client_that_did_not_ask() {
    let world = World::start(Reply::events()).await;
    let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
    assert_eq!(answer.body, [EVENTS[0], EVENTS[1], EVENTS[3]].concat());
    assert_eq!(
        answer.header("content-type"),
        "text/event-stream; charset=utf-8"
    );
    let asked = r#"{"model":"real","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(world.upstream.asked()[0].body, asked);
    assert_eq!(
        world.row().await.sums(),
        ("succeeded", false, Some(11), Some(7), Some(1))
    );

    let answer = world.chat(asked).await;
    assert_eq!(answer.body, EVENTS.concat());
    assert_eq!(world.upstream.asked()[1].body, asked);
    assert_eq!(world.rows(2).await[1].sums().2, Some(11));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_before_the_end_of_the_answer() {
    use http_body_util::BodyExt;
    let gate = Arc::new(Semaphore::new(0));
    let world = World::start(Reply::stream(vec![
        send(EVENTS[0]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ]))
    .await;
    let response = world
        .gateway
        .handle(chat(world.service(), r#"{"model":"real","stream":true}"#))
        .await;
    let mut body = response.into_body();
    let first = body.frame().await.expect("a frame").expect("a piece");
    assert_eq!(first.into_data().expect("data"), EVENTS[0]);
    assert_eq!(world.ledger().await, []);
    gate.add_permits(1);
    let rest = body.collect().await.expect("the rest").to_bytes();
    assert_eq!(rest, EVENTS[3]);
    assert_eq!(world.row().await.sums().0, "succeeded");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_is_estimated_if_the_model_server_reports_none() {
    let events = Reply::stream(vec![send(EVENTS[0]), send(EVENTS[1]), send(EVENTS[3])]);
    let world = World::start(events).await;
    let body =
        r#"{"model":"real","stream":true,"messages":[{"role":"user","content":"0123456789"}]}"#;
    world.chat(body).await;
    // The messages have 39 bytes, and the answer has 11.
    assert_eq!(
        world.row().await.sums(),
        ("succeeded", true, Some(10), Some(3), Some(1))
    );
    let nothing = r#"{"choices":[]}"#;
    world.upstream.replies(Reply::whole(200, nothing));
    let answer = world.chat(r#"{"model":"real"}"#).await;
    assert_eq!(answer.body, nothing);
    let rows = world.rows(2).await;
    assert_eq!(
        rows[1].sums(),
        ("succeeded", true, Some(1), Some(1), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_of_known_length_that_ends_within_an_event_is_complete() {
    let text = EVENTS[..3].concat();
    let text = text.trim_end();
    let reply = Reply::stream(vec![send(text)]).with("content-length", &text.len().to_string());
    let world = World::start(reply).await;
    let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
    assert_eq!(answer.body, EVENTS[..2].concat());
    let asked = r#"{"model":"real","stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(world.chat(asked).await.body, text);
    for row in world.rows(2).await {
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
}
