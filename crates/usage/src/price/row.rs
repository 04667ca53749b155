//! A row of a price table: the prices of requests that meet its conditions.

use base::NanoDollars;

use super::conditions::{Conditions, PriceKey};
use crate::ItemName;

/// The prices of requests that meet some conditions; those of every request if there is none.
#[derive(Clone, Debug)]
pub(crate) struct PriceRow {
    pub(super) conditions: Conditions,
    pub(super) prices: [Option<NanoDollars>; ItemName::ALL.len()],
    /// The prices that depend on a variant of the item, such as the size of images.
    pub(super) variants: Vec<(ItemName, String, NanoDollars)>,
}

impl PriceRow {
    pub(super) fn new(conditions: Conditions) -> Self {
        Self {
            conditions,
            prices: [None; ItemName::ALL.len()],
            variants: Vec::new(),
        }
    }

    /// True if the row has no price.
    pub(super) fn is_empty(&self) -> bool {
        self.prices.iter().all(Option::is_none) && self.variants.is_empty()
    }

    /// Returns the price of an item for a request; that of its variant, if the row has one.
    pub(super) fn price(&self, item: ItemName, key: &PriceKey<'_>) -> Option<NanoDollars> {
        let variant = item.variant(key);
        let mut variants = self.variants.iter();
        let of_variant =
            variants.find(|(of, name, _)| *of == item && Some(name.as_str()) == variant);
        let of_variant = of_variant.map(|(_, _, price)| *price);
        of_variant.or(self.prices[item as usize])
    }
}

impl ItemName {
    /// True if a price book may have a table with a price for each variant of the item.
    pub(super) fn has_variants(self) -> bool {
        matches!(
            self,
            Self::Images | Self::WebSearchCalls | Self::CodeInterpreterSessions
        )
    }

    /// Returns the variant of the item that a request has used. A search or a container without one is of the variant that
    /// clients get if they name none.
    fn variant<'a>(self, key: &PriceKey<'a>) -> Option<&'a str> {
        match self {
            Self::Images => key.size,
            Self::WebSearchCalls => key.context_level.or(Some("medium")),
            Self::CodeInterpreterSessions => key.size.or(Some("1g")),
            _ => None,
        }
    }
}
