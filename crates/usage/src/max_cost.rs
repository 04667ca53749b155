//! The maximum cost of a request, before its usage is known.

use base::money::Factor;
use base::{NanoDollars, UnixTime};

use crate::price::{ANY_MODEL, PriceEntry, PriceKey, tier_name};
use crate::{ItemName, Metric, PriceBook, Quantities, UsageKind};

/// The metrics that are charged, with the prices that may apply to them: which tokens are cached, audio or image tokens
/// is known only from the answer.
const SOLD_BY: &[(Metric, &[ItemName])] = &[
    (
        Metric::InputTokens,
        &[
            ItemName::InputTokens,
            ItemName::InputCachedTokens,
            ItemName::InputCacheWriteTokens,
            ItemName::InputCacheWrite30mTokens,
            ItemName::InputCacheWrite12hTokens,
            ItemName::InputCacheWrite5mTokens,
            ItemName::InputCacheWrite1hTokens,
            ItemName::InputAudioTokens,
            ItemName::InputCachedAudioTokens,
            ItemName::InputImageTokens,
            ItemName::InputCachedImageTokens,
        ],
    ),
    (
        Metric::OutputTokens,
        &[
            ItemName::OutputTokens,
            ItemName::OutputAudioTokens,
            ItemName::OutputImageTokens,
        ],
    ),
    (Metric::Images, &[ItemName::Images]),
    (Metric::Characters, &[ItemName::Characters]),
    (Metric::Seconds, &[ItemName::Seconds]),
];

/// The service tiers that a request can ask for by name.
const KNOWN_TIERS: [&str; 7] = [
    "default",
    "standard",
    "flex",
    "priority",
    "fast",
    "ultrafast",
    "scale",
];

/// Calls of a hosted tool, or sessions of a container.
#[derive(Clone, Copy, Debug)]
pub struct ToolCalls<'a> {
    /// The tool.
    pub tool: ItemName,
    /// The number of calls.
    pub count: i64,
    /// The size of the search context, or the memory of the container; `None` if that may be any.
    pub variant: Option<&'a str>,
}

/// The service tier that a request asks for, which decides on the tiers that it may be charged in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestedTier<'a> {
    /// None, `auto`, or an unknown word: the request may be served in any tier.
    Any,
    /// The request is served in this tier, or in a lower one that it falls back to.
    Named(&'a str),
}

/// The bounds of a request, or of all requests of a batch.
#[derive(Clone, Copy, Debug)]
pub struct CostBounds<'a> {
    /// The report that the usage will be in.
    pub kind: UsageKind,
    /// The most of each metric, in sum.
    pub quantities: Quantities,
    /// The most input tokens of one request.
    pub longest_input: i64,
    /// The service tier that is asked for.
    pub tiers: RequestedTier<'a>,
    /// The uplift of the upstream.
    pub uplift: Factor,
}

impl ToolCalls<'_> {
    /// Returns calls whose variant may be any.
    #[must_use]
    pub fn of_any_variant(tool: ItemName, count: i64) -> Self {
        Self {
            tool,
            count,
            variant: None,
        }
    }
}

impl<'a> RequestedTier<'a> {
    /// Returns the tier of a request with this `service_tier`. Servers may read an unknown word in any way.
    #[must_use]
    pub fn of(service_tier: Option<&'a str>) -> Self {
        let is_known = |tier: &&str| KNOWN_TIERS.contains(tier);
        service_tier.filter(is_known).map_or(Self::Any, Self::Named)
    }

    /// True if a request may be served in `tier`.
    fn may_be(self, tier: &str) -> bool {
        let Self::Named(asked) = self else {
            return true;
        };
        let asked = tier_name(asked);
        asked == tier
            || matches!(tier, "default" | "standard")
            || asked == "ultrafast" && tier == tier_name("fast")
    }
}

impl PriceBook {
    /// Returns the maximum cost of a request within `bounds`, as if all tokens were of the dearest kind, by the dearest
    /// rows that the request can reach; 0 if the model has no price.
    #[must_use]
    pub fn max_cost(&self, model: &str, time: UnixTime, bounds: &CostBounds<'_>) -> NanoDollars {
        let entry = self.entry(model, time);
        entry.map_or_else(NanoDollars::default, |entry| entry.max_cost(bounds))
    }

    /// Returns the maximum cost, as [`PriceBook::max_cost`], of the requests of a batch that ends at `time` or later:
    /// at the highest prices known to apply from then on.
    #[must_use]
    pub fn max_batch_cost(
        &self,
        model: &str,
        time: UnixTime,
        bounds: &CostBounds<'_>,
    ) -> NanoDollars {
        let entries = self.entries_from(model, time);
        let amounts = entries.map(|entry| entry.max_batch_cost(bounds));
        amounts.max().unwrap_or_default()
    }

    /// Returns the maximum cost of requests of a batch that ended at `time`.
    pub(crate) fn max_batch_cost_at(
        &self,
        model: &str,
        time: UnixTime,
        bounds: &CostBounds<'_>,
    ) -> NanoDollars {
        let entry = self.entry(model, time);
        entry.map_or_else(NanoDollars::default, |entry| entry.max_batch_cost(bounds))
    }

    /// Returns the maximum cost of calls of hosted tools at `time` or later, for requests to `model`.
    #[must_use]
    pub fn max_tool_cost(
        &self,
        model: &str,
        time: UnixTime,
        calls: &[ToolCalls<'_>],
        uplift: Factor,
    ) -> NanoDollars {
        let max_cost = |calls: &ToolCalls<'_>| {
            let entries = self.entries_from(model, time);
            let amounts = entries.chain(self.entries_from(ANY_MODEL, time));
            let amounts = amounts.map(|entry| entry.max_tool_cost(calls, uplift));
            amounts.max().unwrap_or_default()
        };
        calls.iter().map(max_cost).sum()
    }

    /// True if more of `metric` may cost more at `time` or later.
    #[must_use]
    pub fn sells(&self, model: &str, time: UnixTime, metric: Metric) -> bool {
        self.has_price(model, time, metric, NanoDollars(1))
    }

    /// True if a call of this hosted tool may cost something at `time` or later.
    #[must_use]
    pub fn sells_tool(&self, model: &str, time: UnixTime, tool: ItemName) -> bool {
        let calls = [ToolCalls::of_any_variant(tool, i64::from(u16::MAX))];
        self.max_tool_cost(model, time, &calls, Factor::ONE) > NanoDollars::default()
    }

    /// True if a model has prices, possibly of 0, for the usage that a report counts, at `time` or later.
    #[must_use]
    pub fn is_priced(&self, model: &str, time: UnixTime, kind: UsageKind) -> bool {
        let has = |metric| self.has_price(model, time, metric, NanoDollars(0));
        match kind {
            UsageKind::Embeddings | UsageKind::Moderations => has(Metric::InputTokens),
            UsageKind::Images => has(Metric::Images) || has(Metric::OutputTokens),
            UsageKind::AudioSpeeches => has(Metric::Characters) || has(Metric::OutputTokens),
            UsageKind::AudioTranscriptions => has(Metric::Seconds) || has(Metric::InputTokens),
            _ => has(Metric::InputTokens) && has(Metric::OutputTokens),
        }
    }

    /// Returns the numbers of input tokens above which a request to `model` has other prices at `time` or later, in
    /// ascending order.
    #[must_use]
    pub fn bands(&self, model: &str, time: UnixTime) -> Vec<i64> {
        let mut bands: Vec<i64> = (self.entries_from(model, time))
            .flat_map(PriceEntry::bands)
            .collect();
        bands.sort_unstable();
        bands.dedup();
        bands
    }

    /// True if an item of `metric` has a price of at least `least` at `time` or later.
    fn has_price(&self, model: &str, time: UnixTime, metric: Metric, least: NanoDollars) -> bool {
        let mut sold = SOLD_BY.iter().filter(|(sold, _)| *sold == metric);
        sold.any(|(_, items)| {
            let mut entries = self.entries_from(model, time);
            let is_sold = |entry: &PriceEntry, item: &ItemName| {
                let price = entry.dearest(*item);
                price.is_some_and(|price| price >= least)
            };
            entries.any(|entry| items.iter().any(|item| is_sold(entry, item)))
        })
    }
}

/// The maximum cost of a metric, and the nano-dollars that rounding may add to it in one event.
#[derive(Clone, Copy, Default)]
struct MetricCost {
    amount: NanoDollars,
    rounding: i64,
}

impl PriceEntry {
    /// Returns the maximum cost of one request: that of the dearest combination of tier and length.
    fn max_cost(&self, bounds: &CostBounds<'_>) -> NanoDollars {
        let of_key = |key: PriceKey<'_>| {
            let costs = SOLD_BY.iter().map(|(metric, items)| {
                let quantity = bounds.quantities.or_zero(*metric);
                let cost = self.metric_cost(items, quantity, &key, bounds.uplift);
                cost.amount + NanoDollars(cost.rounding)
            });
            costs.sum()
        };
        let costs = self.reachable(bounds, false).into_iter().map(of_key);
        costs.max().unwrap_or_default()
    }

    /// Returns the maximum cost of the requests of a batch, which may be of several lengths: each metric by its dearest
    /// combination, and rounded once for each length.
    fn max_batch_cost(&self, bounds: &CostBounds<'_>) -> NanoDollars {
        let keys = self.reachable(bounds, true);
        let bands = self.bands().filter(|band| *band < bounds.longest_input);
        let events = i64::try_from(bands.count())
            .unwrap_or(i64::MAX)
            .saturating_add(1);
        let of_metric = |(metric, items): &(Metric, &[ItemName])| {
            let quantity = bounds.quantities.or_zero(*metric);
            let mut most = MetricCost::default();
            for key in &keys {
                let cost = self.metric_cost(items, quantity, key, bounds.uplift);
                most.amount = most.amount.max(cost.amount);
                most.rounding = most.rounding.max(cost.rounding);
            }
            most.amount + NanoDollars(most.rounding.saturating_mul(events))
        };
        SOLD_BY.iter().map(of_metric).sum()
    }

    fn max_tool_cost(&self, calls: &ToolCalls<'_>, uplift: Factor) -> NanoDollars {
        let key = PriceKey {
            kind: calls.tool.tool_kind(),
            service_tier: None,
            is_batch: false,
            input_tokens: 0,
            size: calls.variant,
            context_level: calls.variant,
        };
        let mut cost = MetricCost::default();
        if calls.variant.is_some() {
            self.add_cost(&mut cost, calls.tool, calls.count, &key, uplift);
        } else {
            cost = self.metric_cost(&[calls.tool], calls.count, &key, uplift);
        }
        cost.amount + NanoDollars(cost.rounding)
    }

    /// Returns the combinations of tier and length that a request can reach.
    fn reachable<'a>(&'a self, bounds: &CostBounds<'_>, is_batch: bool) -> Vec<PriceKey<'a>> {
        let named = self.tiers().filter(|tier| bounds.tiers.may_be(tier));
        let tiers: Vec<Option<&str>> = std::iter::once(None).chain(named.map(Some)).collect();
        let reached = self.bands().filter(|band| *band < bounds.longest_input);
        let lengths = std::iter::once(0).chain(reached.map(|band| band + 1));
        let key = |input_tokens, service_tier| PriceKey {
            kind: bounds.kind,
            service_tier,
            is_batch,
            input_tokens,
            size: None,
            context_level: None,
        };
        lengths
            .flat_map(|length| tiers.iter().map(move |tier| key(length, *tier)))
            .collect()
    }

    /// Returns the maximum cost of a quantity at the highest of the prices of `items`, over all variants of them.
    fn metric_cost(
        &self,
        items: &[ItemName],
        quantity: i64,
        key: &PriceKey<'_>,
        uplift: Factor,
    ) -> MetricCost {
        let mut sum = MetricCost::default();
        for item in items {
            let mut cost = MetricCost::default();
            let named = self.variants(*item).map(Some);
            for variant in std::iter::once(None).chain(named) {
                let key = PriceKey {
                    size: variant,
                    context_level: variant,
                    ..*key
                };
                self.add_cost(&mut cost, *item, quantity, &key, uplift);
            }
            sum.amount = sum.amount.max(cost.amount);
            // Each price may give a charge of its own.
            sum.rounding += cost.rounding;
        }
        sum
    }

    /// Raises `cost` to that of a quantity of an item at its price for `key`. The price is rounded up if its unit is no whole
    /// number of nano-dollars.
    fn add_cost(
        &self,
        cost: &mut MetricCost,
        item: ItemName,
        quantity: i64,
        key: &PriceKey<'_>,
        uplift: Factor,
    ) {
        let Some(found) = self.price(item, key).filter(|_| quantity > 0) else {
            return;
        };
        let (per, factor) = (item.per(), found.factor * uplift);
        let amount = found.price.for_quantity_times(quantity, per, factor);
        cost.amount = cost.amount.max(amount);
        let is_rounded = !found.price.is_whole_for_each(per, factor);
        cost.rounding = cost.rounding.max(i64::from(is_rounded));
    }
}
