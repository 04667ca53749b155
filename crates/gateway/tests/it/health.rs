//! Upstreams that fail are skipped, and used again once they are back, without a client's request being lost.

use std::time::Duration;

use gateway::{Durability, UpstreamConfig, UpstreamKey};
use serde_json::Value;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, Upstream, nobody, send};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

fn healthy(world: &World) -> Vec<(String, bool)> {
    let states = world.gateway.upstreams();
    states
        .map(|state| (state.name.to_owned(), state.is_healthy))
        .collect()
}

fn is_healthy(world: &World, name: &str) -> bool {
    healthy(world).contains(&(name.to_owned(), true))
}

async fn until_healthy(world: &World, name: &str) {
    for _ in 0..400 {
        if is_healthy(world, name) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{name} does not come back: {:?}", healthy(world));
}

fn paths(upstream: &Upstream) -> Vec<String> {
    upstream
        .asked()
        .into_iter()
        .map(|asked| asked.path)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_dies_and_returns_costs_no_request() {
    let mortal = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let (address, url) = (mortal.address, mortal.base_url());
    let world = World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        |other| {
            let mortal = UpstreamConfig {
                api_key: Some(UpstreamKey::new("sk-upstream".into())),
                ..config("mortal", url)
            };
            vec![mortal, config("other", other)]
        },
    )
    .await;
    for _ in 0..2 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert!(is_healthy(&world, "mortal"));
    mortal.stop().await;
    for _ in 0..6 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(world.upstream.asked().len(), 7);
    assert!(!is_healthy(&world, "mortal") && is_healthy(&world, "other"));

    let reborn = Upstream::at(address, Reply::whole(200, COMPLETION), None).await;
    until_healthy(&world, "mortal").await;
    let probes = reborn.asked();
    assert_eq!(paths(&reborn), ["/v1/models"]);
    assert_eq!(probes[0].headers["authorization"], "Bearer sk-upstream");
    for _ in 0..4 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(reborn.asked().len(), 3);
    assert_eq!(world.rows(12).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_fails_in_a_row_is_skipped_until_it_says_that_it_can() {
    let failing = Upstream::start(Reply::whole(500, "{}")).await;
    let url = failing.base_url();
    let world = World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        |other| {
            let failing = UpstreamConfig {
                health_path: "/health?deep=1".into(),
                ..config("failing", url)
            };
            vec![failing, config("other", other)]
        },
    )
    .await;
    for expected in [500, 200].repeat(5) {
        assert_eq!(world.chat(MODEL).await.status, expected);
    }
    assert!(!is_healthy(&world, "failing"));
    for _ in 0..4 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    // Asked in the background, it says that it cannot, as long as it cannot.
    while failing.asked().len() < 6 {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert!(!is_healthy(&world, "failing"));
    // 404 says that it is there, if not that it knows the path.
    failing.replies(Reply::whole(404, "{}"));
    until_healthy(&world, "failing").await;
    assert_eq!(paths(&failing)[5..], ["/v1/health?deep=1"; 2]);
    failing.replies(Reply::whole(200, COMPLETION));
    for _ in 0..2 {
        assert_eq!(world.chat(MODEL).await.status, 200);
    }
    assert_eq!(failing.asked().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_breaks_off_its_answers_is_skipped() {
    let steps = vec![
        send(EVENTS[0]),
        Step::Wait(Duration::from_millis(20)),
        Step::Die,
    ];
    let world = World::start(Reply::stream(steps)).await;
    for _ in 0..5 {
        assert!(is_healthy(&world, "local"));
        assert!(world.chat(STREAM).await.is_broken);
    }
    assert!(!is_healthy(&world, "local"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_path_to_ask_for_one_request_finds_out() {
    let failing = Upstream::start(Reply::whole(500, "{}")).await;
    let url = failing.base_url();
    let world = World::with(
        Reply::whole(200, COMPLETION),
        Durability::Batched,
        |other| {
            let failing = UpstreamConfig {
                health_path: String::new(),
                ..config("failing", url)
            };
            vec![failing, config("other", other)]
        },
    )
    .await;
    for _ in 0..10 {
        world.chat(MODEL).await;
    }
    assert_eq!(failing.asked().len(), 5);
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert_eq!(failing.asked().len(), 5, "nobody asks in the background");
    let statuses = [
        world.chat(MODEL).await.status,
        world.chat(MODEL).await.status,
    ];
    assert_eq!(statuses.map(|status| status.as_u16()), [500, 200]);
    failing.replies(Reply::whole(200, COMPLETION));
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(failing.asked().len(), 7);
    assert!(is_healthy(&world, "failing"));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_skipped_is_tried_when_there_is_no_other() {
    let world = World::start(Reply::whole(500, "{}")).await;
    for _ in 0..6 {
        assert_eq!(world.chat(MODEL).await.status, 500);
    }
    assert!(!is_healthy(&world, "local"));
    world.upstream.replies(Reply::whole(200, COMPLETION));
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert!(is_healthy(&world, "local"));
}

#[tokio::test(flavor = "multi_thread")]
async fn while_all_are_known_to_be_gone_the_answer_says_when_to_come_back() {
    let gone = [nobody(), nobody()];
    let world = World::with(Reply::events(), Durability::Batched, |_| {
        let [first, second] = gone;
        vec![config("gone", first), config("gone too", second)]
    })
    .await;
    let news = world.chat(MODEL).await;
    assert_eq!(
        (news.status.as_u16(), news.header("retry-after")),
        (502, "")
    );
    let known = world.chat(MODEL).await;
    assert_eq!(
        (known.status.as_u16(), known.header("retry-after")),
        (503, "1")
    );
    let [_, kind, _, code] = known.error();
    let expected = ["server_error", "upstream_unavailable"].map(Value::from);
    assert_eq!([kind, code], expected);
    for row in world.rows(2).await {
        assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_stopped_asks_nobody() {
    let world = World::start(Reply::whole(500, "{}")).await;
    for _ in 0..5 {
        world.chat(MODEL).await;
    }
    let World { task, upstream, .. } = world;
    task.stop(Duration::from_secs(1)).await;
    tokio::time::sleep(Duration::from_millis(1_300)).await;
    assert_eq!(upstream.asked().len(), 5);
}
