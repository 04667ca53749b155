//! Explanations of charges: the rows, prices and factors behind each amount.

use base::money::Factor;
use base::{NanoDollars, UnixTime};

use crate::charge::uplift_of;
use crate::{Charge, ItemName, Metric, PriceBook, UsageEvent};

/// A charge, with the price that it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedCharge {
    /// The charge.
    pub charge: Charge,
    /// The price; `None` if the item has none, or if the upstream has reported the cost.
    pub price: Option<ExplainedPrice>,
    /// The cost that the upstream has reported, which may exceed the amount that is charged.
    pub reported: Option<NanoDollars>,
}

/// A price as it applies to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPrice {
    /// The model of the price table.
    pub model: String,
    /// The first second in which the table applies.
    pub effective: UnixTime,
    /// The conditions of the row, as `service_tier = flex, batch`; empty for the table itself.
    pub row: String,
    /// The variant that the price is for, such as `high`; `None` for the price of every variant.
    pub variant: Option<String>,
    /// The price of [`ItemName::per`] units.
    pub price: NanoDollars,
    /// The factor of batches and of the service tier.
    pub factor: Factor,
    /// The uplift of the upstream.
    pub uplift: Factor,
}

impl PriceBook {
    /// Returns the charges of an event with the prices that they come from, in the order of [`PriceBook::charges`].
    #[must_use]
    pub fn explain(&self, event: &UsageEvent) -> Vec<ExplainedCharge> {
        let uplift = uplift_of(event);
        if let Some(reported) = event.quantities.get(Metric::ReportedCost) {
            let charges = self.charges(event).charges.into_iter();
            let explained = charges.map(|charge| ExplainedCharge {
                charge,
                price: None,
                reported: Some(NanoDollars(reported)),
            });
            return explained.collect();
        }
        let quotes = self.quotes(event).into_iter();
        let explained = quotes.map(|quote| ExplainedCharge {
            charge: quote.charge(uplift),
            price: quote.price.as_ref().map(|quoted| ExplainedPrice {
                model: quoted.entry.model().to_owned(),
                effective: quoted.entry.effective(),
                row: quoted.item.conditions.to_string(),
                variant: quoted.item.variant.map(str::to_owned),
                price: quoted.item.price,
                factor: quoted.item.factor,
                uplift,
            }),
            reported: None,
        });
        explained.collect()
    }
}

impl ItemName {
    /// Returns the words for the units that a price is for: `per 1,000,000 tokens`.
    #[must_use]
    pub fn price_unit(self) -> &'static str {
        match self {
            Self::Images => "per image",
            Self::Characters => "per 1,000,000 characters",
            Self::Seconds => "per second",
            Self::WebSearchCalls | Self::FileSearchCalls => "per 1,000 calls",
            Self::CodeInterpreterSessions => "per session",
            Self::VectorStores => "per GiB and day",
            Self::ReportedCost => "as reported",
            _ => "per 1,000,000 tokens",
        }
    }
}
