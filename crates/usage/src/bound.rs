//! The most that a request may cost, before it is known what it consumes.

use base::{NanoDollars, UnixTime};

use crate::price::{PriceEntry, PriceKey};
use crate::{Metric, PriceBook, Quantities};

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

/// A bill has so many lines for tokens at the most, and each may be rounded up.
const MOST_LINES: i64 = 9;

impl PriceBook {
    /// The most that a request costs that consumes no more than `quantities`: as if all of it were of the dearest kind,
    /// in the dearest service tier. Nothing where the model has no price.
    #[must_use]
    pub fn most(&self, model: &str, time: UnixTime, quantities: &Quantities) -> NanoDollars {
        let entry = self.entry(model, time);
        entry.map_or_else(NanoDollars::default, |entry| entry.most(quantities))
    }
}

impl PriceEntry {
    fn most(&self, quantities: &Quantities) -> NanoDollars {
        let mut most = NanoDollars::default();
        for (metric, keys) in SOLD {
            let quantity = quantities.or_zero(*metric);
            let Some(price) = self.dearest(keys).filter(|_| quantity > 0) else {
                continue;
            };
            let per = keys[0].per();
            let amounts = self
                .factors()
                .map(|factor| price.for_quantity_times(quantity, per, factor));
            most += amounts.max().unwrap_or_default();
        }
        if most == NanoDollars::default() {
            return most;
        }
        most + NanoDollars(MOST_LINES)
    }
}
