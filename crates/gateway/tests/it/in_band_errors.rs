//! Errors of an upstream by their cause: the gateway's key, the request, or the upstream, in a status or in the body.

use gateway::{Durability, UpstreamConfig, UpstreamKey};

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, Upstream, send};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;
const REFUSAL: &str = r#"{"error":{"message":"Your request was rejected by the content filter.","type":"t","param":null,"code":"content_policy_violation"}}"#;

async fn pair() -> (World, Upstream) {
    let second = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let url = second.base_url();
    let world = World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        |first| {
            let keyed = UpstreamConfig {
                api_key: Some(UpstreamKey::new("sk-upstream".into())),
                ..config("first", first)
            };
            let stands_by = UpstreamConfig {
                weight: 0,
                ..config("second", url)
            };
            vec![keyed, stands_by]
        },
    )
    .await;
    (world, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_request_at_an_upstream_that_accepts_the_key_is_passed_on() {
    let (world, second) = pair().await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    world.upstream.replies(Reply::whole(403, REFUSAL));
    for _ in 0..3 {
        let answer = world.chat(MODEL).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (403, REFUSAL));
    }
    assert!(
        second.asked().is_empty(),
        "a rejected request does not fail over"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn forbidden_requests_without_end_are_taken_for_a_rejected_key() {
    let (world, second) = pair().await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    world.upstream.replies(Reply::whole(403, REFUSAL));
    for _ in 0..100 {
        if world.chat(MODEL).await.status == 200 {
            assert_eq!(second.asked().len(), 1);
            return;
        }
    }
    panic!("requests go to a closed account for ever");
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_in_any_status_fails_over_to_the_next_upstream() {
    for status in [429, 502, 503, 504, 509, 520, 521, 522, 523, 524, 529, 598] {
        let (world, second) = pair().await;
        world.upstream.replies(Reply::whole(status, REFUSAL));
        let answer = world.chat(MODEL).await;
        assert_eq!(answer.status, 200, "{status}");
        assert_eq!(second.asked().len(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_fail_over_to_the_next_upstream() {
    let stream = |event: &str| Reply::stream(vec![send(event)]);
    let html = Reply {
        headers: vec![("content-type", "text/html; charset=utf-8".into())],
        ..Reply::whole(200, "<html>Bad gateway</html>")
    };
    let first = [
        Reply::whole(200, r#"{"error":{"message":"Upstream error","code":502}}"#),
        Reply::whole(200, ""),
        html,
        stream("data: {\"error\":{\"message\":\"boom\"}}\n\n"),
        stream("event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\"}\n\n"),
        stream(""),
    ];
    for (number, reply) in first.into_iter().enumerate() {
        let (world, second) = pair().await;
        world.upstream.replies(reply);
        let answer = world.chat(MODEL).await;
        assert_eq!(
            (answer.status.as_u16(), &*answer.body),
            (200, COMPLETION),
            "{number}"
        );
        assert_eq!(second.asked().len(), 1, "{number}");
        let row = world.row().await;
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_in_a_row_open_the_circuit() {
    let (world, second) = pair().await;
    let error = r#"{"error":{"message":"Upstream error","code":502}}"#;
    world.upstream.replies(Reply::whole(200, error));
    for _ in 0..6 {
        assert_eq!(world.chat(MODEL).await.body, COMPLETION);
    }
    assert_eq!(second.asked().len(), 6);
    let is_healthy: Vec<bool> = world
        .gateway
        .upstreams()
        .map(|status| status.is_healthy)
        .collect();
    assert_eq!(is_healthy, [false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_rate_limits_fail_over_without_opening_the_circuit() {
    let (world, second) = pair().await;
    let error = r#"{"error":{"message":"m","type":"tokens","code":"rate_limit_exceeded"}}"#;
    world.upstream.replies(Reply::whole(200, error));
    for _ in 0..6 {
        assert_eq!(world.chat(MODEL).await.body, COMPLETION);
    }
    assert_eq!(second.asked().len(), 6);
    assert!(world.gateway.upstreams().all(|status| status.is_healthy));
}

#[tokio::test(flavor = "multi_thread")]
async fn in_band_errors_about_the_request_and_answers_are_passed_on() {
    let about = r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#;
    let cites = COMPLETION.replace("Hello there", "an error");
    let long = COMPLETION.replace("Hello there", &"an error ".repeat(10_000));
    let timeout = r#"{"error":{"message":"m","code":408}}"#;
    for text in [about, timeout, cites.as_str(), long.as_str()] {
        let (world, second) = pair().await;
        world.upstream.replies(Reply::whole(200, text));
        let answer = world.chat(MODEL).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, text));
        assert!(second.asked().is_empty());
    }
    let (world, second) = pair().await;
    world.upstream.replies(Reply::events());
    let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
    assert_eq!(answer.body, EVENTS[..2].concat() + EVENTS[3]);
    assert!(second.asked().is_empty());
    let broken = Reply::stream(vec![send(EVENTS[0]), Step::Die]);
    world.upstream.replies(broken);
    let answer = world.chat(r#"{"model":"real","stream":true}"#).await;
    assert!(answer.is_broken, "no failover once the answer has begun");
    assert!(second.asked().is_empty());
}
