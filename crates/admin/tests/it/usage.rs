//! Usage of completions, and costs: buckets, groups, filters, pages.

use base::time::SECONDS_PER_DAY;
use serde_json::{Value, json};
use testkit::{NOW, Server, ServerOptions};
use usage::{PriceBook, RetentionPeriods};

const USAGE: &str = "/organization/usage/completions";
const COSTS: &str = "/organization/costs";
/// Midnight before [`NOW`], which is noon.
const START_SECONDS: i64 = NOW.0 - 43_200;

const PRICES: &str = "\
[[price]]
model = 'm1'
effective = '2025-01-01'
input = '1.25'
cached_input = '0.125'
output = '10.00'
";

async fn start() -> Server {
    let prices = PriceBook::parse(PRICES).expect("prices");
    let server = Server::with(ServerOptions {
        prices,
        ..ServerOptions::default()
    })
    .await;
    let second = server
        .admin()
        .post("/organization/projects", json!({"name": "b"}))
        .await
        .ok();
    let (first, second) = (json!(server.default_project_id()), second["id"].clone());
    let event = |id: &str,
                 at: i64,
                 project: &Value,
                 model: &str,
                 input: i64,
                 cached: i64,
                 output: i64,
                 batch: bool| {
        json!({"id": id, "timestamp": at, "type": "completions", "project_id": project, "model": model, "batch": batch,
               "api_key_id": format!("key_{model}"), "input_tokens": input, "input_cached_tokens": cached,
               "output_tokens": output})
    };
    let events = json!([
        event(
            "1",
            START_SECONDS - 2 * SECONDS_PER_DAY,
            &first,
            "m1",
            1000,
            400,
            10,
            false
        ),
        event("2", START_SECONDS - 1, &first, "m2", 2000, 0, 20, false),
        event("3", START_SECONDS, &second, "m1", 300, 100, 30, true),
        event("4", START_SECONDS + 3600, &second, "m2", 4000, 0, 40, false),
        event("5", NOW.0, &first, "m1", 50, 0, 50, false),
    ]);
    assert_eq!(
        server
            .admin()
            .post("/organization/usage/events", events)
            .await
            .ok()["accepted"],
        5
    );
    server
}

fn inputs(page: &Value) -> Vec<Vec<i64>> {
    let buckets = page["data"].as_array().expect("buckets").iter();
    let numbers = |bucket: &Value| {
        let results = bucket["results"].as_array().expect("results").iter();
        results
            .map(|result| result["input_tokens"].as_i64().expect("a number"))
            .collect()
    };
    buckets.map(numbers).collect()
}

#[tokio::test]
async fn a_bucket_contains_the_usage_of_its_period() {
    let server = start().await;
    let path = format!(
        "{USAGE}?start_time={}&end_time={}",
        START_SECONDS - 2 * SECONDS_PER_DAY,
        START_SECONDS + SECONDS_PER_DAY
    );
    let page = server.admin().get(&path).await.ok();
    assert_eq!(
        (&page["object"], &page["has_more"], &page["next_page"]),
        (&json!("page"), &json!(false), &Value::Null)
    );
    assert_eq!(inputs(&page), [vec![1000], vec![2000], vec![4350]]);
    assert_eq!(
        page["data"][2],
        json!({
            "object": "bucket", "start_time": START_SECONDS, "end_time": START_SECONDS + SECONDS_PER_DAY,
            "results": [{
                "object": "organization.usage.completions.result", "input_tokens": 4350, "output_tokens": 120,
                "num_model_requests": 3, "input_cached_tokens": 100, "project_id": null, "user_id": null,
                "api_key_id": null, "model": null, "batch": null, "service_tier": null, "api_source": null,
            }],
        })
    );
}

#[tokio::test]
async fn the_start_is_included_and_the_end_is_not() {
    let server = start().await;
    for (start, end, expected) in [
        (START_SECONDS, START_SECONDS + 3600, vec![vec![300]]),
        (START_SECONDS + 1, START_SECONDS + 3601, vec![vec![4000]]),
        (START_SECONDS - 1, START_SECONDS, vec![vec![2000]]),
        (
            START_SECONDS - 1,
            START_SECONDS + 1,
            vec![vec![2000], vec![300]],
        ),
        (
            START_SECONDS - SECONDS_PER_DAY,
            START_SECONDS - 1,
            vec![vec![]],
        ),
    ] {
        let page = server
            .admin()
            .get(&format!("{USAGE}?start_time={start}&end_time={end}"))
            .await
            .ok();
        assert_eq!(inputs(&page), expected, "{start}..{end}");
    }
    let until_now = server
        .admin()
        .get(&format!("{USAGE}?start_time={START_SECONDS}"))
        .await
        .ok();
    assert_eq!(
        inputs(&until_now),
        [vec![4350]],
        "without an end, now is included"
    );
}

#[tokio::test]
async fn results_are_grouped_and_other_dimensions_are_null() {
    let server = start().await;
    let path = format!("{USAGE}?start_time={START_SECONDS}&group_by[]=model&group_by[]=batch");
    let page = server.admin().get(&path).await.ok();
    let results = page["data"][0]["results"].as_array().expect("results");
    let mut rows: Vec<(Value, Value, Value, Value)> = results
        .iter()
        .map(|r| {
            (
                r["model"].clone(),
                r["batch"].clone(),
                r["input_tokens"].clone(),
                r["project_id"].clone(),
            )
        })
        .collect();
    rows.sort_by_key(|row| row.2.as_i64());
    let expected = [("m1", false, 50), ("m1", true, 300), ("m2", false, 4000)];
    assert_eq!(
        rows,
        expected.map(|(m, b, n)| (json!(m), json!(b), json!(n), Value::Null))
    );
    for encoding in [
        "group_by=model",
        "group_by[0]=model",
        "group_by%5B%5D=model",
        "group_by=model&group_by=model",
    ] {
        let page = server
            .admin()
            .get(&format!("{USAGE}?start_time={START_SECONDS}&{encoding}"))
            .await
            .ok();
        assert_eq!(
            page["data"][0]["results"].as_array().map(Vec::len),
            Some(2),
            "{encoding}"
        );
    }
}

#[tokio::test]
async fn filters_exclude_other_usage() {
    let server = start().await;
    let first = server.default_project_id();
    for (filter, expected) in [
        ("models=m1".to_owned(), 350),
        ("models[]=m1&models[]=m2".to_owned(), 4350),
        (format!("project_ids={first}"), 50),
        (format!("project_ids={first}&models=m2"), 0),
        ("api_key_ids=key_m2".to_owned(), 4000),
        ("user_ids=user-x".to_owned(), 0),
        ("batch=true".to_owned(), 300),
        ("batch=false".to_owned(), 4050),
    ] {
        let page = server
            .admin()
            .get(&format!("{USAGE}?start_time={START_SECONDS}&{filter}"))
            .await
            .ok();
        let sum: i64 = inputs(&page).into_iter().flatten().sum();
        assert_eq!(sum, expected, "{filter}");
    }
}

#[tokio::test]
async fn each_page_continues_after_the_previous_one() {
    let server = start().await;
    let question = format!(
        "start_time={}&end_time={}&bucket_width=1h&limit=24",
        START_SECONDS - 2 * SECONDS_PER_DAY,
        START_SECONDS + SECONDS_PER_DAY
    );
    let (mut page, mut buckets) = (String::new(), Vec::new());
    loop {
        let answer = server
            .admin()
            .get(&format!("{USAGE}?{question}{page}"))
            .await
            .ok();
        buckets.extend(answer["data"].as_array().expect("buckets").clone());
        let Some(next) = answer["next_page"].as_str() else {
            break;
        };
        assert_eq!(answer["has_more"], true);
        page = format!("&page={next}");
    }
    assert_eq!(buckets.len(), 72, "empty ones included");
    assert!(
        buckets
            .windows(2)
            .all(|pair| pair[0]["end_time"] == pair[1]["start_time"])
    );
    let total: i64 = inputs(&json!({"data": buckets}))
        .into_iter()
        .flatten()
        .sum();
    assert_eq!(total, 7350);
    for (query, param) in [
        ("start_time=x", Some("start_time")),
        ("", Some("start_time")),
        ("start_time=1&limit=32", Some("limit")),
        ("start_time=1&bucket_width=2d", Some("bucket_width")),
        ("start_time=1&page=page_zzz", Some("page")),
        ("start_time=1&group_by=color", Some("group_by[0]")),
        ("start_time=2&end_time=1", Some("end_time")),
    ] {
        assert_eq!(
            server
                .admin()
                .get(&format!("{USAGE}?{query}"))
                .await
                .refused(400)
                .1,
            param,
            "{query}"
        );
    }
}

#[tokio::test]
async fn costs_are_price_times_quantity() {
    let server = start().await;
    let path = format!(
        "{COSTS}?start_time={}&end_time={}",
        START_SECONDS - 2 * SECONDS_PER_DAY,
        START_SECONDS + SECONDS_PER_DAY
    );
    let page = server
        .admin()
        .get(&format!("{path}&group_by=line_item"))
        .await
        .ok();
    let line = |bucket: usize, name: &str| {
        let results = page["data"][bucket]["results"].as_array().expect("results");
        let found = results
            .iter()
            .find(|result| result["line_item"] == name)
            .unwrap_or_else(|| panic!("{name}: {results:?}"));
        (
            found["quantity"].as_i64().expect("a quantity"),
            found["amount"]["value"].as_f64().expect("an amount"),
        )
    };
    assert_eq!(line(0, "m1, input_tokens"), (600, 0.000_75));
    assert_eq!(line(0, "m1, input_cached_tokens"), (400, 0.000_05));
    assert_eq!(line(0, "m1, output_tokens"), (10, 0.000_1));
    assert_eq!(line(2, "m1, input_tokens"), (250, 0.000_312_5));
    assert_eq!(
        line(1, "m2, input_tokens"),
        (2000, 0.0),
        "a model without a price costs nothing"
    );
    let total = server.admin().get(&path).await.ok();
    assert_eq!(
        total["data"][0]["results"],
        json!([{"object": "organization.costs.result", "amount": {"value": 0.0009, "currency": "usd"}, "quantity": null,
                "quantity_unit": null, "project_id": null, "line_item": null, "api_key_id": null, "user_id": null, "api_source": null}])
    );
}

#[tokio::test]
async fn costs_are_filtered_and_their_parameters_checked() {
    let server = start().await;
    let path = format!(
        "{COSTS}?start_time={}&end_time={}",
        START_SECONDS - 2 * SECONDS_PER_DAY,
        START_SECONDS + SECONDS_PER_DAY
    );
    let filtered = server
        .admin()
        .get(&format!(
            "{path}&line_items[]=m1%2C%20input_tokens&group_by=project_id"
        ))
        .await
        .ok();
    assert_eq!(
        filtered["data"][0]["results"][0]["amount"]["value"],
        0.000_75
    );
    for (query, param) in [
        ("start_time=1&bucket_width=1h", "bucket_width"),
        ("start_time=1&limit=181", "limit"),
    ] {
        assert_eq!(
            server
                .admin()
                .get(&format!("{COSTS}?{query}"))
                .await
                .refused(400)
                .1,
            Some(param),
            "{query}"
        );
    }
}

#[tokio::test]
async fn an_organization_sees_only_its_own() {
    let server = start().await;
    let page = server
        .stranger()
        .get(&format!(
            "{USAGE}?start_time={}",
            START_SECONDS - 2 * SECONDS_PER_DAY
        ))
        .await
        .ok();
    assert_eq!(inputs(&page), [vec![], vec![], Vec::<i64>::new()]);
    let filter = format!(
        "{USAGE}?start_time={START_SECONDS}&project_ids={}",
        server.default_project_id()
    );
    assert_eq!(
        inputs(&server.stranger().get(&filter).await.ok()),
        [Vec::<i64>::new()]
    );
}

#[tokio::test]
async fn events_older_than_the_ledger_are_refused_one_by_one() {
    let server = Server::with(ServerOptions {
        keep_usage: RetentionPeriods {
            events: Some(62),
            ..RetentionPeriods::default()
        },
        ..ServerOptions::default()
    })
    .await;
    let first = START_SECONDS - 62 * SECONDS_PER_DAY;
    let event = |at: i64| {
        json!({"id": at.to_string(), "timestamp": at, "type": "embeddings", "model": "m",
               "project_id": server.default_project_id(), "input_tokens": 1})
    };
    let events = json!([event(first), event(first - 1), event(NOW.0)]);
    let answer = server
        .admin()
        .post("/organization/usage/events", events)
        .await
        .ok();
    assert_eq!(answer["accepted"], 2);
    let refused = json!([{"index": 1, "id": (first - 1).to_string(),
                          "error": "timestamp is older than the ledger is kept"}]);
    assert_eq!(answer["rejected"], refused);
}
