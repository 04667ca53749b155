//! Headers that every response has.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use testkit::{Answer, Server};

const PROJECTS: &str = "/v1/organization/projects?limit=1";

async fn send(server: &Server, method: Method, path: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).expect("a request");
    server.admin().send(request).await
}

#[tokio::test]
async fn every_answer_is_signed() {
    let server = Server::start().await;
    for (method, path, status) in [
        (Method::GET, "/healthz", 200),
        (Method::GET, "/readyz", 200),
        (Method::GET, "/openapi.json", 200),
        (Method::GET, "/metrics", 200),
        (Method::GET, PROJECTS, 200),
        // It is answered from what was kept.
        (Method::GET, PROJECTS, 200),
        (Method::HEAD, PROJECTS, 200),
        (Method::GET, "/v1/organization/projects/proj_missing", 404),
        (Method::GET, "/v1/organization/projects/%FF", 404),
        (Method::PUT, PROJECTS, 405),
        (Method::POST, "/healthz", 405),
        (Method::GET, "/v1/organization/nothing", 404),
        (Method::GET, "/nothing", 404),
        (Method::GET, "/v1/models", 403),
        (Method::GET, "/v1/nothing", 404),
    ] {
        let answer = send(&server, method.clone(), path).await;
        assert_eq!(answer.status, status, "{method} {path}");
        let header = |name: &str| answer.headers[name].to_str().expect("visible ASCII");
        assert!(header("x-request-id").starts_with("req_"), "{path}");
        assert_eq!(header("openai-version"), "2020-10-01", "{path}");
        let time = header("openai-processing-ms").parse::<u64>();
        assert!(time.is_ok(), "{method} {path}");
    }
}

#[tokio::test]
async fn an_answer_that_was_kept_has_the_headers_of_the_first() {
    let server = Server::start().await;
    let first = send(&server, Method::GET, PROJECTS).await;
    let kept = send(&server, Method::GET, PROJECTS).await;
    let names = |answer: &Answer| {
        let mut names: Vec<_> = answer.headers.keys().cloned().collect();
        names.sort_unstable_by(|one, other| one.as_str().cmp(other.as_str()));
        names
    };
    assert_eq!(names(&first), names(&kept));
    assert_eq!(first.bytes, kept.bytes);
    let organization = |answer: &Answer| answer.headers["openai-organization"].clone();
    assert_eq!(organization(&first), organization(&kept));
}

#[tokio::test]
async fn a_head_is_the_answer_without_its_body() {
    let server = Server::start().await;
    for path in [PROJECTS, "/healthz", "/nothing"] {
        let whole = send(&server, Method::GET, path).await;
        let head = send(&server, Method::HEAD, path).await;
        assert_eq!(head.status, whole.status, "{path}");
        assert_eq!(head.bytes, b"", "{path}");
        if whole.status == StatusCode::OK {
            let length = head.headers[header::CONTENT_LENGTH].to_str();
            assert_eq!(length.ok(), Some(&*whole.bytes.len().to_string()), "{path}");
        }
    }
}

#[tokio::test]
async fn requests_are_counted_by_operation_and_class() {
    let server = Server::start().await;
    let count = async |operation: &str, class: &str| {
        let answer = send(&server, Method::GET, "/metrics").await;
        let text = String::from_utf8(answer.bytes).expect("text");
        let series = format!(
            "orgplane_admin_requests_total{{operation=\"{operation}\",status=\"{class}\"}} "
        );
        let mut values = text.lines().filter_map(|line| line.strip_prefix(&series));
        values.next().map(str::to_owned)
    };
    assert_eq!(count("projects list", "2xx").await, None);
    send(&server, Method::GET, PROJECTS).await;
    send(&server, Method::GET, PROJECTS).await;
    send(&server, Method::GET, "/v1/organization/projects?limit=x").await;
    let missing = "/v1/organization/projects/proj_missing";
    send(&server, Method::GET, missing).await;
    for (operation, class, times) in [
        ("projects list", "2xx", "2"),
        ("projects list", "4xx", "1"),
        ("projects retrieve", "4xx", "1"),
    ] {
        let counted = count(operation, class).await;
        assert_eq!(counted.as_deref(), Some(times), "{operation} {class}");
    }
    assert_eq!(count("projects retrieve", "2xx").await, None);
}

#[tokio::test]
async fn s25_a_migration_that_is_missing_is_named() {
    for name in ["0001_administration", "0007_stored_objects", "0008_bodies"] {
        let server = Server::start().await;
        let databases = [server.store.administration(), server.store.usage()];
        for database in databases {
            let mut transaction = database.begin().await.expect("a transaction");
            let forget = store::sql!("DELETE FROM migrations WHERE name = $1", name);
            transaction.execute(forget).await.expect("deleted");
            transaction.commit().await.expect("committed");
        }
        let answer = send(&server, Method::GET, "/readyz").await;
        assert_eq!(answer.status, 503, "{name}");
        let reasons = &answer.json["reasons"];
        assert_eq!(
            reasons[0],
            format!("migration {name} has not run"),
            "{reasons}"
        );
    }
}
