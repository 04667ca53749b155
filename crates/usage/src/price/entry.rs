//! The prices of one model from one day on: a `[[price]]` table with its rows.

use std::collections::BTreeMap;

use base::money::Factor;
use base::{NanoDollars, UnixTime};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::conditions::{Conditions, PriceKey, tier_name};
use super::row::PriceRow;
use super::{ANY_MODEL, PriceError, start_of};
use crate::{ItemName, UsageKind};

const NO_PRICE: &str =
    "must be US dollars as a decimal string, such as \"1.25\", with at most 9 decimals";
const NO_FACTOR: &str = "must be a factor as a decimal string, such as \"0.5\"";

/// The prices of one model from one day on: a `[[price]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "BTreeMap<String, Field>")]
pub struct PriceEntry {
    pub(super) model: String,
    pub(super) effective: UnixTime,
    /// The rows; the first one has no condition, and is the table itself.
    pub(super) rows: Vec<PriceRow>,
    pub(super) batch: Factor,
    pub(super) service_tiers: BTreeMap<String, Factor>,
}

/// The value of a key of a `[[price]]` table.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Field {
    Text(String),
    Flag(bool),
    Number(i64),
    Table(BTreeMap<String, String>),
    Rows(Vec<BTreeMap<String, Field>>),
    Other(IgnoredAny),
}

/// A price of an item, with the row that has it and the factor on it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ItemPrice<'a> {
    pub(crate) price: NanoDollars,
    pub(crate) factor: Factor,
    pub(crate) conditions: &'a Conditions,
    /// The variant that the price is for; `None` for the price of every variant.
    pub(crate) variant: Option<&'a str>,
}

impl TryFrom<BTreeMap<String, Field>> for PriceEntry {
    type Error = PriceError;

    fn try_from(mut fields: BTreeMap<String, Field>) -> Result<Self, PriceError> {
        let model = match fields.remove("model") {
            Some(Field::Text(model)) if !model.is_empty() => model,
            _ => return Err(wrong("?", "model", "must be there, a name or \"*\"")),
        };
        let effective = match fields.remove("effective") {
            Some(Field::Text(date)) => start_of(&date),
            _ => None,
        };
        let effective = effective
            .ok_or_else(|| wrong(&model, "effective", "must be a date such as \"2026-01-31\""))?;
        let rows = match fields.remove("row") {
            None => Vec::new(),
            Some(Field::Rows(rows)) => rows,
            Some(_) => return Err(wrong(&model, "row", "must be [[price.row]] tables")),
        };
        let mut entry = Self {
            model,
            effective,
            rows: Vec::new(),
            batch: Factor::ONE,
            service_tiers: BTreeMap::new(),
        };
        entry.set_factors(&mut fields)?;
        let table = PriceRow::new(Conditions::default());
        entry.add_row("", table, fields)?;
        for (index, fields) in rows.into_iter().enumerate() {
            entry.add_conditional_row(&format!("row {} ", index + 1), fields)?;
        }
        Ok(entry)
    }
}

impl PriceEntry {
    fn set_factors(&mut self, fields: &mut BTreeMap<String, Field>) -> Result<(), PriceError> {
        let wrong = |key: &str| wrong(&self.model, key, NO_FACTOR);
        match fields.remove("batch") {
            None => {}
            Some(Field::Text(text)) => {
                self.batch = Factor::parse(&text).ok_or_else(|| wrong("batch"))?;
            }
            Some(_) => return Err(wrong("batch")),
        }
        let tiers = match fields.remove("service_tier") {
            None => return Ok(()),
            Some(Field::Table(tiers)) => tiers,
            Some(_) => return Err(wrong("service_tier")),
        };
        for (tier, text) in tiers {
            let key = || format!("service_tier.{tier}");
            let factor = Factor::parse(&text).ok_or_else(|| wrong(&key()))?;
            let known = self
                .service_tiers
                .insert(tier_name(&tier).to_owned(), factor);
            if known.is_some() {
                let problem = "is there twice: fast is another name of priority";
                return Err(self::wrong(&self.model, &key(), problem));
            }
        }
        Ok(())
    }

    fn add_conditional_row(
        &mut self,
        prefix: &str,
        mut fields: BTreeMap<String, Field>,
    ) -> Result<(), PriceError> {
        let wrong = |key: &str, problem| wrong(&self.model, &format!("{prefix}{key}"), problem);
        let mut conditions = Conditions::default();
        match (fields.remove("service_tier"), fields.remove("tier")) {
            (None, None) => {}
            (Some(Field::Text(tier)), None) | (None, Some(Field::Text(tier))) => {
                conditions.service_tier = Some(tier_name(&tier).to_owned());
            }
            _ => {
                return Err(wrong(
                    "service_tier",
                    "must be the name of one service tier",
                ));
            }
        }
        match fields.remove("batch") {
            None => {}
            Some(Field::Flag(true)) => conditions.is_batch = true,
            Some(_) => {
                return Err(wrong(
                    "batch",
                    "must be true or left out: it is a condition",
                ));
            }
        }
        match fields.remove("above_input_tokens") {
            None => {}
            Some(Field::Number(tokens @ 1..)) => conditions.above_input_tokens = Some(tokens),
            Some(_) => return Err(wrong("above_input_tokens", "must be a number of tokens")),
        }
        match fields.remove("endpoint") {
            None => {}
            Some(Field::Text(name)) if UsageKind::parse(&name).is_some() => {
                conditions.endpoint = UsageKind::parse(&name);
            }
            Some(_) => return Err(wrong("endpoint", "must be the name of a usage report")),
        }
        if conditions.count() == 0 {
            return Err(wrong(
                "conditions",
                "are missing: prices of every request are in the table",
            ));
        }
        if self.rows.iter().any(|row| row.conditions == conditions) {
            return Err(wrong("conditions", "are those of an earlier row"));
        }
        self.add_row(prefix, PriceRow::new(conditions), fields)
    }

    fn add_row(
        &mut self,
        prefix: &str,
        mut row: PriceRow,
        fields: BTreeMap<String, Field>,
    ) -> Result<(), PriceError> {
        for (key, field) in fields {
            self.set(&mut row, prefix, &key, field)?;
        }
        if row.is_empty() {
            let what = if prefix.is_empty() {
                "entry"
            } else {
                prefix.trim_end()
            };
            return Err(wrong(&self.model, what, "has no price"));
        }
        self.rows.push(row);
        Ok(())
    }

    fn set(
        &self,
        row: &mut PriceRow,
        prefix: &str,
        key: &str,
        field: Field,
    ) -> Result<(), PriceError> {
        let wrong = |key: &str, problem| wrong(&self.model, &format!("{prefix}{key}"), problem);
        let item = ItemName::of_price_key(key);
        let item = item.ok_or_else(|| wrong(key, "is not a key of a price"))?;
        if self.model == ANY_MODEL && !item.is_for_any_model() {
            let problem = "needs a model: \"*\" has prices of tools and storage only";
            return Err(wrong(key, problem));
        }
        match field {
            Field::Text(text) => {
                let price = NanoDollars::parse(&text).ok_or_else(|| wrong(key, NO_PRICE))?;
                row.prices[item as usize] = Some(price);
            }
            Field::Table(table) if item.has_variants() => {
                for (variant, text) in table {
                    let price = NanoDollars::parse(&text)
                        .ok_or_else(|| wrong(&format!("{key}.{variant}"), NO_PRICE))?;
                    row.variants.push((item, variant, price));
                }
            }
            _ => return Err(wrong(key, NO_PRICE)),
        }
        Ok(())
    }

    /// Returns the price of an item for a request: of the rows whose conditions the request meets and that have the price,
    /// that of the row with the most conditions; of several, the dearest with its factor.
    pub(crate) fn price(&self, item: ItemName, key: &PriceKey<'_>) -> Option<ItemPrice<'_>> {
        let rows = self.rows.iter().filter(|row| row.conditions.are_met(key));
        let prices = rows.filter_map(|row| {
            let (price, variant) = row.price(item, key)?;
            let price = ItemPrice {
                price,
                factor: self.factor(&row.conditions, key),
                conditions: &row.conditions,
                variant,
            };
            let dearness = price.price.for_quantity_times(1, 1, price.factor);
            Some((row.conditions.count(), dearness, price))
        });
        let most = prices.max_by_key(|(count, dearness, _)| (*count, *dearness));
        most.map(|(_, _, price)| price)
    }

    /// Returns the factor on the prices of a row: those of batches and of the service tier, unless the row is for them.
    fn factor(&self, row: &Conditions, key: &PriceKey<'_>) -> Factor {
        let is_discounted = key.is_batch && !row.is_batch;
        let batch = if is_discounted {
            self.batch
        } else {
            Factor::ONE
        };
        let tier = key.service_tier.filter(|_| row.service_tier.is_none());
        let tier = tier.and_then(|tier| self.service_tiers.get(tier)).copied();
        batch * tier.unwrap_or(Factor::ONE)
    }

    /// Returns the model of the table.
    pub(crate) fn model(&self) -> &str {
        &self.model
    }

    /// Returns the first second in which the table applies.
    pub(crate) fn effective(&self) -> UnixTime {
        self.effective
    }

    /// Returns the service tiers that have a factor or a row.
    pub(crate) fn tiers(&self) -> impl Iterator<Item = &str> {
        let of_rows = self
            .rows
            .iter()
            .filter_map(|row| row.conditions.service_tier.as_ref());
        let with_factor = self.service_tiers.keys();
        with_factor.chain(of_rows).map(String::as_str)
    }

    /// Returns the numbers of input tokens above which a row applies.
    pub(crate) fn bands(&self) -> impl Iterator<Item = i64> {
        let rows = self.rows.iter();
        rows.filter_map(|row| row.conditions.above_input_tokens)
    }

    /// Returns the names of the variants of an item that have a price.
    pub(crate) fn variants(&self, item: ItemName) -> impl Iterator<Item = &str> {
        let all = self.rows.iter().flat_map(|row| &row.variants);
        let own = all.filter(move |(of, _, _)| *of == item);
        own.map(|(_, variant, _)| variant.as_str())
    }

    /// True if a row has a price of an item.
    pub(crate) fn sells(&self, item: ItemName) -> bool {
        let mut rows = self.rows.iter();
        rows.any(|row| row.prices[item as usize].is_some()) || self.variants(item).next().is_some()
    }

    /// Returns the highest price of an item over all rows, without factors.
    pub(crate) fn dearest(&self, item: ItemName) -> Option<NanoDollars> {
        let plain = self.rows.iter().filter_map(|row| row.prices[item as usize]);
        let variants = self.rows.iter().flat_map(|row| &row.variants);
        let variants = variants.filter(|(of, _, _)| *of == item);
        plain.chain(variants.map(|(_, _, price)| *price)).max()
    }

    /// Returns the highest factor that may apply to a price.
    pub(crate) fn max_factor(&self) -> Factor {
        let tiers = self.service_tiers.values().copied();
        let tier = tiers.fold(Factor::ONE, Factor::max);
        tier * self.batch.max(Factor::ONE)
    }
}

fn wrong(model: &str, key: &str, problem: &'static str) -> PriceError {
    PriceError::Entry {
        model: model.to_owned(),
        key: key.to_owned(),
        problem,
    }
}
