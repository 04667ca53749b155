//! Reservations cover every charge: random tables with rows, random usage, tiers, lengths, uplifts and reported costs.

use base::money::Factor;
use base::{NanoDollars, UnixTime};
use proptest::prelude::*;
use usage::{
    CostBounds, DEFAULT_CONTAINER_MEMORY, DEFAULT_CONTEXT_LEVEL, ItemName, Metric, PriceBook,
    Quantities, RequestedTier, ToolCalls, UsageEvent, UsageKind,
};

use crate::charges::{consumed, some_quantities};
use crate::fixture::START_SECONDS;

/// Returns the keys of prices of models: all but those of tools and storage, and the cost that an upstream reports.
fn keys() -> Vec<&'static str> {
    let all = ItemName::ALL.iter().filter(|item| item.unit().is_some());
    all.map(|item| item.price_key()).collect()
}

/// The reports of usage that is charged by tokens, images, characters and seconds.
const KINDS: [UsageKind; 6] = [
    UsageKind::Completions,
    UsageKind::Embeddings,
    UsageKind::Images,
    UsageKind::AudioSpeeches,
    UsageKind::AudioTranscriptions,
    UsageKind::Decisions,
];

/// The hosted tools, each with its report and metric.
const TOOLS: [(UsageKind, Metric, ItemName); 3] = [
    (
        UsageKind::WebSearchCalls,
        Metric::NumRequests,
        ItemName::WebSearchCalls,
    ),
    (
        UsageKind::FileSearchCalls,
        Metric::NumRequests,
        ItemName::FileSearchCalls,
    ),
    (
        UsageKind::CodeInterpreterSessions,
        Metric::NumSessions,
        ItemName::CodeInterpreterSessions,
    ),
];

/// The lifetimes of cache writes that no report has.
const LIFETIMES: [Metric; 2] = [
    Metric::InputCacheWrite5mTokens,
    Metric::InputCacheWrite1hTokens,
];

/// Generates quantities with cache writes of every lifetime.
fn quantities_of_every_lifetime() -> impl Strategy<Value = Quantities> {
    let lifetimes = prop::array::uniform2(0..3_000i64);
    (some_quantities(), lifetimes).prop_map(|(quantities, amounts)| {
        let amounts = LIFETIMES.into_iter().zip(amounts);
        amounts.fold(quantities, |all, (metric, amount)| all.with(metric, amount))
    })
}

/// Formats an amount as a price.
fn decimal(nanos: i64) -> String {
    format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000)
}

/// Generates the text of a table with up to five rows, each with some prices and any conditions.
fn some_table() -> impl Strategy<Value = String> {
    let prices = || prop::collection::vec(prop::option::of(0..40_000_000_000i64), keys().len());
    let tier = prop::option::of(prop::sample::select(&["priority", "flex", "ultrafast"][..]));
    let above = prop::option::of(prop::sample::select(&[500i64, 1_500, 2_500][..]));
    let endpoint = prop::option::of(prop::sample::select(
        &["completions", "images", "decisions", "audio_speeches"][..],
    ));
    let row = (tier, any::<bool>(), above, endpoint, prices());
    let factors = prop::array::uniform3(0..3_000i64);
    (prices(), factors, prop::collection::vec(row, 0..5)).prop_map(|(table, factors, rows)| {
        let lines = |prices: &[Option<i64>]| -> String {
            let priced = keys().into_iter().zip(prices);
            let priced = priced.filter_map(|(key, price)| Some((key, (*price)?)));
            priced
                .map(|(key, price)| format!("{key} = \"{}\"\n", decimal(price)))
                .collect()
        };
        let factor = factors.map(|scaled| format!("{}.{:03}", scaled / 1_000, scaled % 1_000));
        let mut text = format!(
            "[[price]]\nmodel = \"r\"\neffective = \"2026-01-01\"\nbatch = \"{}\"\n\
             service_tier = {{ priority = \"{}\", flex = \"{}\" }}\n{}",
            factor[0],
            factor[1],
            factor[2],
            lines(&table)
        );
        let mut seen = Vec::new();
        for (tier, batch, above, endpoint, prices) in rows {
            let conditions = (tier, batch, above, endpoint);
            if conditions == (None, false, None, None) || seen.contains(&conditions) {
                continue;
            }
            let prices = lines(&prices);
            if prices.is_empty() {
                continue;
            }
            seen.push(conditions);
            text += "[[price.row]]\n";
            text += &tier.map_or(String::new(), |tier| format!("service_tier = \"{tier}\"\n"));
            text += if batch { "batch = true\n" } else { "" };
            text += &above.map_or(String::new(), |above| {
                format!("above_input_tokens = {above}\n")
            });
            text += &endpoint.map_or(String::new(), |kind| format!("endpoint = \"{kind}\"\n"));
            text += &prices;
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Random prices. Whatever the tier that is asked for and the one that serves, the kinds and lifetimes of tokens, the
    /// length, the uplift and the cost that the upstream reports: no more is charged than was reserved.
    #[test]
    fn no_row_is_dearer_than_the_reservation(
        table in some_table(),
        quantities in quantities_of_every_lifetime(),
        slack in 0..1_000i64,
        kind in prop::sample::select(&KINDS[..]),
        (asked, served) in prop::sample::select(&[
            (None, None), (None, Some("ultrafast")), (Some("auto"), Some("priority")), (Some("unknown"), Some("fast")),
            (Some("flex"), Some("flex")), (Some("flex"), Some("default")), (Some("fast"), Some("priority")),
            (Some("priority"), Some("fast")), (Some("priority"), Some("default")), (Some("ultrafast"), Some("priority")),
            (Some("default"), None), (Some("ultrafast"), Some("ultrafast")),
        ][..]),
        uplift in prop::sample::select(&["1", "1.1", "0.333333333", "7"][..]),
        cost in prop::option::of(0..100_000_000i64),
    ) {
        let Ok(book) = PriceBook::parse(&table) else {
            // Prices that no request without a condition can have are refused.
            let own = table.split("[[price.row]]").next().unwrap_or_default();
            let is_price = |line: &&str| keys().iter().any(|key| line.starts_with(&format!("{key} =")));
            prop_assert_eq!(own.lines().find(is_price), None);
            return Ok(());
        };
        let uplift = Factor::parse(uplift).expect("a factor");
        let mut event = consumed(kind, "r", &[]);
        event.quantities = quantities.with(Metric::NumModelRequests, 1);
        event.quantities.set(Metric::UpliftBillionths, uplift.billionths());
        event.service_tier = served.map(str::to_owned);
        let is_priced = !book.charges(&event).charges.iter().all(|charge| charge.amount.0 == 0);
        if let Some(cost) = cost.filter(|_| is_priced) {
            event.quantities.set(Metric::ReportedCost, cost);
        }
        let input = quantities.or_zero(Metric::InputTokens);
        let bounds = CostBounds {
            kind,
            quantities: quantities.with(Metric::InputTokens, input + slack),
            longest_input: input + slack,
            tiers: RequestedTier::of(asked),
            uplift,
        };
        let sum = |event: &UsageEvent| -> NanoDollars {
            book.charges(event).charges.iter().map(|charge| charge.amount).sum()
        };
        let most = book.max_cost("r", event.timestamp, &bounds);
        prop_assert!(sum(&event) <= most, "{} > {most}: {table}", sum(&event));
    }

    /// Tools and containers at random prices by variant, of the model or of every model. Whatever the variant that is asked
    /// for, a call costs no more than was reserved for it, nor than for a call of any variant.
    #[test]
    fn no_tool_call_is_dearer_than_the_reservation(
        (kind, metric, tool) in prop::sample::select(&TOOLS[..]),
        models in prop::array::uniform2(prop::collection::vec(prop::option::of(0..40_000_000_000i64), 4)),
        count in 1..50i64,
        asked in prop::option::of(0..4usize),
        uplift in prop::sample::select(&["1", "1.1", "0.333333333"][..]),
    ) {
        const LEVELS: [&str; 4] = ["low", "medium", "high", "huge"];
        const MEMORIES: [&str; 4] = ["1g", "4g", "64g", "huge"];
        let names = if tool == ItemName::WebSearchCalls { LEVELS } else { MEMORIES };
        let key = tool.price_key();
        let has_variants = tool != ItemName::FileSearchCalls;
        let table = |model: &str, prices: &[Option<i64>]| {
            let variants = names.iter().zip(prices).take(3).filter_map(|(name, price)| Some((name, (*price)?)));
            let variants: Vec<_> = variants.map(|(name, price)| format!("{name} = \"{}\"", decimal(price))).collect();
            let value = match prices[3] {
                Some(price) if !has_variants || price % 2 == 0 => format!("\"{}\"", decimal(price)),
                _ if has_variants && !variants.is_empty() => format!("{{ {} }}", variants.join(", ")),
                _ => return String::new(),
            };
            format!("[[price]]\nmodel = \"{model}\"\neffective = \"2026-01-01\"\n{key} = {value}\n")
        };
        let book = PriceBook::parse(&(table("r", &models[0]) + &table("*", &models[1]))).expect("a price book");
        let uplift = Factor::parse(uplift).expect("a factor");
        let variant = asked.map(|asked| names[asked].to_owned());
        let mut event = consumed(kind, "r", &[(metric, count)]);
        event.quantities.set(Metric::UpliftBillionths, uplift.billionths());
        event.context_level = variant.clone();
        event.size = variant.clone();
        let charges = book.charges(&event);
        let cost: NanoDollars = charges.charges.iter().map(|charge| charge.amount).sum();
        let most = |variant| {
            let calls = [ToolCalls { tool, count, variant }];
            book.max_tool_cost("r", event.timestamp, &calls, uplift)
        };
        let default = if tool == ItemName::WebSearchCalls { DEFAULT_CONTEXT_LEVEL } else { DEFAULT_CONTAINER_MEMORY };
        let reserved = most(Some(variant.as_deref().unwrap_or(default)));
        prop_assert!(cost <= reserved, "{cost} > {reserved}");
        prop_assert!(reserved <= most(None), "{reserved} > {}", most(None));
        let is_priced = models.iter().any(|prices| !table("r", prices).is_empty());
        prop_assert_eq!(charges.unpriced, !is_priced, "an unknown variant has the dearest price");
    }

    /// A batch is charged in a row for each band of the lengths of its requests: all rows cost no more than was reserved.
    #[test]
    fn no_batch_is_dearer_than_its_reservation(
        table in some_table(),
        requests in prop::collection::vec(quantities_of_every_lifetime(), 1..6),
        uplift in prop::sample::select(&["1", "1.1", "0.333333333"][..]),
        is_known in any::<bool>(),
    ) {
        let Ok(book) = PriceBook::parse(&table) else {
            return Ok(());
        };
        let uplift = Factor::parse(uplift).expect("a factor");
        let bands = book.bands("r", UnixTime(START_SECONDS));
        let length = |request: &Quantities| request.or_zero(Metric::InputTokens);
        let longest = requests.iter().map(length).max().unwrap_or(0);
        let mut sum = Quantities::default();
        let mut parts: std::collections::BTreeMap<usize, (i64, Quantities)> = Default::default();
        for request in &requests {
            sum.add(request);
            // Known only in sum, all of it is of the band of the longest.
            let band = if is_known { bands.iter().filter(|band| length(request) > **band).count() } else { 0 };
            let (longest, part) = parts.entry(band).or_default();
            *longest = length(request).max(*longest);
            part.add(request);
        }
        let bounds = CostBounds {
            kind: UsageKind::Completions,
            quantities: sum,
            longest_input: longest,
            tiers: RequestedTier::Any,
            uplift,
        };
        let most = book.max_batch_cost("r", UnixTime(START_SECONDS), &bounds);
        let mut all = NanoDollars::default();
        for (longest, part) in parts.into_values() {
            let mut event = consumed(UsageKind::Completions, "r", &[]);
            event.batch = true;
            event.quantities = part.with(Metric::LongestInputTokens, longest);
            event.quantities.set(Metric::UpliftBillionths, uplift.billionths());
            all += book.charges(&event).charges.iter().map(|charge| charge.amount).sum();
        }
        prop_assert!(all <= most, "{all} > {most}: {table}");
    }
}
