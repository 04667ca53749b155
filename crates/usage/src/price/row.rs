//! A row of a price table: the prices of requests that meet its conditions.

use base::NanoDollars;

use super::conditions::{Conditions, PriceKey};
use crate::ItemName;

/// The size of the search context of a web search that names none.
pub const DEFAULT_CONTEXT_LEVEL: &str = "medium";
/// The memory of a container that names none.
pub const DEFAULT_CONTAINER_MEMORY: &str = "1g";

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

    /// Returns the price of an item for a request, with the name of the variant that it is for: the price of the request's
    /// variant, else the one of every variant. A tool of a variant that the row does not name costs what the dearest does.
    pub(super) fn price(
        &self,
        item: ItemName,
        key: &PriceKey<'_>,
    ) -> Option<(NanoDollars, Option<&str>)> {
        let variant = item.variant(key);
        let own = || self.variants.iter().filter(|(of, _, _)| *of == item);
        let found = own().find(|(_, name, _)| Some(name.as_str()) == variant);
        let plain = self.prices[item as usize];
        let dearest = || {
            own()
                .filter(|_| item.is_tool())
                .max_by_key(|(_, _, price)| *price)
        };
        match (found, plain) {
            (None, Some(price)) => Some((price, None)),
            (found, _) => {
                let (_, name, price) = found.or_else(dearest)?;
                Some((*price, Some(name.as_str())))
            }
        }
    }
}

impl ItemName {
    /// True for a hosted tool that has variants.
    fn is_tool(self) -> bool {
        matches!(self, Self::WebSearchCalls | Self::CodeInterpreterSessions)
    }

    /// True if a price book may have a table with a price for each variant of the item.
    pub(super) fn has_variants(self) -> bool {
        self == Self::Images || self.is_tool()
    }

    /// Returns the variant of the item that a request has used. A search or a container without one is of the variant that
    /// clients get if they name none.
    fn variant<'a>(self, key: &PriceKey<'a>) -> Option<&'a str> {
        match self {
            Self::Images => key.size,
            Self::WebSearchCalls => key.context_level.or(Some(DEFAULT_CONTEXT_LEVEL)),
            Self::CodeInterpreterSessions => key.size.or(Some(DEFAULT_CONTAINER_MEMORY)),
            _ => None,
        }
    }
}
