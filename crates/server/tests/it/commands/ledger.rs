//! Commands for the ledger: `orgplane usage correct`, and rows that are set aside.

use serde_json::{Value, json};
use store::{Store, sql};

use crate::installation::Installation;

const EVENTS: &str = "/organization/usage/events";

/// The seconds since 1970.
fn now() -> i64 {
    base::Clock::system().now().0
}

#[tokio::test]
async fn s3_a_reported_event_is_corrected_beside_a_running_server() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let projects = admin.get("/organization/projects").await;
    let project = projects["data"][0]["id"].clone();
    let event = |id: &str, tokens: i64| {
        json!({"id": id, "timestamp": now() - 60, "type": "completions", "project_id": project, "model": "gpt-4o",
               "input_tokens": tokens, "output_tokens": 0})
    };
    let events = json!([event("right", 1_000_000), event("wrong", 999_000_000)]);
    let answer = admin.post(EVENTS, &events).await;
    assert_eq!(answer["accepted"], 2, "{answer}");

    let correct = |words: &[&str]| installation.run(&[&["usage", "correct"], words].concat());
    let ended = correct(&["--event", "wrong"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(
        ended.stdout.contains("counts no more: $2497.50"),
        "{ended:?}"
    );
    let ended = correct(&["--event", "wrong"]);
    assert!(ended.stdout.contains("corrected before"), "{ended:?}");
    let ended = correct(&["--event", "nothing"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");

    let start = now() - 86_400 * 2;
    let costs = format!("/organization/costs?start_time={start}");
    let costs = admin.get(&costs).await;
    let amounts = costs["data"]
        .as_array()
        .expect("buckets")
        .iter()
        .flat_map(|bucket| bucket["results"].as_array().expect("results").clone())
        .filter_map(|result| result["amount"]["value"].as_f64())
        .sum::<f64>();
    assert!((amounts - 2.5).abs() < 1e-9, "{amounts}");
    let again = admin
        .post(EVENTS, &json!([event("wrong", 999_000_000)]))
        .await;
    assert_eq!(again["duplicates"], 1, "{again}");
    let ended = installation.run(&["usage", "verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let exported = installation.run(&["usage", "export"]);
    let lines = exported.stdout.lines();
    let outcomes = lines.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let outcomes: Vec<Value> = outcomes.map(|line| line["outcome"].clone()).collect();
    assert_eq!(outcomes, ["reported", "reported", "corrected"]);
    server.stop();
}

#[tokio::test]
async fn s2_rows_that_are_set_aside_are_named_by_verify_and_taken_in_at_the_start() {
    let installation = Installation::new("");
    let (server, admin) = installation.first_serve();
    let organization = admin.get("/organization/projects").await;
    assert_eq!(organization["object"], "list");
    server.stop();
    let store = Store::open(&installation.database_url()).await;
    let store = store.expect("the database");
    let event = json!({
        "id": "req_aside", "timestamp": now(), "organization_id": "org-x", "type": "completions",
        "project_id": "proj_x", "batch": false, "quantities": [["input_tokens", 7]], "estimated": false,
        "outcome": "succeeded"
    });
    let insert = sql!(
        "INSERT INTO usage_set_aside (set_aside_at, reason, event) VALUES ($1, $2, $3)",
        now(),
        "because",
        event.to_string().into_bytes()
    );
    let mut transaction = store.usage().begin().await.expect("a transaction");
    transaction.execute(insert).await.expect("inserted");
    transaction.commit().await.expect("committed");
    let ended = installation.run(&["usage", "verify"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let named = "org-x: event 'req_aside' is set aside: because\n";
    assert!(ended.stdout.contains(named), "{ended:?}");

    let server = installation.serve();
    server.stop();
    let ended = installation.run(&["usage", "verify"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(": 1 rows, 1 days"), "{ended:?}");
}
