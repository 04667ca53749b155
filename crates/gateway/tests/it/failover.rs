//! Failover: before the first byte of an answer a request goes to the next upstream, and the ledger has one row for it.

use gateway::{Durability, UpstreamConfig};

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, Upstream, nobody, send};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;
const REFUSAL: &str = r#"{"error":{"message":"first","type":"t","param":null,"code":null}}"#;

/// Starts a gateway with an upstream that answers `first`, and a standby that answers `second` and whose name for the model
/// is `theirs`. Returns the standby.
async fn pair(first: Reply, second: Reply) -> (World, Upstream) {
    let second = Upstream::start(second).await;
    let url = second.base_url();
    let world = World::with(first, Durability::Batched, |first| {
        let stands_by = UpstreamConfig {
            models: vec!["theirs".into()],
            aliases: [("real".to_owned(), "theirs".to_owned())].into(),
            weight: 0,
            ..config("second", url)
        };
        vec![config("first", first), stands_by]
    })
    .await;
    (world, second)
}

#[tokio::test(flavor = "multi_thread")]
async fn request_fails_over_to_the_next_upstream() {
    let refusals = [401, 403, 429, 502, 503, 504].map(|status| Reply::whole(status, REFUSAL));
    let dies = Reply::whole(200, COMPLETION).after(Step::Die);
    for first in refusals.into_iter().chain([dies]) {
        let status = first.status;
        let (world, second) = pair(first, Reply::whole(200, COMPLETION)).await;
        let answer = world.chat(MODEL).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (200, COMPLETION),
            "{status}"
        );
        assert_eq!([world.upstream.asked().len(), second.asked().len()], [1, 1]);
        assert_eq!(second.asked()[0].body, r#"{"model":"theirs"}"#);
        let row = world.row().await;
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
        assert_eq!(row.model, "theirs");
        assert_eq!(row.id, answer.header("x-request-id"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_that_the_request_may_have_caused_are_passed_on() {
    for status in [400, 404, 408, 422, 500, 501] {
        let (world, second) = pair(Reply::whole(status, REFUSAL), Reply::events()).await;
        let answer = world.chat(MODEL).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (status, REFUSAL)
        );
        assert_eq!(second.asked().len(), 0);
        let row = world.row().await;
        assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
        assert_eq!(row.model, "real");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_does_not_fail_over_once_its_answer_has_begun() {
    for begun in [vec![send(EVENTS[0]), Step::Die], vec![Step::Die]] {
        let (world, second) = pair(Reply::stream(begun), Reply::events()).await;
        let answer = world.chat(STREAM).await;
        assert!(answer.is_broken);
        assert_eq!(second.asked().len(), 0);
        let row = world.rows(1).await.remove(0);
        assert_eq!(
            (row.outcome.as_str(), row.model.as_str()),
            ("upstream_failed", "real")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn request_does_not_fail_over_after_a_timeout() {
    let second = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let url = second.base_url();
    let silent = Reply::whole(200, COMPLETION).after(Step::Wait(std::time::Duration::from_secs(9)));
    let world = World::with(silent, Durability::Batched, |silent| {
        let silent = UpstreamConfig {
            timeout_seconds: 1,
            ..config("silent", silent)
        };
        vec![silent, config("second", url)]
    })
    .await;
    let answer = world.chat(MODEL).await;
    assert_eq!(answer.status, 504);
    assert_eq!(second.asked().len(), 0);
    let row = world.row().await;
    assert_eq!(row.sums(), ("timed_out", false, None, None, Some(0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn last_error_is_passed_on_if_every_upstream_is_overloaded() {
    let other = r#"{"error":{"message":"second","type":"t","param":null,"code":null}}"#;
    let second = Reply::whole(429, other).with("retry-after", "7");
    let (world, _second) = pair(Reply::whole(503, REFUSAL), second).await;
    let answer = world.chat(MODEL).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (429, other));
    assert_eq!(answer.header("retry-after"), "7");
    let row = world.row().await;
    assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
    assert_eq!(row.model, "theirs");
}

#[tokio::test(flavor = "multi_thread")]
async fn overload_is_passed_on_rather_than_an_unreachable_upstream() {
    let nobody = nobody();
    let world = World::with(Reply::whole(503, REFUSAL), Durability::Batched, |url| {
        let gone = UpstreamConfig {
            weight: 0,
            ..config("gone", nobody)
        };
        vec![config("first", url), gone]
    })
    .await;
    let answer = world.chat(MODEL).await;
    assert_eq!(
        (answer.status.as_u16(), answer.body.as_str()),
        (503, REFUSAL)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_upstream_gets_a_request_at_most_once() {
    let dies = || Reply::whole(200, COMPLETION).after(Step::Die);
    let (world, second) = pair(dies(), dies()).await;
    let answer = world.chat(MODEL).await;
    assert_eq!(answer.status, 502);
    assert_eq!(answer.error()[3], "upstream_error");
    assert_eq!([world.upstream.asked().len(), second.asked().len()], [1, 1]);
    let row = world.row().await;
    assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
}
