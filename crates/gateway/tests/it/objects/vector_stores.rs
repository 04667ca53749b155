//! Vector stores: they hold files of their project, and only their project sees what is in them.

use http::Method;
use serde_json::{Value, json};

use super::{not_found, world};

#[tokio::test(flavor = "multi_thread")]
async fn a_vector_store_and_what_is_in_it_are_its_projects_alone() {
    let (world, shelf) = world().await;
    let (service, other) = (world.service(), world.other());
    let store = world
        .make("/v1/vector_stores", service, &json!({}))
        .await
        .id();
    let file = world.file(service, "assistants", "x").await;
    let path = format!("/v1/vector_stores/{store}");
    let asks = [
        (Method::GET, String::new(), ""),
        (Method::POST, String::new(), r#"{"name":"n"}"#),
        (Method::POST, "/search".into(), r#"{"query":"q"}"#),
        (Method::GET, "/files".into(), ""),
        (
            Method::POST,
            "/files".into(),
            &json!({"file_id": file}).to_string(),
        ),
        (Method::GET, format!("/files/{file}"), ""),
        (
            Method::POST,
            format!("/files/{file}"),
            r#"{"attributes":{}}"#,
        ),
        (Method::GET, format!("/files/{file}/content"), ""),
        (Method::DELETE, format!("/files/{file}"), ""),
        (
            Method::POST,
            "/file_batches".into(),
            &json!({"files": [{"file_id": file}]}).to_string(),
        ),
        (Method::GET, "/file_batches/vsfb_1".into(), ""),
        (Method::GET, "/file_batches/vsfb_1/files".into(), ""),
        (Method::POST, "/file_batches/vsfb_1/cancel".into(), ""),
        (Method::DELETE, String::new(), ""),
    ];
    shelf.asked();
    for (method, part, body) in &asks {
        let answer = world
            .call(method.clone(), &format!("{path}{part}"), other, body)
            .await;
        assert_eq!(answer.refusal(), not_found(Value::Null), "{method} {part}");
    }
    assert!(shelf.asked().is_empty());
    for (method, part, body) in &asks {
        let path = format!("{path}{part}");
        let answer = world.call(method.clone(), &path, service, body).await;
        assert_eq!(answer.status, 200, "{method} {part}: {}", answer.body);
        let asked = shelf.state().asked.pop().expect("it was passed on");
        assert_eq!(
            asked,
            (
                format!("{method} {path}"),
                bytes::Bytes::copy_from_slice(body.as_bytes())
            )
        );
    }
    let gone = world.get(&path, service).await;
    assert_eq!(gone.refusal(), not_found(Value::Null));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_projects_own_files_go_into_its_stores() {
    let (world, shelf) = world().await;
    let own = world.file(world.service(), "assistants", "x").await;
    let foreign = world.file(world.other(), "assistants", "y").await;
    let create = json!({"file_ids": [own], "name": "s"});
    let store = world
        .make("/v1/vector_stores", world.service(), &create)
        .await;
    assert_eq!(store.json()["asked"], create);
    let path = format!("/v1/vector_stores/{}", store.id());
    let (files, batches) = (format!("{path}/files"), format!("{path}/file_batches"));
    shelf.asked();
    for (path, body, param) in [
        (
            "/v1/vector_stores",
            json!({"file_ids": [own, foreign]}),
            "file_ids",
        ),
        (&files, json!({"file_id": foreign}), "file_id"),
        (&batches, json!({"file_ids": [foreign]}), "file_ids"),
        (
            &batches,
            json!({"files": [{"file_id": own}, {"file_id": foreign}]}),
            "files",
        ),
        (&files, json!({"file_id": "file-none"}), "file_id"),
    ] {
        let answer = world.make(path, world.service(), &body).await;
        assert_eq!(answer.refusal(), not_found(json!(param)), "{path} {body}");
    }
    let twice = format!(r#"{{"file_id":"{own}","file_id":"{foreign}"}}"#);
    let answer = world
        .call(Method::POST, &files, world.service(), &twice)
        .await;
    assert_eq!(answer.status, 400);
    assert!(shelf.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_for_models_mention_only_what_is_their_projects() {
    let (world, shelf) = world().await;
    let file = world.file(world.service(), "user_data", "x").await;
    let store = world
        .make("/v1/vector_stores", world.service(), &json!({}))
        .await
        .id();
    shelf.asked();
    let asks = [
        (
            json!({"model": "real", "input": [{"role": "user", "content": [{"type": "input_file", "file_id": file}]}]}),
            "file_id",
        ),
        (
            json!({"model": "real", "input": "x", "tools": [{"type": "file_search", "vector_store_ids": [store]}]}),
            "vector_store_ids",
        ),
    ];
    for (body, param) in &asks {
        let answer = world.make("/v1/responses", world.other(), body).await;
        assert_eq!(answer.refusal(), not_found(json!(param)), "{body}");
        let mut line = json!({"custom_id": "a", "method": "POST", "url": "/v1/responses"});
        line["body"] = body.clone();
        let batch = |input: String| json!({"input_file_id": input, "endpoint": "/v1/responses", "completion_window": "24h"});
        let input = world.file(world.other(), "batch", &line.to_string()).await;
        let answer = world
            .make("/v1/batches", world.other(), &batch(input))
            .await;
        assert_eq!(answer.refusal(), not_found(json!(param)), "{body}");
        let input = world
            .file(world.service(), "batch", &line.to_string())
            .await;
        let answer = world
            .make("/v1/batches", world.service(), &batch(input))
            .await;
        assert_eq!(answer.status, 200, "{body}");
    }
    let asked = shelf.asked();
    assert!(
        asked.iter().all(|asked| asked != "POST /v1/responses"),
        "{asked:?}"
    );
    for (body, _) in &asks {
        // The shelf has no models: that it says so shows that it was asked.
        world.make("/v1/responses", world.service(), body).await;
    }
    assert_eq!(shelf.asked(), ["POST /v1/responses", "POST /v1/responses"]);
}
