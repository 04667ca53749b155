//! Pages in a browser that call the gateway.

use axum::body::Body;
use http::{Method, Request};
use serde_json::json;
use testkit::{Answer, Client, Cors, Server, ServerOptions};

use crate::installation::Installation;

const PAGE: &str = "http://localhost:5173";
const OTHER: &str = "http://localhost:5174";
const CHAT: &str = "/v1/chat/completions";

async fn server(origins: &[&str], administration: bool) -> Server {
    let origins: Vec<String> = origins.iter().map(|it| (*it).to_owned()).collect();
    let cors = Cors::new(&origins, administration).expect("origins");
    Server::with(ServerOptions {
        cors,
        ..ServerOptions::default()
    })
    .await
}

/// Preflight headers of a browser for a request with a key and a JSON body.
async fn preflight(who: &Client, path: &str, origin: &str) -> Answer {
    let request = Request::builder()
        .method(Method::OPTIONS)
        .uri(path)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization, content-type",
        );
    who.send(request.body(Body::empty()).expect("a request"))
        .await
}

async fn call(who: &Client, method: Method, path: &str, origin: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(origin) = origin {
        request = request.header("origin", origin);
    }
    who.send(request.body(Body::empty()).expect("a request"))
        .await
}

fn header<'a>(answer: &'a Answer, name: &str) -> Option<&'a str> {
    answer.headers.get(name)?.to_str().ok()
}

fn allowed(answer: &Answer) -> Option<&str> {
    header(answer, "access-control-allow-origin")
}

#[tokio::test]
async fn cors_is_off_by_default() {
    let server = Server::start().await;
    let who = server.anonymous();
    let answer = preflight(&who, CHAT, PAGE).await;
    assert_eq!(answer.refused(405).0, Some("method_not_allowed"));
    let answer = call(&who, Method::GET, "/v1/models", Some(PAGE)).await;
    for answer in [answer, preflight(&who, CHAT, PAGE).await] {
        let mut names = answer.headers.keys().map(http::HeaderName::as_str);
        assert!(!names.any(|name| name.starts_with("access-control-") || name == "vary"));
    }
}

#[tokio::test]
async fn cors_a_preflight_of_a_page_that_may_call_needs_no_key() {
    let server = server(&[PAGE, "https://chat.example"], false).await;
    let who = server.anonymous();
    for origin in [PAGE, "https://chat.example"] {
        for path in [CHAT, "/v1/models", "/v1/files/file-1", "/v1/not/there"] {
            let answer = preflight(&who, path, origin).await;
            assert_eq!(answer.status, 204, "{path}");
            assert_eq!(answer.bytes, b"");
            assert_eq!(allowed(&answer), Some(origin));
            let methods = header(&answer, "access-control-allow-methods");
            assert_eq!(methods, Some("GET, HEAD, POST, DELETE"));
            let headers = header(&answer, "access-control-allow-headers");
            assert_eq!(headers, Some("authorization, content-type"));
            assert_eq!(header(&answer, "access-control-max-age"), Some("7200"));
            assert!(header(&answer, "vary").is_some_and(|vary| vary.contains("origin")));
            assert_eq!(header(&answer, "access-control-allow-credentials"), None);
            assert!(header(&answer, "x-request-id").is_some());
        }
    }
    let answer = preflight(&who, CHAT, OTHER).await;
    assert_eq!(answer.refused(403).0, Some("origin_not_allowed"));
    assert_eq!(
        (allowed(&answer), header(&answer, "vary")),
        (None, Some("origin"))
    );
    let plain = call(&who, Method::OPTIONS, CHAT, Some(PAGE)).await;
    assert_eq!(plain.refused(405).0, Some("method_not_allowed"));
    assert_eq!(allowed(&plain), Some(PAGE), "no preflight, but readable");
}

#[tokio::test]
async fn cors_a_page_reaches_a_server_in_a_private_network() {
    let server = server(&[PAGE], false).await;
    let request = |origin| {
        Request::options(CHAT)
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-private-network", "true")
            .body(Body::empty())
            .expect("a request")
    };
    let name = "access-control-allow-private-network";
    let answer = server.anonymous().send(request(PAGE)).await;
    assert_eq!(header(&answer, name), Some("true"));
    let answer = server.anonymous().send(request(OTHER)).await;
    assert_eq!(header(&answer, name), None);
}

#[tokio::test]
async fn cors_answers_and_refusals_are_for_pages_that_may_call() {
    let server = server(&[PAGE], false).await;
    let path = format!(
        "/organization/projects/{}/service_accounts",
        server.default_project_id()
    );
    let account = server
        .admin()
        .post(&path, json!({"name": "page"}))
        .await
        .ok();
    let key = account["api_key"]["value"].as_str().expect("a key");
    let (owner, nobody) = (server.with_key(key), server.anonymous());
    for (who, method, path, status) in [
        (&owner, Method::GET, "/v1/models", 200),
        (&nobody, Method::GET, "/v1/models", 401),
        (&server.admin(), Method::GET, "/v1/models", 403),
        (&owner, Method::GET, "/v1/models/none", 404),
        (&owner, Method::GET, "/v1/nothing", 404),
        (&owner, Method::PUT, CHAT, 405),
        (&owner, Method::POST, CHAT, 400),
    ] {
        let answer = call(who, method.clone(), path, Some(PAGE)).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.json);
        assert_eq!(allowed(&answer), Some(PAGE), "{method} {path}");
        assert_eq!(header(&answer, "vary"), Some("origin"));
        let exposed = header(&answer, "access-control-expose-headers").unwrap_or_default();
        for name in [
            "x-request-id",
            "retry-after",
            "x-ratelimit-remaining-tokens",
        ] {
            assert!(exposed.split(", ").any(|it| it == name), "{exposed}");
        }
        for origin in [None, Some(OTHER), Some("null")] {
            let answer = call(who, method.clone(), path, origin).await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(allowed(&answer), None, "{origin:?}");
            assert_eq!(header(&answer, "vary"), Some("origin"), "caches are told");
        }
    }
    let mut long = Request::post(CHAT).header("origin", PAGE);
    long = long.header("content-length", "67108865");
    let answer = owner.send(long.body(Body::empty()).expect("a request"));
    let answer = answer.await;
    assert_eq!(
        (answer.status.as_u16(), allowed(&answer)),
        (413, Some(PAGE))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cors_a_client_that_is_slowed_down_is_told_so_in_its_page() {
    let installation = Installation::new(&format!("[cors]\norigins = [\"{PAGE}\"]\n"));
    let server = installation.serve();
    let mut statuses = Vec::new();
    for number in 0..400 {
        let request = server
            .api(&format!("sk-proj-{number}"))
            .request(Method::GET, "/models");
        let answer = request.header("origin", PAGE).send().await;
        let answer = answer.expect("an answer");
        let allowed = &answer.headers()["access-control-allow-origin"];
        assert_eq!(allowed, PAGE, "{}", answer.status());
        statuses.push(answer.status().as_u16());
        if statuses.ends_with(&[429]) {
            break;
        }
    }
    assert!(statuses.ends_with(&[429]), "{statuses:?}");
    server.stop();
}

#[tokio::test]
async fn cors_every_page_may_call_where_any_origin_is_allowed() {
    let server = server(&["*"], false).await;
    let who = server.anonymous();
    for origin in [PAGE, OTHER, "null", "app://obsidian.md"] {
        let answer = preflight(&who, CHAT, origin).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer)), (204, Some("*")));
        let answer = call(&who, Method::GET, "/v1/models", Some(origin)).await;
        assert_eq!((answer.status.as_u16(), allowed(&answer)), (401, Some("*")));
    }
}

#[tokio::test]
async fn cors_never_covers_administration_unless_it_is_named() {
    const PATHS: [&str; 4] = [
        "/v1/organization/projects",
        "/v1/organization/usage/events",
        "/v1/projects/proj_1/roles",
        "/v1/organization/nothing",
    ];
    for origins in [&[PAGE][..], &["*"]] {
        let server = server(origins, false).await;
        for path in PATHS.iter().chain(&["/healthz", "/openapi.json", "/"]) {
            for answer in [
                preflight(&server.anonymous(), path, PAGE).await,
                call(&server.admin(), Method::GET, path, Some(PAGE)).await,
            ] {
                assert_eq!((allowed(&answer), header(&answer, "vary")), (None, None));
                assert_ne!(answer.status, 204, "{path}");
            }
        }
    }
    let server = server(&[PAGE], true).await;
    for path in PATHS {
        let answer = preflight(&server.anonymous(), path, PAGE).await;
        assert_eq!(
            (answer.status.as_u16(), allowed(&answer)),
            (204, Some(PAGE))
        );
    }
    let answer = call(&server.admin(), Method::GET, PATHS[0], Some(PAGE)).await;
    assert_eq!(
        (answer.status.as_u16(), allowed(&answer)),
        (200, Some(PAGE))
    );
    let answer = preflight(&server.anonymous(), "/healthz", PAGE).await;
    assert_eq!((answer.status.as_u16(), allowed(&answer)), (405, None));
}

#[tokio::test]
async fn cors_origins_of_the_configuration_hold() {
    let installation = Installation::new(&format!("[cors]\norigins = [\"{PAGE}\"]\n"));
    let server = installation.serve();
    let request = crate::api::http()
        .request(Method::OPTIONS, format!("{}{CHAT}", server.address))
        .header("origin", PAGE)
        .header("access-control-request-method", "POST");
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.headers()["access-control-allow-origin"], PAGE);
    server.stop();
    installation.configure("[cors]\norigins = [\"localhost:5173\"]\n");
    let ended = installation.run(&["serve"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("cors.origins: 'localhost:5173'"),
        "{ended:?}"
    );
}
