//! One order of checks, one reason for each refusal.

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use http_body_util::Full;
use serde_json::Value;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{ADMIN, EXPIRING, EXPIRY, OWNER, SERVICE, START, World, chat, request};

const MODEL: &str = r#"{"model":"real"}"#;

fn with(
    mut request: Request<Full<Bytes>>,
    name: &'static str,
    value: &'static str,
) -> Request<Full<Bytes>> {
    request
        .headers_mut()
        .append(name, HeaderValue::from_static(value));
    request
}

/// Request, status, code, param, words of the message. Each row would also fail the checks of the rows below it.
fn table() -> Vec<(
    Request<Full<Bytes>>,
    u16,
    &'static str,
    &'static str,
    &'static str,
)> {
    let post = |path, key| request(Method::POST, path, key, MODEL);
    let get = |path, key| request(Method::GET, path, key, "");
    vec![
        (
            post("/v1/unknown", ""),
            404,
            "unknown_url",
            "",
            "/v1/unknown",
        ),
        (
            get("/v1/models/", ""),
            404,
            "unknown_url",
            "",
            "/v1/models/",
        ),
        (
            get("/v1/chat/completions", ""),
            405,
            "method_not_allowed",
            "",
            "GET",
        ),
        (
            post("/v1/models", ""),
            405,
            "method_not_allowed",
            "",
            "POST",
        ),
        (
            with(chat("", ""), "content-length", "67108865"),
            413,
            "request_too_large",
            "",
            "67108864",
        ),
        (
            with(chat("", ""), "content-encoding", "gzip"),
            400,
            "invalid_header",
            "",
            "Content-Encoding",
        ),
        (
            with(chat("x", ""), "authorization", "Bearer y"),
            400,
            "invalid_header",
            "",
            "Authorization",
        ),
        (chat("", ""), 401, "invalid_api_key", "", "No API key"),
        (
            with(chat("", ""), "authorization", "Basic eDp5"),
            401,
            "invalid_api_key",
            "",
            "holds no API key",
        ),
        (
            chat("sk-proj-unheard-of", ""),
            401,
            "invalid_api_key",
            "",
            "not known",
        ),
        (
            chat("sk-proj-archived", ""),
            401,
            "invalid_api_key",
            "",
            "archived",
        ),
        (
            chat("sk-svcacct-gone", ""),
            401,
            "invalid_api_key",
            "",
            "owner",
        ),
        (
            with(chat(ADMIN, ""), "openai-organization", "org-2"),
            401,
            "invalid_api_key",
            "",
            "openai-organization",
        ),
        (
            with(chat(OWNER, ""), "openai-project", "proj_old"),
            401,
            "invalid_api_key",
            "",
            "openai-project",
        ),
        (
            chat(ADMIN, ""),
            403,
            "project_key_required",
            "",
            "project API key",
        ),
        (
            get("/v1/models", ADMIN),
            403,
            "project_key_required",
            "",
            "project API key",
        ),
        (
            chat("sk-proj-narrow", ""),
            403,
            "insufficient_permissions",
            "",
            "api.model.request",
        ),
        (
            chat("sk-proj-reader", ""),
            403,
            "insufficient_permissions",
            "",
            "api.model.request",
        ),
        (
            chat("sk-svcacct-none", ""),
            403,
            "insufficient_permissions",
            "",
            "api.model.request",
        ),
        (
            get("/v1/models", "sk-svcacct-none"),
            403,
            "insufficient_permissions",
            "",
            "api.model.read",
        ),
        (chat(SERVICE, "{"), 400, "invalid_json", "", "line 1"),
        (
            chat(SERVICE, r#"{"model":7}"#),
            400,
            "invalid_value",
            "model",
            "string",
        ),
        (
            chat(SERVICE, r#"{"model":"m","stream":1}"#),
            400,
            "invalid_value",
            "stream",
            "true or false",
        ),
        (
            chat(SERVICE, r#"{"model":"m","model":"m"}"#),
            400,
            "invalid_value",
            "model",
            "more than once",
        ),
        (
            chat(SERVICE, r#"{"model":"other"}"#),
            404,
            "model_not_found",
            "model",
            "other",
        ),
        (
            get("/v1/models/other", SERVICE),
            404,
            "model_not_found",
            "model",
            "other",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_check_refuses_in_its_own_words() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for (request, status, code, param, words) in table() {
        let what = format!("{} {} → {status} {code}", request.method(), request.uri());
        let answer = world.send(request).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.body);
        let [message, kind, found_param, found_code] = answer.error();
        assert_eq!(found_code, code, "{what}");
        assert_eq!(found_param.as_str().unwrap_or(""), param, "{what}");
        assert_eq!(kind, "invalid_request_error", "{what}");
        let message = message.as_str().unwrap_or_default();
        assert!(message.contains(words), "{what}: {message}");
        assert!(
            !answer.body.contains("unheard-of"),
            "{what}: keys are not echoed"
        );
        assert!(answer.header("x-request-id").starts_with("req_"), "{what}");
        assert_eq!(answer.header("openai-version"), "2020-10-01", "{what}");
        let known =
            status == 403 || status == 400 && code != "invalid_header" || code == "model_not_found";
        assert_eq!(
            answer.header("openai-organization"),
            if known && !code.starts_with("project") {
                "org-1"
            } else {
                ""
            },
            "{what}"
        );
        if status == 405 {
            assert!(["GET", "POST"].contains(&answer.header("allow")), "{what}");
        }
    }
    assert_eq!(world.ledger().await, [], "nothing was admitted");
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_table_refuses_is_allowed_when_it_is_right() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let right = with(chat(OWNER, MODEL), "openai-organization", "org-1");
    let right = with(right, "openai-project", "proj_1");
    assert_eq!(world.send(right).await.status, 200);
    assert_eq!(world.chat(MODEL).await.status, 200);
    let read = |key| request(Method::GET, "/v1/models", key, "");
    assert_eq!(world.send(read("sk-proj-narrow")).await.status, 200);
    assert_eq!(world.send(read("sk-proj-reader")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_stops_at_the_second_it_expires() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    world.clock.advance(EXPIRY - START - 1);
    assert_eq!(world.send(chat(EXPIRING, MODEL)).await.status, 200);
    world.clock.advance(1);
    let answer = world.send(chat(EXPIRING, MODEL)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.error()[0], Value::from("The API key has expired."));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_grows_too_long_is_cut_off() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let piece = Bytes::from(vec![b' '; 1024 * 1024]);
    let body = Full::new(Bytes::from(vec![b' '; gateway::MAX_REQUEST_BYTES + 1]));
    let head = || {
        Request::post("/v1/chat/completions").header("authorization", format!("Bearer {SERVICE}"))
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

/// The same piece again and again.
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
