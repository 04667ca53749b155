//! Request bodies with a content coding, which are decoded within bounds and forwarded without it.

use std::io::Write;

use base::{Budget, BudgetLimits};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use http::{HeaderValue, Request};
use http_body_util::Full;

use crate::upstream::{COMPLETION, Reply};
use crate::world::{Answer, Bounds, World, chat, config};

const BODY: &str = r#"{"model":"real","messages":[{"role":"user","content":"Hello!"}]}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("gzip")
}

fn deflate(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).expect("written");
    encoder.finish().expect("zlib")
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 3).expect("zstd")
}

fn coded(key: &str, coding: &'static str, body: Vec<u8>) -> Request<Full<Bytes>> {
    let mut request = chat(key, "").map(|_| Full::new(Bytes::from(body)));
    let coding = HeaderValue::from_static(coding);
    request.headers_mut().insert("content-encoding", coding);
    request
}

fn refusal(answer: &Answer) -> (u16, String) {
    let [.., code] = answer.error();
    (
        answer.status.as_u16(),
        code.as_str().unwrap_or("").to_owned(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_body_is_forwarded_decoded() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for (coding, body) in [
        ("gzip", gzip(BODY.as_bytes())),
        ("X-GZip", gzip(BODY.as_bytes())),
        ("deflate", deflate(BODY.as_bytes())),
        ("zstd", zstd(BODY.as_bytes())),
        ("identity", BODY.as_bytes().to_vec()),
        ("gzip", gzip(format!("\u{feff}{BODY}").as_bytes())),
    ] {
        let answer = world.send(coded(world.service(), coding, body)).await;
        assert_eq!(answer.status, 200, "{coding}: {}", answer.body);
        let asked = world.upstream.asked().pop().expect("it was asked");
        assert_eq!(asked.body, BODY, "{coding}");
        assert_eq!(asked.headers.get("content-encoding"), None, "{coding}");
        assert_eq!(asked.headers["content-length"], BODY.len().to_string());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_body_in_an_unsupported_coding_is_refused_with_the_supported_ones() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    for coding in ["br", "compress", "gzip, gzip", "aws-chunked"] {
        let answer = world
            .send(coded(world.service(), coding, BODY.into()))
            .await;
        let expected = (415, "unsupported_content_encoding".to_owned());
        assert_eq!(refusal(&answer), expected, "{coding}");
        assert_eq!(
            answer.header("accept-encoding"),
            "gzip, deflate, zstd, identity"
        );
    }
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_body_is_bounded_by_its_decoded_length() {
    const MEBI_BYTES: u64 = 1 << 20;
    let memory = Budget::new(BudgetLimits {
        total: 200 * MEBI_BYTES,
        per_key: 66 * MEBI_BYTES,
        per_project: 66 * MEBI_BYTES,
    });
    let bounds = Bounds {
        body_memory: memory.clone(),
        ..Bounds::default()
    };
    let upstreams = |url| vec![config("local", url)];
    let reply = Reply::whole(200, COMPLETION);
    let world = World::bounded(reply, upstreams, bounds).await;
    let zeros = vec![b' '; 80 << 20];
    for (coding, bomb) in [
        ("gzip", gzip(&zeros)),
        ("deflate", deflate(&zeros)),
        ("zstd", zstd(&zeros)),
    ] {
        assert!(bomb.len() < 1 << 20, "{coding}: {}", bomb.len());
        let answer = world
            .send(coded(world.service(), coding, bomb.clone()))
            .await;
        assert_eq!(refusal(&answer), (413, "request_too_large".to_owned()));
        assert_eq!(memory.used(), 0, "{coding}");
    }
    // The other bodies leave too little of the budget.
    let held = memory.take("another", None, 66 * MEBI_BYTES);
    let more = memory.take("a third", None, 66 * MEBI_BYTES);
    let most = memory.take("a fourth", None, 60 * MEBI_BYTES);
    assert!(held.is_ok() && more.is_ok() && most.is_ok());
    let large = gzip(&zeros[..30 << 20]);
    let answer = world.send(coded(world.service(), "gzip", large)).await;
    assert_eq!(refusal(&answer), (503, "overloaded".to_owned()));
    assert!(world.upstream.asked().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_body_that_is_damaged_is_refused() {
    let world = World::start(Reply::whole(200, COMPLETION)).await;
    let mut cut = gzip(BODY.as_bytes());
    cut.truncate(20);
    for (coding, body) in [
        ("gzip", cut),
        ("gzip", BODY.as_bytes().to_vec()),
        ("zstd", gzip(BODY.as_bytes())),
        ("deflate", BODY.as_bytes().to_vec()),
    ] {
        let answer = world.send(coded(world.service(), coding, body)).await;
        let expected = (400, "invalid_content_encoding".to_owned());
        assert_eq!(refusal(&answer), expected, "{coding}: {}", answer.body);
    }
    assert!(world.upstream.asked().is_empty());
}
