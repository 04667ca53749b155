//! Rules for the pages of all reports: usage by kind, and costs.

use admin::operation::Operation;
use base::time::SECONDS_PER_DAY;
use serde_json::{Map, Value, json};
use testkit::examples::Examples;
use testkit::{NOW, Server};
use usage::{Dimension, UsageKind};

use super::lists::paged;
use crate::reports::report;

/// Midnight a week before [`NOW`], which is noon.
const START_SECONDS: i64 = NOW.0 - NOW.0 % SECONDS_PER_DAY - 6 * SECONDS_PER_DAY;

/// Returns a page of a report of seven days.
async fn page(server: &Server, operation: &Operation, query: &str) -> Value {
    let path = format!(
        "{}?start_time={START_SECONDS}&end_time={}&{query}",
        operation.path,
        START_SECONDS + 7 * SECONDS_PER_DAY
    );
    let page = server.admin().get(&path).await.ok();
    assert_eq!(page["object"], "page");
    assert_eq!(
        page["has_more"] == json!(true),
        page["next_page"].is_string(),
        "{page}"
    );
    page
}

/// Returns the buckets of a page.
fn buckets(page: &Value) -> Vec<Value> {
    page["data"].as_array().expect("buckets").clone()
}

/// Adds usage of every kind on a day of the report, by the owner.
async fn consume(server: &Server, id: String, day: i64) {
    let events = UsageKind::ALL.iter().map(|kind| {
        let mut event = Map::from_iter([
            ("id".to_owned(), json!(format!("{}{id}", kind.as_str()))),
            (
                "timestamp".to_owned(),
                json!(START_SECONDS + day * SECONDS_PER_DAY),
            ),
            ("type".to_owned(), json!(kind.as_str())),
            ("project_id".to_owned(), json!(server.default_project_id())),
        ]);
        if kind.dimensions().contains(&Dimension::UserId) {
            event.insert("user_id".to_owned(), json!(server.owner_id()));
        }
        for metric in kind.required_metrics() {
            event.insert(metric.as_str().to_owned(), json!(1));
        }
        Value::Object(event)
    });
    let events: Vec<Value> = events.collect();
    let answer = server
        .admin()
        .post("/organization/usage/events", json!(events))
        .await
        .ok();
    assert_eq!(answer["accepted"], UsageKind::ALL.len(), "{answer}");
}

/// Reads a report page by page while usage is added before and after each page.
async fn follow(
    server: &Server,
    operation: &Operation,
    limit: usize,
    meanwhile: bool,
) -> Vec<Value> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = page(server, operation, &format!("limit={limit}{cursor}")).await;
        let found = buckets(&page);
        assert!(found.len() == limit || page["has_more"] == false);
        seen.extend(found);
        let Some(next) = page["next_page"].as_str() else {
            return seen;
        };
        cursor = format!("&page={next}");
        if meanwhile {
            let id = format!("{} {limit} {}", operation.command, seen.len());
            consume(server, format!("{id} early"), 0).await;
            consume(server, format!("{id} late"), 6).await;
        }
    }
}

#[tokio::test]
async fn pages_have_each_bucket_once_and_in_order() {
    let server = Server::start().await;
    for kind in UsageKind::ALL {
        report(&server, *kind).await;
    }
    consume(&server, "by the owner".to_owned(), 6).await;
    let examples = Examples::new(&server);
    for (operation, _) in paged(&examples.document, "page") {
        let whole = buckets(&page(&server, &operation, "").await);
        let starts = |buckets: &[Value]| -> Vec<i64> {
            let starts = buckets.iter().map(|bucket| bucket["start_time"].as_i64());
            starts.map(|start| start.expect("a time")).collect()
        };
        let days: Vec<i64> = (0..7)
            .map(|day| START_SECONDS + day * SECONDS_PER_DAY)
            .collect();
        assert_eq!(starts(&whole), days, "{}", operation.command);
        assert_ne!(whole[6]["results"], json!([]), "{}", operation.command);
        for limit in 1..=3 {
            let seen = follow(&server, &operation, limit, false).await;
            assert_eq!(seen, whole, "{} {limit}", operation.command);
        }
        let seen = follow(&server, &operation, 2, true).await;
        assert_eq!(starts(&seen), days, "{}", operation.command);
        assert_eq!(
            seen[0]["results"], whole[0]["results"],
            "it was read before"
        );
        assert_ne!(seen[6]["results"], whole[6]["results"], "it was read after");
    }
}

#[tokio::test]
async fn limit_and_page_of_reports_are_bounded() {
    let server = Server::start().await;
    let examples = Examples::new(&server);
    for (operation, parameters) in paged(&examples.document, "page") {
        let refused = async |query: String, param: &str| {
            let path = format!("{}?start_time={START_SECONDS}&{query}", operation.path);
            let answer = server.admin().get(&path).await;
            assert_eq!(
                answer.refused(400).1,
                Some(param),
                "{} {query}",
                operation.command
            );
        };
        // A limit beyond the maximum is an error here: a chart would lack its end. The maximum is that of the finest width.
        let most = parameters["limit"]["maximum"].as_i64().expect("a maximum");
        let width = parameters["bucket_width"]["enum"][0].as_str();
        let width = format!("&bucket_width={}", width.expect("a width"));
        page(&server, &operation, &format!("limit={most}{width}")).await;
        refused(format!("limit={}{width}", most + 1), "limit").await;
        let above = (most + 1).to_string();
        for limit in [
            "0",
            "-1",
            "x",
            "1.5",
            "1e9",
            "1000000000",
            "9223372036854775808",
            &above,
        ] {
            refused(format!("limit={limit}"), "limit").await;
        }
        let default = page(&server, &operation, "").await;
        assert_eq!(page(&server, &operation, "limit=&page=").await, default);
        let first = page(&server, &operation, "limit=1").await;
        let cursor = first["next_page"].as_str().expect("a cursor");
        for unknown in [
            "nope",
            "page_",
            "page_nope",
            "%00",
            &"x".repeat(3000),
            &cursor[..cursor.len() - 1],
        ] {
            refused(format!("page={unknown}"), "page").await;
        }
        // A cursor before the start of the query.
        let later = format!(
            "page={cursor}&start_time={}",
            START_SECONDS + 2 * SECONDS_PER_DAY
        );
        refused(later, "page").await;
    }
}
