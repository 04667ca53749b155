//! Responses over WebSocket: relayed, metered and limited one by one.

use std::sync::Arc;

use gateway::{FlowLimits, UpstreamConfig};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::harness::{
    CREATED, Client, SocketUpstream, SocketWorld, event, gated, response, socket_config,
};
use crate::upstream::{Reply, nobody};
use crate::world::{Bounds, World, config};

#[tokio::test(flavor = "multi_thread")]
async fn each_response_of_a_connection_is_a_row_of_what_was_reported() {
    let sockets = SocketWorld::start(response()).await;
    let mut client = sockets.connect().await;
    let events = [
        "response.created",
        "response.output_text.delta",
        "response.completed",
    ];
    client.ask().await;
    assert_eq!(client.response().await, events);
    let nick = json!({"model": "nick", "input": "Hi", "store": false, "stream_id": "a"});
    client.create(nick).await;
    assert_eq!(client.response().await, events);
    let rows = sockets.world.rows(2).await;
    for row in &rows {
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
        assert_eq!(row.model, "real");
        assert_eq!(row.who[0], sockets.world.project);
    }
    assert_ne!(rows[0].id, rows[1].id);
    let asked: Vec<Value> = sockets
        .upstream
        .asked()
        .iter()
        .map(|text| parse(text))
        .collect();
    assert_eq!(
        asked[0],
        json!({"type": "response.create", "model": "real", "input": "Hi"})
    );
    assert_eq!(
        asked[1]["model"], "real",
        "the upstream's name of the alias"
    );
    let [handshake] = &sockets.upstream.handshakes()[..] else {
        panic!("one connection");
    };
    assert!(
        !handshake.contains_key("authorization"),
        "no key is configured"
    );
    assert!(!handshake.contains_key("cookie"));
    client.close().await;
    poll::until("the upstream's connection ends", async || {
        sockets.upstream.ended() == 1
    })
    .await;
}

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_beside_a_running_response_is_answered_after_it() {
    let gate = Arc::new(Semaphore::new(0));
    let sockets = SocketWorld::start(gated(&gate)).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.ask().await;
    client
        .send(r#"{"type":"response.processed","response_id":"resp_1"}"#)
        .await;
    assert_eq!(client.event().await["type"], "response.created");
    assert_eq!(sockets.upstream.asked().len(), 1);
    gate.add_permits(2);
    client.response().await;
    client.response().await;
    assert_eq!(sockets.world.rows(2).await.len(), 2);
    assert_eq!(sockets.upstream.handshakes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_of_the_upstream_ends_the_response_and_not_the_connection() {
    let not_found = r#"{"type":"error","status":400,"error":{"type":"invalid_request_error","code":"previous_response_not_found","message":"gone"}}"#;
    let sockets = SocketWorld::start(vec![event(not_found)]).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    assert_eq!(client.error().await.1, "previous_response_not_found");
    sockets.upstream.replies(response());
    client.ask().await;
    client.response().await;
    let rows = sockets.world.rows(2).await;
    assert_eq!(
        rows[0].sums(),
        ("upstream_failed", false, None, None, Some(0))
    );
    assert_eq!(
        rows[1].sums(),
        ("succeeded", false, Some(11), Some(7), Some(1))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_for_many_connections_at_once() {
    let sockets = SocketWorld::start(response()).await;
    sockets
        .world
        .limit("real", "max_requests_per_1_minute", 5)
        .await;
    let mut clients = JoinSet::new();
    for _ in 0..20 {
        let mut client = sockets.connect().await;
        clients.spawn(async move {
            client.ask().await;
            client.response().await
        });
    }
    let answers = clients.join_all().await;
    let admitted = answers.iter().filter(|types| types.len() == 3).count();
    assert_eq!(admitted, 5, "{answers:?}");
    assert_eq!(sockets.world.rows(5).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_the_moment_hold_for_each_message() {
    let sockets = SocketWorld::start(response()).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    client.response().await;
    sockets.world.list_models("deny_list", &["real"]).await;
    client.ask().await;
    assert_eq!(
        client.error().await,
        (403, json!("model_not_found"), json!("model"))
    );
    sockets.world.list_models("allow_list", &["real"]).await;
    sockets.world.enable_tools(&["web_search"], false).await;
    let tools = json!({"model": "real", "input": "Hi", "tools": [{"type": "web_search"}]});
    client.create(tools).await;
    assert_eq!(
        client.error().await,
        (403, json!("hosted_tool_not_enabled"), json!("tools"))
    );
    sockets.world.retain("zero_data_retention").await;
    client
        .create(json!({"model": "real", "input": "Hi", "store": true}))
        .await;
    client.response().await;
    let last = sockets.upstream.asked().pop().expect("a message");
    assert_eq!(parse(&last)["store"], false, "{last}");
    // The two responses have cost more than a cent.
    sockets.world.limit_spend(Some(1)).await;
    client.ask().await;
    let (status, code, _) = client.error().await;
    assert_eq!((status, code), (429, json!("insufficient_quota")));
    assert_eq!(sockets.world.rows(2).await.len(), 2);
    assert_eq!(sockets.upstream.handshakes().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_responses_of_the_project_are_continued_on_a_shared_account() {
    let sockets = SocketWorld::storing(response()).await;
    let mut client = sockets.connect().await;
    let next = json!({"model": "real", "input": "Hi", "previous_response_id": "resp_1"});
    client.create(next.clone()).await;
    let refused = (404, json!("not_found"), json!("previous_response_id"));
    assert_eq!(client.error().await, refused);
    client.ask().await;
    client.response().await;
    client.create(next.clone()).await;
    client.response().await;
    let mut with_conversation = next.clone();
    with_conversation["conversation"] = json!("conv_1");
    client.create(with_conversation).await;
    assert_eq!(client.error().await.0, 404);
    let mut other = sockets.connect_with(sockets.world.other()).await;
    other.create(next).await;
    assert_eq!(other.error().await, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_to_the_first_upstream_that_accepts() {
    let upstream = SocketUpstream::start(response()).await;
    let base_url = upstream.base_url();
    let upstreams = |http| {
        vec![
            socket_config("nobody", nobody()),
            socket_config("refusing", http),
            socket_config("sockets", base_url),
        ]
    };
    let reply = Reply::whole(426, "{}");
    let world = World::bounded(reply, upstreams, Bounds::default()).await;
    let sockets = SocketWorld::around(world, upstream).await;
    for _ in 0..3 {
        let mut client = sockets.connect().await;
        client.ask().await;
        assert_eq!(client.response().await.len(), 3);
    }
    assert_eq!(sockets.world.rows(3).await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_accepting_upstream_the_request_fails_and_the_connection_stays() {
    let upstreams = |http| {
        let http_only = UpstreamConfig {
            models: vec!["plain".to_owned()],
            aliases: std::collections::BTreeMap::new(),
            ..config("plain", nobody())
        };
        vec![socket_config("refusing", http), http_only]
    };
    let reply = Reply::whole(404, "{}");
    let world = World::bounded(reply, upstreams, Bounds::default()).await;
    let upstream = SocketUpstream::start(response()).await;
    let sockets = SocketWorld::around(world, upstream).await;
    sockets
        .world
        .limit("real", "max_requests_per_1_minute", 1)
        .await;
    let mut client = sockets.connect().await;
    for _ in 0..2 {
        client.ask().await;
        let (status, code, _) = client.error().await;
        assert_eq!(
            (status, code),
            (502, json!("upstream_error")),
            "limits are refunded"
        );
    }
    client
        .create(json!({"model": "plain", "input": "Hi"}))
        .await;
    let unavailable = (400, json!("websocket_unavailable"), json!("model"));
    assert_eq!(client.error().await, unavailable);
    client
        .create(json!({"model": "unknown", "input": "Hi"}))
        .await;
    assert_eq!(client.error().await.0, 404);
    for row in sockets.world.rows(2).await {
        assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_upstream_that_hangs_up_is_connected_to_again() {
    let sockets = SocketWorld::start(response()).await;
    let mut steps = response();
    steps.push(super::harness::SocketStep::Die);
    sockets.upstream.replies(steps);
    let mut client = sockets.connect().await;
    client.ask().await;
    client.response().await;
    poll::until("the upstream hangs up", async || {
        sockets.upstream.ended() == 1
    })
    .await;
    sockets.upstream.replies(response());
    client.ask().await;
    client.response().await;
    assert_eq!(sockets.upstream.handshakes().len(), 2);
    assert_eq!(sockets.world.rows(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_nobody_asked_for_ends_the_connection_upstream() {
    let sockets = SocketWorld::start(response()).await;
    let mut steps = response();
    steps.push(event(CREATED));
    sockets.upstream.replies(steps);
    let mut client = sockets.connect().await;
    client.ask().await;
    client.response().await;
    poll::until("the connection ends", async || {
        sockets.upstream.ended() == 1
    })
    .await;
    sockets.upstream.replies(response());
    client.ask().await;
    assert_eq!(client.response().await.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_bounded_for_each_key_and_project() {
    let bounds = Bounds {
        flow: FlowLimits {
            max_requests_per_key: 2,
            ..FlowLimits::default()
        },
        ..Bounds::default()
    };
    let sockets = SocketWorld::bounded(response(), bounds).await;
    let first = sockets.connect().await;
    let _second = sockets.connect().await;
    let address = sockets.listener.address;
    let refused = Client::connect(address, sockets.world.service(), "").await;
    let refused = refused.err().expect("a refusal");
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    first.close().await;
    poll::until("a place is free", async || {
        Client::connect(address, sockets.world.service(), "")
            .await
            .is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_event_comes_once_its_usage_is_durable() {
    let sockets = SocketWorld::strict(response()).await;
    let mut client = sockets.connect().await;
    client.ask().await;
    assert_eq!(client.response().await.len(), 3);
    assert_eq!(sockets.world.ledger().await.len(), 1);
}
