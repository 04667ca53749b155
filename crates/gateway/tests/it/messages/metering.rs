//! The usage of answers in Anthropic's format, and what it costs.

use std::sync::Arc;

use http_body_util::BodyExt;
use tokio::sync::Semaphore;

use super::{BODY, COUNT_PATH, MESSAGE, PATH, post, start};
use crate::upstream::{Reply, Step, send};

/// Events of a stream with the same usage as [`MESSAGE`].
const EVENTS: [&str; 6] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"content\":[],\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":40,\"cache_creation_input_tokens\":20,\"cache_creation\":{\"ephemeral_5m_input_tokens\":15,\"ephemeral_1h_input_tokens\":5},\"output_tokens\":1,\"service_tier\":\"standard\"}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":7}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];
const ERROR: &str = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n";

/// The beginning of the ledger's row of [`MESSAGE`].
const CONSUMED: &str = "completions real succeeded input_tokens=70 output_tokens=7 num_model_requests=1 input_cached_tokens=40 \
                        input_cache_write_tokens=20 input_uncached_tokens=10";

fn streamed() -> String {
    BODY.replace("\"max_tokens\"", "\"stream\":true, \"max_tokens\"")
}

fn events(steps: &[&str]) -> Reply {
    Reply::stream(steps.iter().map(|event| send(event)).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_and_stream_have_the_same_usage() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    world.message(BODY).await;
    let whole = world.consumed_once().await;
    assert!(whole.starts_with(CONSUMED), "{whole}");
    let lifetimes =
        "input_cache_write_5m_tokens=15 input_cache_write_1h_tokens=5 service_tier=standard";
    assert!(whole.ends_with(lifetimes), "{whole}");
    let world = start(events(&EVENTS)).await;
    let answer = world.message(&streamed()).await;
    assert_eq!(answer.body, EVENTS.concat());
    assert_eq!(
        world.upstream.asked()[0].body,
        streamed(),
        "nothing is asked for"
    );
    assert_eq!(world.consumed_once().await, whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn web_searches_are_a_report_of_their_own() {
    let reply = MESSAGE.replace(
        r#""output_tokens":7"#,
        r#""output_tokens":7,"server_tool_use":{"web_search_requests":3,"web_fetch_requests":1}"#,
    );
    let world = start(Reply::whole(200, &reply)).await;
    world.message(BODY).await;
    world.rows(2).await;
    let consumed = world.consumed().await;
    assert_eq!(
        consumed[1],
        "web_search_calls real succeeded num_requests=3"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn error_in_a_stream_fails_it_and_keeps_what_was_reported() {
    let world = start(events(&[EVENTS[0], EVENTS[3], ERROR])).await;
    let answer = world.message(&streamed()).await;
    assert!(answer.body.ends_with(ERROR));
    let consumed = world.consumed_once().await;
    let reported = CONSUMED.replace("succeeded", "upstream_failed");
    let reported = reported.replace("output_tokens=7", "output_tokens=1");
    assert!(consumed.starts_with(&reported), "{consumed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stream_that_breaks_off_has_failed() {
    let mut steps: Vec<Step> = EVENTS[..4].iter().map(|event| send(event)).collect();
    steps.push(Step::Die);
    let world = start(Reply::stream(steps)).await;
    assert!(world.message(&streamed()).await.is_broken);
    let consumed = world.consumed_once().await;
    assert!(
        consumed.starts_with("completions real upstream_failed input_tokens=70 output_tokens=1"),
        "{consumed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn client_that_hangs_up_is_metered_to_the_end() {
    let gate = Arc::new(Semaphore::new(0));
    let mut steps: Vec<Step> = EVENTS.iter().map(|event| send(event)).collect();
    steps.insert(2, Step::Gate(Arc::clone(&gate)));
    let world = start(Reply::stream(steps)).await;
    let response = world
        .gateway
        .handle(post(world.service(), PATH, &streamed()))
        .await;
    let mut body = response.into_body();
    body.frame().await.expect("a frame").expect("bytes");
    drop(body);
    gate.add_permits(1);
    let consumed = world.consumed_once().await;
    assert!(
        consumed.starts_with(&CONSUMED.replace("succeeded", "client_gone")),
        "{consumed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_tokens_costs_nothing_and_counts_as_a_request() {
    let world = start(Reply::whole(200, r#"{"input_tokens":2095}"#)).await;
    world.limit("real", "max_requests_per_1_minute", 3).await;
    world.limit("real", "max_tokens_per_1_minute", 1).await;
    world.limit_project_spend(Some(1)).await;
    let long = BODY.replace("h\\u00e4llo", &"long ".repeat(1_000));
    for _ in 0..3 {
        let answer = world.send(post(world.service(), COUNT_PATH, &long)).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (200, r#"{"input_tokens":2095}"#)
        );
    }
    let answer = world.send(post(world.service(), COUNT_PATH, &long)).await;
    assert_eq!(
        super::refusal(&answer),
        super::told(429, "rate_limit_error")
    );
    world.rows(3).await;
    for consumed in world.consumed().await {
        assert_eq!(consumed, "completions real succeeded num_model_requests=0");
    }
    let spent: i64 = world
        .entries()
        .await
        .iter()
        .map(|entry| entry.amount.0)
        .sum();
    assert_eq!(spent, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_the_answer_count_for_the_rate_limit() {
    let world = start(Reply::whole(200, MESSAGE)).await;
    world.limit("real", "max_tokens_per_1_minute", 10_000).await;
    let answer = world.message(BODY).await;
    assert_eq!(answer.status, 200);
    world.rows(1).await;
    let answer = world.message(BODY).await;
    // Of 10,000 tokens, 77 were used, and the second request reserves its 50 of output and a few of input.
    let left: i64 = answer
        .header("x-ratelimit-remaining-tokens")
        .parse()
        .expect("a number");
    assert!((9_700..9_873).contains(&left), "{left}");
}
