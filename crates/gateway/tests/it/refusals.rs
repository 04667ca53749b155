//! Refusals: the checks have a fixed order, so that each refusal has one reason.

use std::collections::HashMap;

use base::ids::Id;
use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;
use testkit::ProjectKey;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{EXPIRY_SECONDS, START_SECONDS, World, chat, request, table};

const MODEL: &str = r#"{"model":"real"}"#;

/// Requests and their refusals, in the order of the checks: each row would fail the checks of the rows below it as well. Columns:
/// method, path, key or its secret, a further header and its value, body; then status, code, param, words of the message, and
/// `yes` if the response names the organization.
const TABLE: &str = r#"
POST | /v1/unknown          |                    |                     |          | [                        | 404 | unknown_url              |        | /v1/unknown         |
GET  | /v1/models/          |                    |                     |          | [                        | 404 | unknown_url              |        | /v1/models/         |
GET  | /v1/completions      |                    |                     |          | [                        | 405 | method_not_allowed       |        | GET                 |
POST | /v1/models           |                    |                     |          | [                        | 405 | method_not_allowed       |        | POST                |
POST | /v1/chat/completions |                    | content-length      | 67108865 | [                        | 413 | request_too_large        |        | 67108864            |
POST | /v1/chat/completions |                    | content-encoding    | br       | [                        | 415 | unsupported_content_encoding | | gzip, deflate, zstd |
POST | /v1/chat/completions | sk-x               | authorization       | Bearer y | [                        | 400 | invalid_header           |        | Authorization       |
POST | /v1/chat/completions |                    |                     |          | [                        | 401 | invalid_api_key          |        | No API key          |
POST | /v1/chat/completions |                    | authorization       | Basic x  | [                        | 401 | invalid_api_key          |        | holds no API key    |
POST | /v1/chat/completions | sk-proj-unheard-of |                     |          | [                        | 401 | invalid_api_key          |        | not known           |
POST | /v1/chat/completions | archived           |                     |          | [                        | 401 | invalid_api_key          |        | archived            |
POST | /v1/chat/completions | orphaned           |                     |          | [                        | 401 | invalid_api_key          |        | owner               |
POST | /v1/chat/completions | admin              | openai-organization | other    | [                        | 401 | invalid_api_key          |        | openai-organization |
POST | /v1/chat/completions | owner              | openai-project      | archived | [                        | 401 | invalid_api_key          |        | openai-project      |
POST | /v1/chat/completions | admin              |                     |          | [                        | 403 | project_key_required     |        | project API key     |
GET  | /v1/models           | admin              |                     |          | [                        | 403 | project_key_required     |        | project API key     |
POST | /v1/chat/completions | narrow             |                     |          | [                        | 403 | insufficient_permissions |        | api.model.request   | yes
POST | /v1/chat/completions | reader             |                     |          | [                        | 403 | insufficient_permissions |        | api.model.request   | yes
POST | /v1/chat/completions | powerless          |                     |          | [                        | 403 | insufficient_permissions |        | api.model.request   | yes
GET  | /v1/models           | powerless          |                     |          | [                        | 403 | insufficient_permissions |        | api.model.read      | yes
POST | /v1/chat/completions | service            |                     |          | [                        | 400 | invalid_json             |        | begin with '{'      | yes
POST | /v1/chat/completions | service            |                     |          | {"model":7}              | 400 | invalid_value            | model  | string              | yes
POST | /v1/chat/completions | service            |                     |          | {"model":"m","stream":1} | 400 | invalid_value            | stream | true or false       | yes
POST | /v1/chat/completions | service            |                     |          | {"model":"a","model":""} | 400 | invalid_value            | model  | more than once      | yes
POST | /v1/chat/completions | service            |                     |          | {"model":"other"}        | 404 | model_not_found          | model  | other               | yes
GET  | /v1/models/other     | service            |                     |          |                          | 404 | model_not_found          | model  | other               | yes
"#;

/// Returns the secrets of keys by the names that the table has for the keys.
async fn keys(world: &World, archived: ProjectKey) -> HashMap<&'static str, String> {
    HashMap::from([
        ("admin", world.admin().to_owned()),
        ("owner", world.owner().to_owned()),
        ("service", world.service().to_owned()),
        ("archived", archived.secret),
        ("orphaned", world.orphaned_key().await.secret),
        ("narrow", world.narrow_key().await.secret),
        ("reader", world.reader_key().await.secret),
        ("powerless", world.powerless_key().await.secret),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn each_check_refuses_in_its_own_words() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let (old_project, archived) = world.archived_key().await;
    let other = world.organization.create_another().await;
    let keys = keys(&world, archived).await;
    for cells in table::<11>(TABLE) {
        let row = cells.map(Option::unwrap_or_default);
        let [
            method,
            path,
            key,
            name,
            value,
            body,
            status,
            code,
            param,
            words,
            names_organization,
        ] = row;
        let key = keys.get(key).map_or(key, String::as_str);
        let value = match value {
            "other" => other.id.as_str(),
            "archived" => &old_project,
            value => value,
        };
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut request = request(method, path, key, body);
        if !name.is_empty() {
            request
                .headers_mut()
                .append(name, value.parse().expect("a value"));
        }
        let answer = world.send(request).await;
        assert_eq!(answer.status.as_str(), status, "{row:?}: {answer:?}");
        let error = answer
            .error()
            .map(|field| field.as_str().unwrap_or_default().to_owned());
        assert!(error[0].contains(words), "{row:?}: {error:?}");
        assert_eq!(
            error[1..],
            ["invalid_request_error", param, code],
            "{row:?}"
        );
        let named = names_organization.replace("yes", world.organization_id());
        assert_eq!(answer.header("openai-organization"), named, "{row:?}");
        assert_eq!(answer.header("openai-version"), "2020-10-01", "{row:?}");
        assert!(answer.header("x-request-id").starts_with("req_"), "{row:?}");
        assert!(
            !answer.body.contains("unheard-of"),
            "keys are not echoed: {row:?}"
        );
        assert_eq!(
            status == "405",
            answer.headers.contains_key("allow"),
            "{row:?}"
        );
    }
    assert_eq!(world.ledger().await, [], "nothing was admitted");
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_refuses_is_allowed_when_it_is_right() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let mut right = chat(world.owner(), MODEL);
    for (name, value) in [
        ("openai-organization", world.organization_id()),
        ("openai-project", &world.project),
    ] {
        let value = HeaderValue::from_str(value).expect("a value");
        right.headers_mut().insert(name, value);
    }
    assert_eq!(world.send(right).await.status, 200);
    assert_eq!(world.chat(MODEL).await.status, 200);
    let read = |key: &str| request(Method::GET, "/v1/models", key, "");
    for key in [world.narrow_key().await, world.reader_key().await] {
        assert_eq!(world.send(read(&key.secret)).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stops_at_the_second_it_expires() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let key = world.expiring_key().await.secret;
    world.clock.advance(EXPIRY_SECONDS - START_SECONDS - 1);
    assert_eq!(world.send(chat(&key, MODEL)).await.status, 200);
    world.clock.advance(1);
    let answer = world.send(chat(&key, MODEL)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.error()[0], Value::from("The API key has expired."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_grows_too_long_is_cut_off() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let piece = Bytes::from(vec![b' '; 1024 * 1024]);
    let body = Full::new(Bytes::from(vec![b' '; gateway::MAX_REQUEST_BYTES + 1]));
    let head = || {
        Request::post("/v1/chat/completions")
            .header("authorization", format!("Bearer {}", world.service()))
    };
    let answer = world
        .gateway
        .handle(head().body(body).expect("a request"))
        .await;
    assert_eq!(answer.status(), 413);
    let endless = Endless(piece);
    let answer = world
        .gateway
        .handle(head().body(endless).expect("a request"))
        .await;
    assert_eq!(answer.status(), 413);
}

/// A body that repeats a chunk.
struct Endless(Bytes);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(Some(Ok(http_body::Frame::data(self.0.clone()))))
    }
}
