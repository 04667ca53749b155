//! Usage, costs and the audit log in a browser.

use base::NanoDollars;
use serde_json::{Value, json};
use testkit::NOW;

use super::site::Site;

/// Returns the sum of a number in the results of a report.
fn sum(report: &Value, number: &str) -> f64 {
    let buckets = report["data"].as_array().expect("buckets").iter();
    let results = buckets.flat_map(|bucket| bucket["results"].as_array().expect("results"));
    results
        .map(|result| {
            result
                .pointer(number)
                .and_then(Value::as_f64)
                .unwrap_or(0.0)
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_show_the_figures_of_the_ledger_as_chart_table_rows_and_file() {
    let site = Site::start().await;
    let midnight = NOW.0 - NOW.0 % 86_400;
    let week = format!(
        "start_time={}&end_time={}",
        midnight - 6 * 86_400,
        midnight + 86_400
    );
    let usage = site
        .admin()
        .get(&format!("/organization/usage/completions?{week}"))
        .await
        .ok();
    let month = format!(
        "start_time={}&end_time={}&limit=31",
        midnight - 29 * 86_400,
        midnight + 86_400
    );
    let costs = site
        .admin()
        .get(&format!("/organization/costs?{month}"))
        .await
        .ok();
    let dollars = (sum(&costs, "/amount/value") * 1e9).round();
    #[expect(clippy::cast_possible_truncation, reason = "a few dollars")]
    let dollars = pages::number::money(NanoDollars(dollars as i64));
    let owner = site.owner().await;
    let expected = json!({
        "models": ["gpt-5", "gpt-5-mini", "house-model"],
        "requests": format!("{}", sum(&usage, "/num_model_requests")),
        "dollars": dollars,
    });
    site.run("reports", &owner, expected).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_log_says_who_changed_what_and_proves_it() {
    let site = Site::start().await;
    let owner = site.owner().await;
    let expected = json!({"project": "Search", "renamed": "Search and answers"});
    site.run("audit_log", &owner, expected).await;
}
