//! Charges: the cost of an event, by line item.

use std::fmt;

use base::NanoDollars;
use base::money::Factor;

use crate::max_cost::{CostBounds, RequestedTier};
use crate::price::{ANY_MODEL, ItemPrice, PriceEntry, PriceKey};
use crate::{
    ItemName, MAX_EVENT_COST, Metric, Outcome, PriceBook, Quantities, UsageEvent, UsageKind,
};

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
pub(crate) struct Quote<'a> {
    pub(crate) name: ItemName,
    pub(crate) quantity: i64,
    pub(crate) price: Option<QuotedPrice<'a>>,
}

/// The price of a quote, and the table that has it.
pub(crate) struct QuotedPrice<'a> {
    pub(crate) item: ItemPrice<'a>,
    pub(crate) entry: &'a PriceEntry,
}

impl PriceBook {
    /// Returns the charges of an event, at the prices that apply at its time.
    ///
    /// Each token is charged once: cached input tokens not as input, audio and image tokens not as text. Tokens of a
    /// kind without a price are charged as text. A model sold by the image, the character or the second is not charged
    /// by the token as well, nor the other way round. A cost that the upstream has reported takes the place of prices.
    #[must_use]
    pub fn charges(&self, event: &UsageEvent) -> Charges {
        if let Some(charge) = self.reported_charge(event) {
            return Charges {
                charges: vec![charge],
                unpriced: false,
            };
        }
        let (quotes, uplift) = (self.quotes(event), uplift_of(event));
        Charges {
            unpriced: quotes.iter().any(|quote| quote.price.is_none()),
            charges: quotes.iter().map(|quote| quote.charge(uplift)).collect(),
        }
    }

    /// Returns the charge of an event whose cost its upstream has reported: at most the highest cost of the same
    /// quantities by the prices, so that it is never more than was reserved.
    fn reported_charge(&self, event: &UsageEvent) -> Option<Charge> {
        let reported = event.quantities.get(Metric::ReportedCost)?;
        let reported = NanoDollars(reported.max(0)).min(MAX_EVENT_COST);
        // That of a lost request is what was reserved for it, since nobody knows more of it.
        if event.outcome == Outcome::NodeLost {
            return Some(reported_charge(event, reported));
        }
        let max_cost = self.max_reported_cost(event);
        let amount = max_cost.map_or(reported, |max_cost| reported.min(max_cost));
        Some(reported_charge(event, amount))
    }

    /// Returns the most that is charged for an event whose cost is reported; `None` if its model has no price.
    pub(crate) fn max_reported_cost(&self, event: &UsageEvent) -> Option<NanoDollars> {
        let quotes = self.quotes(event);
        quotes.iter().find(|quote| quote.price.is_some())?;
        let bounds = CostBounds {
            kind: event.kind,
            quantities: event.quantities,
            longest_input: PriceKey::of(event).input_tokens,
            tiers: RequestedTier::Named(event.service_tier.as_deref().unwrap_or("default")),
            uplift: uplift_of(event),
        };
        let model = event.model.as_deref().unwrap_or_default();
        Some(match event.batch {
            true => self.max_batch_cost_at(model, event.timestamp, &bounds),
            false => self.max_cost(model, event.timestamp, &bounds),
        })
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

    /// Returns an upper bound of the cost of an event, over all rows and factors.
    pub(crate) fn max_event_cost(&self, event: &UsageEvent) -> NanoDollars {
        let own = event.model.as_deref();
        let own = own.and_then(|model| self.entry(model, event.timestamp));
        let any = self.entry(ANY_MODEL, event.timestamp);
        let entries = || [own, any].into_iter().flatten();
        let uplift = uplift_of(event);
        let max_cost = |name: ItemName, quantity: i64| {
            let amounts = entries().filter_map(|entry| {
                let factor = entry.max_factor() * uplift;
                let price = entry.dearest(name)?;
                Some(price.for_quantity_times(quantity, name.per(), factor))
            });
            amounts.max().unwrap_or_default()
        };
        let is_sold = |name| entries().any(|entry| entry.sells(name));
        let mut sum = NanoDollars(event.quantities.or_zero(Metric::ReportedCost));
        for (name, quantity) in tokens(event, is_sold) {
            // Where a row has no price of its kind, a token is charged as one of another kind.
            let others = fallbacks(name).iter().chain([&name]);
            let costs = others.map(|name| max_cost(*name, quantity));
            sum += costs.max().unwrap_or_default();
        }
        let units = units(event).into_iter();
        let units: NanoDollars = units.map(|(name, quantity)| max_cost(name, quantity)).sum();
        sum + units
    }

    /// Returns the items of an event that have no price, with their quantities.
    pub(crate) fn unpriced(&self, event: &UsageEvent) -> Vec<(ItemName, i64)> {
        let quotes = self.quotes(event).into_iter();
        let unpriced = quotes.filter(|quote| quote.price.is_none());
        unpriced.map(|quote| (quote.name, quote.quantity)).collect()
    }

    /// Returns the items that were used, with their quantities and prices.
    pub(crate) fn quotes(&self, event: &UsageEvent) -> Vec<Quote<'_>> {
        let key = PriceKey::of(event);
        let own = event.model.as_deref();
        let own = own.and_then(|model| self.entry(model, event.timestamp));
        let any = self.entry(ANY_MODEL, event.timestamp);
        let price = |name: ItemName| {
            let mut entries = [own, any].into_iter().flatten();
            entries.find_map(|entry| {
                let item = entry.price(name, &key)?;
                Some(QuotedPrice { item, entry })
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
    /// Returns the charge, with this factor on every price.
    pub(crate) fn charge(&self, uplift: Factor) -> Charge {
        let amount = self.price.as_ref().map(|quoted| {
            let ItemPrice { price, factor, .. } = quoted.item;
            price.for_quantity_times(self.quantity, self.name.per(), factor * uplift)
        });
        Charge {
            name: self.name,
            quantity: self.quantity,
            amount: amount.unwrap_or_default(),
        }
    }
}

/// Returns the charge of an event whose cost is not computed from prices.
fn reported_charge(event: &UsageEvent, amount: NanoDollars) -> Charge {
    Charge {
        name: ItemName::ReportedCost,
        quantity: event.quantities.or_zero(Metric::NumModelRequests),
        amount,
    }
}

/// Returns the factor on every price of what the upstream of an event serves.
pub(crate) fn uplift_of(event: &UsageEvent) -> Factor {
    let uplift = event.quantities.get(Metric::UpliftBillionths);
    uplift.map_or(Factor::ONE, Factor::of_billionths)
}

/// Returns the items as which tokens may be charged if their own item has no price.
fn fallbacks(name: ItemName) -> &'static [ItemName] {
    use ItemName as I;
    match name {
        I::OutputAudioTokens | I::OutputImageTokens => &[I::OutputTokens],
        I::InputCachedAudioTokens | I::InputCachedImageTokens => {
            &[I::InputCachedTokens, I::InputTokens]
        }
        I::InputCacheWrite30mTokens
        | I::InputCacheWrite12hTokens
        | I::InputCacheWrite5mTokens
        | I::InputCacheWrite1hTokens => &[I::InputCacheWriteTokens, I::InputTokens],
        I::InputCachedTokens
        | I::InputCacheWriteTokens
        | I::InputAudioTokens
        | I::InputImageTokens => &[I::InputTokens],
        _ => &[],
    }
}

/// The tokens written to a cache by lifetime, the longest first: where they exceed the sum, the shorter ones give way.
const CACHE_WRITES: [(Metric, ItemName); 4] = [
    (
        Metric::InputCacheWrite12hTokens,
        ItemName::InputCacheWrite12hTokens,
    ),
    (
        Metric::InputCacheWrite1hTokens,
        ItemName::InputCacheWrite1hTokens,
    ),
    (
        Metric::InputCacheWrite30mTokens,
        ItemName::InputCacheWrite30mTokens,
    ),
    (
        Metric::InputCacheWrite5mTokens,
        ItemName::InputCacheWrite5mTokens,
    ),
];

/// Returns the tokens of an event by item, each token once. Tokens of an item without a price count as text.
fn tokens(event: &UsageEvent, has_price: impl Fn(ItemName) -> bool) -> Vec<(ItemName, i64)> {
    use ItemName as I;
    let all = &event.quantities;
    if tool(event.kind).is_some() {
        return Vec::new();
    }
    let part = |of: &mut i64, metric: Metric, name: ItemName| {
        let taken = all.or_zero(metric).min(*of);
        let taken = if taken > 0 && has_price(name) {
            taken
        } else {
            0
        };
        *of -= taken;
        (name, taken)
    };
    let mut input = all.or_zero(Metric::InputTokens);
    // Audio and image tokens are parts of the uncached input, so cached tokens are subtracted first.
    let mut cached = all.or_zero(Metric::InputCachedTokens).min(input);
    input -= cached;
    // Cache writes of a lifetime without a price of its own are charged as those of an unknown lifetime.
    let mut written = all.or_zero(Metric::InputCacheWriteTokens).min(input);
    input -= written;
    let writes = CACHE_WRITES.map(|(metric, name)| part(&mut written, metric, name));
    if written > 0 && !has_price(I::InputCacheWriteTokens) {
        input += std::mem::take(&mut written);
    }
    let audio = part(&mut input, Metric::InputAudioTokens, I::InputAudioTokens);
    let image = part(&mut input, Metric::InputImageTokens, I::InputImageTokens);
    let cached_audio = part(
        &mut cached,
        Metric::InputCachedAudioTokens,
        I::InputCachedAudioTokens,
    );
    let cached_image = part(
        &mut cached,
        Metric::InputCachedImageTokens,
        I::InputCachedImageTokens,
    );
    if cached > 0 && !has_price(I::InputCachedTokens) {
        input += std::mem::take(&mut cached);
    }
    let mut output = all.or_zero(Metric::OutputTokens);
    let output_audio = part(&mut output, Metric::OutputAudioTokens, I::OutputAudioTokens);
    let output_image = part(&mut output, Metric::OutputImageTokens, I::OutputImageTokens);
    let [write_12h, write_1h, write_30m, write_5m] = writes;
    vec![
        (I::InputTokens, input),
        (I::InputCachedTokens, cached),
        (I::InputCacheWriteTokens, written),
        write_30m,
        write_12h,
        write_5m,
        write_1h,
        audio,
        cached_audio,
        image,
        cached_image,
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
