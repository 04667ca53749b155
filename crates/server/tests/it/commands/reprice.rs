//! `orgplane usage reprice`: what was consumed without a price is charged later.

use serde_json::json;

use crate::installation::Installation;
use crate::reports;

const BOOK: &str = "[[price]]\nmodel = \"m\"\neffective = \"2020-01-01\"\ninput = \"2\"\n";

#[tokio::test]
async fn what_had_no_price_is_charged_later() {
    let installation = Installation::new("prices = \"book.toml\"\n");
    let book = installation.directory().join("book.toml");
    std::fs::write(&book, "").expect("written");
    let (server, admin) = installation.first_serve();
    let now = reports::now();
    let project = admin.get("/organization/projects").await["data"][0]["id"].clone();
    let event = json!([{"id": "1", "timestamp": now, "type": "completions", "project_id": project, "model": "m",
        "input_tokens": 1_000_000, "output_tokens": 0}]);
    let answer = admin.post("/organization/usage/events", &event).await;
    assert_eq!(answer["accepted"], 1);

    std::fs::write(&book, BOOK).expect("written");
    let (from, to) = (now.to_string(), (now + 1).to_string());
    let words = ["usage", "reprice", "--from", &from, "--to", &to];
    let trial = installation.run(&[&words[..], &["--dry-run"]].concat());
    assert_eq!(trial.code, Some(0), "{trial:?}");
    let text = trial.stdout;
    assert!(
        text.contains("m\n") && text.contains("1 new rows would correct 1 rows"),
        "{text}"
    );
    // The server is running: its costs follow at once.
    let done = installation.run(&words);
    assert_eq!(done.code, Some(0), "{done:?}");
    let costs = admin
        .get(&format!("/organization/costs?start_time={}", now - 86_400))
        .await;
    let buckets = costs["data"].as_array().expect("buckets").iter();
    let amounts = buckets.flat_map(|bucket| bucket["results"].as_array().expect("results"));
    let amounts: Vec<_> = amounts
        .map(|result| result["amount"]["value"].clone())
        .collect();
    assert_eq!(amounts, [json!(2.0)]);
    let again = installation.run(&words);
    let text = again.stdout;
    assert!(text.contains("2 rows cost what the prices say"), "{text}");
    server.stop();
}

#[test]
fn the_range_must_be_one() {
    let installation = Installation::new("");
    let words = [
        "usage",
        "reprice",
        "--from",
        "2026-01-02",
        "--to",
        "2026-01-01",
    ];
    let refused = installation.run(&words);
    assert_eq!(refused.code, Some(1));
    let text = refused.stderr;
    assert!(text.contains("--to must be after --from"), "{text}");
}
