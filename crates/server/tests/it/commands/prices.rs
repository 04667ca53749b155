//! `orgplane prices check`: what was consumed without a price, and which prices change. `orgplane prices explain`: what a charge
//! comes from.

use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};

use crate::api::Api;
use crate::installation::{Installation, Server};
use crate::reports;

/// The day, so many from now, as a price book has it.
fn day(from_now: i64) -> String {
    let moment = jiff::Timestamp::from_second(reports::now() + from_now * SECONDS_PER_DAY)
        .expect("a moment");
    moment.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
}

/// An installation with a running server and a price book that has no prices but these.
fn with_prices(prices: &[(&str, i64, &str)]) -> (Installation, Server, Api) {
    let entry = |(model, from_now, keys): &(&str, i64, &str)| {
        let effective = day(*from_now);
        format!("[[price]]\nmodel = \"{model}\"\neffective = \"{effective}\"\n{keys}\n")
    };
    let entries: String = prices.iter().map(entry).collect();
    let installation = Installation::new("prices = \"book.toml\"\n");
    std::fs::write(installation.directory().join("book.toml"), entries).expect("written");
    let (server, admin) = installation.first_serve();
    (installation, server, admin)
}

/// Reports usage of `model` some days ago: tokens, or images of a size.
fn event(id: &str, days: i64, model: &str, size: Option<&str>) -> Value {
    let mut event =
        json!({"id": id, "timestamp": reports::now() - days * SECONDS_PER_DAY, "model": model});
    let consumed = match size {
        Some(size) => json!({"type": "images", "size": size, "images": 2}),
        None => json!({"type": "completions", "input_tokens": 100, "output_tokens": 7}),
    };
    for (name, value) in consumed.as_object().expect("an object") {
        event[name] = value.clone();
    }
    event
}

async fn consume(admin: &Api, mut events: Vec<Value>) {
    let project = admin.get("/organization/projects").await["data"][0]["id"].clone();
    for event in &mut events {
        event["project_id"] = project.clone();
    }
    let answer = admin
        .post("/organization/usage/events", &json!(events))
        .await;
    assert_eq!(answer["rejected"], json!([]));
}

#[tokio::test]
async fn prices_that_change_are_shown() {
    let (installation, server, admin) = with_prices(&[
        ("m", -400, "input = \"1\"\noutput = \"2\""),
        ("m", -10, "input = \"0.5\"\noutput = \"2\""),
        ("m", 5, "input = \"0.5\"\noutput = \"2\"\nbatch = \"0.5\""),
        ("new", 3, "input = \"1\""),
        ("far", 40, "input = \"1\""),
    ]);
    consume(
        &admin,
        vec![event("1", 3, "m", None), event("2", 200, "nobody's", None)],
    )
    .await;
    let ended = installation.run(&["prices", "check"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let expected = [
        format!("changed on {}: m: input $1.00 → $0.50", day(-10)),
        format!("changes on {}: new: input $1.00", day(3)),
        format!("changes on {}: m: batch none → 0.5", day(5)),
        "Everything that was consumed in the last 30 days has a price.".to_owned(),
    ];
    assert_eq!(ended.stdout.lines().collect::<Vec<_>>(), expected);
    let ended = installation.run(&["prices", "check", "--days", "0"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    server.stop();
}

#[tokio::test]
async fn what_has_no_price_is_named() {
    let (installation, server, admin) = with_prices(&[
        // Not yet when it was used.
        ("late", -15, "input = \"1\"\noutput = \"2\""),
        ("pictures", -400, "image = { small = \"0.04\" }"),
    ]);
    let events = vec![
        event("1", 1, "late", None),
        event("2", 20, "late", None),
        event("3", 3, "new", None),
        event("4", 2, "new", None),
        event("5", 1, "pictures", Some("small")),
        event("6", 1, "pictures", Some("large")),
    ];
    consume(&admin, events).await;
    let ended = installation.run(&["prices", "check", "--days", "25"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let lines = ended.stdout.lines().filter_map(|line| {
        let (_, said) = line.strip_prefix("no price: org-")?.split_once(' ')?;
        Some(said.to_owned())
    });
    let expected = [
        format!(
            "completions, late: 1 request, 100 input_tokens, 7 output_tokens, the last on {}",
            day(-20)
        ),
        format!(
            "completions, new: 2 requests, 200 input_tokens, 14 output_tokens, the last on {}",
            day(-2)
        ),
        format!(
            "images, pictures: 1 request, 2 images, the last on {}",
            day(-1)
        ),
    ];
    assert_eq!(lines.collect::<Vec<_>>(), expected, "{ended:?}");
    let reason =
        "orgplane: what was consumed in the last 25 days and has no price is charged as 0\n";
    assert!(ended.stderr.ends_with(reason), "{ended:?}");
    server.stop();
}

#[tokio::test]
async fn charges_of_tools_are_explained_by_their_variants() {
    let searches = "web_search = { low = \"10\", medium = \"25\", high = \"35\" }";
    let (installation, server, admin) = with_prices(&[("m", -400, searches)]);
    let timestamp = reports::now() - SECONDS_PER_DAY;
    let search = json!({"id": "1", "timestamp": timestamp, "type": "web_search_calls", "model": "m",
        "context_level": "high", "num_requests": 4, "num_model_requests": 1});
    consume(&admin, vec![search]).await;
    let ended = installation.run(&["prices", "explain", "1"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    let words = "web_search_calls, m, high, reported";
    assert!(lines[0].ends_with(words), "{lines:?}");
    // 4 × 35 thousandths of a dollar.
    let from = day(-400);
    let price = format!("at $35.00 per 1,000 calls (m from {from}, web_search.high): $0.14");
    assert_eq!(lines[1], format!("  4 web_search_calls {price}"));
    server.stop();
}

#[tokio::test]
async fn charges_of_a_request_are_explained() {
    let row = "[[price.row]]\nabove_input_tokens = 50\ninput = \"4\"";
    let keys = format!("input = \"1\"\noutput = \"2\"\nservice_tier = {{ flex = \"0.5\" }}\n{row}");
    let (installation, server, admin) = with_prices(&[("m", -400, &keys)]);
    let mut flex = event("1", 1, "m", None);
    flex["service_tier"] = json!("flex");
    consume(&admin, vec![flex, event("2", 1, "nobody's", None)]).await;
    let explain = |id: &str| {
        let ended = installation.run(&["prices", "explain", id]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        let lines = ended.stdout.lines().map(str::to_owned);
        lines.collect::<Vec<_>>()
    };
    // 100 × 4 × 0.5 and 7 × 2 × 0.5 millionths of a dollar.
    let from = day(-400);
    let expected = [
        format!(
            "  100 input_tokens at $4.00 per 1,000,000 tokens × 0.5 (m from {from}, row above_input_tokens = 50): $0.0002"
        ),
        format!("  7 output_tokens at $2.00 per 1,000,000 tokens × 0.5 (m from {from}): $0.000007"),
        "  sum: $0.000207".to_owned(),
    ];
    let lines = explain("1");
    let title = &lines[0];
    assert!(title.starts_with("1 of org-"), "{title}");
    assert!(
        title.ends_with("Z: completions, m, flex, reported"),
        "{title}"
    );
    assert_eq!(lines[1..], expected);
    let unpriced = "  100 input_tokens have no price for nobody's: $0.00";
    assert_eq!(explain("2")[1], unpriced);
    let book = format!(
        "[[price]]\nmodel = \"m\"\neffective = \"{from}\"\ninput = \"1\"\noutput = \"2\"\n"
    );
    std::fs::write(installation.directory().join("book.toml"), book).expect("written");
    let lines = explain("1");
    assert_eq!(lines[3], "  sum: $0.000114");
    assert!(
        lines[4].contains("written at other prices, and has $0.000207"),
        "{lines:?}"
    );
    assert_eq!(
        lines[5..],
        [
            "    100 input_tokens: $0.0002",
            "    7 output_tokens: $0.000007"
        ]
    );
    let ended = installation.run(&["prices", "explain", "req_unknown"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("no row of the ledger has the id 'req_unknown'"),
        "{ended:?}"
    );
    server.stop();
}
