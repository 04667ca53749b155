//! Arbitrary input never causes a 5xx, and errors always have the contract's envelope.

use admin::operation::Operation;
use admin::operations;
use axum::body::Body;
use http::{Method, Request};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use testkit::{NOW, Server};

/// Generates texts that are almost valid, and random ones.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("null".to_owned()),
        Just("-1".to_owned()),
        Just("9223372036854775808".to_owned()),
        Just("1e400".to_owned()),
        Just("' OR 1=1 --".to_owned()),
        Just("%".to_owned()),
        Just("[]".to_owned()),
        Just("\u{0}".to_owned()),
        Just("\u{202e}🦀".to_owned()),
        any::<String>(),
        "[ -~]{0,40}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("limit"),
        Just("after"),
        Just("before"),
        Just("order"),
        Just("page"),
        Just("start_time"),
        Just("end_time"),
        Just("group_by[]"),
        Just("group_by[99999999999]"),
        Just("effective_at[gt]"),
        Just("effective_at[gt][lt]"),
        Just("effective_at"),
        Just("project_ids[0]"),
        Just("bucket_width"),
        Just("models[]"),
        Just("[]"),
        Just("a[b[c]"),
    ]
    .prop_map(str::to_owned)
    .boxed()
    .prop_union(text().boxed())
}

fn json_value() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        text().prop_map(|value| json!(value)),
    ];
    let field = prop_oneof![
        Just("name"),
        Just("role"),
        Just("scopes"),
        Just("expires_in_seconds"),
        Just("user_id"),
        Just("external_key_id"),
        Just("role_id"),
        Just("role_name"),
        Just("permissions"),
        Just("description"),
        Just("residency"),
        Just("geography"),
        Just("create_service_account_only"),
        Just("id"),
        Just("timestamp"),
        Just("type"),
        Just("project_id"),
        Just("input_tokens"),
    ];
    leaf.prop_recursive(3, 16, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::hash_map(field.clone().prop_map(str::to_owned), inner, 0..5)
                .prop_map(|map| json!(map)),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => json_value().prop_map(|value| value.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..200),
        1 => Just(vec![b'['; 100_000]),
        1 => Just("{\"name\":".repeat(50_000).into_bytes()),
    ]
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Ids for a path, a query string, a body and its content type.
type Input = (Vec<String>, Vec<(String, String, bool)>, Vec<u8>, String);

fn input(project: String) -> impl Strategy<Value = Input> {
    let kind = prop_oneof![
        Just("application/json".to_owned()),
        Just("application/x-ndjson".to_owned()),
        "[ -~]{0,20}"
    ];
    (
        prop::collection::vec(prop_oneof![Just(project), text()], 3),
        prop::collection::vec((name(), text(), any::<bool>()), 0..4),
        body(),
        kind,
    )
}

/// Builds a request; `None` if no HTTP client could send it.
fn request(operation: &Operation, (ids, query, body, kind): Input) -> Option<Request<Body>> {
    let parameters = operation.path_parameters().zip(&ids);
    let path = parameters.fold(operation.path.to_owned(), |path, (name, id)| {
        path.replace(&format!("{{{name}}}"), &encoded(id))
    });
    let visible = |name: &str| name.replace(|c: char| !c.is_ascii_graphic() || c == '#', "");
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value, raw)| {
            let name = if *raw { encoded(name) } else { visible(name) };
            format!("{name}={}", encoded(value))
        })
        .collect();
    let is_read = operation.method == Method::GET;
    let body = if is_read {
        Body::empty()
    } else {
        Body::from(body)
    };
    let request = Request::builder()
        .method(operation.method.clone())
        .uri(format!("/v1{path}?{}", pairs.join("&")))
        .header("content-type", kind);
    request.body(body).ok()
}

#[test]
fn no_input_yields_a_5xx() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let server = runtime.block_on(Server::start());
    let operations = operations();
    let strategy = (
        0..operations.len(),
        input(server.default_project_id().to_string()),
    );
    let config = Config {
        cases: 1500,
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&strategy, |(index, input)| {
        let operation = &operations[index];
        let Some(request) = request(operation, input) else {
            return Ok(());
        };
        let answer = runtime.block_on(server.admin().send(request));
        let said = format!("{} {:?}", operation.command, answer.json);
        prop_assert!(!answer.status.is_server_error(), "{said}");
        let is_enveloped = answer.json["error"]["message"].is_string();
        prop_assert!(answer.status.is_success() || is_enveloped, "{said}");
        Ok(())
    });
    outcome.expect("no input yields a 5xx");
}

#[tokio::test]
async fn a_body_over_its_bound_is_refused() {
    let server = Server::start().await;
    let body = json!({"name": "x".repeat(2 * 1024 * 1024)}).to_string();
    let answer = server
        .admin()
        .call(Method::POST, "/organization/projects", Some(body))
        .await;
    assert_eq!(answer.refused(413).0, Some("request_too_large"));
    let endless = Body::from_stream(futures_util::stream::repeat_with(|| {
        Ok::<_, std::io::Error>(vec![b' '; 65_536])
    }));
    let request = Request::post("/v1/organization/projects")
        .body(endless)
        .expect("a request");
    assert_eq!(
        server.admin().send(request).await.refused(413).0,
        Some("request_too_large")
    );
}

#[tokio::test]
async fn a_nul_character_is_refused_where_one_comes() {
    let server = Server::start().await;
    let start = NOW.0 - 1;
    for (path, param) in [
        (
            format!("/organization/usage/completions?start_time={start}&user_ids=%00"),
            "user_ids",
        ),
        (
            format!("/organization/usage/images?start_time={start}&models[]=a%00"),
            "models",
        ),
        (
            format!("/organization/costs?start_time={start}&line_items[0]=%00"),
            "line_items",
        ),
        (
            "/organization/audit_logs?actor_emails[]=%00".to_owned(),
            "actor_emails",
        ),
        ("/organization/users?emails=%00".to_owned(), "emails"),
        ("/organization/projects?after=%00".to_owned(), "after"),
    ] {
        let answer = server.admin().get(&path).await;
        assert_eq!(
            answer.refused(400),
            (Some("invalid_value"), Some(param)),
            "{path}"
        );
    }
    for (path, body, param) in [
        (
            "/organization/projects",
            json!({"name": "a", "external_key_id": "k\0"}),
            "external_key_id",
        ),
        (
            "/organization/roles",
            json!({"role_name": "a", "permissions": [], "description": "\0"}),
            "description",
        ),
        (
            "/organization/certificates/activate",
            json!({"certificate_ids": ["\0"]}),
            "certificate_ids[0]",
        ),
        (
            "/organization/invites/accept",
            json!({"token": "\0", "name": "a"}),
            "token",
        ),
    ] {
        let answer = server.admin().post(path, body).await;
        assert_eq!(
            answer.refused(400),
            (Some("invalid_value"), Some(param)),
            "{path}"
        );
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused() {
    let server = Server::start().await;
    for path in [
        "/organization",
        "/organization/",
        "/organization/nope",
        "/projects",
        "/projects/x/nope",
        "/organization/projects/",
    ] {
        assert_eq!(
            server.admin().get(path).await.refused(404).0,
            Some("unknown_url"),
            "{path}"
        );
    }
    for (method, path, allow) in [
        ("PUT", "/organization/projects", "GET,HEAD,POST"),
        ("POST", "/organization/audit_logs", "GET,HEAD"),
    ] {
        let answer = server
            .admin()
            .call(method.parse().expect("a method"), path, None)
            .await;
        assert_eq!(answer.refused(405).0, Some("method_not_allowed"));
        assert_eq!(answer.headers["allow"], allow);
    }
}
