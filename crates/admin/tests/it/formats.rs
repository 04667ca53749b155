//! Formats of reports: exact JSON, and CSV and Parquet with the same rows.

use base::time::SECONDS_PER_DAY;
use bytes::Bytes;
use http::header;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, RowAccessor};
use serde_json::{Value, json};
use testkit::{Answer, NOW, Server, ServerOptions};
use usage::{PriceBook, UsageKind};

use crate::reports::report;

/// Midnight before [`NOW`], which is noon.
const MIDNIGHT_SECONDS: i64 = NOW.0 - NOW.0 % SECONDS_PER_DAY;
const PRICES: &str = "\
[[price]]
model = 'say \"1, 2\"'
effective = '2025-01-01'
input = '1.25'
output = '10.00'
";

/// Starts a server with usage on three days: of a model whose name needs escaping, none, of one that is a formula.
async fn start() -> Server {
    let prices = PriceBook::parse(PRICES).expect("prices");
    let server = Server::with(ServerOptions {
        prices,
        ..ServerOptions::default()
    })
    .await;
    let event = |id: &str, at: i64, model: &str| {
        json!({"id": id, "timestamp": at, "type": "completions", "project_id": server.default_project_id(),
               "model": model, "batch": true, "input_tokens": 7, "output_tokens": 1, "input_text_tokens": 5})
    };
    let events = json!([
        event("1", MIDNIGHT_SECONDS - 2 * SECONDS_PER_DAY, "say \"1, 2\""),
        event("2", MIDNIGHT_SECONDS, "=cmd|'/c calc'!A1"),
    ]);
    let answer = server
        .admin()
        .post("/organization/usage/events", events)
        .await;
    assert_eq!(answer.ok()["accepted"], 2);
    server
}

async fn get(server: &Server, path: &str) -> Answer {
    let (start, end) = (
        MIDNIGHT_SECONDS - 2 * SECONDS_PER_DAY,
        MIDNIGHT_SECONDS + SECONDS_PER_DAY,
    );
    let path = format!("/organization/{path}start_time={start}&end_time={end}");
    server.admin().get(&path).await
}

async fn text(server: &Server, path: &str) -> String {
    let answer = get(server, path).await;
    assert_eq!(answer.status, 200, "{}", answer.json);
    String::from_utf8(answer.bytes).expect("text")
}

fn header_of<'a>(answer: &'a Answer, name: &str) -> &'a str {
    let value = answer.headers.get(name).map(|value| value.to_str());
    value.expect(name).expect("text")
}

#[tokio::test]
async fn json_has_its_fields_in_their_order() {
    let server = start().await;
    let project = server.default_project_id();
    let bucket = |day: i64, results: &str| {
        let start = MIDNIGHT_SECONDS + day * SECONDS_PER_DAY;
        let end = start + SECONDS_PER_DAY;
        format!(
            "{{\"object\":\"bucket\",\"start_time\":{start},\"end_time\":{end},\"results\":[{results}]}}"
        )
    };
    let result = |model: &str| {
        format!(
            "{{\"object\":\"organization.usage.completions.result\",\"input_tokens\":7,\"output_tokens\":1,\
             \"num_model_requests\":1,\"input_text_tokens\":5,\"project_id\":null,\"user_id\":null,\
             \"api_key_id\":null,\"model\":{model},\"batch\":true,\"service_tier\":null,\"api_source\":null}}"
        )
    };
    let page = format!(
        "{{\"object\":\"page\",\"data\":[{},{},{}],\"has_more\":false,\"next_page\":null}}",
        bucket(-2, &result("\"say \\\"1, 2\\\"\"")),
        bucket(-1, ""),
        bucket(0, &result("\"=cmd|'/c calc'!A1\"")),
    );
    let path = "usage/completions?group_by[]=batch&group_by[]=model&";
    assert_eq!(text(&server, path).await, page);
    let cost = |amount: &str, unit: &str, item: &str, project: &str| {
        format!(
            "{{\"object\":\"organization.costs.result\",\"amount\":{{\"value\":{amount},\"currency\":\"usd\"}},\
             \"quantity\":{unit},\"project_id\":{project},\"line_item\":{item},\"api_key_id\":null,\"user_id\":null,\
             \"api_source\":null}}"
        )
    };
    let none = cost(
        "0.0",
        "null,\"quantity_unit\":null",
        "null",
        &json!(project).to_string(),
    );
    let page = format!(
        "{{\"object\":\"page\",\"data\":[{},{}],\"has_more\":true,\"next_page\":",
        bucket(-2, &none.replace("0.0", "0.00001875")),
        bucket(-1, ""),
    );
    let found = text(&server, "costs?group_by[]=project_id&limit=2&").await;
    assert!(found.starts_with(&page), "{found}");
}

#[tokio::test]
async fn an_organization_without_usage_has_empty_buckets() {
    let server = Server::start().await;
    let found = get(&server, "usage/completions?").await.ok();
    let buckets = found["data"].as_array().expect("buckets");
    assert_eq!(buckets.len(), 3);
    assert!(buckets.iter().all(|bucket| bucket["results"] == json!([])));
    let csv = text(&server, "usage/vector_stores?format=csv&").await;
    assert_eq!(csv, "start_time,end_time,project_id,usage_bytes\r\n");
}

#[tokio::test]
async fn csv_has_a_row_for_each_result_and_no_formula() {
    let server = start().await;
    let path = "usage/completions?group_by[]=model&format=csv&";
    let answer = get(&server, path).await;
    assert_eq!(
        header_of(&answer, "content-type"),
        "text/csv; charset=utf-8"
    );
    assert_eq!(
        header_of(&answer, "content-disposition"),
        "attachment; filename=\"completions-20260113-20260115.csv\""
    );
    assert!(!answer.headers.contains_key("x-next-page"));
    let csv = String::from_utf8(answer.bytes).expect("text");
    let mut lines = csv.split("\r\n");
    let head = "start_time,end_time,project_id,user_id,api_key_id,model,batch,service_tier,api_source,\
                input_tokens,output_tokens,num_model_requests,input_cached_tokens";
    assert!(lines.next().is_some_and(|line| line.starts_with(head)));
    let rows: Vec<&str> = lines.collect();
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(
        rows[0].starts_with(
            "2026-01-13T00:00:00Z,2026-01-14T00:00:00Z,,,,\"say \"\"1, 2\"\"\",,,,7,1,1,,"
        ),
        "{rows:?}"
    );
    assert!(rows[1].contains(",'=cmd|'/c calc'!A1,"), "{rows:?}");
    assert_eq!(rows[2], "", "the last row ends, too");
    let csv = text(&server, "costs?group_by[]=line_item&format=csv&").await;
    let head = "start_time,end_time,project_id,line_item,api_key_id,user_id,api_source,amount,currency,quantity,quantity_unit\r\n";
    assert!(csv.starts_with(head), "{csv}");
    let row = "2026-01-13T00:00:00Z,2026-01-14T00:00:00Z,,\"say \"\"1, 2\"\", input_tokens\",,,,0.00000875,usd,7,tokens\r\n";
    assert!(csv.contains(row), "{csv}");
}

#[tokio::test]
async fn a_table_has_pages_and_its_cursor_is_in_a_header() {
    let server = start().await;
    let path = "usage/completions?format=csv&limit=1&";
    let first = get(&server, path).await;
    let next = header_of(&first, "x-next-page").to_owned();
    let json = get(&server, "usage/completions?limit=1&").await.ok();
    assert_eq!(json["next_page"], next);
    assert_eq!(
        header_of(&first, "content-disposition"),
        "attachment; filename=\"completions-20260113-20260113.csv\""
    );
    let rest = text(
        &server,
        &format!("usage/completions?format=csv&page={next}&"),
    )
    .await;
    assert_eq!(rest.matches("\r\n").count(), 2, "{rest}");
    assert!(rest.contains("\r\n2026-01-15T00:00:00Z,"), "{rest}");
}

#[tokio::test]
async fn an_unknown_format_is_refused_by_name() {
    let server = Server::start().await;
    for path in ["usage/completions?", "costs?"] {
        let answer = get(&server, &format!("{path}format=xlsx&")).await;
        assert_eq!(answer.refused(400).1, Some("format"), "{path}");
    }
}

/// Decodes the rows of a Parquet response into the JSON of the report.
fn rows(answer: Answer) -> Vec<Value> {
    assert_eq!(
        answer.headers[header::CONTENT_TYPE],
        "application/vnd.apache.parquet"
    );
    let file = SerializedFileReader::new(Bytes::from(answer.bytes)).expect("a file");
    let rows = file.get_row_iter(None).expect("rows");
    rows.map(|row| {
        let row = row.expect("a row");
        assert!(row.get_timestamp_millis(0).is_ok(), "a moment");
        let fields = row.get_column_iter().map(|(name, field)| {
            let value = match field {
                Field::Null => Value::Null,
                Field::Bool(value) => json!(value),
                Field::Long(value) => json!(value),
                Field::Str(value) => json!(value),
                Field::TimestampMillis(value) => json!(value / 1000),
                Field::Decimal(value) => {
                    assert_eq!((value.precision(), value.scale()), (38, 9));
                    let bytes = value.data().try_into().expect("16 bytes");
                    json!(i64::try_from(i128::from_be_bytes(bytes)).expect("nano-dollars"))
                }
                other => panic!("{name}: {other:?}"),
            };
            (name.clone(), value)
        });
        Value::Object(fields.collect())
    })
    .collect()
}

#[tokio::test]
async fn parquet_has_what_json_has() {
    let server = Server::start().await;
    for kind in UsageKind::ALL {
        report(&server, *kind).await;
    }
    for kind in UsageKind::ALL {
        let dimensions = kind.dimensions().iter();
        let groups: String = dimensions
            .filter(|by| !matches!(by.as_str(), "source" | "size") || *kind == UsageKind::Images)
            .map(|by| format!("group_by[]={}&", by.as_str()))
            .collect();
        let path = format!("usage/{}?{groups}", kind.as_str());
        let json = get(&server, &path).await.ok();
        let bucket = &json["data"][2];
        let mut expected = bucket["results"].as_array().expect("results").clone();
        assert!(!expected.is_empty(), "{}: {json}", kind.as_str());
        for result in &mut expected {
            let result = result.as_object_mut().expect("an object");
            result.remove("object");
            for name in ["start_time", "end_time"] {
                result.insert(name.to_owned(), bucket[name].clone());
            }
            for metric in kind.optional_metrics() {
                let name = metric.as_str().to_owned();
                result.entry(name).or_insert(Value::Null);
            }
        }
        let found = rows(get(&server, &format!("{path}format=parquet&")).await);
        assert_eq!(json!(found), json!(expected), "{}", kind.as_str());
    }
}

#[tokio::test]
async fn money_in_parquet_is_exact() {
    let server = start().await;
    let answer = get(&server, "costs?group_by[]=line_item&format=parquet&").await;
    let found = rows(answer);
    let amounts: Vec<_> = found.iter().map(|row| row["amount"].as_i64()).collect();
    assert_eq!(amounts[..2], [Some(8_750), Some(10_000)], "{found:?}");
    assert_eq!(found[0]["currency"], "usd");
    assert_eq!(found[0]["quantity"], 7);
    assert_eq!(found[0]["line_item"], "say \"1, 2\", input_tokens");
}
