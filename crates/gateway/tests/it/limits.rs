//! Rate limits: the admitted requests, the headers and messages, and refunds.

mod amounts;
mod seeded;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gateway::Durability;
use http::{HeaderValue, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::upstream::{COMPLETION, EVENTS, Reply, Step, nobody, send, serve};
use crate::world::{Answer, World, chat, config, read, request};

const MODEL: &str = r#"{"model":"real"}"#;
const ALIAS: &str = r#"{"model":"nick"}"#;
/// A request of one input token and at most 99 output tokens.
const HUNDRED: &str = r#"{"model":"real","messages":[],"max_tokens":99}"#;
const CLIENT_COUNT: usize = 500;
/// A limit that no test reaches.
const MAX_LIMIT: i64 = 1_000_000;

type Http = Client<HttpConnector, Full<Bytes>>;

async fn limited(reply: Reply, field: &str, most: i64) -> World {
    let world = World::start(reply).await;
    world.limit("real", field, most).await;
    world
}

/// Serves the world's gateway over TCP connections.
async fn listen(world: &World) -> SocketAddr {
    let gateway = world.gateway.clone();
    serve(move |request| {
        let gateway = gateway.clone();
        async move { gateway.handle(request).await }
    })
    .await
}

/// An answer to a client: its status, and the remaining requests.
async fn ask(client: &Http, address: SocketAddr, key: &str, body: &'static str) -> (u16, String) {
    let request = Request::post(format!("http://{address}/v1/chat/completions"))
        .header("authorization", format!("Bearer {key}"))
        .body(Full::new(Bytes::from_static(body.as_bytes())));
    let answer = client.request(request.expect("a request")).await;
    let (head, body) = answer.expect("an answer").into_parts();
    body.collect().await.expect("a body");
    let header = |name| {
        head.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let told = match head.status.as_u16() {
        429 => header("retry-after-ms"),
        _ => header("x-ratelimit-remaining-requests"),
    };
    (head.status.as_u16(), told.expect("told").to_owned())
}

/// Returns the answers to many clients, each of which sends this many requests.
fn crowd(
    (address, key): (SocketAddr, &str),
    times: usize,
    body: &'static str,
) -> JoinSet<Vec<(u16, String)>> {
    let client: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENT_COUNT {
        let (client, key) = (client.clone(), key.to_owned());
        clients.spawn(async move {
            let mut all = Vec::new();
            for _ in 0..times {
                all.push(ask(&client, address, &key, body).await);
            }
            all
        });
    }
    clients
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_are_admitted_up_to_the_limit() {
    for (most, times) in [(1, 1), (20, 1), (1000, 3)] {
        let world = limited(
            Reply::whole(200, COMPLETION),
            "max_requests_per_1_minute",
            most,
        );
        let world = world.await;
        let address = listen(&world).await;
        let all = crowd((address, world.service()), times, MODEL)
            .join_all()
            .await
            .concat();
        let (passed, refused): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|(status, _)| *status == 200);
        assert!(
            refused.iter().all(|(status, _)| *status == 429),
            "{refused:?}"
        );
        let passed = passed
            .iter()
            .map(|(_, left)| left.parse::<i64>().expect("a number"));
        let mut left: Vec<i64> = passed.collect();
        left.sort_unstable();
        assert_eq!(
            left,
            (0..most).collect::<Vec<_>>(),
            "each took one that was left"
        );
        for (_, wait) in refused {
            let wait: u64 = wait.parse().expect("milliseconds");
            assert!((1..=61_000).contains(&wait), "{wait}");
        }
        let count = usize::try_from(most).expect("a count");
        assert_eq!(world.rows(count).await.len(), world.upstream.asked().len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_reserved_until_the_usage_is_known() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::whole(200, COMPLETION).after(Step::Gate(Arc::clone(&gate)));
    let world = limited(reply, "max_tokens_per_1_minute", 1000).await;
    let mut clients = crowd((listen(&world).await, world.service()), 1, HUNDRED);
    for _ in 0..CLIENT_COUNT - 10 {
        let all = clients
            .join_next()
            .await
            .expect("a client")
            .expect("no panic");
        assert_eq!(all[0].0, 429);
    }
    gate.add_permits(10);
    let passed = clients.join_all().await.concat();
    assert!(passed.iter().all(|(status, _)| *status == 200));
    assert_eq!(world.rows(10).await.len(), passed.len());
    // Each request used 18 of the 100 tokens that it reserved.
    gate.add_permits(1);
    let answer = world.chat(HUNDRED).await;
    assert_eq!(answer.header("x-ratelimit-limit-tokens"), "1000");
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), "720");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_report_the_status_of_the_limits() {
    let world = limited(Reply::events(), "max_requests_per_1_minute", 2).await;
    let stream = r#"{"model":"real","stream":true,"max_completion_tokens":50}"#;
    let answer = world.chat(stream).await;
    assert_eq!(answer.status, 200);
    for (name, value) in [
        ("x-ratelimit-limit-requests", "2"),
        ("x-ratelimit-remaining-requests", "1"),
        ("x-ratelimit-limit-tokens", "10000000"),
        ("x-ratelimit-remaining-tokens", "9999949"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    for name in ["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"] {
        assert!(answer.header(name).starts_with("1m0"), "{answer:?}");
    }
    assert_eq!(answer.header("retry-after-ms"), "");
    world.chat(stream).await;
    let answer = world.chat(stream).await;
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    refused(
        &answer,
        "requests",
        &format!(
            "for real in project {} on requests per min (RPM): Limit 2, Used 2, Requested 1.",
            world.project
        ),
    );
    let wait: u64 = answer.header("retry-after-ms").parse().expect("a number");
    let seconds: u64 = answer.header("retry-after").parse().expect("a number");
    assert!(
        wait > 55_000 && seconds == wait.div_ceil(1000),
        "{answer:?}"
    );
    assert!(
        world
            .rows(2)
            .await
            .iter()
            .all(|row| row.outcome == "succeeded")
    );
    let list = world
        .send(request(Method::GET, "/v1/models", world.service(), ""))
        .await;
    assert_eq!(
        (
            list.status.as_u16(),
            list.header("x-ratelimit-limit-requests")
        ),
        (200, "")
    );
}

fn refused(answer: &Answer, kind: &str, words: &str) {
    assert_eq!(answer.status, 429, "{answer:?}");
    let [message, told, param, code] = answer.error();
    assert_eq!(
        (told, param, code),
        (kind.into(), ().into(), "rate_limit_exceeded".into())
    );
    let message = message.as_str().expect("a message").to_owned();
    assert!(message.contains(words), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn alias_is_no_way_round_a_limit() {
    let world = limited(
        Reply::whole(200, COMPLETION),
        "max_requests_per_1_minute",
        2,
    )
    .await;
    assert_eq!(world.chat(ALIAS).await.status, 200);
    assert_eq!(
        world
            .chat(MODEL)
            .await
            .header("x-ratelimit-remaining-requests"),
        "0"
    );
    refused(&world.chat(ALIAS).await, "requests", "for real in");
    // A request that is refused under one name does not count under the other.
    world
        .limit("real", "max_requests_per_1_minute", MAX_LIMIT)
        .await;
    world.limit("nick", "max_requests_per_1_minute", 2).await;
    assert_eq!(world.chat(ALIAS).await.status, 200);
    refused(&world.chat(ALIAS).await, "requests", "for nick in");
    assert_eq!(world.chat(MODEL).await.status, 200);
    world.rows(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_limit_applies_to_the_next_request() {
    let world = limited(
        Reply::whole(200, COMPLETION),
        "max_requests_per_1_minute",
        0,
    )
    .await;
    let answer = world.chat(MODEL).await;
    refused(&answer, "requests", "Nothing passes while the limit is 0.");
    for most in [1, 2] {
        world.limit("real", "max_requests_per_1_minute", most).await;
        assert_eq!(world.chat(MODEL).await.status, 200);
        assert_eq!(world.chat(MODEL).await.status, 429);
    }
    world
        .limit("real", "max_requests_per_1_minute", MAX_LIMIT)
        .await;
    world.limit("real", "max_requests_per_1_day", 2).await;
    refused(
        &world.chat(MODEL).await,
        "requests",
        "per day (RPD): Limit 2, Used 2",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn request_beyond_the_limit_is_told_not_to_retry() {
    let world = limited(Reply::whole(200, COMPLETION), "max_tokens_per_1_minute", 99).await;
    let answer = world.chat(HUNDRED).await;
    refused(&answer, "tokens", "Request too large for real");
    assert_eq!(answer.header("x-should-retry"), "false");
    assert_eq!(
        (
            answer.header("retry-after"),
            answer.header("retry-after-ms")
        ),
        ("", "")
    );
    // An estimate of the output never makes a request larger than the limit.
    assert_eq!(world.chat(MODEL).await.status, 200);
    assert_eq!(world.rows(1).await.len(), world.upstream.asked().len());
}

#[tokio::test(flavor = "multi_thread")]
async fn request_that_no_model_server_received_does_not_count() {
    let nobody = nobody();
    let gone = |_| vec![config("gone", nobody)];
    let world = World::with(Reply::whole(200, ""), Durability::Batched, gone).await;
    world.limit("real", "max_requests_per_1_minute", 1).await;
    // The upstream is unreachable the first time, and skipped afterwards.
    for status in [502, 503, 503] {
        assert_eq!(world.chat(MODEL).await.status, status);
    }
    // A request that fails upstream counts, but not its tokens.
    let world = limited(Reply::whole(500, "{}"), "max_requests_per_1_minute", 2).await;
    assert_eq!(world.chat(HUNDRED).await.status, 500);
    let answer = world.chat(HUNDRED).await;
    assert_eq!(answer.header("x-ratelimit-remaining-requests"), "0");
    assert_eq!(answer.header("x-ratelimit-remaining-tokens"), "9999899");
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_beyond_the_reservation_counts() {
    let answer = COMPLETION.replace("\"completion_tokens\":7", "\"completion_tokens\":500");
    let world = limited(Reply::whole(200, &answer), "max_tokens_per_1_minute", 600).await;
    assert_eq!(world.chat(HUNDRED).await.status, 200);
    refused(
        &world.chat(HUNDRED).await,
        "tokens",
        "Limit 600, Used 511, Requested 100.",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn unused_tokens_are_refunded_after_a_disconnect() {
    let gate = Arc::new(Semaphore::new(0));
    let steps = vec![
        send(EVENTS[0]),
        Step::Gate(Arc::clone(&gate)),
        send(EVENTS[2]),
        send(EVENTS[3]),
    ];
    let world = limited(Reply::stream(steps), "max_tokens_per_1_minute", 100).await;
    let stream = r#"{"model":"real","stream":true,"messages":[],"max_tokens":99}"#;
    let response = world.gateway.handle(chat(world.service(), stream)).await;
    drop(response);
    assert_eq!(world.chat(HUNDRED).await.status, 429);
    gate.add_permits(1);
    world.rows(1).await;
    let small = r#"{"model":"real","messages":[],"max_tokens":81}"#;
    world.upstream.replies(Reply::whole(200, COMPLETION));
    assert_eq!(world.chat(small).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn reservation_stays_charged_if_the_usage_is_never_known() {
    let gate = Arc::new(Semaphore::new(0));
    let reply = Reply::whole(200, COMPLETION).after(Step::Gate(gate));
    let world = limited(reply, "max_tokens_per_1_minute", 100).await;
    let waiting = world.gateway.handle(chat(world.service(), HUNDRED));
    let asked = poll::until("the upstream is asked", async || {
        !world.upstream.asked().is_empty()
    });
    tokio::select! {
        _ = waiting => panic!("the gate is shut"),
        () = asked => {}
    }
    let request = chat(world.service(), HUNDRED);
    world.task.stop(Duration::ZERO).await;
    let response = world.gateway.handle(request).await;
    refused(
        &read(response).await,
        "tokens",
        "Limit 100, Used 100, Requested 100.",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn text_of_a_truncated_answer_counts_though_it_costs_nothing() {
    let text = format!(
        "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "x".repeat(360)
    );
    let pause = Step::Wait(Duration::from_millis(100));
    let reply = Reply::stream(vec![send(&text), pause, Step::Die]);
    let world = limited(reply, "max_tokens_per_1_minute", 100).await;
    let stream = r#"{"model":"real","messages":[],"max_tokens":9,"stream":true}"#;
    assert!(world.chat(stream).await.is_broken);
    let row = world.rows(1).await.remove(0);
    assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
    // The output had 90 tokens, and the input one.
    assert_eq!(world.chat(stream).await.status, 429);
}
