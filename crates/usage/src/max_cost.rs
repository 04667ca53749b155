//! The maximum cost of a request, before its usage is known.

use base::money::Factor;
use base::{NanoDollars, UnixTime};

use crate::price::{ANY_MODEL, PriceEntry};
use crate::{ItemName, Metric, PriceBook, Quantities};

/// The metrics that are charged, with the prices that may apply to them: which tokens are cached, audio or image tokens
/// is known only from the answer.
const SOLD_BY: &[(Metric, &[ItemName])] = &[
    (
        Metric::InputTokens,
        &[
            ItemName::InputTokens,
            ItemName::InputCachedTokens,
            ItemName::InputCacheWriteTokens,
            ItemName::InputAudioTokens,
            ItemName::InputCachedAudioTokens,
            ItemName::InputImageTokens,
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

impl PriceBook {
    /// Returns the maximum cost of a request that uses no more than `quantities`, as if all were of the dearest kind in
    /// the dearest service tier; 0 if the model has no price.
    #[must_use]
    pub fn max_cost(&self, model: &str, time: UnixTime, quantities: &Quantities) -> NanoDollars {
        let entry = self.entry(model, time);
        entry.map_or_else(NanoDollars::default, |entry| {
            entry.max_cost(quantities, Factor::ONE)
        })
    }

    /// Returns the maximum cost, as [`PriceBook::max_cost`], of the requests of a batch that ends at `time` or later:
    /// at the highest prices known to apply from then on.
    #[must_use]
    pub fn max_batch_cost(
        &self,
        model: &str,
        time: UnixTime,
        quantities: &Quantities,
    ) -> NanoDollars {
        let entries = self.entries_from(model, time);
        let amounts = entries.map(|entry| entry.max_cost(quantities, entry.batch()));
        amounts.max().unwrap_or_default()
    }

    /// Returns the maximum cost of calls of hosted tools at `time` or later, for requests to `model`.
    #[must_use]
    pub fn max_tool_cost(
        &self,
        model: &str,
        time: UnixTime,
        calls: &[(ItemName, i64)],
    ) -> NanoDollars {
        let max_cost = |(name, count): &(ItemName, i64)| {
            let entries = self.entries_from(model, time);
            let amounts = entries.chain(self.entries_from(ANY_MODEL, time));
            let amounts = amounts.map(|entry| entry.max_cost_at(&[*name], *count, Factor::ONE));
            amounts.max().unwrap_or_default()
        };
        calls.iter().map(max_cost).sum()
    }

    /// True if more of `metric` may cost more at `time` or later.
    #[must_use]
    pub fn sells(&self, model: &str, time: UnixTime, metric: Metric) -> bool {
        let mut sold = SOLD_BY.iter().filter(|(sold, _)| *sold == metric);
        sold.any(|(_, items)| {
            let mut entries = self.entries_from(model, time);
            entries.any(|entry| entry.dearest(items).is_some_and(|price| price.0 > 0))
        })
    }

    /// True if a call of this hosted tool may cost something at `time` or later.
    #[must_use]
    pub fn sells_tool(&self, model: &str, time: UnixTime, tool: ItemName) -> bool {
        self.max_tool_cost(model, time, &[(tool, i64::from(u16::MAX))]) > NanoDollars::default()
    }
}

impl PriceEntry {
    fn max_cost(&self, quantities: &Quantities, batch: Factor) -> NanoDollars {
        let max_cost = |(metric, items): &(Metric, &[ItemName])| {
            self.max_cost_at(items, quantities.or_zero(*metric), batch)
        };
        SOLD_BY.iter().map(max_cost).sum()
    }

    /// Returns the maximum cost of a quantity at the highest of the prices of `items`.
    fn max_cost_at(&self, items: &[ItemName], quantity: i64, batch: Factor) -> NanoDollars {
        let Some(dearest) = self.dearest(items).filter(|_| quantity > 0) else {
            return NanoDollars::default();
        };
        let per = items[0].per();
        let amounts = (self.factors())
            .map(|factor| dearest.for_quantity_times(quantity, per, batch * factor));
        // Each price may give a charge of its own, rounded up if its unit is no whole number of nano-dollars.
        let is_rounded = |price: NanoDollars| {
            let mut factors = self.factors();
            factors.any(|factor| !price.is_whole_for_each(per, batch * factor))
        };
        let rounded = (items.iter())
            .filter(|item| self.each(**item).any(is_rounded))
            .count();
        let rounded = NanoDollars(i64::try_from(rounded).unwrap_or(i64::MAX));
        amounts.max().unwrap_or_default() + rounded
    }
}
