//! The largest page of a report is streamed, so memory does not depend on its length. A test binary of its own, because the
//! test measures the memory of the whole process.

use std::fs;

use axum::body::Body;
use base::time::SECONDS_PER_DAY;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use testkit::{NOW, Server};

/// Midnight 30 days before [`NOW`].
const START_SECONDS: i64 = NOW.0 - NOW.0 % SECONDS_PER_DAY - 30 * SECONDS_PER_DAY;
const DAY_COUNT: i64 = 31;
/// Number of keys with usage on each day.
const KEY_COUNT: usize = 10_000;
/// Maximum growth of memory during the response, in kilobytes.
const MAX_GROWTH: u64 = 32 * 1024;

/// Returns a line of `/proc/self/status`, in kilobytes.
fn memory(line: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("the process's status");
    let value = status.lines().find_map(|text| text.strip_prefix(line));
    let value = value.and_then(|text| text.trim_start_matches(':').split_whitespace().next());
    value.and_then(|text| text.parse().ok()).expect("kilobytes")
}

/// Reports usage of each key on each day.
async fn consume(server: &Server) {
    let project = server.default_project_id();
    for day in 0..DAY_COUNT {
        let event = |key: usize| {
            json!({"id": format!("{day}-{key}"), "timestamp": START_SECONDS + day * SECONDS_PER_DAY + 60, "type": "completions",
                   "project_id": project, "model": "m", "api_key_id": format!("key_{key:020}"),
                   "input_tokens": key + 1, "output_tokens": day + 1})
        };
        let all: Vec<Value> = (0..KEY_COUNT).map(event).collect();
        for some in all.chunks(1_000) {
            while !report(server, some).await {}
        }
    }
}

/// Reports events. Returns false if the database was too slow, so that the request must be repeated.
async fn report(server: &Server, events: &[Value]) -> bool {
    let path = "/organization/usage/events";
    let answer = server.admin().post(path, json!(events)).await;
    if answer.status == StatusCode::SERVICE_UNAVAILABLE {
        return false;
    }
    assert_eq!(answer.ok()["rejected"], json!([]));
    true
}

#[tokio::test]
async fn the_largest_page_is_not_held_in_memory() {
    let server = Server::start().await;
    consume(&server).await;
    let path = format!(
        "/organization/usage/completions?start_time={START_SECONDS}&limit={DAY_COUNT}&group_by[]=api_key_id&group_by[]=model"
    );
    // Fills caches that are never emptied.
    server
        .admin()
        .get(&path.replace("limit=31", "limit=1"))
        .await
        .ok();
    fs::write("/proc/self/clear_refs", "5").expect("the peak is forgotten");
    let before = memory("VmRSS");
    let request = Request::get(format!("/v1{path}")).body(Body::empty());
    let mut body = server.admin().stream(request.expect("a request")).await;
    let (mut bytes, mut results) = (0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a piece").into_data().expect("data");
        bytes += data.len();
        results += data
            .windows(12)
            .filter(|text| text == b"\"api_key_id\"")
            .count();
    }
    let grown = memory("VmHWM").saturating_sub(before);
    let most = KEY_COUNT * usize::try_from(DAY_COUNT).expect("days");
    // Matches across the ends of chunks are missed.
    assert!(
        results <= most && results > most - 2_000,
        "{results} results"
    );
    let length = u64::try_from(bytes / 1024).expect("kilobytes");
    assert!(
        length > 2 * MAX_GROWTH,
        "an answer of {length} kB proves something"
    );
    assert!(
        grown < MAX_GROWTH,
        "an answer of {length} kB took {grown} kB of memory"
    );
}
