//! Prices of requests: by the tier that served them, lengths and lifetimes, uplifts, costs that upstreams report, and models
//! without a price. The model `banded` costs 4 dollars per million input tokens, 8 above 272,000 of them, and 20 or 30 per
//! million output tokens.

mod speech;
mod tools;

use base::money::Factor;
use gateway::{Durability, UnpricedModels, UpstreamBilling, UpstreamConfig};
use http::Method;
use serde_json::{Value, json};
use usage::{ItemName, LedgerEntry, Metric, PriceBook, UsageKind};

use crate::upstream::Reply;
use crate::world::{Bounds, World, config, request};

/// The requests of these tests, which bound what they consume.
const REQUEST: &str =
    r#"{"model":"banded","input":"text","max_output_tokens":1000,"service_tier":"priority"}"#;

fn models(url: String, billing: UpstreamBilling) -> Vec<UpstreamConfig> {
    let models = ["real", "banded", "free"].map(str::to_owned).to_vec();
    vec![UpstreamConfig {
        models,
        billing,
        ..config("local", url)
    }]
}

/// Returns bounds with these prices.
fn bounds(book: &str) -> Bounds {
    Bounds {
        prices: PriceBook::parse(book).expect("prices"),
        ..Bounds::default()
    }
}

async fn world(billing: UpstreamBilling) -> World {
    let reply = Reply::whole(200, "{}");
    World::with(reply, Durability::Batched, |url| models(url, billing)).await
}

/// Makes the upstream answer with this tier and usage, sends a request, and returns its row of the ledger.
async fn served(world: &World, tier: &str, usage: Value) -> LedgerEntry {
    let answer = json!({"status": "completed", "service_tier": tier, "output": [], "usage": usage});
    world
        .upstream
        .replies(Reply::whole(200, &answer.to_string()));
    let before = world.entries().await;
    let request = request(Method::POST, "/v1/responses", world.service(), REQUEST);
    let answer = world.send(request).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    world.rows(before.len() + 1).await;
    let mut entries = world.entries().await;
    entries.retain(|entry| !before.contains(entry));
    entries.remove(0)
}

/// Returns the charges of the row of a request, as [`served`].
async fn charged(world: &World, tier: &str, usage: Value) -> Vec<(ItemName, i64, i64)> {
    charges(&served(world, tier, usage).await)
}

fn charges(row: &LedgerEntry) -> Vec<(ItemName, i64, i64)> {
    let charges = row.charges.iter();
    charges
        .map(|it| (it.name, it.quantity, it.amount.0))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn request_for_priority_that_was_served_as_default_costs_what_default_costs() {
    use ItemName as I;
    let world = world(UpstreamBilling::default()).await;
    let usage = || json!({"input_tokens": 1_000, "output_tokens": 100});
    // 1,000 × 4 = 0.004 dollars and 100 × 20 = 0.002.
    let default = [
        (I::InputTokens, 1_000, 4_000_000),
        (I::OutputTokens, 100, 2_000_000),
    ];
    assert_eq!(charged(&world, "default", usage()).await, default);
    // The factor of the tier is 2.
    let priority = [
        (I::InputTokens, 1_000, 8_000_000),
        (I::OutputTokens, 100, 4_000_000),
    ];
    for tier in ["priority", "fast"] {
        assert_eq!(charged(&world, tier, usage()).await, priority, "{tier}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lengths_and_lifetimes_of_cache_writes_are_charged_as_the_upstream_reports_them() {
    use ItemName as I;
    let world = world(UpstreamBilling::default()).await;
    let usage = |input: i64, details: Value| json!({"input_tokens": input, "output_tokens": 0, "input_tokens_details": details});
    let at = charged(&world, "default", usage(272_000, json!({}))).await;
    // 272,000 × 4.
    assert_eq!(at, [(I::InputTokens, 272_000, 1_088_000_000)]);
    let above = charged(&world, "default", usage(272_001, json!({}))).await;
    // 272,001 × 8.
    assert_eq!(above, [(I::InputTokens, 272_001, 2_176_008_000)]);
    let details = json!({"cached_tokens": 60_000, "cache_write_tokens": 30_000,
        "cache_write_tokens_details": {"ttl_30m_tokens": 10_000, "ttl_12h_tokens": 20_000}});
    let row = served(&world, "default", usage(100_000, details)).await;
    // 10,000 × 4, 60,000 × 0.4, 10,000 × 5 and 20,000 × 10.
    assert_eq!(
        charges(&row),
        [
            (I::InputTokens, 10_000, 40_000_000),
            (I::InputCachedTokens, 60_000, 24_000_000),
            (I::InputCacheWriteTokens, 10_000, 50_000_000),
            (I::InputCacheWrite12hTokens, 20_000, 200_000_000),
        ]
    );
    for (metric, amount) in [
        (Metric::InputCacheWriteTokens, 30_000),
        (Metric::InputCacheWrite30mTokens, 10_000),
        (Metric::InputCacheWrite12hTokens, 20_000),
        (Metric::InputUncachedTokens, 10_000),
    ] {
        assert_eq!(row.event.quantities.get(metric), Some(amount), "{metric:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn uplift_of_the_upstream_that_served_is_charged_and_reserved() {
    let uplift = Factor::parse("1.1").expect("a factor");
    let world = world(UpstreamBilling {
        uplift,
        reports_cost: false,
    })
    .await;
    let usage = json!({"input_tokens": 1_000, "output_tokens": 100});
    let row = served(&world, "default", usage).await;
    // (1,000 × 4 + 100 × 20) × 1.1.
    assert_eq!(row.amount.0, 6_600_000);
    let uplift = row.event.quantities.get(Metric::UpliftBillionths);
    assert_eq!(uplift, Some(1_100_000_000));
    // 10 output tokens of `real` cost a cent, its input of 2 tokens and the uplift come on top.
    world.limit_spend(Some(2)).await;
    let asks = |tokens: i64| format!(r#"{{"model":"real","max_tokens":{tokens},"messages":[]}}"#);
    let refused = world.chat(&asks(17)).await;
    // 19 × 1.1 = 20.9 tenths of a cent.
    assert_eq!(refused.status, 429);
    assert!(
        refused.body.contains("may cost up to $0.0209."),
        "{}",
        refused.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reported_cost_counts_only_where_the_upstream_is_configured_to_report_it() {
    let usage = |cost: &str| {
        let text = format!(r#"{{"input_tokens":1000,"output_tokens":100,"cost":{cost}}}"#);
        serde_json::from_str::<Value>(&text).expect("JSON")
    };
    let world = world(UpstreamBilling::default()).await;
    let charges = charged(&world, "default", usage("0.000000001")).await;
    assert_eq!(charges.len(), 2, "the prices apply: {charges:?}");
    let reporting = UpstreamBilling {
        reports_cost: true,
        ..UpstreamBilling::default()
    };
    let world = self::world(reporting).await;
    let reported = ItemName::ReportedCost;
    for (cost, amount) in [
        ("0.005000001", 5_000_001),
        ("0", 0),
        // At most as if all input was written to the cache for 12 hours: 1,000 × 10 + 100 × 20.
        ("0.5", 12_000_000),
    ] {
        let charges = charged(&world, "default", usage(cost)).await;
        assert_eq!(charges, [(reported, 1, amount)], "{cost}");
    }
    let charges = charged(&world, "default", usage("-1")).await;
    assert_eq!(charges.len(), 2, "a negative cost is none: {charges:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn model_without_a_price_is_refused_under_a_spend_limit_and_served_without_one() {
    let reply = Reply::whole(200, crate::upstream::COMPLETION);
    let bounds = Bounds {
        unpriced: UnpricedModels::Refuse,
        ..Bounds::default()
    };
    let upstreams = |url| models(url, UpstreamBilling::default());
    let world = World::bounded(reply, upstreams, bounds).await;
    let free = r#"{"model":"free","messages":[],"max_tokens":5}"#;
    assert_eq!(world.chat(free).await.status, 200);
    for (whole, part) in [(Some(100), None), (None, Some(100))] {
        world.limit_spend(whole).await;
        world.limit_project_spend(part).await;
        let answer = world.chat(free).await;
        assert_eq!(answer.status, 403);
        let [message, _, param, code] = answer.error();
        let message = message.as_str().expect("a message");
        assert!(
            message.contains("'free'") && message.contains("unpriced = \"allow\""),
            "{message}"
        );
        assert_eq!((param, code), (json!("model"), json!("model_not_priced")));
        let priced = r#"{"model":"real","messages":[],"max_tokens":5}"#;
        assert_eq!(world.chat(priced).await.status, 200);
    }
    world.limit_project_spend(None).await;
    assert_eq!(world.chat(free).await.status, 200);
}
