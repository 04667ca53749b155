//! Prices of cache writes by the lifetimes of Anthropic's format.

use base::UnixTime;
use base::money::Factor;
use usage::{CostBounds, Metric, PriceBook, Quantities, RequestedTier, UsageKind};

use crate::charges::{consumed, shown};
use crate::fixture::START_SECONDS;

const BOOK: &str = r#"
[[price]]
model = "claude"
effective = "2025-01-01"
input = "3"
cached_input = "0.3"
cache_write = "7"
cache_write_5m = "3.75"
cache_write_1h = "6"
output = "15"
"#;

/// Returns the price book without the lines that begin with one of these keys.
fn book_without(keys: &[&str]) -> PriceBook {
    let is_left = |line: &&str| !keys.iter().any(|key| line.starts_with(key));
    let lines: Vec<&str> = BOOK.lines().filter(is_left).collect();
    PriceBook::parse(&lines.join("\n")).expect("a price book")
}

#[test]
fn cache_writes_of_five_minutes_and_an_hour_have_prices_of_their_own() {
    let amounts = [
        (Metric::InputTokens, 100_000),
        (Metric::OutputTokens, 2_000),
        (Metric::InputCachedTokens, 60_000),
        (Metric::InputCacheWriteTokens, 30_000),
        (Metric::InputCacheWrite5mTokens, 20_000),
        (Metric::InputCacheWrite1hTokens, 9_000),
    ];
    let event = consumed(UsageKind::Completions, "claude", &amounts);
    // 10,000 × 3 = 0.03; 60,000 × 0.3 = 0.018; 1,000 of unknown lifetime × 7 = 0.007; 20,000 × 3.75 = 0.075;
    // 9,000 × 6 = 0.054; 2,000 × 15 = 0.03.
    assert_eq!(
        shown(&book_without(&[]), &event),
        [
            "claude, input_tokens 10000 30000000",
            "claude, input_cached_tokens 60000 18000000",
            "claude, input_cache_write_tokens 1000 7000000",
            "claude, input_cache_write_5m_tokens 20000 75000000",
            "claude, input_cache_write_1h_tokens 9000 54000000",
            "claude, output_tokens 2000 30000000",
        ]
    );
    // Without prices of their own, all 30,000 × 7 = 0.21.
    let one_price = book_without(&["cache_write_5m", "cache_write_1h"]);
    assert_eq!(
        shown(&one_price, &event)[2],
        "claude, input_cache_write_tokens 30000 210000000"
    );
    // Without any, 40,000 × 3 = 0.12.
    assert_eq!(
        shown(&book_without(&["cache_write"]), &event)[0],
        "claude, input_tokens 40000 120000000"
    );
}

#[test]
fn reservation_is_at_the_price_of_the_dearest_cache_write() {
    let bounds = CostBounds {
        kind: UsageKind::Completions,
        quantities: Quantities::default()
            .with(Metric::InputTokens, 100_000)
            .with(Metric::OutputTokens, 2_000),
        longest_input: 100_000,
        tiers: RequestedTier::Any,
        uplift: Factor::ONE,
    };
    let most = |book: PriceBook| book.max_cost("claude", UnixTime(START_SECONDS), &bounds).0;
    // 100,000 × 7 = 0.7, × 6 = 0.6, × 3.75 = 0.375, × 3 = 0.3; 2,000 × 15 = 0.03.
    assert_eq!(most(book_without(&[])), 730_000_000);
    assert_eq!(most(book_without(&["cache_write ="])), 630_000_000);
    assert_eq!(
        most(book_without(&["cache_write =", "cache_write_1h"])),
        405_000_000
    );
    assert_eq!(most(book_without(&["cache_write"])), 330_000_000);
}
