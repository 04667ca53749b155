//! The most that a request may cost, before it is known what it consumes.

use base::money::Factor;
use base::{NanoDollars, UnixTime};

use crate::price::{ANY_MODEL, PriceEntry, PriceKey};
use crate::{ItemName, Metric, PriceBook, Quantities};

/// What is sold, and by which prices: of its tokens some may be cached, audio or parts of images, which only the answer
/// tells.
const SOLD: &[(Metric, &[PriceKey])] = &[
    (
        Metric::InputTokens,
        &[
            PriceKey::Input,
            PriceKey::CachedInput,
            PriceKey::CacheWrite,
            PriceKey::InputAudio,
            PriceKey::CachedInputAudio,
            PriceKey::InputImage,
        ],
    ),
    (
        Metric::OutputTokens,
        &[
            PriceKey::Output,
            PriceKey::OutputAudio,
            PriceKey::OutputImage,
        ],
    ),
    (Metric::Images, &[PriceKey::Image]),
    (Metric::Characters, &[PriceKey::Character]),
    (Metric::Seconds, &[PriceKey::Second]),
];

impl PriceBook {
    /// The most that a request costs that consumes no more than `quantities`: as if all of it were of the dearest kind,
    /// in the dearest service tier. Nothing where the model has no price.
    #[must_use]
    pub fn most(&self, model: &str, time: UnixTime, quantities: &Quantities) -> NanoDollars {
        let entry = self.entry(model, time);
        entry.map_or_else(NanoDollars::default, |entry| {
            entry.most(quantities, Factor::ONE)
        })
    }

    /// The most that the requests of a batch cost which ends at `time` or later, like [`PriceBook::most`]: by the dearest
    /// prices that hold then, as far as they are known.
    #[must_use]
    pub fn most_of_batch(
        &self,
        model: &str,
        time: UnixTime,
        quantities: &Quantities,
    ) -> NanoDollars {
        let entries = self.entries_from(model, time);
        let amounts = entries.map(|entry| entry.most(quantities, entry.batch()));
        amounts.max().unwrap_or_default()
    }

    /// The most that so many calls of hosted tools cost at `time` or later, for requests to `model`.
    #[must_use]
    pub fn most_of_tools(
        &self,
        model: &str,
        time: UnixTime,
        calls: &[(ItemName, i64)],
    ) -> NanoDollars {
        let most = |(name, count): &(ItemName, i64)| {
            let key = name.price_key();
            let entries = self.entries_from(model, time);
            let amounts = entries.chain(self.entries_from(ANY_MODEL, time));
            let amounts = amounts.map(|entry| entry.most_of(&[key], *count, Factor::ONE));
            amounts.max().unwrap_or_default()
        };
        calls.iter().map(most).sum()
    }

    /// True if consuming more of `metric` may cost more at `time` or later.
    #[must_use]
    pub fn sells(&self, model: &str, time: UnixTime, metric: Metric) -> bool {
        let mut sold = SOLD.iter().filter(|(sold, _)| *sold == metric);
        sold.any(|(_, keys)| {
            let mut entries = self.entries_from(model, time);
            entries.any(|entry| entry.dearest(keys).is_some_and(|price| price.0 > 0))
        })
    }

    /// True if a call of this hosted tool may cost something at `time` or later.
    #[must_use]
    pub fn sells_tool(&self, model: &str, time: UnixTime, tool: ItemName) -> bool {
        self.most_of_tools(model, time, &[(tool, i64::from(u16::MAX))]) > NanoDollars::default()
    }
}

impl PriceEntry {
    fn most(&self, quantities: &Quantities, batch: Factor) -> NanoDollars {
        let most = |(metric, keys): &(Metric, &[PriceKey])| {
            self.most_of(keys, quantities.or_zero(*metric), batch)
        };
        SOLD.iter().map(most).sum()
    }

    /// The most that so much costs of what is sold by some of these prices.
    fn most_of(&self, keys: &[PriceKey], quantity: i64, batch: Factor) -> NanoDollars {
        let Some(dearest) = self.dearest(keys).filter(|_| quantity > 0) else {
            return NanoDollars::default();
        };
        let per = keys[0].per();
        let amounts = (self.factors())
            .map(|factor| dearest.for_quantity_times(quantity, per, batch * factor));
        // Each price may have a line of its own, rounded up where its unit is no whole number of nano-dollars.
        let is_rounded = |price: NanoDollars| {
            let mut factors = self.factors();
            factors.any(|factor| !price.is_whole_for_each(per, batch * factor))
        };
        let rounded = (keys.iter())
            .filter(|key| self.each(**key).any(is_rounded))
            .count();
        let rounded = NanoDollars(i64::try_from(rounded).unwrap_or(i64::MAX));
        amounts.max().unwrap_or_default() + rounded
    }
}
