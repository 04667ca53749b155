//! Charges of events.

use base::money::Factor;
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use usage::{
    Charge, Charges, CostBounds, ItemName, LineItem, Metric, PriceBook, Quantities, RequestedTier,
    ToolCalls, UsageEvent, UsageKind,
};

use crate::fixture::{PRICES, START_SECONDS, event};

pub(crate) fn consumed(kind: UsageKind, model: &str, amounts: &[(Metric, i64)]) -> UsageEvent {
    let mut event = event("1");
    event.kind = kind;
    event.model = (!model.is_empty()).then(|| model.to_owned());
    event.quantities = Quantities::default();
    for (metric, amount) in amounts {
        event.quantities.set(*metric, *amount);
    }
    event
}

/// Formats charges: `item quantity amount` for each, then `unpriced` if an item has no price.
pub(crate) fn shown(book: &PriceBook, event: &UsageEvent) -> Vec<String> {
    let charges = book.charges(event);
    let line = |line: &Charge| {
        let item = LineItem::of(event, line.name);
        format!("{item} {} {}", line.quantity, line.amount.0)
    };
    let mut lines: Vec<_> = charges.charges.iter().map(line).collect();
    if charges.unpriced {
        lines.push("unpriced".to_owned());
    }
    lines
}

/// Returns the bounds of a request that may be of any tier and uses no more than `quantities`.
pub(crate) fn bounds(kind: UsageKind, quantities: Quantities) -> CostBounds<'static> {
    CostBounds {
        kind,
        quantities,
        longest_input: quantities.or_zero(Metric::InputTokens),
        tiers: RequestedTier::Any,
        uplift: Factor::ONE,
    }
}

fn book(more: &str) -> PriceBook {
    let more = PriceBook::parse(more).expect("a price book");
    PriceBook::parse(PRICES)
        .expect("a price book")
        .with_overrides(more)
}

const SPEECH: &str = r#"
        [[price]]
        model = "speech"
        effective = "2026-01-01"
        input = "1"
        cached_input = "0.1"
        cache_write = "1.25"
        output = "2"
        input_audio = "10"
        cached_input_audio = "0.5"
        output_audio = "20"
        input_image = "3"
        output_image = "30"

        [[price]]
        model = "plain"
        effective = "2026-01-01"
        input = "1"
        output = "2"
    "#;

const OF_ALL_KINDS: &[(Metric, i64)] = &[
    (Metric::InputTokens, 1000),
    (Metric::InputCachedTokens, 400),
    (Metric::InputCachedAudioTokens, 50),
    (Metric::InputCacheWriteTokens, 100),
    (Metric::InputAudioTokens, 30),
    (Metric::InputImageTokens, 20),
    (Metric::OutputTokens, 500),
    (Metric::OutputAudioTokens, 60),
    (Metric::OutputImageTokens, 40),
];

#[test]
fn each_token_is_charged_once() {
    let bill = |model| {
        shown(
            &book(SPEECH),
            &consumed(UsageKind::Completions, model, OF_ALL_KINDS),
        )
    };
    assert_eq!(
        bill("speech"),
        [
            "speech, input_tokens 450 450000",
            "speech, input_cached_tokens 350 35000",
            "speech, input_cache_write_tokens 100 125000",
            "speech, input_audio_tokens 30 300000",
            "speech, input_cached_audio_tokens 50 25000",
            "speech, input_image_tokens 20 60000",
            "speech, output_tokens 400 800000",
            "speech, output_audio_tokens 60 1200000",
            "speech, output_image_tokens 40 1200000",
        ]
    );
    assert_eq!(
        bill("m"),
        [
            "m, input_tokens 600 1200000",
            "m, input_cached_tokens 400 200000",
            "m, output_tokens 500 4000000",
        ],
        "a kind without a price is text"
    );
    assert_eq!(
        bill("plain"),
        [
            "plain, input_tokens 1000 1000000",
            "plain, output_tokens 500 1000000"
        ],
        "cached input without a price is input"
    );
    assert_eq!(
        bill("unheard of"),
        [
            "unheard of, input_tokens 1000 0",
            "unheard of, output_tokens 500 0",
            "unpriced"
        ]
    );
}

#[test]
fn token_details_never_exceed_the_total() {
    let amounts = [
        (Metric::InputTokens, 100),
        (Metric::InputCachedTokens, 300),
        (Metric::OutputTokens, 0),
    ];
    let event = consumed(UsageKind::Completions, "m", &amounts);
    assert_eq!(
        shown(&book(""), &event),
        ["m, input_cached_tokens 100 50000"]
    );
}

#[test]
fn a_model_priced_by_other_units_is_not_charged_by_token() {
    let amounts = [
        (Metric::Images, 2),
        (Metric::InputTokens, 10),
        (Metric::NumModelRequests, 1),
    ];
    let mut event = consumed(UsageKind::Images, "pictures", &amounts);
    event.size = Some("1792x1024".to_owned());
    assert_eq!(shown(&book(""), &event), ["pictures, images 2 160000000"]);
    event.size = Some("16x16".to_owned());
    assert_eq!(
        shown(&book(""), &event),
        [
            "pictures, input_tokens 10 0",
            "pictures, images 2 0",
            "unpriced"
        ]
    );
    let event = consumed(UsageKind::Images, "m", &amounts);
    assert_eq!(shown(&book(""), &event), ["m, input_tokens 10 20000"]);
}

#[test]
fn tools_and_storage_have_prices_for_every_model() {
    let dearer =
        "[[price]]\nmodel = \"m\"\neffective = \"2026-02-01\"\ninput = \"2\"\nweb_search = \"25\"";
    let cases = [
        (
            UsageKind::WebSearchCalls,
            "m",
            Metric::NumRequests,
            3,
            "m, web_search_calls 3 75000000",
        ),
        (
            UsageKind::WebSearchCalls,
            "x",
            Metric::NumRequests,
            3,
            "x, web_search_calls 3 30000000",
        ),
        (
            UsageKind::FileSearchCalls,
            "",
            Metric::NumRequests,
            1,
            "file_search_calls 1 2500000",
        ),
        (
            UsageKind::CodeInterpreterSessions,
            "",
            Metric::NumSessions,
            2,
            "code_interpreter_sessions 2 60000000",
        ),
        (
            UsageKind::VectorStores,
            "",
            Metric::UsageBytes,
            1 << 29,
            "vector_stores 536870912 50000000",
        ),
    ];
    for (kind, model, metric, amount, line) in cases {
        let event = consumed(
            kind,
            model,
            &[(metric, amount), (Metric::NumModelRequests, 1)],
        );
        assert_eq!(shown(&book(dearer), &event), [line]);
    }
}

#[test]
fn an_event_is_charged_at_the_prices_of_its_time() {
    let older = "[[price]]\nmodel = \"m\"\neffective = \"2025-06-01\"\ninput = \"7\"";
    let newer = "[[price]]\nmodel = \"m\"\neffective = \"2026-03-02\"\ninput = \"9\"";
    let book = book(older).with_overrides(PriceBook::parse(newer).expect("a price book"));
    let mut event = consumed(UsageKind::Completions, "m", &[(Metric::InputTokens, 1)]);
    let mut at = |time, model: &str| {
        event.timestamp = UnixTime(time);
        event.model = Some(model.to_owned());
        let bill = book.charges(&event);
        (bill.charges[0].amount.0, bill.unpriced)
    };
    assert_eq!(at(START_SECONDS, "m"), (9_000, false));
    assert_eq!(at(START_SECONDS - 1, "m"), (2_000, false));
    assert_eq!(at(START_SECONDS - 100 * 86_400, "m"), (7_000, false));
    assert_eq!(at(START_SECONDS - 1000 * 86_400, "m"), (0, true));
    assert_eq!(
        at(START_SECONDS, "m-2026-02-03"),
        (9_000, false),
        "a dated name of the model"
    );
    assert_eq!(at(START_SECONDS, "m-2026-02-30"), (0, true), "no date");
    assert_eq!(at(START_SECONDS, "m-mini"), (0, true));
}

#[test]
fn an_event_without_usage_costs_nothing() {
    let nothing = consumed(
        UsageKind::Completions,
        "unheard of",
        &[(Metric::NumModelRequests, 1)],
    );
    assert_eq!(book("").charges(&nothing), Charges::default());
}

#[test]
fn units_have_the_names_of_the_contract() {
    let unit = |kind, model, metric| {
        let bill = book("").charges(&consumed(kind, model, &[(metric, 1)]));
        bill.charges[0].name.unit()
    };
    assert_eq!(
        unit(UsageKind::Completions, "m", Metric::InputTokens),
        Some("tokens")
    );
    assert_eq!(unit(UsageKind::Images, "x", Metric::Images), Some("images"));
    assert_eq!(
        unit(UsageKind::AudioSpeeches, "x", Metric::Characters),
        Some("characters")
    );
    assert_eq!(
        unit(UsageKind::AudioTranscriptions, "x", Metric::Seconds),
        Some("duration_seconds")
    );
    assert_eq!(
        unit(UsageKind::FileSearchCalls, "", Metric::NumRequests),
        None
    );
}

/// Generates quantities whose details may exceed the total, as an upstream may report them.
pub(crate) fn some_quantities() -> impl Strategy<Value = Quantities> {
    prop::collection::vec(0..3_000i64, Metric::ALL.len()).prop_map(|amounts| {
        let mut quantities = Quantities::default();
        let metrics = Metric::ALL.iter().zip(amounts);
        for (metric, amount) in metrics.filter(|(metric, _)| !metric.is_for_prices()) {
            quantities.set(*metric, amount);
        }
        quantities
    })
}

#[test]
fn the_maximum_cost_of_exact_prices_is_exact() {
    let book = book(SPEECH);
    let quantities = Quantities::default()
        .with(Metric::InputTokens, 1_000)
        .with(Metric::OutputTokens, 100);
    let bounds = bounds(UsageKind::Completions, quantities);
    for (model, most) in [("plain", 1_200_000), ("m", 5_600_000)] {
        let found = book.max_cost(model, UnixTime(START_SECONDS), &bounds);
        assert_eq!(found, NanoDollars(most), "{model}");
    }
    // In a batch the factor of batches applies, in the dearest tier.
    let batch = book.max_batch_cost("m", UnixTime(START_SECONDS), &bounds);
    assert_eq!(batch, NanoDollars(2_800_000));
    let tools = [
        ToolCalls::of_any_variant(ItemName::WebSearchCalls, 3),
        ToolCalls::of_any_variant(ItemName::CodeInterpreterSessions, 2),
    ];
    let tools = book.max_tool_cost("plain", UnixTime(START_SECONDS), &tools, Factor::ONE);
    assert_eq!(tools, NanoDollars(90_000_000));
    assert!(book.sells("plain", UnixTime(START_SECONDS), Metric::OutputTokens));
    assert!(!book.sells("plain", UnixTime(START_SECONDS), Metric::Images));
    assert!(!book.sells("unheard of", UnixTime(START_SECONDS), Metric::OutputTokens));
    assert!(book.sells_tool(
        "unheard of",
        UnixTime(START_SECONDS),
        ItemName::FileSearchCalls
    ));
}

proptest! {
    /// The reserved amount covers the charges of any answer that stays within the requested bounds.
    #[test]
    fn charges_never_exceed_the_maximum_cost(
        quantities in some_quantities(),
        model in prop::sample::select(&["speech", "plain", "m", "pictures", "unheard of"][..]),
        kind in prop::sample::select(&[UsageKind::Completions, UsageKind::Images, UsageKind::AudioSpeeches][..]),
        tier in prop::option::of(prop::sample::select(&["priority", "flex", "other"][..])),
        size in prop::option::of(prop::sample::select(&["1024x1024", "1792x1024"][..])),
    ) {
        let book = book(SPEECH);
        let mut event = consumed(kind, model, &[]);
        event.quantities = quantities;
        event.service_tier = tier.map(str::to_owned);
        event.size = size.map(str::to_owned);
        let bill: NanoDollars = book.charges(&event).charges.iter().map(|line| line.amount).sum();
        let most = book.max_cost(model, event.timestamp, &bounds(kind, quantities));
        prop_assert!(bill <= most, "{bill} > {most}");
        prop_assert!(model != "unheard of" || most == NanoDollars(0));
    }

    /// The bound holds at random prices too, in batches and with prices that take effect later.
    #[test]
    fn charges_never_exceed_the_maximum_cost_at_random_prices(
        quantities in some_quantities(),
        prices in prop::collection::vec(prop::option::of(0i64..40_000_000_000), 12),
        factors in prop::array::uniform3(0i64..3_000),
        kind in prop::sample::select(&[UsageKind::Completions, UsageKind::Images, UsageKind::AudioSpeeches][..]),
        tier in prop::option::of(prop::sample::select(&["priority", "flex"][..])),
        (is_batch, days) in (any::<bool>(), 0..60i64),
    ) {
        let names = ["input", "cached_input", "cache_write", "output", "input_audio", "cached_input_audio",
                     "output_audio", "input_image", "output_image", "image", "character", "second"];
        let entry = |date: &str, from: usize| {
            let named = names.iter().zip(prices.iter().cycle().skip(from));
            let lines = named.filter_map(|(name, price)| price.map(|price| (name, price)));
            let lines = lines.map(|(name, price)| format!("{name} = \"{}.{:09}\"\n", price / 1_000_000_000, price % 1_000_000_000));
            let factor = |index: usize| format!("{}.{:03}", factors[index] / 1_000, factors[index] % 1_000);
            format!(
                "[[price]]\nmodel = \"r\"\neffective = \"{date}\"\ninput = \"1\"\nbatch = \"{}\"\n\
                 service_tier = {{ priority = \"{}\", flex = \"{}\" }}\n",
                factor(0), factor(1), factor(2),
            ) + &lines.filter(|line| !line.starts_with("input =")).collect::<String>()
        };
        let book = PriceBook::parse(&(entry("2026-01-01", 0) + &entry("2026-03-20", 5))).expect("a price book");
        let mut event = consumed(kind, "r-2026-01-05", &[]);
        let asked_at = event.timestamp;
        event.quantities = quantities;
        event.service_tier = tier.map(str::to_owned);
        event.batch = is_batch;
        let most = if is_batch {
            event.timestamp = asked_at.plus(days * 86_400);
            book.max_batch_cost("r-2026-01-05", asked_at, &bounds(kind, quantities))
        } else {
            book.max_cost("r-2026-01-05", asked_at, &bounds(kind, quantities))
        };
        let bill: NanoDollars = book.charges(&event).charges.iter().map(|line| line.amount).sum();
        prop_assert!(bill <= most, "{bill} > {most}");
    }

    /// Compared with exact fractions: the amount is price × quantity × factors / unit, rounded to the nearest
    /// nano-dollar, ties to even.
    #[test]
    fn money_is_rounded_once(
        price in 0i64..5_000_000_000_000,
        quantity in 1i64..10_000_000,
        batch in prop::option::of(0i64..10_000),
        tier in prop::option::of(0i64..10_000),
    ) {
        let decimal = |nanos: i64| format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000);
        let factor = |scaled: i64| format!("{}.{:03}", scaled / 1_000, scaled % 1_000);
        let book = PriceBook::parse(&format!(
            "[[price]]\nmodel = \"p\"\neffective = \"2026-01-01\"\ninput = \"{}\"\nbatch = \"{}\"\n\
             service_tier = {{ fast = \"{}\" }}",
            decimal(price), factor(batch.unwrap_or(1)), factor(tier.unwrap_or(1)),
        )).expect("a price book");
        let mut event = consumed(UsageKind::Completions, "p", &[(Metric::InputTokens, quantity)]);
        event.batch = batch.is_some();
        event.service_tier = tier.map(|_| "fast".to_owned());
        let NanoDollars(amount) = book.charges(&event).charges[0].amount;

        let exact = i128::from(price) * i128::from(quantity)
            * i128::from(batch.unwrap_or(1_000)) * i128::from(tier.unwrap_or(1_000));
        let unit = 1_000_000i128 * 1_000_000;
        let off = (i128::from(amount) * unit - exact).abs();
        prop_assert!(off * 2 < unit || (off * 2 == unit && amount % 2 == 0), "{amount} for {exact}/{unit}");
    }
}
