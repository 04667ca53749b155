//! Charges: the cost of an event, by line item.

use std::fmt;

use base::NanoDollars;
use base::money::Factor;

use crate::price::{ANY_MODEL, PriceEntry};
use crate::{ItemName, Metric, PriceBook, Quantities, UsageEvent, UsageKind};

/// The charges of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// The charges; none for items of which nothing was used.
    pub charges: Vec<Charge>,
    /// True if an item has no price. Its charge has an amount of 0.
    pub unpriced: bool,
}

/// A charge: the cost of one item of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The item.
    pub name: ItemName,
    /// The quantity, in [`ItemName::unit`]s.
    pub quantity: i64,
    /// The cost.
    pub amount: NanoDollars,
}

/// A line item of the costs report: a model and an item. Displayed as on the wire: `gpt-5, input_tokens`, or without a
/// model `file_search_calls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineItem {
    /// The model, if there is one.
    pub model: Option<String>,
    /// The item.
    pub name: ItemName,
}

impl LineItem {
    /// Returns the unit of quantities, as [`ItemName::unit`].
    #[must_use]
    pub fn unit(&self) -> Option<&'static str> {
        self.name.unit()
    }

    /// Returns the line item of a charge of an event.
    #[must_use]
    pub fn of(event: &UsageEvent, name: ItemName) -> Self {
        Self {
            model: event.model.clone(),
            name,
        }
    }

    /// Returns the unit of a line item in its form on the wire.
    #[must_use]
    pub fn unit_of(text: &str) -> Option<&'static str> {
        let name = text.rsplit_once(", ").map_or(text, |(_, name)| name);
        ItemName::parse(name)?.unit()
    }
}

impl fmt::Display for LineItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(model) = &self.model {
            write!(f, "{model}, ")?;
        }
        f.write_str(self.name.as_str())
    }
}

/// A quantity of an item, with its price if it has one.
struct Quote<'a> {
    name: ItemName,
    quantity: i64,
    price: Option<(NanoDollars, &'a PriceEntry)>,
}

impl PriceBook {
    /// Returns the charges of an event, at the prices that apply at its time.
    ///
    /// Each token is charged once: cached input tokens not as input, audio and image tokens not as text. Tokens of a
    /// kind without a price are charged as text. A model sold by the image, the character or the second is not charged
    /// by the token as well, nor the other way round.
    #[must_use]
    pub fn charges(&self, event: &UsageEvent) -> Charges {
        let quotes = self.quotes(event);
        Charges {
            unpriced: quotes.iter().any(|quote| quote.price.is_none()),
            charges: quotes
                .into_iter()
                .map(|quote| quote.charge(event))
                .collect(),
        }
    }

    /// Returns the sum of the charges of an event, as the ledger will have it.
    #[must_use]
    pub(crate) fn cost(&self, event: &UsageEvent) -> NanoDollars {
        let quantities = event.quantities.bounded();
        let charges = if quantities == event.quantities {
            self.charges(event)
        } else {
            self.charges(&UsageEvent {
                quantities,
                ..event.clone()
            })
        };
        charges.charges.iter().map(|charge| charge.amount).sum()
    }

    /// Returns the most that an event can cost, over all service tiers, within a batch or not.
    pub(crate) fn max_event_cost(&self, event: &UsageEvent) -> NanoDollars {
        let quotes = self.quotes(event);
        quotes.iter().map(Quote::max_amount).sum()
    }

    /// Returns the items of an event that have no price, with their quantities.
    pub(crate) fn unpriced(&self, event: &UsageEvent) -> Vec<(ItemName, i64)> {
        let quotes = self.quotes(event).into_iter();
        let unpriced = quotes.filter(|quote| quote.price.is_none());
        unpriced.map(|quote| (quote.name, quote.quantity)).collect()
    }

    fn quotes(&self, event: &UsageEvent) -> Vec<Quote<'_>> {
        let own = event.model.as_deref();
        let own = own.and_then(|model| self.entry(model, event.timestamp));
        let any = self.entry(ANY_MODEL, event.timestamp);
        let price = |name: ItemName| {
            [own, any].into_iter().flatten().find_map(|entry| {
                let price = entry.price(name, event)?;
                Some((price, entry))
            })
        };
        let quote = |(name, quantity)| Quote {
            name,
            quantity,
            price: price(name),
        };
        let quote_all = |items: Vec<(ItemName, i64)>| -> Vec<Quote<'_>> {
            let consumed = items.into_iter().filter(|(_, quantity)| *quantity > 0);
            consumed.map(quote).collect()
        };
        let has_price = |quotes: &[Quote<'_>]| quotes.iter().any(|quote| quote.price.is_some());

        let mut tokens = quote_all(tokens(event, |name| price(name).is_some()));
        let mut units = quote_all(units(event));
        match (has_price(&tokens), has_price(&units)) {
            (true, false) => units.clear(),
            (false, true) => tokens.clear(),
            _ => {}
        }
        tokens.append(&mut units);
        tokens
    }
}

impl Quote<'_> {
    fn charge(self, event: &UsageEvent) -> Charge {
        let amount = self
            .price
            .map(|(price, entry)| self.amount(price, entry.factor(event)));
        Charge {
            name: self.name,
            quantity: self.quantity,
            amount: amount.unwrap_or_default(),
        }
    }

    fn amount(&self, price: NanoDollars, factor: Factor) -> NanoDollars {
        let per = self.name.per();
        price.for_quantity_times(self.quantity, per, factor)
    }

    /// Returns the amount at the highest factor that may apply.
    fn max_amount(&self) -> NanoDollars {
        let Some((price, entry)) = self.price else {
            return NanoDollars::default();
        };
        let factors = entry.factors();
        let factors = factors.flat_map(|factor| [factor, factor * entry.batch()]);
        let amounts = factors.map(|factor| self.amount(price, factor));
        amounts.max().unwrap_or_default()
    }
}

/// Returns the tokens of an event by item, each token once. Tokens of an item without a price count as text.
fn tokens(event: &UsageEvent, has_price: impl Fn(ItemName) -> bool) -> Vec<(ItemName, i64)> {
    use ItemName as I;
    let all = &event.quantities;
    if tool(event.kind).is_some() {
        return Vec::new();
    }
    let part = |of: &mut i64, metric: Metric, name: ItemName| {
        let taken = all.or_zero(metric).min(*of);
        let taken = if has_price(name) { taken } else { 0 };
        *of -= taken;
        (name, taken)
    };
    let mut input = all.or_zero(Metric::InputTokens);
    // Audio and image tokens are parts of the uncached input, so cached tokens are subtracted first.
    let mut cached = all.or_zero(Metric::InputCachedTokens).min(input);
    input -= cached;
    let cache_write = part(
        &mut input,
        Metric::InputCacheWriteTokens,
        I::InputCacheWriteTokens,
    );
    let audio = part(&mut input, Metric::InputAudioTokens, I::InputAudioTokens);
    let image = part(&mut input, Metric::InputImageTokens, I::InputImageTokens);
    let cached_audio = part(
        &mut cached,
        Metric::InputCachedAudioTokens,
        I::InputCachedAudioTokens,
    );
    if !has_price(I::InputCachedTokens) {
        input += std::mem::take(&mut cached);
    }
    let mut output = all.or_zero(Metric::OutputTokens);
    let output_audio = part(&mut output, Metric::OutputAudioTokens, I::OutputAudioTokens);
    let output_image = part(&mut output, Metric::OutputImageTokens, I::OutputImageTokens);
    vec![
        (I::InputTokens, input),
        (I::InputCachedTokens, cached),
        cache_write,
        audio,
        cached_audio,
        image,
        (I::OutputTokens, output),
        output_audio,
        output_image,
    ]
}

/// Returns the quantities of an event that are not counted in tokens.
fn units(event: &UsageEvent) -> Vec<(ItemName, i64)> {
    let amount = |quantities: &Quantities, (name, metric)| (name, quantities.or_zero(metric));
    let items = match tool(event.kind) {
        Some(item) => vec![item],
        None => vec![
            (ItemName::Images, Metric::Images),
            (ItemName::Characters, Metric::Characters),
            (ItemName::Seconds, Metric::Seconds),
        ],
    };
    items
        .into_iter()
        .map(|item| amount(&event.quantities, item))
        .collect()
}

/// Returns the item and the metric by which tools or storage are charged.
fn tool(kind: UsageKind) -> Option<(ItemName, Metric)> {
    match kind {
        UsageKind::WebSearchCalls => Some((ItemName::WebSearchCalls, Metric::NumRequests)),
        UsageKind::FileSearchCalls => Some((ItemName::FileSearchCalls, Metric::NumRequests)),
        UsageKind::CodeInterpreterSessions => {
            Some((ItemName::CodeInterpreterSessions, Metric::NumSessions))
        }
        UsageKind::VectorStores => Some((ItemName::VectorStores, Metric::UsageBytes)),
        _ => None,
    }
}
