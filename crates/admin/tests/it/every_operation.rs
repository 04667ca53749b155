//! Rules for all operations. The tests iterate over the registry, so a new operation cannot be forgotten.

mod answers;
mod arrays;
mod buckets;
mod existence;
mod generated;
mod lists;
mod log;
mod pages;
mod revoked;
mod schemas;
mod settings;

use admin::operation::{Effect, Operation};
use admin::operations;
use base::Permission;
use base::permission::OrganizationRole;
use http::Method;
use serde_json::json;
use testkit::examples::{Examples, Fill, Ids, query_parameters};
use testkit::{Client, Server};

/// Iterates over the operations that need a permission.
fn permitted() -> impl Iterator<Item = (Operation, Permission)> {
    operations()
        .into_iter()
        .filter_map(|operation| operation.needs.map(|needs| (operation, needs)))
}

/// Iterates over the operations that need a key; the others take a credential in the body.
fn keyed() -> impl Iterator<Item = Operation> {
    operations()
        .into_iter()
        .filter(|operation| operation.effect != Effect::Open)
}

async fn call(client: &Client, operation: &Operation, path: &str) -> testkit::Answer {
    let body = (operation.method == Method::POST).then(|| "{}".to_owned());
    client.call(operation.method.clone(), path, body).await
}

#[tokio::test]
async fn requests_without_a_key_are_refused() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    for operation in keyed() {
        let path = ids.path(&operation);
        for client in [
            server.anonymous(),
            server.with_key("sk-admin-wrong"),
            server.with_key(""),
        ] {
            let answer = call(&client, &operation, &path).await;
            assert_eq!(
                answer.refused(401),
                (Some("invalid_api_key"), None),
                "{}",
                operation.command
            );
        }
    }
}

#[tokio::test]
async fn an_operation_without_permission_takes_its_credential_from_the_body() {
    let server = Server::start().await;
    let open: Vec<Operation> = operations()
        .into_iter()
        .filter(|operation| operation.needs.is_none() && operation.own.is_none())
        .collect();
    let names: Vec<_> = open.iter().map(|operation| operation.command).collect();
    assert_eq!(
        names,
        ["invites accept"],
        "each of these is a door without a lock"
    );
    for operation in open {
        assert_eq!(operation.effect, Effect::Open);
        assert_eq!(
            operation.path_parameters().next(),
            None,
            "the body says whose"
        );
        // A key is not accepted here, and a body without a valid credential is refused.
        let wrong = json!({"token": "wrong", "name": "Eve"});
        for client in [server.admin(), server.stranger(), server.anonymous()] {
            let answer = client.post(operation.path, wrong.clone()).await;
            let refusal = answer.refused(400);
            assert_eq!(refusal, (Some("invalid_token"), Some("token")));
            let answer = client.post(operation.path, json!({})).await;
            assert_eq!(answer.refused(400).0, Some("missing_required_parameter"));
        }
    }
}

#[tokio::test]
async fn project_keys_are_refused() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let account =
        ids.at("/organization/projects/{project_id}/service_accounts/{service_account_id}");
    let secret = account.answer["api_key"]["value"].as_str();
    let client = server.with_key(secret.expect("a service account comes with a key"));
    for operation in keyed().filter(|operation| operation.effect != Effect::Ingest) {
        let answer = call(&client, &operation, &ids.path(&operation)).await;
        assert_eq!(
            answer.refused(403).0,
            Some("admin_key_required"),
            "{}",
            operation.command
        );
    }
}

#[tokio::test]
async fn a_reader_has_exactly_the_permissions_of_readers() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let allowed = OrganizationRole::Reader.permissions();
    for (operation, needs) in permitted() {
        let answer = call(&server.reader(), &operation, &ids.path(&operation)).await;
        if allowed.contains(needs) {
            assert_eq!(answer.status, 200, "{}: {}", operation.command, answer.json);
        } else {
            assert_eq!(
                answer.refused(403).0,
                Some("insufficient_permissions"),
                "{}",
                operation.command
            );
            let message = answer.json["error"]["message"].as_str().unwrap_or_default();
            assert!(message.contains(needs.as_str()), "{message}");
        }
    }
}

#[tokio::test]
async fn an_operation_on_own_things_needs_no_role_and_reaches_nothing_of_others() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    let reader = server.reader();
    let own: Vec<Operation> = keyed()
        .filter(|operation| operation.own.is_some())
        .collect();
    assert!(own.len() > 10, "{}", own.len());
    for operation in own {
        let command = operation.command;
        assert_eq!(operation.needs, None, "{command}");
        assert!(operation.path.starts_with("/organization/me"), "{command}");
        let answer = call(&reader, &operation, &examples.path(&operation, &ids)).await;
        let expected = match operation.path_parameters().next() {
            // These are of the owner.
            Some(_) => 404,
            None if operation.method == Method::GET => 200,
            // The body is empty.
            None => 400,
        };
        assert_eq!(answer.status, expected, "{command}: {}", answer.json);
    }
}

#[tokio::test]
async fn ids_of_another_organization_are_not_found() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    for operation in operations()
        .iter()
        .filter(|operation| operation.path_parameters().next().is_some())
    {
        let answer = call(&server.stranger(), operation, &ids.path(operation)).await;
        assert_eq!(
            answer.refused(404).0,
            Some("not_found"),
            "{}",
            operation.command
        );
    }
    // No request had an effect: everything still exists.
    let reads = operations().into_iter().filter(|operation| {
        operation.effect == Effect::Read && operation.path_parameters().next().is_some()
    });
    for operation in reads {
        server.admin().get(&ids.path(&operation)).await.ok();
    }
}

#[tokio::test]
async fn unknown_ids_are_not_found() {
    let server = Server::start().await;
    for operation in operations()
        .iter()
        .filter(|operation| operation.path_parameters().next().is_some())
    {
        for id in [
            "nope",
            "proj_01K000000000000000000000000",
            "%00",
            "%F0%9F%A6%80",
            "..%2F..",
            &"x".repeat(3000),
        ] {
            let path = operation
                .path_parameters()
                .fold(operation.path.to_owned(), |path, name| {
                    path.replace(&format!("{{{name}}}"), id)
                });
            let answer = call(&server.admin(), operation, &path).await;
            assert_eq!(
                answer.refused(404).0,
                Some("not_found"),
                "{} {id}",
                operation.command
            );
        }
    }
}

#[tokio::test]
async fn an_unknown_parameter_is_refused_by_name() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    for operation in operations() {
        let path = format!("{}?surprise=1", ids.path(&operation));
        let answer = call(&server.admin(), &operation, &path).await;
        assert_eq!(
            answer.refused(400),
            (Some("unknown_parameter"), Some("surprise")),
            "{}",
            operation.command
        );
        if operation.method == Method::POST && operation.effect != Effect::Ingest {
            let answer = server
                .admin()
                .post(&ids.path(&operation), json!({"surprise": 1}))
                .await;
            assert_eq!(
                answer.refused(400),
                (Some("unknown_parameter"), Some("surprise")),
                "{}",
                operation.command
            );
        }
    }
}

/// PostgreSQL cannot store NUL, so no statement may contain it, not even in filters.
#[tokio::test]
async fn a_nul_is_refused_by_name() {
    let server = Server::start().await;
    let (ids, examples) = (Ids::make(&server).await, Examples::new(&server));
    for operation in operations() {
        let path = ids.path(&operation);
        for name in query_parameters(&examples.document, &operation).keys() {
            let path = format!("{path}?{name}=%00");
            let answer = call(&server.admin(), &operation, &path).await;
            assert_eq!(answer.refused(400).1, Some(name.as_str()), "{path}");
        }
        if operation.effect == Effect::Ingest {
            continue; // Each event is refused for itself.
        }
        let body = examples.body(&operation, &ids, Fill::Everything).await;
        for name in body.as_object().into_iter().flat_map(|body| body.keys()) {
            let mut body = body.clone();
            body[name] = json!("a\0b");
            let answer = examples.send(&operation, &ids, &body).await;
            let command = operation.command;
            assert_eq!(answer.refused(400).1, Some(name.as_str()), "{command}");
        }
    }
}

#[tokio::test]
async fn refusals_leave_no_trace_in_the_audit_log() {
    let server = Server::start().await;
    let ids = Ids::make(&server).await;
    let before = server
        .admin()
        .get("/organization/audit_logs?limit=100")
        .await
        .ok();
    for operation in operations()
        .iter()
        .filter(|operation| matches!(operation.effect, Effect::Write | Effect::Open))
    {
        for client in [server.anonymous(), server.reader(), server.stranger()] {
            let answer = call(&client, operation, &ids.path(operation)).await;
            let is_strangers_own =
                operation.path_parameters().next().is_none() && answer.status == 200;
            assert!(
                answer.status.is_client_error() || is_strangers_own,
                "{}",
                operation.command
            );
        }
        let answer = server
            .admin()
            .post(&ids.path(operation), json!({"surprise": 1}))
            .await;
        assert!(answer.status.is_client_error(), "{}", operation.command);
    }
    let after = server
        .admin()
        .get("/organization/audit_logs?limit=100")
        .await
        .ok();
    assert_eq!(before, after);
}

#[tokio::test]
async fn organization_and_project_headers_must_match_the_key() {
    let server = Server::start().await;
    let send = async |name: &'static str, value: String| {
        let request = http::Request::get("/v1/organization/projects").header(name, value);
        server
            .admin()
            .send(request.body(axum::body::Body::empty()).expect("a request"))
            .await
    };
    let own = [
        ("openai-organization", server.organization_id().to_string()),
        ("openai-project", server.default_project_id().to_string()),
        ("openai-project", String::new()),
    ];
    for (name, value) in own {
        assert_eq!(send(name, value).await.status, 200, "{name}");
    }
    for (name, value) in [
        ("openai-organization", "org-other".to_owned()),
        ("openai-project", server.stranger_project_id().to_string()),
    ] {
        assert_eq!(
            send(name, value).await.refused(401).0,
            Some("invalid_api_key"),
            "{name}"
        );
    }
}

#[tokio::test]
async fn every_answer_carries_its_headers() {
    let server = Server::start().await;
    let answer = server.admin().get("/organization/projects").await;
    for name in [
        "x-request-id",
        "openai-organization",
        "openai-processing-ms",
        "openai-version",
    ] {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    assert_eq!(
        answer.headers["openai-organization"],
        server.organization_id().to_string().as_str()
    );
    let refusal = server.anonymous().get("/organization/projects").await;
    assert!(
        refusal.headers["x-request-id"]
            .to_str()
            .is_ok_and(|id| id.starts_with("req_"))
    );
    assert_ne!(
        refusal.headers["x-request-id"],
        answer.headers["x-request-id"]
    );
}
