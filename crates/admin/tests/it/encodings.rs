//! Compressed request bodies, and bodies with a byte order mark.

use std::io::Write;

use axum::body::Body;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{Request, header};
use serde_json::{Value, json};
use testkit::{Answer, Client, NOW, Server};

const PROJECTS: &str = "/organization/projects";
const EVENTS: &str = "/organization/usage/events";

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("gzip")
}

async fn send(who: &Client, path: &str, [kind, coding]: [&str; 2], body: Vec<u8>) -> Answer {
    let request = Request::post(format!("/v1{path}"))
        .header(header::CONTENT_TYPE, kind)
        .header(header::CONTENT_ENCODING, coding)
        .body(Body::from(body));
    who.send(request.expect("a request")).await
}

fn event(server: &Server, id: &str) -> Value {
    json!({
        "id": id, "timestamp": NOW.0 - 60, "type": "completions", "model": "gpt-5",
        "project_id": server.default_project_id().to_string(), "input_tokens": 1, "output_tokens": 1,
    })
}

#[tokio::test]
async fn a_compressed_request_body_is_decoded() {
    let server = Server::start().await;
    let admin = server.admin();
    let body = json!({"name": "compressed"}).to_string().into_bytes();
    for (coding, body) in [
        ("gzip", gzip(&body)),
        (
            "zstd",
            zstd::stream::encode_all(&body[..], 3).expect("zstd"),
        ),
    ] {
        let kind = ["application/json", coding];
        let project = send(&admin, PROJECTS, kind, body).await.ok();
        assert_eq!(project["name"], "compressed", "{coding}");
    }
    let lines: String = (0..2_000)
        .map(|number| event(&server, &format!("e-{number}")).to_string() + "\n")
        .collect();
    let kind = ["application/x-ndjson", "gzip"];
    let ingested = send(&admin, EVENTS, kind, gzip(lines.as_bytes()))
        .await
        .ok();
    assert_eq!(ingested["accepted"], 2_000);
    assert_eq!(server.services().body_memory.used(), 0, "it is given back");
}

#[tokio::test]
async fn a_compressed_request_body_is_bounded_and_must_match_its_header() {
    let server = Server::start().await;
    let admin = server.admin();
    for (path, limit) in [(PROJECTS, 1 << 20), (EVENTS, 32 << 20)] {
        let bomb = gzip(&vec![b' '; limit + 1]);
        let answer = send(&admin, path, ["application/json", "gzip"], bomb).await;
        assert_eq!(answer.refused(413).0, Some("request_too_large"));
    }
    let plain = json!({"name": "x"}).to_string().into_bytes();
    let answer = send(
        &admin,
        PROJECTS,
        ["application/json", "gzip"],
        plain.clone(),
    )
    .await;
    assert_eq!(answer.refused(400).0, Some("invalid_content_encoding"));
    for coding in ["br", "gzip, zstd"] {
        let answer = send(
            &admin,
            PROJECTS,
            ["application/json", coding],
            plain.clone(),
        )
        .await;
        assert_eq!(answer.refused(415).0, Some("unsupported_content_encoding"));
        let accepted = &answer.headers[header::ACCEPT_ENCODING];
        assert_eq!(accepted, "gzip, deflate, zstd, identity");
    }
    let project = send(&admin, PROJECTS, ["application/json", "identity"], plain).await;
    assert_eq!(project.ok()["name"], "x");
    assert_eq!(server.services().body_memory.used(), 0, "it is given back");
}

#[tokio::test]
async fn a_request_body_may_begin_with_a_byte_order_mark() {
    let server = Server::start().await;
    let admin = server.admin();
    let marked = |text: String| format!("\u{feff}{text}").into_bytes();
    let json = ["application/json", "identity"];
    let body = marked(json!({"name": "marked"}).to_string());
    let project = send(&admin, PROJECTS, json, body).await.ok();
    assert_eq!(project["name"], "marked");
    let one = event(&server, "one");
    let two = json!([event(&server, "two"), event(&server, "three")]);
    for (body, accepted) in [(one, 1), (two, 2)] {
        let ingested = send(&admin, EVENTS, json, marked(body.to_string())).await;
        assert_eq!(ingested.ok()["accepted"], accepted);
    }
    let lines = format!(
        "{}\r\n{}\r\n",
        event(&server, "four"),
        event(&server, "five")
    );
    let kind = ["application/x-ndjson", "identity"];
    let ingested = send(&admin, EVENTS, kind, marked(lines)).await.ok();
    assert_eq!(ingested["accepted"], 2, "{ingested}");
    assert_eq!(ingested["rejected"], json!([]));
    let twice = marked("\u{feff}{}".to_owned());
    let answer = send(&admin, PROJECTS, json, twice).await;
    assert_eq!(answer.refused(400).0, Some("invalid_json"));
}
