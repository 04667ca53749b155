//! Quota of a project at the account that all projects share.

use std::sync::Arc;

use gateway::{FlowLimits, ObjectLimits};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::storage_server::StorageServer;
use super::{keeper, upload};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Bounds, World, read, request};

pub(super) async fn bounded(objects: ObjectLimits) -> (World, StorageServer) {
    let shelf = StorageServer::start().await;
    let base_url = shelf.base_url();
    let bounds = Bounds {
        flow: FlowLimits {
            objects,
            ..FlowLimits::default()
        },
        ..Bounds::default()
    };
    let reply = Reply::whole(200, COMPLETION);
    let world = World::bounded(reply, |_| vec![keeper(base_url)], bounds).await;
    (world, shelf)
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_lists_that_are_asked_for_again_and_again_are_asked_of_the_upstream_once() {
    let (world, shelf) = bounded(ObjectLimits {
        max_concurrent_requests: 0,
        ..ObjectLimits::default()
    })
    .await;
    let mut files = Vec::new();
    for _ in 0..5 {
        files.push(world.file(world.service(), "user_data", "x").await);
    }
    shelf.asked();
    let mut lists = JoinSet::new();
    for _ in 0..20 {
        let gateway = world.gateway.clone();
        let list = request(
            http::Method::GET,
            "/v1/files?limit=100",
            world.service(),
            "",
        );
        lists.spawn(async move { read(gateway.handle(list).await).await });
    }
    while let Some(list) = lists.join_next().await {
        let list = list.expect("a list");
        let list: serde_json::Value = serde_json::from_str(&list.body).expect("JSON");
        assert_eq!(list["data"].as_array().map(Vec::len), Some(5));
    }
    assert_eq!(shelf.asked().len(), 5);
    // What is a moment old is asked for anew.
    world.clock.advance(3);
    world.page("/v1/files", world.service()).await;
    assert_eq!(shelf.asked().len(), 5);
    // What is deleted is not there any more.
    assert_eq!(
        world
            .delete(&format!("/v1/files/{}", files[0]), world.service())
            .await
            .status,
        200
    );
    let (left, _) = world.page("/v1/files", world.service()).await;
    assert_eq!(left.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_list_shows_what_was_just_written() {
    let (world, shelf) = bounded(ObjectLimits::default()).await;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({}))
        .await
        .id();
    world.page("/v1/vector_stores", world.service()).await;
    shelf.set(&store, json!({"name": "new"}));
    let path = format!("/v1/vector_stores/{store}");
    assert_eq!(
        world.make(&path, world.service(), &json!({})).await.status,
        200
    );
    let list = world.get("/v1/vector_stores", world.service()).await.json();
    assert_eq!(list["data"][0]["name"], "new");
    shelf.set(&store, json!({"name": "newer"}));
    let path = format!("/v1/vector_stores/{store}/file_batches");
    assert_eq!(
        world.make(&path, world.service(), &json!({})).await.status,
        200
    );
    let list = world.get("/v1/vector_stores", world.service()).await.json();
    assert_eq!(list["data"][0]["name"], "newer");
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_requests_to_the_upstream_are_limited_for_each_project() {
    let (world, shelf) = bounded(ObjectLimits {
        requests_per_minute: 10,
        ..ObjectLimits::default()
    })
    .await;
    let mut files = Vec::new();
    for _ in 0..4 {
        files.push(world.file(world.service(), "user_data", "x").await);
    }
    shelf.asked();
    let path = format!("/v1/files/{}", files[0]);
    let mut passed = 0;
    let refused = loop {
        let answer = world.get(&path, world.service()).await;
        if answer.status != 200 {
            break answer;
        }
        passed += 1;
    };
    assert_eq!((passed, shelf.asked().len()), (6, 6));
    assert_eq!(
        refused.refusal(),
        (429, json!(null), json!("rate_limit_exceeded"))
    );
    let seconds: u64 = refused.header("retry-after").parse().expect("a number");
    assert!((1..=61).contains(&seconds), "{seconds}");
    let list = world.get("/v1/files", world.service()).await;
    assert_eq!(list.status, 429, "{}", list.body);
    assert_eq!(shelf.asked().len(), 0);
    world.file(world.other(), "user_data", "x").await;
    assert_eq!(world.get("/v1/files", world.other()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_list_counts_as_what_it_asks_of_the_upstream() {
    let (world, shelf) = bounded(ObjectLimits {
        requests_per_minute: 20,
        ..ObjectLimits::default()
    })
    .await;
    for _ in 0..8 {
        world.file(world.service(), "user_data", "x").await;
    }
    shelf.asked();
    // Eight uploads, the list, and eight of its files are 17; the next list would be nine more.
    assert_eq!(world.get("/v1/files", world.service()).await.status, 200);
    world.clock.advance(3);
    assert_eq!(world.get("/v1/files", world.service()).await.status, 429);
    assert_eq!(shelf.asked().len(), 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_requests_under_way_are_bounded_for_each_project() {
    let (world, shelf) = bounded(ObjectLimits {
        max_concurrent_requests: 1,
        ..ObjectLimits::default()
    })
    .await;
    let gate = Arc::new(Semaphore::new(0));
    shelf.state().gate = Some(Arc::clone(&gate));
    let gateway = world.gateway.clone();
    let upload = upload(world.service(), "user_data", "x");
    let uploading = tokio::spawn(async move { read(gateway.handle(upload).await).await });
    poll::until("the upload is at the upstream", async || {
        shelf.state().gate.is_none()
    })
    .await;
    let refused = world.get("/v1/files", world.owner()).await;
    assert_eq!(
        refused.refusal(),
        (429, json!(null), json!("rate_limit_exceeded"))
    );
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(world.get("/v1/files", world.other()).await.status, 200);
    // Who hangs up does not free the place that is still used at the upstream.
    uploading.abort();
    let _ = uploading.await;
    assert_eq!(world.get("/v1/files", world.service()).await.status, 429);
    gate.add_permits(1);
    poll::until("the place is free", async || {
        world.get("/v1/files", world.service()).await.status == 200
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_project_keeps_no_more_than_its_quota() {
    let (world, shelf) = bounded(ObjectLimits {
        max_files: 3,
        max_vector_stores: 1,
        ..ObjectLimits::default()
    })
    .await;
    let mut uploads = JoinSet::new();
    for _ in 0..10 {
        let gateway = world.gateway.clone();
        let upload = upload(world.service(), "user_data", "x");
        uploads.spawn(async move { read(gateway.handle(upload).await).await });
    }
    let mut made = Vec::new();
    while let Some(answer) = uploads.join_next().await {
        let answer = answer.expect("an answer");
        match answer.status.as_u16() {
            200 => made.push(answer.id()),
            _ => assert_eq!(
                answer.refusal(),
                (429, json!(null), json!("insufficient_quota"))
            ),
        }
    }
    assert!(made.len() <= 3, "{made:?}");
    while made.len() < 3 {
        made.push(world.file(world.service(), "user_data", "x").await);
    }
    shelf.asked();
    let refused = world.upload(world.service(), "user_data", "x").await;
    assert_eq!(
        refused.refusal(),
        (429, json!(null), json!("insufficient_quota"))
    );
    assert_eq!(shelf.asked().len(), 0, "it is not even made");
    world.file(world.other(), "user_data", "x").await;
    let path = format!("/v1/files/{}", made[0]);
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
    world.file(world.service(), "user_data", "x").await;
    for expected in [200, 429] {
        let answer = world
            .make("/v1/vector_stores", world.service(), &json!({}))
            .await;
        assert_eq!(answer.status, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn s23_a_project_whose_limits_are_0_asks_nothing_of_the_upstream_but_may_delete() {
    let (world, shelf) = bounded(ObjectLimits::default()).await;
    let file = world.file(world.service(), "user_data", "x").await;
    for model in ["real", "nick"] {
        world.limit(model, "max_requests_per_1_minute", 0).await;
    }
    shelf.asked();
    for answer in [
        world.get("/v1/files?limit=100", world.service()).await,
        world.upload(world.service(), "user_data", "x").await,
        world
            .make("/v1/vector_stores", world.service(), &json!({}))
            .await,
    ] {
        assert_eq!(
            answer.refusal(),
            (429, json!(null), json!("rate_limit_exceeded"))
        );
    }
    assert_eq!(shelf.asked().len(), 0);
    let path = format!("/v1/files/{file}");
    assert_eq!(world.delete(&path, world.service()).await.status, 200);
}
