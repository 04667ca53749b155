//! Uploads: what their parts make is a file of the project.

use bytes::Bytes;
use gateway::ObjectLimits;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};
use store::sql;

use super::quota::bounded;
use super::{batch_of, line, not_found, world};
use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, World, request};

pub(super) const HEAD: &str =
    "--xx\r\nContent-Disposition: form-data; name=\"data\"; filename=\"p\"\r\n\r\n";
pub(super) const END: &str = "\r\n--xx--\r\n";
/// The time after which an upload expires, in seconds.
const UPLOAD_SECONDS: i64 = 3_600;

pub(super) fn form(path: &str, key: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = request(Method::POST, path, key, body);
    let kind = HeaderValue::from_static("multipart/form-data; boundary=xx");
    request.headers_mut().insert("content-type", kind);
    request
}

fn upload_of(purpose: &str, bytes: usize) -> Value {
    json!({"filename": "a.jsonl", "purpose": purpose, "bytes": bytes, "mime_type": "text/plain"})
}

impl World {
    pub(super) async fn begin_upload(&self, key: &str, purpose: &str, bytes: usize) -> String {
        let upload = upload_of(purpose, bytes);
        self.make("/v1/uploads", key, &upload).await.id()
    }

    pub(super) async fn add_part(&self, key: &str, upload: &str, content: &str) -> Answer {
        let path = format!("/v1/uploads/{upload}/parts");
        self.send(form(&path, key, &format!("{HEAD}{content}{END}")))
            .await
    }

    async fn complete(&self, key: &str, upload: &str, parts: &[&str]) -> Answer {
        let path = format!("/v1/uploads/{upload}/complete");
        self.make(&path, key, &json!({"part_ids": parts})).await
    }

    /// Uploads a file in two parts and returns its id.
    async fn upload_in_parts(&self, key: &str, purpose: &str, parts: [&str; 2]) -> String {
        let upload = self.begin_upload(key, purpose, parts.concat().len()).await;
        let first = self.add_part(key, &upload, parts[0]).await.id();
        let second = self.add_part(key, &upload, parts[1]).await.id();
        let completed = self.complete(key, &upload, &[&first, &second]).await.json();
        assert_eq!(completed["status"], "completed");
        super::id_of(&completed["file"])
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_upload_is_a_file_of_its_project_alone() {
    let (world, shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let upload = world.begin_upload(service, "user_data", 6).await;
    let parts = [
        world.add_part(service, &upload, "abc").await.id(),
        world.add_part(service, &upload, "def").await.id(),
    ];
    shelf.asked();
    for answer in [
        world.add_part(other, &upload, "xyz").await,
        world.complete(other, &upload, &[&parts[0]]).await,
        world
            .make(&format!("/v1/uploads/{upload}/cancel"), other, &json!({}))
            .await,
    ] {
        assert_eq!(answer.refusal(), not_found(Value::Null));
    }
    // Parts in an order that the client chooses, but none of another project.
    let foreign = world.begin_upload(other, "user_data", 3).await;
    let foreign = world.add_part(other, &foreign, "xyz").await.id();
    shelf.asked();
    let refused = world
        .complete(service, &upload, &[&parts[0], &foreign])
        .await;
    assert_eq!(refused.refusal(), not_found(json!("part_ids")));
    for ids in [json!("part"), json!([7]), json!(null)] {
        let path = format!("/v1/uploads/{upload}/complete");
        let refused = world.make(&path, service, &json!({"part_ids": ids})).await;
        assert_eq!(refused.refusal().0, 400, "{ids}");
    }
    assert!(shelf.asked().is_empty(), "nothing is passed on");
    let completed = world
        .complete(service, &upload, &[&parts[1], &parts[0]])
        .await;
    let file = super::id_of(&completed.json()["file"]);
    let content = format!("/v1/files/{file}/content");
    assert_eq!(world.get(&content, service).await.body, "defabc");
    assert_eq!(
        world.get(&content, other).await.refusal(),
        not_found(Value::Null)
    );
    let list = world.page("/v1/files?purpose=user_data", service).await;
    assert_eq!(list, (vec![file], false));
    let again = world.complete(service, &upload, &[&parts[0]]).await;
    assert_eq!(
        again.refusal(),
        not_found(Value::Null),
        "the upload is over"
    );
    assert!(world.ledger().await.is_empty(), "nothing was consumed");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_ends_when_it_is_cancelled_or_expires() {
    let (world, shelf) = bounded(ObjectLimits {
        max_files: 2,
        ..ObjectLimits::default()
    })
    .await;
    let service = world.service();
    let cancelled = world.begin_upload(service, "user_data", 1).await;
    let expired = world.begin_upload(service, "user_data", 1).await;
    world.add_part(service, &expired, "x").await.id();
    for path in ["/v1/uploads", "/v1/files"] {
        let answer = match path {
            "/v1/files" => world.upload(service, "user_data", "x").await,
            _ => world.make(path, service, &upload_of("user_data", 1)).await,
        };
        let full = (429, Value::Null, json!("insufficient_quota"));
        assert_eq!(answer.refusal(), full, "pending uploads count as files");
    }
    let cancel = format!("/v1/uploads/{cancelled}/cancel");
    let answer = world.call(Method::POST, &cancel, service, "").await;
    assert_eq!(answer.json()["status"], "cancelled");
    assert_eq!(world.get(&cancel, service).await.status, 405);
    let again = world.call(Method::POST, &cancel, service, "").await;
    assert_eq!(again.refusal(), not_found(Value::Null));
    world.file(service, "user_data", "x").await;
    world.clock.advance(UPLOAD_SECONDS);
    shelf.asked();
    world.gateway.poll_objects().await;
    let answer = world.add_part(service, &expired, "x").await;
    assert_eq!(answer.refusal(), not_found(Value::Null));
    assert!(shelf.asked().is_empty());
    let rows = sql!("SELECT COUNT(*) AS count FROM stored_objects WHERE kind <> 'file'");
    let mut read = world.store.read().await.expect("a connection");
    let rows = read.fetch_one(rows, |row| row.get::<i64>("count")).await;
    assert_eq!(rows.expect("a count"), 0, "nor are its parts kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_of_an_upload_are_looked_at() {
    let (world, shelf) = world().await;
    let beyond = 8u64 * 1024 * 1024 * 1024 + 1;
    for (body, param) in [
        (json!({"bytes": 1}), "purpose"),
        (json!({"purpose": 7, "bytes": 1}), "purpose"),
        (json!({"purpose": "user_data"}), "bytes"),
        (json!({"purpose": "user_data", "bytes": 0}), "bytes"),
        (json!({"purpose": "user_data", "bytes": "1"}), "bytes"),
        (json!({"purpose": "user_data", "bytes": 1.5}), "bytes"),
        (json!({"purpose": "user_data", "bytes": beyond}), "bytes"),
        (json!({"purpose": "batch", "bytes": 210_000_000}), "bytes"),
        (
            json!({"purpose": "user_data", "Purpose": "batch", "bytes": 1}),
            "Purpose",
        ),
    ] {
        let answer = world.make("/v1/uploads", world.service(), &body).await;
        let refused = (400, json!(param), json!("invalid_value"));
        assert_eq!(answer.refusal(), refused, "{body}");
    }
    assert!(shelf.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_input_of_a_batch_that_was_uploaded_in_parts_is_looked_at_before_its_first_use() {
    let (world, shelf) = world().await;
    let service = world.service();
    let good = line("{}");
    let lines = format!("{good}\n{good}\r\n\n");
    // The parts end within a line.
    let (first, second) = lines.split_at(good.len() / 2);
    let file = world
        .upload_in_parts(service, "batch", [first, second])
        .await;
    world.enable_tools(&["mcp"], false).await;
    shelf.asked();
    for _ in 0..2 {
        let batch = world.make("/v1/batches", service, &batch_of(&file)).await;
        assert_eq!(batch.status, 200, "{}", batch.body);
    }
    let content = format!("GET /v1/files/{file}/content");
    let (read, create) = (content.clone(), "POST /v1/batches".to_owned());
    assert_eq!(
        shelf.asked(),
        [read, create.clone(), create],
        "it is read once"
    );
    let bad = [
        (line(r#"{"model":7}"#), 400, "line 2: "),
        (line(r#"{"model":"other"}"#), 400, "line 2: "),
        ("nothing".to_owned(), 400, "line 2: "),
        (format!("\n{good}"), 400, "line 2: "),
        (line(r#"{"tools":[{"type":"mcp"}]}"#), 403, "mcp"),
        (line(r#"{"prompt":{"id":"pmpt_1"}}"#), 400, "line 2: "),
    ];
    for (line, status, words) in bad {
        let text = format!("{good}\n{line}\n");
        let (first, second) = text.split_at(text.len() / 2);
        let file = world
            .upload_in_parts(service, "batch", [first, second])
            .await;
        shelf.asked();
        let refused = world.make("/v1/batches", service, &batch_of(&file)).await;
        assert_eq!(refused.refusal().0, status, "{line}: {}", refused.body);
        assert_eq!(refused.refusal().1, json!("input_file_id"), "{line}");
        assert!(
            refused.message().contains(words),
            "{line}: {}",
            refused.message()
        );
        assert_eq!(shelf.asked(), [format!("GET /v1/files/{file}/content")]);
    }
    let other = world
        .upload_in_parts(service, "user_data", [&good, "\n"])
        .await;
    shelf.asked();
    let refused = world.make("/v1/batches", service, &batch_of(&other)).await;
    assert_eq!(refused.refusal().0, 400, "its purpose is another one");
    assert!(shelf.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_another_project_in_an_uploaded_batch_is_not_found() {
    let (world, shelf) = world().await;
    let foreign = world.file(world.other(), "user_data", "secret").await;
    let named = line(&json!({"x": {"file_id": foreign}}).to_string());
    let file = world
        .upload_in_parts(world.service(), "batch", [&named, "\n"])
        .await;
    shelf.asked();
    let refused = world
        .make("/v1/batches", world.service(), &batch_of(&file))
        .await;
    assert_eq!(refused.status, 404, "{}", refused.body);
    assert_eq!(shelf.asked(), [format!("GET /v1/files/{file}/content")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_a_record_is_deleted() {
    let (world, shelf) = world().await;
    let upload = world.begin_upload(world.service(), "user_data", 3).await;
    let part = world.add_part(world.service(), &upload, "abc").await.id();
    let foreign = world.file(world.other(), "user_data", "x").await;
    shelf.state().next_id = Some(foreign.clone());
    let answer = world.complete(world.service(), &upload, &[&part]).await;
    assert_eq!(answer.status, 502, "another project has the id");
    let path = format!("/v1/files/{foreign}");
    assert_eq!(world.get(&path, world.service()).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_store_reserves_the_whole_size_of_an_uploaded_file() {
    let (world, shelf) = world().await;
    let service = world.service();
    // 4 GiB cost 6.40 dollars a day.
    let bytes = 4 * 1024 * 1024 * 1024;
    let upload = world.begin_upload(service, "assistants", bytes).await;
    let part = world.add_part(service, &upload, "abc").await.id();
    let completed = world.complete(service, &upload, &[&part]).await.json();
    let file = super::id_of(&completed["file"]);
    world.limit_spend(Some(600)).await;
    shelf.asked();
    let refused = world
        .make("/v1/vector_stores", service, &json!({"file_ids": [file]}))
        .await;
    assert_eq!(
        refused.refusal(),
        (429, Value::Null, json!("insufficient_quota"))
    );
    assert!(shelf.asked().is_empty());
    world.limit_spend(Some(700)).await;
    let made = world
        .make("/v1/vector_stores", service, &json!({"file_ids": [file]}))
        .await;
    assert_eq!(made.status, 200, "{}", made.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_that_keeps_things_nothing_is_uploaded() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for path in [
        "/v1/uploads",
        "/v1/uploads/upload_1/parts",
        "/v1/containers",
    ] {
        let answer = world.make(path, world.service(), &json!({})).await;
        assert_eq!(
            answer.refusal(),
            (404, Value::Null, json!("not_offered")),
            "{path}"
        );
    }
}
