//! Parts of uploads: each passes to the upstream while it comes, and is one file.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use gateway::Durability;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::json;
use store::sql;

use super::uploads::{END, HEAD, form};
use super::{keeper, world};
use crate::slow_body::{SlowBody, UnderWay, slow_body};
use crate::upstream::{COMPLETION, Reply, serve};
use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_one_file() {
    let (world, shelf) = world().await;
    let upload = world.begin_upload(world.service(), "user_data", 3).await;
    let path = format!("/v1/uploads/{upload}/parts");
    shelf.asked();
    let other = HEAD.replace("data\"", "file\"");
    for body in [
        String::new(),
        format!("{HEAD}abc"),
        format!("{HEAD}abc{END}more"),
        format!("{other}abc{END}"),
        format!("{HEAD}abc\r\n{HEAD}def{END}"),
        format!(
            "{HEAD}abc\r\n--xx\r\nContent-Disposition: form-data; name=\"upload_id\"\r\n\r\nx{END}"
        ),
    ] {
        let answer = world.send(form(&path, world.service(), &body)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.body);
    }
    let mut encoded = form(&path, world.service(), "");
    let coding = HeaderValue::from_static("gzip");
    encoded.headers_mut().insert("content-encoding", coding);
    assert_eq!(world.send(encoded).await.status, 415);
    let json = world.make(&path, world.service(), &json!({})).await;
    assert_eq!(json.status, 400);
    let query = form(&format!("{path}?x=y"), world.service(), "");
    assert_eq!(world.send(query).await.status, 400);
    assert!(shelf.state().contents.is_empty(), "no part is kept");
    assert_eq!(
        world
            .gateway
            .upstreams()
            .filter(|it| !it.is_healthy)
            .count(),
        0
    );
}

/// The progress of a part at an upstream.
#[derive(Clone, Default)]
struct Progress {
    begun: Arc<AtomicUsize>,
    bytes: Arc<AtomicUsize>,
    broken: Arc<AtomicUsize>,
}

/// Starts an upstream that counts the bytes of parts as they come.
async fn counting() -> (World, Progress) {
    let progress = Progress::default();
    let shared = progress.clone();
    let answer = move |request: Request<Incoming>| {
        let progress = shared.clone();
        async move {
            let path = request.uri().path().to_owned();
            let mut body = request.into_body();
            if path.ends_with("/parts") {
                progress.begun.fetch_add(1, Ordering::SeqCst);
            }
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else {
                    progress.broken.fetch_add(1, Ordering::SeqCst);
                    break;
                };
                let length = frame.into_data().map_or(0, |data| data.len());
                if path.ends_with("/parts") {
                    progress.bytes.fetch_add(length, Ordering::SeqCst);
                }
            }
            let id = if path.ends_with("/parts") {
                "part_1"
            } else {
                "upload_1"
            };
            let mut response = Response::new(Full::new(Bytes::from(json!({"id": id}).to_string())));
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert("content-type", json);
            response
        }
    };
    let address = serve(answer).await;
    let base_url = format!("http://{address}/v1");
    let reply = Reply::whole(200, COMPLETION);
    let world = World::with(reply, Durability::Batched, |_| vec![keeper(base_url)]).await;
    (world, progress)
}

/// Waits until the beginning of the last of so many parts is at the upstream.
async fn until_begun(progress: &Progress, parts: usize) {
    poll::until("the part has begun", async || {
        progress.begun.load(Ordering::SeqCst) == parts
    })
    .await;
}

fn slow_part(world: &World, body: SlowBody) -> Request<SlowBody> {
    form("/v1/uploads/upload_1/parts", world.service(), "").map(|_| body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_passes_while_it_comes() {
    let (world, progress) = counting().await;
    world
        .begin_upload(world.service(), "user_data", 1 << 30)
        .await;
    let (sender, body) = slow_body(None);
    let part = UnderWay::start(&world, slow_part(&world, body));
    sender.send(HEAD).await;
    let piece = "x".repeat(64 * 1024);
    for _ in 0..16 {
        sender.send(&piece).await;
    }
    // The client has not sent the end, and only one piece waits in the gateway.
    poll::until("the pieces are at the upstream", async || {
        progress.bytes.load(Ordering::SeqCst) >= 15 * piece.len()
    })
    .await;
    sender.send(END).await;
    drop(sender);
    assert_eq!(part.answer().await.id(), "part_1");
    let expected = HEAD.len() + 16 * piece.len() + END.len();
    assert_eq!(progress.bytes.load(Ordering::SeqCst), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_broken_off_is_none_and_the_upstream_is_not_blamed() {
    let (world, progress) = counting().await;
    world
        .begin_upload(world.service(), "user_data", 1 << 30)
        .await;
    let piece = "x".repeat(64 * 1024);
    for round in 1..=8 {
        let (sender, body) = slow_body(None);
        let part = UnderWay::start(&world, slow_part(&world, body));
        sender.send(HEAD).await;
        sender.send(&piece).await;
        sender.send(&piece).await;
        until_begun(&progress, round).await;
        if round % 2 == 0 {
            // The client hangs up.
            part.0.abort();
        } else {
            drop(sender);
            assert_eq!(part.answer().await.refusal().0, 400);
        }
        poll::until("the part is broken off", async || {
            progress.broken.load(Ordering::SeqCst) == round
        })
        .await;
    }
    // Five failures in a row would open the circuit.
    assert_eq!(
        world
            .gateway
            .upstreams()
            .filter(|it| !it.is_healthy)
            .count(),
        0
    );
    let parts = sql!("SELECT COUNT(*) AS count FROM stored_objects WHERE kind = 'upload_part'");
    let mut read = world.store.read().await.expect("a connection");
    let parts = read.fetch_one(parts, |row| row.get::<i64>("count")).await;
    assert_eq!(parts.expect("a count"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_has_at_most_64_mebibytes() {
    let (world, progress) = counting().await;
    world
        .begin_upload(world.service(), "user_data", 1 << 30)
        .await;
    let most = "x".repeat(gateway::MAX_REQUEST_BYTES);
    assert_eq!(
        world
            .add_part(world.service(), "upload_1", &most)
            .await
            .id(),
        "part_1"
    );
    let sent = progress.bytes.load(Ordering::SeqCst);
    assert_eq!(sent, HEAD.len() + most.len() + END.len());
    let more = world
        .add_part(world.service(), "upload_1", &format!("{most}x"))
        .await;
    assert_eq!(more.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends_a_part() {
    let (world, progress) = counting().await;
    world
        .begin_upload(world.service(), "user_data", 1 << 30)
        .await;
    let (sender, body) = slow_body(None);
    let part = UnderWay::start(&world, slow_part(&world, body));
    sender.send(HEAD).await;
    sender.send("x").await;
    until_begun(&progress, 1).await;
    world.delete_service().await;
    assert_eq!(part.answer().await.status, 401);
    poll::until("the part is broken off", async || {
        progress.broken.load(Ordering::SeqCst) == 1
    })
    .await;
}
