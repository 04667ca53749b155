//! Redirects of upstreams: neither followed nor passed on; the request fails over.

use gateway::{Durability, UpstreamConfig};
use http::{HeaderValue, Method};

use crate::upstream::{COMPLETION, Reply, Upstream, nobody};
use crate::world::{Answer, World, config, request};

const MODEL: &str = r#"{"model":"real"}"#;
const STATUSES: [u16; 8] = [300, 301, 302, 303, 304, 305, 307, 308];

/// Returns a redirect with this status to `to`.
fn redirect(status: u16, to: &str) -> Reply {
    Reply::whole(status, "")
        .with("location", to)
        .with("refresh", "0; url=https://inside.example/")
        .with("content-location", "https://inside.example/")
        .with("link", "<https://inside.example/>; rel=canonical")
}

/// Asserts that an answer is an error of the gateway's own, which reveals nothing of the upstream's.
fn assert_own_failure(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 502, "{what}: {answer:?}");
    assert_eq!(answer.error()[3], "upstream_error", "{what}");
    for name in ["location", "refresh", "content-location", "link"] {
        assert!(!answer.headers.contains_key(name), "{what}: {name}");
    }
    assert!(!format!("{answer:?}").contains("inside.example"), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_neither_followed_nor_passed_on() {
    let elsewhere = Upstream::start(Reply::whole(200, COMPLETION)).await;
    let to = format!("{}/chat/completions", elsewhere.base_url());
    for status in STATUSES {
        let world = World::start(redirect(status, &to)).await;
        let answer = world.chat(MODEL).await;
        assert_own_failure(&answer, &status.to_string());
        let row = world.row().await;
        assert_eq!(row.sums(), ("upstream_failed", false, None, None, Some(0)));
    }
    assert!(elsewhere.asked().is_empty(), "no redirect is followed");
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_fail_over_to_the_next_upstream() {
    for status in [302, 307] {
        let second = Upstream::start(Reply::whole(200, COMPLETION)).await;
        let url = second.base_url();
        let first = redirect(status, "https://inside.example/v1/chat/completions");
        let world = World::with(first, Durability::Batched, |first| {
            let stands_by = UpstreamConfig {
                weight: 0,
                ..config("second", url)
            };
            vec![config("first", first), stands_by]
        })
        .await;
        let answer = world.chat(MODEL).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, COMPLETION));
        assert_eq!([world.upstream.asked().len(), second.asked().len()], [1, 1]);
        let row = world.row().await;
        assert_eq!(row.sums(), ("succeeded", false, Some(11), Some(7), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_in_a_row_open_the_circuit() {
    let redirecting = redirect(308, "https://inside.example/v1/");
    let world = World::start(redirecting).await;
    let is_healthy = || world.gateway.upstreams().all(|status| status.is_healthy);
    for _ in 0..5 {
        assert!(is_healthy());
        assert_own_failure(&world.chat(MODEL).await, "five in a row");
    }
    assert!(!is_healthy());
    // Health checks do not take a redirect for a sign of life.
    let has_checks = async || world.upstream.asked().len() >= 7;
    poll::until("two health checks", has_checks).await;
    assert!(!is_healthy());
    world.upstream.replies(Reply::whole(200, COMPLETION));
    poll::until("the upstream is healthy", async || is_healthy()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_of_the_storage_upstream_are_not_passed_on() {
    let reply = redirect(307, "https://inside.example/v1/files");
    let world = World::with(reply, Durability::Batched, |url| {
        vec![UpstreamConfig {
            stores: true,
            ..config("storage", url)
        }]
    })
    .await;
    let parts = "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nuser_data\r\n\
                 --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\ntext\r\n--x--\r\n";
    let mut upload = request(Method::POST, "/v1/files", world.service(), parts);
    let kind = HeaderValue::from_static("multipart/form-data; boundary=x");
    upload.headers_mut().insert("content-type", kind);
    assert_own_failure(&world.send(upload).await, "a file");
    let store = request(Method::POST, "/v1/vector_stores", world.service(), "{}");
    assert_own_failure(&world.send(store).await, "a vector store");
    assert_eq!(world.upstream.asked().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirect_is_reported_rather_than_an_unreachable_upstream() {
    let nobody = nobody();
    let world = World::with(redirect(302, "/login"), Durability::Batched, |url| {
        let gone = UpstreamConfig {
            weight: 0,
            ..config("gone", nobody)
        };
        vec![config("first", url), gone]
    })
    .await;
    let answer = world.chat(MODEL).await;
    assert_own_failure(&answer, "the first upstream's redirect");
    let message = answer.error()[0].clone();
    assert!(message.to_string().contains("redirect"), "{message}");
}
