//! Rows of the ledger, and usage without a price.

use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use usage::PriceBook;

use crate::events::EVENTS;

const PRICES: &str = "\
[[price]]
model = 'priced'
effective = '2025-01-01'
input = '2.00'
output = '10.00'
";

/// Days of the events, from today back: two of today, one of each of the days before.
const DAYS: [i64; 5] = [0, 0, 1, 2, 40];

async fn start() -> Server {
    let server = Server::with(ServerOptions {
        prices: PriceBook::parse(PRICES).expect("prices"),
        ..ServerOptions::default()
    })
    .await;
    let events = DAYS.iter().enumerate().map(|(index, day)| {
        json!({
            "id": format!("event-{index}"), "timestamp": NOW.0 - day * SECONDS_PER_DAY, "type": "completions",
            "project_id": server.default_project_id(), "user_id": format!("user-{}", index % 2), "api_key_id": "key_1",
            "model": if index == 1 { "unknown" } else { "priced" },
            "input_tokens": 1_000_000, "output_tokens": 100, "num_model_requests": 1,
        })
    });
    let events: Vec<Value> = events.collect();
    let answer = server.admin().post(EVENTS, json!(events)).await.ok();
    assert_eq!(answer["accepted"], DAYS.len(), "{answer}");
    let embedding = json!({
        "id": "embedding", "timestamp": NOW.0 - 60, "type": "embeddings", "project_id": server.default_project_id(),
        "model": "priced", "input_tokens": 5,
    });
    server.admin().post(EVENTS, embedding).await.ok();
    server
}

fn period(days: i64) -> String {
    let start = NOW.0 - days * SECONDS_PER_DAY;
    format!("start_time={start}&end_time={}", NOW.0 + 1)
}

async fn list(server: &Server, query: &str) -> Value {
    server.admin().get(&format!("{EVENTS}?{query}")).await.ok()
}

fn ids(list: &Value) -> Vec<&str> {
    let rows = list["data"].as_array().expect("rows").iter();
    rows.map(|row| row["id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn a_row_has_its_usage_its_charges_and_what_was_not_priced() {
    let server = start().await;
    let rows = list(&server, &period(1)).await;
    assert_eq!(ids(&rows), ["embedding", "event-1", "event-0", "event-2"]);
    let row = &rows["data"][2];
    assert_eq!(
        row["quantities"],
        json!({"input_tokens": 1_000_000, "output_tokens": 100, "num_model_requests": 1})
    );
    assert_eq!(row["amount"], json!({"value": 2.001, "currency": "usd"}));
    let charges = row["charges"].as_array().expect("charges");
    let items: Vec<_> = charges.iter().map(|charge| &charge["item"]).collect();
    assert_eq!(items, ["input_tokens", "output_tokens"]);
    assert_eq!(
        (&row["unpriced"], &row["outcome"]),
        (&json!(false), &json!("reported"))
    );
    let row = &rows["data"][1];
    assert_eq!(
        (&row["unpriced"], &row["amount"]["value"]),
        (&json!(true), &json!(0.0))
    );
}

#[tokio::test]
async fn pages_of_rows_have_each_row_once() {
    let server = start().await;
    let whole = list(&server, &period(50)).await;
    assert_eq!(whole["next_cursor"], Value::Null);
    for size in 1..=3 {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = list(&server, &format!("{}&rows={size}{cursor}", period(50))).await;
            assert!(ids(&page).len() <= size, "{page}");
            seen.extend(ids(&page).into_iter().map(str::to_owned));
            let Some(next) = page["next_cursor"].as_str() else {
                break;
            };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen, ids(&whole), "{size}");
    }
}

#[tokio::test]
async fn filters_restrict_the_rows() {
    let server = start().await;
    let project = server.default_project_id();
    for (query, expected) in [
        ("type=embeddings".to_owned(), &["embedding"][..]),
        ("user_ids=user-1".to_owned(), &["event-1", "event-3"]),
        ("models=unknown".to_owned(), &["event-1"]),
        ("unpriced=true&type=completions".to_owned(), &["event-1"]),
        ("api_key_ids=key_2".to_owned(), &[]),
        (
            format!("project_ids={project}&models=unknown&models=priced&user_ids=user-0"),
            &["event-0", "event-2"],
        ),
    ] {
        let rows = list(&server, &format!("{}&{query}", period(10))).await;
        assert_eq!(ids(&rows), expected, "{query}");
    }
    let path = format!("{EVENTS}?{}", period(10));
    let rows = server.stranger().get(&path).await.ok();
    assert_eq!(rows["data"], json!([]), "of another organization");
    assert_eq!(server.reader().get(&path).await.status, 403);
}

#[tokio::test]
async fn bad_parameters_of_rows_are_named() {
    let server = start().await;
    for (query, param) in [
        ("start_time=-1", "start_time"),
        ("start_time=5&end_time=5", "end_time"),
        ("start_time=5&rows=0", "rows"),
        ("start_time=5&rows=5001", "rows"),
        ("start_time=5&cursor=nope", "cursor"),
        ("start_time=5&cursor=row_AAAA", "cursor"),
        ("start_time=5&type=nope", "type"),
    ] {
        let answer = server.admin().get(&format!("{EVENTS}?{query}")).await;
        assert_eq!(answer.refused(400).1, Some(param), "{query}");
    }
}

#[tokio::test]
async fn rows_come_as_a_table_too() {
    let server = start().await;
    let csv = format!("{EVENTS}?{}&rows=3&format=csv", period(1));
    let answer = server.admin().get(&csv).await;
    let text = String::from_utf8(answer.bytes.clone()).expect("text");
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(
        text.lines()
            .nth(1)
            .is_some_and(|row| row.starts_with("embedding,")),
        "{text}"
    );
    assert!(answer.headers.contains_key("x-next-cursor"));
    let parquet = format!("{EVENTS}?{}&format=parquet", period(1));
    let answer = server.admin().get(&parquet).await;
    assert!(answer.bytes.starts_with(b"PAR1"));
}

#[tokio::test]
async fn usage_without_a_price_is_reported_by_model() {
    let server = start().await;
    let path = "/organization/usage/unpriced";
    let found = server
        .admin()
        .get(&format!("{path}?{}", period(10)))
        .await
        .ok();
    let midnight = NOW.0 - NOW.0 % SECONDS_PER_DAY;
    assert_eq!(
        found["data"],
        json!([{
            "type": "completions", "model": "unknown", "requests": 1, "last_day": midnight,
            "items": [{"item": "input_tokens", "quantity": 1_000_000}, {"item": "output_tokens", "quantity": 100}],
        }])
    );
    for (query, param) in [
        ("start_time=-1", "start_time"),
        ("start_time=0", "end_time"),
    ] {
        let answer = server.admin().get(&format!("{path}?{query}")).await;
        assert_eq!(answer.refused(400).1, Some(param), "{query}");
    }
}
