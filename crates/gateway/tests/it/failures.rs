//! Failures of the only upstream: the client gets an error, the ledger a row, and nothing hangs.

use std::time::Duration;

use gateway::{Durability, UpstreamKey};
use serde_json::Value;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, nobody, send};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_upstream_is_502_and_one_row_without_usage() {
    let nobody = nobody();
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, |_| {
        vec![config("gone", nobody)]
    })
    .await;
    let answer = world.chat(MODEL).await;
    assert_eq!(answer.status, 502);
    let [_, kind, _, code] = answer.error();
    assert_eq!(
        [kind, code],
        [Value::from("server_error"), Value::from("upstream_error")]
    );
    let row = world.row().await;
    assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
    assert_eq!(row.id, answer.header("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn request_for_an_unreachable_upstream_goes_to_the_next() {
    let nobody = nobody();
    let world = World::with(Reply::whole(200, COMPLETION), Durability::Batched, |url| {
        let mut other = config("other", url);
        other.models = vec!["theirs".into()];
        other.aliases = [("real".to_owned(), "theirs".to_owned())].into();
        vec![config("gone", nobody), other]
    })
    .await;
    for _ in 0..4 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    let rows = world.rows(4).await;
    assert!(
        rows.iter()
            .all(|row| row.outcome == "succeeded" && row.model == "theirs"),
        "{rows:?}"
    );
    assert_eq!(world.upstream.asked()[3].body, r#"{"model":"theirs"}"#);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_an_upstream_are_passed_on_with_their_bodies() {
    for status in [400, 404, 422, 429, 500, 503] {
        let error = r#"{"error":{"message":"theirs","type":"t","param":null,"code":null}}"#;
        let world = World::start(Reply::whole(status, error).with("retry-after", "2")).await;
        let answer = world.chat(STREAM).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.as_str()),
            (status, error)
        );
        assert_eq!(answer.header("retry-after"), "2");
        assert_eq!(
            world.row().await.sums(),
            ("upstream_failed", false, None, None, Some(0))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_rejects_the_gateways_key_is_502_without_a_leak() {
    for status in [401, 403] {
        let reply = Reply::whole(status, "your key sk-upstream is wrong");
        let world = World::with(reply, Durability::Batched, |url| {
            let mut config = config("local", url);
            config.api_key = Some(UpstreamKey::new("sk-upstream".into()));
            vec![config]
        })
        .await;
        let answer = world.chat(MODEL).await;
        assert_eq!(answer.status, 502);
        assert!(!format!("{answer:?}").contains("sk-upstream"));
        assert_eq!(
            world.row().await.sums(),
            ("upstream_failed", false, None, None, Some(0))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_upstream_is_504() {
    let reply = Reply::whole(200, COMPLETION).after(Step::Wait(Duration::from_secs(30)));
    let world = World::with(reply, Durability::Batched, |url| {
        let mut config = config("slow", url);
        config.timeout_seconds = 1;
        vec![config]
    })
    .await;
    let answer = world.chat(MODEL).await;
    assert_eq!(answer.status, 504);
    assert_eq!(answer.error()[3], "upstream_timeout");
    assert_eq!(
        world.row().await.sums(),
        ("timed_out", false, None, None, Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_falls_silent_is_cut_off() {
    let reply = Reply::stream(vec![send(EVENTS[0]), Step::Wait(Duration::from_secs(30))]);
    let world = World::with(reply, Durability::Batched, |url| {
        let mut config = config("slow", url);
        config.timeout_seconds = 1;
        vec![config]
    })
    .await;
    let answer = world.chat(STREAM).await;
    assert!(answer.is_broken);
    assert_eq!(answer.body, EVENTS[0]);
    assert_eq!(
        world.row().await.sums(),
        ("timed_out", false, None, None, Some(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_breaks_off_is_metered_as_far_as_it_has_reported_usage() {
    let world = World::start(Reply::whole(200, "").after(Step::Die)).await;
    let answer = world.chat(MODEL).await;
    assert_eq!(answer.status, 502);
    assert_eq!(
        world.rows(1).await[0].sums(),
        ("upstream_failed", false, None, None, Some(0))
    );

    let pause = Step::Wait(Duration::from_millis(50));
    let steps = |events: &[&str]| {
        let mut steps: Vec<Step> = events.iter().map(|event| send(event)).collect();
        steps.extend([pause.clone(), Step::Die]);
        steps
    };
    world.upstream.replies(Reply::stream(steps(&EVENTS[..2])));
    let answer = world.chat(STREAM).await;
    assert!(answer.is_broken);
    assert_eq!(answer.body, EVENTS[..2].concat());
    assert_eq!(
        world.rows(2).await[1].sums(),
        ("upstream_failed", false, None, None, Some(0))
    );

    world.upstream.replies(Reply::stream(steps(&EVENTS[..3])));
    world.chat(STREAM).await;
    assert_eq!(
        world.rows(3).await[2].sums(),
        ("upstream_failed", false, Some(11), Some(7), Some(1))
    );
}
