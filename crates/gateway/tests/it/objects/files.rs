//! Files: a project never sees those of another.

use std::sync::Arc;
use std::time::Duration;

use gateway::ObjectLimits;
use http::{HeaderValue, Method};
use serde_json::json;
use store::sql;
use tokio::sync::Semaphore;

use super::quota::bounded;
use super::{line, not_found, upload, world};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{World, request};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_its_projects_alone() {
    let (world, shelf) = world().await;
    let answer = world
        .upload(world.service(), "user_data", "what nobody else may read")
        .await;
    let id = answer.id();
    assert_eq!(answer.json()["purpose"], "user_data");
    assert_eq!(
        answer.header("openai-organization"),
        world.organization_id()
    );
    let (path, content) = (format!("/v1/files/{id}"), format!("/v1/files/{id}/content"));
    assert_eq!(
        world.get(&path, world.service()).await.json(),
        shelf.state().objects[&id]
    );
    assert_eq!(
        world.get(&content, world.service()).await.body,
        "what nobody else may read"
    );
    shelf.asked();
    for (method, path) in [
        (Method::GET, &path),
        (Method::GET, &content),
        (Method::DELETE, &path),
    ] {
        let answer = world.call(method, path, world.other(), "").await;
        assert_eq!(answer.refusal(), not_found(json!(null)), "{path}");
        let never = format!("No file with id '{id}' was found.");
        assert_eq!(answer.message(), never);
    }
    assert_eq!(
        world.page("/v1/files", world.other()).await,
        (vec![], false)
    );
    assert!(shelf.asked().is_empty(), "the account is not even asked");
    assert_eq!(
        world.delete(&path, world.service()).await.json()["deleted"],
        true
    );
    assert_eq!(world.get(&path, world.service()).await.status, 404);
    assert_eq!(
        world.page("/v1/files", world.service()).await,
        (vec![], false)
    );
    assert_eq!(shelf.asked(), [format!("DELETE {path}")]);
    assert!(world.ledger().await.is_empty(), "nothing was consumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_account_has_beside_is_nobodys() {
    let (world, shelf) = world().await;
    let id = world.file(world.other(), "user_data", "x").await;
    // An object that nothing but the upstream knows, as if another client of the account had made it.
    world.change(sql!("DELETE FROM stored_objects")).await;
    for key in [world.service(), world.other()] {
        let answer = world.get(&format!("/v1/files/{id}"), key).await;
        assert_eq!(answer.status, 404);
    }
    assert!(shelf.state().objects.contains_key(&id));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_another_project_has_is_not_given_again() {
    let (world, shelf) = world().await;
    let id = world.file(world.other(), "user_data", "x").await;
    let path = format!("/v1/files/{id}");
    shelf.state().next_id = Some(id.clone());
    assert_eq!(
        world.upload(world.service(), "user_data", "y").await.status,
        502
    );
    assert_eq!(world.get(&path, world.service()).await.status, 404);
    assert_eq!(
        world.get(&path, world.other()).await.status,
        200,
        "nor is it made undone"
    );
    shelf.state().next_id = Some(id.clone());
    assert_eq!(
        world.file(world.other(), "user_data", "x").await,
        id,
        "its own is"
    );
    shelf.state().next_id = Some("../files".into());
    assert_eq!(
        world.upload(world.service(), "user_data", "y").await.status,
        502
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_projects_could_share_is_not_passed_on() {
    let (world, _shelf) = world().await;
    for key in [world.service(), world.other()] {
        let mut request = upload(key, "user_data", "x");
        let same = HeaderValue::from_static("the-same");
        // The shelf insists that it does not come.
        request.headers_mut().insert("idempotency-key", same);
        assert_eq!(world.send(request).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_down_is_made_undone() {
    // Without a quota, for which the table is read first.
    let (world, shelf) = bounded(ObjectLimits {
        max_files: 0,
        ..ObjectLimits::default()
    })
    .await;
    world
        .change(sql!("ALTER TABLE stored_objects RENAME TO elsewhere"))
        .await;
    let answer = world.upload(world.service(), "user_data", "x").await;
    assert_eq!(answer.refusal(), (503, json!(null), json!("overloaded")));
    assert!(!answer.header("retry-after").is_empty());
    let asked = shelf.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    assert!(asked[1].starts_with("DELETE /v1/files/"), "{asked:?}");
    assert!(shelf.state().objects.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_up_leaves_nothing_that_is_nobodys() {
    let (world, shelf) = world().await;
    let gate = Arc::new(Semaphore::new(0));
    shelf.state().gate = Some(Arc::clone(&gate));
    let uploading = world.upload(world.service(), "user_data", "x");
    let gone = tokio::time::timeout(Duration::from_millis(200), uploading).await;
    assert!(gone.is_err());
    gate.add_permits(1);
    poll::until("the file is in the list", async || {
        world.page("/v1/files", world.service()).await.0.len() == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_of_a_batch_is_looked_at() {
    let (world, shelf) = world().await;
    let (good, bad) = (line("{}"), line(r#"{"model":7}"#));
    for content in [format!("{good}\n{bad}"), format!("{good}\nx")] {
        let answer = world.upload(world.service(), "batch", &content).await;
        assert_eq!(
            answer.refusal(),
            (400, json!("file"), json!("invalid_value"))
        );
        assert!(
            answer.message().contains("line 2: "),
            "{}",
            answer.message()
        );
    }
    let mut twice = upload(world.service(), "batch", &good);
    let kind = HeaderValue::from_static("application/json");
    twice.headers_mut().insert("content-type", kind);
    assert_eq!(world.send(twice).await.status, 400);
    assert!(shelf.asked().is_empty(), "none was passed on");
    assert_eq!(
        world
            .upload(world.service(), "user_data", &bad)
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_call_models_may_not_keep_anything() {
    let (world, shelf) = world().await;
    let (narrow, powerless) = (world.narrow_key().await, world.powerless_key().await);
    let none = [
        ("", 401),
        (world.admin(), 403),
        (&narrow.secret, 403),
        (&powerless.secret, 403),
    ];
    for (key, status) in none {
        for path in ["/v1/files", "/v1/batches", "/v1/vector_stores/vs_1"] {
            let answer = world.get(path, key).await;
            assert_eq!(answer.status, status, "{key} {path}");
        }
        assert_eq!(world.upload(key, "user_data", "x").await.status, status);
    }
    assert!(shelf.asked().is_empty());
    let answer = world
        .send(request(Method::PUT, "/v1/files", world.service(), ""))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("allow")),
        (405, "GET, POST")
    );
    for path in [
        "/v1/files/",
        "/v1/files/a%2F..%2Fb",
        "/v1/files/x/other",
        "/v1/uploads/x",
        "/v1/containers/x/other",
    ] {
        assert_eq!(world.get(path, world.service()).await.status, 404, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_that_keeps_things_nothing_is_kept() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for path in ["/v1/files", "/v1/batches/b", "/v1/vector_stores"] {
        let answer = world.get(path, world.service()).await;
        assert_eq!(answer.refusal(), (404, json!(null), json!("not_offered")));
        assert!(answer.message().contains("stores = true"));
    }
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ndjson_bom_the_input_of_a_batch_is_kept_without_its_byte_order_mark() {
    let (world, shelf) = world().await;
    let lines = line("{}");
    let marked = format!("\u{feff}{lines}");
    let batch = world.file(world.service(), "batch", &marked).await;
    assert_eq!(shelf.state().contents[&batch], lines);
    // What nobody reads as lines of requests is as it was sent.
    let other = world.file(world.service(), "user_data", &marked).await;
    assert_eq!(shelf.state().contents[&other], marked);
}
