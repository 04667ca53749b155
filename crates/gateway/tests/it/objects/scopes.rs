//! The scopes that each endpoint requires.

use super::*;

/// Returns the name of the scope that a request lacks; `None` if the key may send it.
async fn missing(world: &World, key: &str, method: Method, path: &str) -> Option<String> {
    let answer = world.call(method, path, key, "{}").await;
    if answer.status != 403 {
        return None;
    }
    let [message, kind, param, code] = answer.error();
    assert_eq!(code, "insufficient_permissions", "{path}");
    assert_eq!((kind, param), ("invalid_request_error".into(), Value::Null));
    let message = message.as_str().expect("a message");
    let (_, rest) = message.split_once("Missing scopes: ").expect(message);
    Some(rest.split(". ").next().expect("a name").to_owned())
}

/// Checks which scope a key lacks at each endpoint: method, path, and the name.
async fn check(world: &World, key: &str, expected: &[(Method, &str, Option<&str>)]) {
    for (method, path, name) in expected {
        let found = missing(world, key, method.clone(), path).await;
        assert_eq!(found.as_deref(), *name, "{method} {path}");
    }
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const DELETE: Method = Method::DELETE;

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_reading_files_reads_files_and_does_nothing_else() {
    let (world, _shelf) = world().await;
    let file = world.file(world.service(), "user_data", "x").await;
    let key = world.scoped_key(&["api.files.read"]).await.secret;
    let (path, content) = (
        format!("/v1/files/{file}"),
        format!("/v1/files/{file}/content"),
    );
    for path in ["/v1/files", &path, &content] {
        assert_eq!(world.get(path, &key).await.status, 200, "{path}");
    }
    check(
        &world,
        &key,
        &[
            (DELETE, &path, Some("api.files.write")),
            (POST, "/v1/files", Some("api.files.write")),
            (GET, "/v1/batches", Some("api.batches.read")),
            (POST, "/v1/batches", Some("api.batches.write")),
            (GET, "/v1/vector_stores", Some("api.vector_stores.read")),
            (POST, "/v1/vector_stores", Some("api.vector_stores.write")),
            (POST, "/v1/responses", Some("api.responses.write")),
            (POST, "/v1/responses/compact", Some("api.responses.write")),
            (GET, "/v1/responses/r", Some("api.responses.read")),
            (POST, "/v1/chat/completions", Some("api.model.request")),
            (POST, "/v1/completions", Some("api.model.request")),
            (POST, "/v1/embeddings", Some("api.model.request")),
            (POST, "/v1/audio/speech", Some("api.model.request")),
            (GET, "/v1/models", Some("api.model.read")),
        ],
    )
    .await;
    assert_eq!(world.get(&path, world.service()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_with_the_umbrella_opens_what_it_opened_before_narrow_scopes() {
    let (world, _shelf) = world().await;
    for name in ["api.model.request", "model.request"] {
        let key = world.scoped_key(&[name]).await.secret;
        let batch = world.batch(&key).await;
        let batch = format!("/v1/batches/{batch}");
        check(
            &world,
            &key,
            &[
                (GET, "/v1/files", None),
                (GET, &batch, None),
                (POST, "/v1/vector_stores", None),
                (POST, "/v1/responses", None),
                (POST, "/v1/chat/completions", None),
                (POST, "/v1/audio/speech", None),
                (GET, "/v1/models", Some("api.model.read")),
            ],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_requires_the_scope_of_its_endpoint_too() {
    let (world, _shelf) = world().await;
    let file = world.file(world.service(), "batch", &line("{}")).await;
    let body = batch_of(&file);
    for name in ["api.batches.write", "api.batch.write"] {
        let key = world.scoped_key(&[name]).await.secret;
        let answer = world.make("/v1/batches", &key, &body).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.body);
        assert!(answer.message().contains("api.model.request"));
        let both = [name, "api.model.chat_completions.request"];
        let key = world.scoped_key(&both).await.secret;
        let batch = world.make("/v1/batches", &key, &body).await.id();
        let path = format!("/v1/batches/{batch}");
        let read = Some("api.batches.read");
        check(&world, &key, &[(GET, &path, read)]).await;
        let cancel = format!("{path}/cancel");
        check(&world, &key, &[(POST, &cancel, None)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_reads_everything_changes_nothing() {
    let (world, _shelf) = world().await;
    let empty = json!({});
    let store = world.make("/v1/vector_stores", world.service(), &empty);
    let store = format!("/v1/vector_stores/{}", store.await.id());
    let search = format!("{store}/search");
    let key = world.scoped_key(&["api.all.read"]).await.secret;
    check(
        &world,
        &key,
        &[
            (GET, "/v1/models", None),
            (GET, "/v1/files", None),
            (GET, "/v1/batches", None),
            (GET, &store, None),
            (POST, &search, None),
            (POST, &store, Some("api.vector_stores.write")),
            (DELETE, &store, Some("api.vector_stores.write")),
            (POST, "/v1/responses", Some("api.responses.write")),
            (POST, "/v1/chat/completions", Some("api.model.request")),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_scope_opens_its_endpoint_only() {
    let (world, _shelf) = world().await;
    for (name, path) in [
        ("api.model.chat_completions.request", "/v1/chat/completions"),
        ("api.model.embeddings.request", "/v1/embeddings"),
        ("api.model.moderations.request", "/v1/moderations"),
        ("api.model.images.request", "/v1/images/generations"),
        ("api.model.audio.request", "/v1/audio/speech"),
        ("api.responses.write", "/v1/responses"),
        ("api.responses.write", "/v1/responses/input_tokens"),
    ] {
        let key = world.scoped_key(&[name]).await.secret;
        let umbrella = Some("api.model.request");
        let others = [(POST, path, None), (POST, "/v1/completions", umbrella)];
        check(&world, &key, &others).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_of_an_earlier_version_allows_what_it_allowed() {
    let (world, _shelf) = world().await;
    let roles = format!("/projects/{}/roles", world.project);
    let body = json!({"role_name": "Calls", "permissions": ["api.model.request"]});
    let role = world.organization.create_at(&roles, body).await;
    let key = world.reader_key().await;
    let files = [(GET, "/v1/files", Some("api.files.read"))];
    check(&world, &key.secret, &files).await;
    let assigned = format!("/projects/{}/users/{}/roles", world.project, key.owner_id);
    let body = json!({"role_id": role});
    world.organization.admin.post(&assigned, body).await.ok();
    check(&world, &key.secret, &[(GET, "/v1/files", None)]).await;
}
