//! List prices: the prices of a model as a catalog of models shows them.

use std::collections::BTreeMap;

use base::UnixTime;
use serde::Serialize;

use super::PriceBook;
use crate::ItemName;

/// The prices of a model under no condition and without factors, by key of the price book, as decimal numbers of US
/// dollars.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ListPrices(BTreeMap<&'static str, ListPrice>);

/// A price, or a price for each variant such as the size of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum ListPrice {
    One(String),
    Variants(BTreeMap<String, String>),
}

impl ListPrice {
    fn none() -> Self {
        Self::Variants(BTreeMap::new())
    }
}

impl PriceBook {
    /// Returns the prices of a model that apply at `time`; `None` if there are none.
    #[must_use]
    pub fn list_prices(&self, model: &str, time: UnixTime) -> Option<ListPrices> {
        // The first row is the table itself.
        let table = self.entry(model, time)?.rows.first()?;
        let mut prices: BTreeMap<&'static str, ListPrice> = BTreeMap::new();
        for (item, variant, price) in &table.variants {
            let price = price.decimal().to_string();
            match prices
                .entry(item.price_key())
                .or_insert_with(ListPrice::none)
            {
                ListPrice::Variants(all) => all.insert(variant.clone(), price),
                ListPrice::One(_) => None,
            };
        }
        for item in ItemName::ALL.iter().copied() {
            if let Some(price) = table.prices[item as usize] {
                let price = ListPrice::One(price.decimal().to_string());
                prices.insert(item.price_key(), price);
            }
        }
        Some(ListPrices(prices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn list_prices_are_those_of_the_table_that_applies() {
        let book = PriceBook::parse(
            "[[price]]\nmodel = 'm'\neffective = '2026-01-01'\ninput = '1.250'\nimage = { b = '0.04', a = '1' }\n\
             batch = '0.5'\n[[price]]\nmodel = 'm'\neffective = '2026-02-01'\noutput = '10.00'\n",
        )
        .expect("a book");
        let json = |model: &str, date: i64| {
            let prices = book.list_prices(model, UnixTime(date));
            serde_json::to_string(&prices).expect("JSON")
        };
        let (january, february) = (1_767_225_600, 1_769_904_000);
        let first = r#"{"image":{"a":"1","b":"0.04"},"input":"1.25"}"#;
        assert_eq!(json("m", january), first);
        assert_eq!(json("m-2026-01-01", february - 1), first);
        assert_eq!(json("m", february), r#"{"output":"10"}"#);
        assert_eq!(json("m", january - 1), "null");
        assert_eq!(json("n", february), "null");
    }
}
