//! Prices by rows: tiers, batches, lengths of requests, and lifetimes of cache writes. The
//! expected amounts are worked out by hand, in nano-dollars: tokens × dollars per million × 1,000.

use base::money::Factor;
use base::time::SECONDS_PER_DAY;
use base::{NanoDollars, UnixTime};
use usage::{
    ItemName, Metric, PriceBook, Quantities, Reprice, UsageEvent, UsageKind, reprice,
    rows_of_request,
};

use crate::charges::{consumed, shown};
use crate::fixture::{Fixture, START_SECONDS, event};

const BOOK: &str = r#"
    [[price]]
    model = "sol"
    effective = "2026-01-01"
    input = "4"
    cached_input = "0.4"
    cache_write = "5"
    cache_write_12h = "10"
    output = "20"
    batch = "0.5"
    service_tier = { flex = "0.5" }
    [[price.row]]
    above_input_tokens = 272000
    input = "8"
    cached_input = "0.8"
    cache_write = "10"
    cache_write_12h = "20"
    output = "30"
    [[price.row]]
    service_tier = "priority"
    input = "9"
    output = "40"
    [[price.row]]
    tier = "fast"
    above_input_tokens = 272000
    input = "16"
    output = "60"
    [[price.row]]
    batch = true
    above_input_tokens = 272000
    input = "5"
    output = "16"
    [[price.row]]
    endpoint = "embeddings"
    input = "1"
"#;

fn book(text: &str) -> PriceBook {
    PriceBook::parse(text).expect("a price book")
}

/// Returns a request to `sol` with this input, of which some is cached, and 1,000 output tokens.
fn request(input: i64, cached: i64) -> UsageEvent {
    let amounts = [
        (Metric::InputTokens, input),
        (Metric::InputCachedTokens, cached),
        (Metric::OutputTokens, 1_000),
        (Metric::NumModelRequests, 1),
    ];
    consumed(UsageKind::Completions, "sol", &amounts)
}

fn amounts(book: &PriceBook, event: &UsageEvent) -> Vec<(ItemName, i64)> {
    let charges = book.charges(event);
    assert!(!charges.unpriced);
    let amount = |charge: &usage::Charge| (charge.name, charge.amount.0);
    charges.charges.iter().map(amount).collect()
}

fn cost(book: &PriceBook, event: &UsageEvent) -> i64 {
    amounts(book, event).iter().map(|(_, amount)| amount).sum()
}

#[test]
fn a_request_is_charged_by_the_band_of_its_whole_input() {
    use ItemName as I;
    let book = book(BOOK);
    // 272,000 × 4 = 1.088 dollars; 1,000 × 20 = 0.02.
    let expected = [
        (I::InputTokens, 1_088_000_000),
        (I::OutputTokens, 20_000_000),
    ];
    assert_eq!(amounts(&book, &request(272_000, 0)), expected);
    // 272,001 × 8 = 2.176008; 1,000 × 30 = 0.03.
    let expected = [
        (I::InputTokens, 2_176_008_000),
        (I::OutputTokens, 30_000_000),
    ];
    assert_eq!(amounts(&book, &request(272_001, 0)), expected);
    // Cached tokens count for the length: 1 × 8 = 0.000008; 272,000 × 0.8 = 0.2176.
    let expected = [
        (I::InputTokens, 8_000),
        (I::InputCachedTokens, 217_600_000),
        (I::OutputTokens, 30_000_000),
    ];
    assert_eq!(amounts(&book, &request(272_001, 272_000)), expected);
}

#[test]
fn each_cached_and_written_token_is_charged_by_its_lifetime() {
    let amounts = [
        (Metric::InputTokens, 100_000),
        (Metric::InputCachedTokens, 60_000),
        (Metric::InputCacheWriteTokens, 30_000),
        (Metric::InputCacheWrite30mTokens, 10_000),
        (Metric::InputCacheWrite12hTokens, 15_000),
    ];
    let event = consumed(UsageKind::Completions, "sol", &amounts);
    // 10,000 × 4 = 0.04; 60,000 × 0.4 = 0.024; 5,000 of unknown lifetime and 10,000 of 30 minutes × 5 = 0.075;
    // 15,000 × 10 = 0.15.
    assert_eq!(
        shown(&book(BOOK), &event),
        [
            "sol, input_tokens 10000 40000000",
            "sol, input_cached_tokens 60000 24000000",
            "sol, input_cache_write_tokens 15000 75000000",
            "sol, input_cache_write_12h_tokens 15000 150000000",
        ]
    );
    // With a price of its own, 10,000 × 6 = 0.06 are told apart from 5,000 × 5 = 0.025.
    let dearer = BOOK.replacen(
        "cache_write =",
        "cache_write_30m = \"6\"\n    cache_write =",
        1,
    );
    assert_eq!(
        shown(&book(&dearer), &event)[2..],
        [
            "sol, input_cache_write_tokens 5000 25000000",
            "sol, input_cache_write_30m_tokens 10000 60000000",
            "sol, input_cache_write_12h_tokens 15000 150000000",
        ]
    );
}

#[test]
fn a_batch_is_charged_by_the_length_of_each_request() {
    let book = book(BOOK);
    let mut event = request(272_000, 0);
    event.batch = true;
    // (272,000 × 4 + 1,000 × 20) × 0.5 = 0.544 + 0.01.
    assert_eq!(cost(&book, &event), 554_000_000);
    event = request(272_001, 1);
    event.batch = true;
    // The row of long requests in batches has its own prices: 272,000 × 5 = 1.36; 1,000 × 16 = 0.016. The cached token
    // has the price of long requests and the factor of batches: 1 × 0.8 × 0.5 = 0.0000004.
    assert_eq!(cost(&book, &event), 1_360_000_000 + 16_000_000 + 400);
    // Four requests of 100,000 tokens are not one of 400,000: 400,000 × 4 × 0.5 = 0.8.
    let mut several = request(400_000, 0)
        .quantities
        .with(Metric::NumModelRequests, 4);
    event.quantities = several;
    assert_eq!(cost(&book, &event), 800_000_000 + 10_000_000);
    // Unless one of them is known to be long: 400,000 × 5 = 2.
    several.set(Metric::LongestInputTokens, 300_000);
    event.quantities = several;
    assert_eq!(cost(&book, &event), 2_000_000_000 + 16_000_000);
}

#[test]
fn a_request_is_charged_in_the_tier_that_served_it() {
    let book = book(BOOK);
    let cost = |tier: Option<&str>, input| {
        let mut event = request(input, 0);
        event.service_tier = tier.map(str::to_owned);
        cost(&book, &event)
    };
    // 1,000 × 4 + 1,000 × 20 = 0.024.
    for tier in [None, Some("default"), Some("unheard of")] {
        assert_eq!(cost(tier, 1_000), 24_000_000, "{tier:?}");
    }
    // Half of it.
    assert_eq!(cost(Some("flex"), 1_000), 12_000_000);
    // 1,000 × 9 + 1,000 × 40 = 0.049; and 300,000 × 16 + 1,000 × 60 = 4.86.
    for tier in ["priority", "fast"] {
        assert_eq!(cost(Some(tier), 1_000), 49_000_000, "{tier}");
        assert_eq!(cost(Some(tier), 300_000), 4_860_000_000, "{tier}");
    }
    // The factor applies to the row of long requests: (300,000 × 8 + 1,000 × 30) × 0.5 = 1.215.
    assert_eq!(cost(Some("flex"), 300_000), 1_215_000_000);
    let mut embedding = request(1_000, 0);
    embedding.kind = UsageKind::Embeddings;
    embedding.quantities = Quantities::default().with(Metric::InputTokens, 1_000);
    assert_eq!(self::cost(&book, &embedding), 1_000_000);
}

#[test]
fn of_rows_with_equally_many_conditions_the_dearest_applies() {
    let text = r#"
        [[price]]
        model = "sol"
        effective = "2026-01-01"
        input = "1"
        batch = "0.1"
        service_tier = { flex = "2" }
        [[price.row]]
        batch = true
        input = "3"
        [[price.row]]
        service_tier = "flex"
        input = "50"
        [[price.row]]
        above_input_tokens = 10
        input = "7"
        [[price.row]]
        above_input_tokens = 20
        input = "9"
    "#;
    let book = book(text);
    let cost = |tier: Option<&str>, batch, input| {
        let mut event = consumed(
            UsageKind::Completions,
            "sol",
            &[(Metric::InputTokens, input)],
        );
        event.service_tier = tier.map(str::to_owned);
        event.batch = batch;
        cost(&book, &event)
    };
    assert_eq!(cost(None, true, 1), 3_000);
    assert_eq!(cost(Some("flex"), false, 1), 50_000);
    // 3 × 2 for the tier is more than 50 × 0.1 for the batch.
    assert_eq!(cost(Some("flex"), true, 1), 6_000);
    assert_eq!(cost(None, false, 15), 15 * 7_000);
    assert_eq!(cost(None, false, 25), 25 * 9_000);
    // 9 × 0.1 for the batch is less than 3.
    assert_eq!(cost(None, true, 25), 25 * 3_000);
}

#[test]
fn amounts_are_rounded_to_the_billionth_once() {
    let text = "[[price]]\nmodel = \"sol\"\neffective = \"2026-01-01\"\ninput = \"0.0005\"\noutput = \"0.0375\"\n\
                service_tier = { flex = \"0.5\" }";
    let book = book(text);
    let cost = |metric, tokens, tier: Option<&str>, uplift: &str| {
        let mut event = consumed(UsageKind::Completions, "sol", &[(metric, tokens)]);
        event.service_tier = tier.map(str::to_owned);
        let uplift = Factor::parse(uplift).expect("a factor").billionths();
        event.quantities.set(Metric::UpliftBillionths, uplift);
        cost(&book, &event)
    };
    // A token is half a nano-dollar, and halves are rounded to even: 0.5 → 0, 1.5 → 2, 2.5 → 2.
    for (tokens, amount) in [(1, 0), (2, 1), (3, 2), (5, 2)] {
        assert_eq!(
            cost(Metric::InputTokens, tokens, None, "1"),
            amount,
            "{tokens}"
        );
    }
    // 37.5 → 38; half of it 18.75 → 19, not the half of 38 rounded again; with an uplift of 1.1, 20.625 → 21.
    assert_eq!(cost(Metric::OutputTokens, 1, None, "1"), 38);
    assert_eq!(cost(Metric::OutputTokens, 1, Some("flex"), "1"), 19);
    assert_eq!(cost(Metric::OutputTokens, 1, Some("flex"), "1.1"), 21);
}

#[test]
fn a_reported_cost_takes_the_place_of_prices_within_their_bounds() {
    let book = book(BOOK);
    let mut event = request(1_000, 0);
    let mut shown = |nanos| {
        event.quantities.set(Metric::ReportedCost, nanos);
        shown(&book, &event)
    };
    assert_eq!(shown(0), ["sol, reported_cost 1 0"]);
    assert_eq!(shown(23_000_001), ["sol, reported_cost 1 23000001"]);
    // At most as if all input was written to the cache for 12 hours: 1,000 × 10 + 1,000 × 20 = 0.03.
    assert_eq!(shown(30_000_001), ["sol, reported_cost 1 30000000"]);
    event.model = Some("unheard of".to_owned());
    event.quantities.set(Metric::ReportedCost, 5_000_000_000);
    assert_eq!(
        cost(&book, &event),
        5_000_000_000,
        "without a price there is no bound"
    );
}

#[test]
fn what_a_price_comes_from_is_explained() {
    let book = book(BOOK);
    let mut event = request(300_000, 0);
    event.service_tier = Some("flex".to_owned());
    event
        .quantities
        .set(Metric::UpliftBillionths, 1_100_000_000);
    let explained = book.explain(&event);
    let charges: Vec<_> = explained.iter().map(|line| line.charge).collect();
    assert_eq!(charges, book.charges(&event).charges);
    let price = explained[0].price.as_ref().expect("a price");
    assert_eq!(
        (price.model.as_str(), price.row.as_str()),
        ("sol", "above_input_tokens = 272000")
    );
    assert_eq!(price.price, NanoDollars(8_000_000_000));
    assert_eq!(
        (price.factor.to_string(), price.uplift.to_string()),
        ("0.5".into(), "1.1".into())
    );
    // 300,000 × 8 × 0.5 × 1.1 = 1.32.
    assert_eq!(explained[0].charge.amount, NanoDollars(1_320_000_000));
}

#[tokio::test]
async fn a_row_of_the_ledger_has_all_that_decides_on_its_charges() {
    let fixture = Fixture::with(book(BOOK)).await;
    let mut batch = request(600_000, 0);
    batch.id = "batch_1/2".to_owned();
    batch.batch = true;
    batch.quantities.set(Metric::NumModelRequests, 9);
    batch.quantities.set(Metric::LongestInputTokens, 300_000);
    let mut regional = request(1_000, 0);
    regional.id = "req_1".to_owned();
    regional
        .quantities
        .set(Metric::UpliftBillionths, 1_100_000_000);
    let mut reported = request(1_000, 0);
    reported.id = "req_2".to_owned();
    reported.quantities.set(Metric::ReportedCost, 12_345);
    let mut tool = event("req_1-web_search_calls");
    tool.kind = UsageKind::WebSearchCalls;
    tool.quantities = Quantities::default().with(Metric::NumRequests, 1);
    let slot = fixture.recorder.reserve().await.expect("a place");
    let recorded = slot.record_all(vec![batch, regional, reported, tool]);
    recorded.await.expect("durable");
    let amounts: Vec<_> = fixture
        .ledger()
        .await
        .iter()
        .map(|row| row.amount.0)
        .collect();
    // 600,000 × 5 + 1,000 × 16; (1,000 × 4 + 1,000 × 20) × 1.1; as reported; no price.
    assert_eq!(amounts, [3_016_000_000, 26_400_000, 0, 12_345]);
    let what = Reprice {
        organization: None,
        start: UnixTime(START_SECONDS - 7 * SECONDS_PER_DAY),
        end: UnixTime(START_SECONDS + 7 * SECONDS_PER_DAY),
        is_trial: false,
    };
    let run = async |text: &str| {
        let (database, clock) = (fixture.store.usage(), fixture.clock.clone());
        let done = reprice(database, book(text), clock, &what, |_| {}).await;
        done.expect("repriced")
            .by_model
            .into_values()
            .map(|it| it.0)
            .sum::<i64>()
    };
    assert_eq!(run(BOOK).await, 0);
    // Twice the price of long requests in batches, and 1,000 × (8 - 4) × 1.1 more for the other one.
    let dearer = BOOK
        .replace("input = \"5\"", "input = \"10\"")
        .replacen("\"4\"", "\"8\"", 1);
    assert_eq!(run(&dearer).await, 3_000_000_000 + 4_400_000);
    assert_eq!(run(&dearer).await, 0);
    let mut connection = fixture.store.usage().read().await.expect("a connection");
    for (id, ids) in [
        ("req_1", &["req_1", "req_1-web_search_calls"][..]),
        ("batch_1", &["batch_1/2"]),
        ("req_2", &["req_2"]),
        ("req_3", &[]),
    ] {
        let rows = rows_of_request(&mut connection, id).await.expect("rows");
        let found: Vec<_> = rows.iter().map(|row| row.event.id.as_str()).collect();
        assert_eq!(found, ids, "{id}");
    }
}
