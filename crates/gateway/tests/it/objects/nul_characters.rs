//! S22: ids with a NUL character, which PostgreSQL cannot store.

use serde_json::{Value, json};

use super::{batch_of, not_found, world};

const NUL: &str = "file-\0";

#[tokio::test(flavor = "multi_thread")]
async fn s22_an_id_with_nul_is_nobodys() {
    let (world, shelf) = world().await;
    let chat =
        |part: Value| json!({"model": "real", "messages": [{"role": "user", "content": [part]}]});
    let file = json!({"type": "file", "file": {"file_id": NUL}});
    let input = json!([{"role": "user", "content": [{"type": "input_file", "file_id": NUL}]}]);
    let search = json!([{"type": "file_search", "vector_store_ids": ["vs_\0"]}]);
    let stores = json!("vector_store_ids");
    for (path, body, param) in [
        ("chat/completions", chat(file), json!("file_id")),
        (
            "responses",
            json!({"model": "real", "input": input}),
            json!("file_id"),
        ),
        (
            "responses",
            json!({"model": "real", "input": "x", "tools": search}),
            stores,
        ),
        ("batches", batch_of(NUL), json!("input_file_id")),
        (
            "vector_stores",
            json!({"file_ids": [NUL]}),
            json!("file_ids"),
        ),
        (
            "containers",
            json!({"name": "c", "file_ids": [NUL]}),
            json!("file_ids"),
        ),
    ] {
        let answer = world
            .make(&format!("/v1/{path}"), world.service(), &body)
            .await;
        assert_eq!(
            answer.refusal(),
            not_found(param),
            "{path}: {}",
            answer.body
        );
    }
    assert!(shelf.asked().is_empty(), "nothing went to the account");
}

#[tokio::test(flavor = "multi_thread")]
async fn s22_nothing_that_is_kept_has_nul() {
    let (world, shelf) = world().await;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({}))
        .await
        .id();
    shelf.asked();
    let path = format!("/v1/vector_stores/{store}");
    let file = json!({"file_id": NUL});
    for (path, body) in [
        (format!("{path}/files"), file.clone()),
        (format!("{path}/file_batches"), json!({"file_ids": [NUL]})),
        (format!("{path}/file_batches"), json!({"files": [file]})),
    ] {
        let answer = world.make(&path, world.service(), &body).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.body);
    }
    for path in [
        "/v1/files?purpose=%00",
        "/v1/files?after=%00",
        "/v1/batches?after=%00",
        "/v1/vector_stores?after=%00",
        "/v1/vector_stores?before=%00",
        "/v1/containers?after=%00",
        "/v1/containers?name=%00",
    ] {
        let answer = world.get(path, world.service()).await;
        assert!(answer.status.is_client_error(), "{path}: {}", answer.body);
    }
    let answer = world.upload(world.service(), "user\0data", "x").await;
    let refused = (400, json!("purpose"), json!("invalid_value"));
    assert_eq!(answer.refusal(), refused, "{}", answer.body);
    for (path, body, param) in [
        ("uploads", json!({"purpose": NUL, "bytes": 1}), "purpose"),
        ("containers", json!({"name": NUL}), "name"),
    ] {
        let answer = world
            .make(&format!("/v1/{path}"), world.service(), &body)
            .await;
        let refused = (400, json!(param), json!("invalid_value"));
        assert_eq!(answer.refusal(), refused, "{}", answer.body);
    }
    assert!(shelf.asked().is_empty(), "nothing went to the account");
}
