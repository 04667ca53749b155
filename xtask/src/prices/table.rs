//! `[[price]]` tables of a price book: read, chosen from prices by condition, and written.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::amount::Amount;
use super::condition::Condition;

/// Keys of prices, in the order in which they are written, each with the name of its item; others come after them.
const KEYS: &str = include_str!("../../../crates/usage/src/price_keys.txt");

/// The price of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    /// A single price.
    One(Amount),
    /// A price for each variant, such as the size of an image.
    Variants(BTreeMap<String, Amount>),
}

/// Prices by key.
pub type Prices = BTreeMap<String, Price>;

/// Prices by condition.
pub type Cells = BTreeMap<Condition, Prices>;

/// The prices of a model from one day on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PriceTable {
    /// Name of the model.
    pub model: String,
    /// First day, as in `2026-01-31`.
    pub effective: String,
    /// Prices of the table itself, under no condition, and of its rows.
    pub rows: Cells,
    /// Factor on the prices of batches.
    pub batch: Option<Amount>,
    /// Factors on the prices of service tiers.
    pub service_tier: BTreeMap<String, Amount>,
}

impl PriceTable {
    /// Reads a `[[price]]` table.
    pub fn read(mut fields: Table) -> Result<Self> {
        let mut text = |key: &str| match fields.remove(key) {
            Some(Value::String(text)) => Ok(text),
            _ => bail!("a [[price]] table has no {key}"),
        };
        let (model, effective) = (text("model")?, text("effective")?);
        let mut table = Self {
            model,
            effective,
            ..Self::default()
        };
        let rows = match fields.remove("row") {
            Some(Value::Array(rows)) => rows,
            _ => Vec::new(),
        };
        if let Some(factor) = fields.remove("batch") {
            table.batch = Some(amount(&factor)?);
        }
        if let Some(Value::Table(factors)) = fields.remove("service_tier") {
            table.service_tier = amounts(factors)?;
        }
        table.rows.insert(Condition::default(), prices(fields)?);
        for row in rows {
            let Value::Table(mut fields) = row else {
                bail!("a row of {} is no table", table.model);
            };
            let condition = take_condition(&mut fields)?;
            table.rows.insert(condition, prices(fields)?);
        }
        Ok(table)
    }

    /// Chooses the fewest factors and rows that give every price of `cells`.
    pub fn of_cells(model: &str, effective: &str, cells: &Cells) -> Self {
        let none = Condition::default();
        let base = cells.get(&none).cloned().unwrap_or_default();
        let mut table = Self {
            model: model.to_owned(),
            effective: effective.to_owned(),
            rows: [(none, base)].into(),
            ..Self::default()
        };
        let batch = |condition: &Condition| condition.batch;
        table.batch = factor(cells, &batch, &|condition| condition.batch = false);
        let tiers = cells.keys().filter_map(|cell| cell.service_tier.clone());
        for tier in tiers.collect::<BTreeSet<_>>() {
            let is_of_tier = |cell: &Condition| cell.service_tier.as_ref() == Some(&tier);
            let factor = factor(cells, &is_of_tier, &|cell| cell.service_tier = None);
            table
                .service_tier
                .extend(factor.map(|it| (tier.clone(), it)));
        }
        // A row may change what another condition gets, so this goes on until nothing is missing.
        while let Some((condition, key, price)) = table.first_difference(cells) {
            let row = table.rows.entry(condition.clone()).or_default();
            row.insert(key.to_owned(), price.clone());
        }
        table
    }

    /// True if the table gives every price of `cells`, those that `any_model` gives excepted.
    pub fn gives(&self, cells: &Cells, any_model: Option<&Self>) -> bool {
        let mut all = cells.iter().flat_map(each);
        all.all(|(condition, key, price)| {
            let own = self.price(key, condition);
            let of_any = || any_model.and_then(|any| any.price(key, condition));
            own.or_else(of_any).as_ref() == Some(price)
        })
    }

    /// Returns the first price that is not the one of `cells`, by number of conditions.
    fn first_difference<'a>(
        &self,
        cells: &'a Cells,
    ) -> Option<(&'a Condition, &'a str, &'a Price)> {
        let mut all: Vec<_> = cells.iter().flat_map(each).collect();
        all.sort_by_key(|(condition, key, _)| (condition.count(), *condition, *key));
        all.into_iter().find(|(condition, key, price)| {
            let is_given = self.price(key, condition).as_ref() == Some(*price);
            let is_stated = |row: &Prices| row.get(*key) == Some(*price);
            !is_given && !self.rows.get(condition).is_some_and(is_stated)
        })
    }

    /// Returns the price of a request as the program chooses it: of the rows that the request meets, the one with the
    /// most conditions, and of several, the dearest. A factor applies unless the row states the condition itself.
    /// `None` if there is no price, or none that a price book could have.
    fn price(&self, key: &str, request: &Condition) -> Option<Price> {
        let met = self.rows.iter().filter(|(row, _)| row.is_met_by(request));
        let prices = met.filter_map(|(row, prices)| Some((row, prices.get(key)?)));
        let most = prices.clone().map(|(row, _)| row.count()).max()?;
        let chosen = prices.filter(|(row, _)| row.count() == most);
        let charged = chosen.map(|(row, price)| {
            let batch = self.batch.filter(|_| request.batch && !row.batch);
            let tier = request.service_tier.as_ref();
            let tier = tier.filter(|_| row.service_tier.is_none());
            let tier = tier.and_then(|tier| self.service_tier.get(tier));
            let factors = [batch, tier.copied()];
            factors.into_iter().flatten().try_fold(price.clone(), times)
        });
        let charged: Option<Vec<Price>> = charged.collect();
        charged?.into_iter().reduce(dearest)
    }

    /// Adds the prices and factors of an earlier table that `cells` say nothing about.
    pub fn complete(&mut self, earlier: &Self, cells: &Cells) {
        let says = |key: &str| cells.values().any(|prices| prices.contains_key(key));
        let none = Condition::default();
        let base = self.rows.entry(none.clone()).or_default();
        for (key, price) in earlier.rows.get(&none).into_iter().flatten() {
            if !says(key) {
                base.insert(key.clone(), price.clone());
            }
        }
        if !cells.keys().any(|cell| cell.batch) {
            self.batch = earlier.batch;
        }
        for (tier, factor) in &earlier.service_tier {
            let is_of_tier = |cell: &Condition| cell.service_tier.as_ref() == Some(tier);
            if !cells.keys().any(is_of_tier) {
                self.service_tier.insert(tier.clone(), *factor);
            }
        }
    }

    /// Writes the table as TOML.
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        let mut line = |text: &str| {
            out.push_str(text);
            out.push('\n');
        };
        line("[[price]]");
        line(&format!("model = {}", quoted(&self.model)));
        line(&format!("effective = {}", quoted(&self.effective)));
        let (base, rows): (Vec<_>, Vec<_>) =
            self.rows.iter().partition(|(row, _)| row.count() == 0);
        let lines = |prices: &Prices| -> Vec<String> {
            let known = || KEYS.lines().filter_map(|line| line.split(' ').next());
            let place = |key: &str| known().position(|known| known == key);
            let mut sorted: Vec<_> = prices.iter().collect();
            sorted.sort_by_key(|(key, _)| (place(key).unwrap_or(usize::MAX), *key));
            let spelled = sorted
                .into_iter()
                .map(|(key, price)| format!("{key} = {}", value(price)));
            spelled.collect()
        };
        for price in base.iter().flat_map(|(_, prices)| lines(prices)) {
            line(&price);
        }
        if let Some(factor) = self.batch {
            line(&format!("batch = \"{factor}\""));
        }
        if !self.service_tier.is_empty() {
            let factors = value(&Price::Variants(self.service_tier.clone()));
            line(&format!("service_tier = {factors}"));
        }
        for (condition, prices) in rows {
            line("[[price.row]]");
            for condition in condition.lines().into_iter().chain(lines(prices)) {
                line(&condition);
            }
        }
        out
    }
}

/// Returns the factor that the price of the input under a condition is of the one without it. `None` if there is none to
/// a billionth, if it is 1, if most other prices have another one, or if the condition has not the same lengths of input:
/// the map then says nothing of their product.
fn factor(
    cells: &Cells,
    is_under: &dyn Fn(&Condition) -> bool,
    remove: &dyn Fn(&mut Condition),
) -> Option<Amount> {
    let bands = |is_wanted: &dyn Fn(&Condition) -> bool| -> BTreeSet<_> {
        let wanted = cells.keys().filter(|cell| is_wanted(cell));
        wanted.map(|cell| cell.above_input_tokens).collect()
    };
    let is_plain = |cell: &Condition| {
        let plain = Condition {
            above_input_tokens: cell.above_input_tokens,
            ..Condition::default()
        };
        *cell == plain
    };
    if bands(is_under) != bands(&is_plain) {
        return None;
    }
    let all = cells.iter().flat_map(each);
    let under = all.filter(|(condition, ..)| is_under(condition));
    let ratios = under.map(|(condition, key, price)| {
        let mut without = condition.clone();
        remove(&mut without);
        match (price, cells.get(&without)?.get(key)?) {
            (Price::One(price), Price::One(plain)) => Some((key, price.ratio_to(*plain)?)),
            _ => None,
        }
    });
    let ratios: Vec<Option<(&str, Amount)>> = ratios.collect();
    let of_input = ratios.iter().flatten().find(|(key, _)| *key == "input");
    let (_, factor) = *of_input?;
    let others = ratios.iter().flatten();
    let count = others.filter(|(_, ratio)| *ratio == factor).count();
    (factor != Amount::ONE && count * 2 >= ratios.len()).then_some(factor)
}

fn each<'a>(
    (condition, prices): (&'a Condition, &'a Prices),
) -> impl Iterator<Item = (&'a Condition, &'a str, &'a Price)> {
    let prices = prices.iter();
    prices.map(move |(key, price)| (condition, key.as_str(), price))
}

/// Returns the product of a price and a factor, if it is exact to a billionth.
fn times(price: Price, factor: Amount) -> Option<Price> {
    let one = |amount: Amount| {
        let product = i128::from(amount.0) * i128::from(factor.0);
        let is_exact = product % i128::from(Amount::ONE.0) == 0;
        let product = is_exact.then(|| product / i128::from(Amount::ONE.0))?;
        i64::try_from(product).ok().map(Amount)
    };
    match price {
        Price::One(amount) => one(amount).map(Price::One),
        Price::Variants(all) => {
            let products = all
                .into_iter()
                .map(|(name, amount)| Some((name, one(amount)?)));
            products.collect::<Option<_>>().map(Price::Variants)
        }
    }
}

fn dearest(one: Price, other: Price) -> Price {
    match (&one, &other) {
        (Price::One(amount), Price::One(others)) if others > amount => other,
        _ => one,
    }
}

fn take_condition(fields: &mut Table) -> Result<Condition> {
    let text = |value: Value| {
        value
            .as_str()
            .map(str::to_owned)
            .context("a text is expected")
    };
    let mut take = |key: &str| fields.remove(key);
    let tokens = take("above_input_tokens");
    let tokens = tokens.map(|tokens| tokens.as_integer().and_then(|it| u32::try_from(it).ok()));
    Ok(Condition {
        endpoint: take("endpoint").map(text).transpose()?,
        service_tier: take("service_tier").map(text).transpose()?,
        batch: take("batch") == Some(Value::Boolean(true)),
        above_input_tokens: tokens
            .map(|it| it.context("above_input_tokens"))
            .transpose()?,
    })
}

fn prices(fields: Table) -> Result<Prices> {
    let read = |(key, value): (String, Value)| {
        let price = match value {
            Value::Table(variants) => Price::Variants(amounts(variants)?),
            one => Price::One(amount(&one)?),
        };
        Ok((key, price))
    };
    fields.into_iter().map(read).collect()
}

fn amounts(table: Table) -> Result<BTreeMap<String, Amount>> {
    let read = |(name, value): (String, Value)| Ok((name, amount(&value)?));
    table.into_iter().map(read).collect()
}

fn amount(value: &Value) -> Result<Amount> {
    Amount::parse(value.as_str().context("a price must be a text")?)
}

fn quoted(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// Spells a price as TOML.
fn value(price: &Price) -> String {
    match price {
        Price::One(amount) => format!("\"{amount}\""),
        Price::Variants(all) => {
            let is_bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            let mut text = String::from("{ ");
            for (index, (name, amount)) in all.iter().enumerate() {
                let comma = if index == 0 { "" } else { ", " };
                let name = if name.bytes().all(is_bare)
                    && !name.starts_with(|c: char| c.is_ascii_digit())
                {
                    name.clone()
                } else {
                    quoted(name).to_string()
                };
                // Writing to a text cannot fail.
                let _ = write!(text, "{comma}{name} = \"{amount}\"");
            }
            text + " }"
        }
    }
}
