//! The prices and facts that ship: every model of the public map, and some amounts worked out by hand.

use base::{NanoDollars, UnixTime};
use usage::{ItemName, Metric, ModelFacts, PriceBook, UsageEvent, UsageKind};

use crate::charges::consumed;

/// 2026-12-01, after the newest entries.
const DECEMBER: UnixTime = UnixTime(1_796_083_200);

/// The models of the public map, each with what it sells: `tokens`, `input` without output, `second` or `character`; and
/// `unknown` where the map has no limits of its tokens.
const MODELS: &str = include_str!("built_in_models.txt");

fn models() -> impl Iterator<Item = (&'static str, &'static str)> {
    let lines = MODELS.lines();
    lines.map(|line| line.split_once(' ').expect("a model and what it sells"))
}

/// Returns the cost of a request in nano-dollars.
fn cost(
    model: &str,
    kind: UsageKind,
    amounts: &[(Metric, i64)],
    set: impl Fn(&mut UsageEvent),
) -> i64 {
    let mut event = consumed(kind, model, amounts);
    event.timestamp = DECEMBER;
    set(&mut event);
    let charges = PriceBook::built_in().charges(&event);
    assert!(!charges.unpriced, "{model}: {charges:?}");
    let sum: NanoDollars = charges.charges.iter().map(|charge| charge.amount).sum();
    sum.0
}

#[test]
fn every_model_of_the_public_map_has_prices_of_what_it_sells() {
    let book = PriceBook::built_in();
    let mut checked = 0;
    for (model, sells) in models() {
        let metrics: &[Metric] = match sells {
            "input" => &[Metric::InputTokens],
            "second" => &[Metric::Seconds],
            "character" => &[Metric::Characters],
            _ => &[Metric::InputTokens, Metric::OutputTokens],
        };
        for metric in metrics {
            // Moderation has a price, which is 0.
            let is_free = model.starts_with("omni-moderation");
            let is_sold = book.sells(model, DECEMBER, *metric);
            assert!(is_sold != is_free, "{model} {metric:?}");
        }
        assert!(book.list_prices(model, DECEMBER).is_some(), "{model}");
        checked += 1;
    }
    assert_eq!(checked, 177);
}

#[test]
fn every_model_of_the_public_map_has_the_limits_that_the_map_knows() {
    let facts = ModelFacts::with(Vec::new());
    for (model, sells) in models() {
        let window = facts.of(model).and_then(|fact| fact.context_window);
        let output = facts.of(model).and_then(|fact| fact.max_output_tokens);
        match sells {
            "tokens" => {
                assert!(window.is_some() && output.is_some(), "{model}");
                assert!(output <= window, "{model} writes more than its window");
            }
            "input" => assert!(window.is_some(), "{model}"),
            _ => {}
        }
    }
}

#[test]
fn a_model_that_the_public_map_does_not_have_has_no_price() {
    let book = PriceBook::built_in();
    for model in [
        "gpt-6.2",
        "gpt-6.2-sol",
        "gpt-6.1",
        "gpt-5.4-2026",
        "ft:gpt-5.4:acme::1",
        "gpt-6-sol-x",
    ] {
        assert_eq!(book.list_prices(model, DECEMBER), None, "{model}");
    }
}

#[test]
fn a_long_request_of_a_batch_is_charged_as_the_map_says() {
    let amounts = [
        (Metric::InputTokens, 300_000),
        (Metric::InputCachedTokens, 100_000),
        (Metric::OutputTokens, 1_000),
    ];
    let batch = |event: &mut UsageEvent| event.batch = true;
    // gpt-5.4, long, batch: 200,000 × 2.50 + 100,000 × 0.25 + 1,000 × 11.25 dollars per million.
    let dear = cost("gpt-5.4", UsageKind::Completions, &amounts, batch);
    assert_eq!(dear, 500_000_000 + 25_000_000 + 11_250_000);
    // Short: 100,000 × 1.25 + 100,000 × 0.13, which is no half of 0.25, + 1,000 × 7.50.
    let short = [(Metric::InputTokens, 200_000), amounts[1], amounts[2]];
    let cheap = cost("gpt-5.4-2026-03-05", UsageKind::Completions, &short, batch);
    assert_eq!(cheap, 125_000_000 + 13_000_000 + 7_500_000);
}

#[test]
fn tiers_are_charged_as_the_map_says() {
    let amounts = [
        (Metric::InputTokens, 1_000_000),
        (Metric::OutputTokens, 1_000),
    ];
    for (model, tier, expected) in [
        // A long request, ultrafast: 24.00 and 90.00 dollars per million.
        ("gpt-6.1-sol", "ultrafast", 24_000_000_000 + 90_000_000),
        // A long request, flex: 2.50 and 11.25.
        ("gpt-5.4", "flex", 2_500_000_000 + 11_250_000),
        // 0.25 and 1.00, which are no factor of 0.15 and 0.60.
        ("gpt-4o-mini", "priority", 250_000_000 + 1_000_000),
        // A tier that the model does not have.
        ("gpt-4o-mini", "flex", 150_000_000 + 600_000),
    ] {
        let in_tier = |event: &mut UsageEvent| event.service_tier = Some(tier.to_owned());
        let cost = cost(model, UsageKind::Completions, &amounts, in_tier);
        assert_eq!(cost, expected, "{model} {tier}");
    }
}

#[test]
fn decisions_of_any_length_have_no_price_for_their_answer() {
    let decisions = UsageKind::parse("decisions").expect("a report");
    let amounts = |input| [(Metric::InputTokens, input), (Metric::OutputTokens, 1_000)];
    // 0.10 dollars per million, above 272,000 tokens 0.20.
    for (input, expected) in [(100_000, 10_000_000), (300_000, 60_000_000)] {
        let cost = cost("gpt-6-luna", decisions, &amounts(input), |_| {});
        assert_eq!(cost, expected, "{input}");
    }
}

#[test]
fn a_fine_tuned_model_costs_what_its_base_costs() {
    let amounts = [(Metric::InputTokens, 1_000), (Metric::OutputTokens, 1_000)];
    let model = "ft:gpt-4.1-2025-04-14:acme:support:AbC";
    // 3.00 and 12.00 dollars per million.
    let cost = cost(model, UsageKind::Completions, &amounts, |_| {});
    assert_eq!(cost, 3_000_000 + 12_000_000);
}

#[test]
fn searches_cost_what_the_model_says_or_else_what_all_do() {
    // 25.00 dollars for 1,000 calls of gpt-4.1, 10.00 for those of gpt-5.
    for (model, expected) in [("gpt-4.1", 25_000_000), ("gpt-5", 10_000_000)] {
        let calls = [(Metric::NumRequests, 1)];
        let cost = cost(model, UsageKind::WebSearchCalls, &calls, |_| {});
        assert_eq!(cost, expected, "{model}");
    }
    let book = PriceBook::built_in();
    assert!(book.sells_tool("gpt-6-sol", DECEMBER, ItemName::WebSearchCalls));
}
