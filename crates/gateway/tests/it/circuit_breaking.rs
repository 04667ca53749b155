//! Circuit breaking and health checks: failing upstreams get no requests until they are healthy, and no request is lost.

use std::time::Duration;

use gateway::{Durability, UpstreamConfig, UpstreamKey};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, Upstream, nobody, send};
use crate::world::{World, config};

const MODEL: &str = r#"{"model":"real"}"#;
const STREAM: &str = r#"{"model":"real","stream":true}"#;

fn healthy(world: &World) -> Vec<(String, bool)> {
    let statuses = world.gateway.upstreams();
    statuses
        .map(|status| (status.name.to_owned(), status.is_healthy))
        .collect()
}

fn is_healthy(world: &World, name: &str) -> bool {
    healthy(world).contains(&(name.to_owned(), true))
}

async fn until_healthy(world: &World, name: &str) {
    let description = format!("{name} is healthy");
    poll::until(&description, async || is_healthy(world, name)).await;
}

fn paths(upstream: &Upstream) -> Vec<String> {
    upstream
        .asked()
        .into_iter()
        .map(|asked| asked.path)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_restarts_costs_no_request() {
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
async fn failures_in_a_row_open_the_circuit_until_a_health_check_succeeds() {
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
    // Health checks fail as long as the upstream does.
    poll::until("a health check", async || failing.asked().len() >= 6).await;
    assert!(!is_healthy(&world, "failing"));
    // 404 is a sign of life, even if the upstream does not know the path.
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
async fn answers_that_break_off_open_the_circuit() {
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
async fn one_request_probes_an_open_circuit_without_health_checks() {
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
    // The backoff passes, and one request is the probe.
    let is_probe = async || world.chat(MODEL).await.status == 500;
    poll::until("a request probes the circuit", is_probe).await;
    assert_eq!(failing.asked().len(), 6);
    assert_eq!(world.chat(MODEL).await.status, 200);
    failing.replies(Reply::whole(200, COMPLETION));
    let is_closed = async || {
        assert_eq!(world.chat(MODEL).await.status, 200);
        is_healthy(&world, "failing")
    };
    poll::until("a request closes the circuit", is_closed).await;
    assert_eq!(
        paths(&failing),
        ["/v1/chat/completions"; 7],
        "no health checks"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn only_upstream_gets_requests_despite_its_open_circuit() {
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
async fn answer_says_when_to_retry_while_every_circuit_is_open() {
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

#[tokio::test]
async fn stopped_gateway_sends_no_health_checks() {
    let world = World::start(Reply::whole(500, "{}")).await;
    for _ in 0..5 {
        world.chat(MODEL).await;
    }
    let World { task, upstream, .. } = world;
    task.stop(Duration::from_secs(1)).await;
    // Longer than the first backoff, after which a health check would be sent.
    poll::advance(Duration::from_millis(1_300)).await;
    // The requests of the test are behind every health check that is due by now.
    for _ in 0..3 {
        let mut connection = TcpStream::connect(upstream.address)
            .await
            .expect("it listens");
        let request = b"GET /behind HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        connection.write_all(request).await.expect("a request");
        let mut answer = Vec::new();
        connection
            .read_to_end(&mut answer)
            .await
            .expect("an answer");
    }
    let paths = paths(&upstream);
    assert_eq!(paths[5..], ["/behind"; 3], "{paths:?}");
}
