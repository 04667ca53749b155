//! Answers that are compressed although the request did not allow it.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

const REPORTED: &str =
    "completions real succeeded input_tokens=11 output_tokens=7 num_model_requests=1";

/// Encodes a text as Brotli, in uncompressed blocks.
fn brotli(text: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    for (index, part) in text.chunks(1 << 16).enumerate() {
        let length = u32::try_from(part.len() - 1).expect("short");
        // The header of a block: not the last, four nibbles of length, uncompressed. The first has a bit for the window before it.
        let head = (length << 3) | (1 << 19);
        let head = if index == 0 {
            u64::from(head) << 1
        } else {
            u64::from(head)
        };
        coded.extend_from_slice(&head.to_le_bytes()[..3]);
        coded.extend_from_slice(part);
    }
    coded.push(3);
    coded
}

fn encoded(name: &str, text: &str) -> Vec<u8> {
    let text = text.as_bytes();
    macro_rules! with {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new(), Compression::default());
            encoder.write_all(text).expect("memory");
            encoder.finish().expect("memory")
        }};
    }
    match name {
        "gzip" | "X-GZIP" => with!(GzEncoder),
        "deflate" => with!(ZlibEncoder),
        "raw deflate" => with!(DeflateEncoder),
        "br" => brotli(text),
        "zstd" => zstd::encode_all(text, 3).expect("memory"),
        _ => text.to_vec(),
    }
}

fn reply(name: &str, kind: &str, text: &str, piece: usize) -> Reply {
    let encoded = encoded(name, text);
    let pieces = encoded.chunks(piece);
    let steps = pieces.map(|piece| Step::Send(Bytes::copy_from_slice(piece)));
    let mut reply = Reply::stream(steps.collect());
    let name = name.strip_prefix("raw ").unwrap_or(name).to_owned();
    reply.headers = vec![("content-type", kind.into()), ("content-encoding", name)];
    reply
}

const ALL: [&str; 6] = ["gzip", "X-GZIP", "deflate", "raw deflate", "br", "zstd"];

#[tokio::test(flavor = "multi_thread")]
async fn upstream_is_asked_for_uncompressed_answers() {
    let world = world(Reply::whole(200, crate::upstream::COMPLETION)).await;
    world.consult(CHAT, MODEL).await;
    let asked = world.upstream.asked().remove(0);
    assert_eq!(asked.headers["accept-encoding"], "identity");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_answers_are_metered_and_decoded_for_the_client() {
    let text = r#"{"choices":[{"message":{"content":"Hello"}}],"usage":{"prompt_tokens":11,"completion_tokens":7}}"#;
    for name in ALL {
        let world = world(reply(name, "application/json", text, 7)).await;
        let answer = world.consult(CHAT, MODEL).await;
        assert_eq!(answer.body, text, "{name}");
        assert_eq!(answer.header("content-encoding"), "", "{name}");
        assert_eq!(world.consumed_once().await, REPORTED, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_streams_are_metered_and_their_usage_is_hidden() {
    let events = chat_events();
    for name in ALL {
        let world = world(reply(name, "text/event-stream", &events.concat(), 50)).await;
        let answer = world.consult(CHAT, STREAM).await;
        let shown = [&*events[0], &events[1], &events[3]].concat();
        assert_eq!(answer.body, shown, "{name}");
        assert_eq!(world.consumed_once().await, REPORTED, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_answers_of_any_length_are_metered() {
    let file = "A".repeat(40 * 1024 * 1024);
    let text = format!(
        r#"{{"choices":[],"image":"{file}","usage":{{"prompt_tokens":11,"completion_tokens":7}}}}"#
    );
    for name in ["gzip", "br", "zstd"] {
        let world = world(reply(name, "application/json", &text, 100_000)).await;
        let answer = world.consult(CHAT, MODEL).await;
        assert_eq!(answer.body.len(), text.len(), "{name}");
        assert_eq!(world.consumed_once().await, REPORTED, "{name}");
        assert_eq!(world.gateway.answer_bytes(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_an_unknown_coding_are_forwarded_and_estimated() {
    let text = "who knows";
    for name in ["compress", "gzip, br"] {
        let world = world(reply(name, "application/json", text, 100)).await;
        let answer = world.consult(CHAT, MODEL).await;
        assert_eq!(answer.body, text);
        assert_eq!(answer.header("content-encoding"), name);
        let row = world.rows(1).await.remove(0);
        assert_eq!(row.sums(), ("succeeded", true, Some(1), Some(1), Some(1)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answer_that_is_not_in_its_declared_coding_has_failed() {
    for name in ["gzip", "deflate", "br", "zstd"] {
        let mut reply = reply(name, "application/json", "", 1);
        reply.steps = vec![Step::Send(Bytes::from_static(&[0xFF; 100]))];
        let world = world(reply).await;
        let answer = world.consult(CHAT, MODEL).await;
        assert!(answer.is_broken, "{name}");
        let consumed = "completions real upstream_failed num_model_requests=0";
        assert_eq!(world.consumed_once().await, consumed, "{name}");
    }
}
