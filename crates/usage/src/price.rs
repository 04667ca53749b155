//! Prices: a price book by model and by the day from which a price applies.

mod changes;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::money::Factor;
use base::{NanoDollars, UnixTime};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::{ItemName, UsageEvent};

pub use changes::PriceChange;

/// The model name of prices of tools and storage that apply to every model.
pub const ANY_MODEL: &str = "*";

/// The prices of one model from one day on: a `[[price]]` table.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "BTreeMap<String, Field>")]
pub struct PriceEntry {
    model: String,
    effective: UnixTime,
    prices: [Option<NanoDollars>; ItemName::ALL.len()],
    images_by_size: BTreeMap<String, NanoDollars>,
    batch: Factor,
    service_tiers: BTreeMap<String, Factor>,
}

/// The value of a key of a `[[price]]` table.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Text(String),
    Table(BTreeMap<String, String>),
    Other(IgnoredAny),
}

/// An error in a price book.
#[derive(Debug, thiserror::Error)]
pub enum PriceError {
    /// The text is not TOML, or not a list of `[[price]]` tables.
    #[error("{0}")]
    Syntax(#[from] toml::de::Error),
    /// A key of an entry is unknown, missing or has an invalid value.
    #[error("the price of {model:?}: {key} {problem}")]
    Entry {
        /// The model of the entry.
        model: String,
        /// The key.
        key: String,
        /// The problem.
        problem: &'static str,
    },
}

const NO_PRICE: &str =
    "must be US dollars as a decimal string, such as \"1.25\", with at most 9 decimals";
const NO_FACTOR: &str = "must be a factor as a decimal string, such as \"0.5\"";

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
        let mut entry = Self {
            model,
            effective,
            prices: [None; ItemName::ALL.len()],
            images_by_size: BTreeMap::new(),
            batch: Factor::ONE,
            service_tiers: BTreeMap::new(),
        };
        for (key, field) in fields {
            entry.set(&key, field)?;
        }
        if entry.prices.iter().all(Option::is_none) && entry.images_by_size.is_empty() {
            return Err(wrong(&entry.model, "entry", "has no price"));
        }
        Ok(entry)
    }
}

impl PriceEntry {
    fn set(&mut self, name: &str, field: Field) -> Result<(), PriceError> {
        let wrong_price = |key: &str| wrong(&self.model, key, NO_PRICE);
        let wrong_factor = |key: &str| wrong(&self.model, key, NO_FACTOR);
        match (name, ItemName::of_price_key(name), field) {
            ("batch", _, Field::Text(text)) => {
                self.batch = Factor::parse(&text).ok_or_else(|| wrong_factor(name))?;
            }
            ("service_tier", _, Field::Table(table)) => {
                let read = |text: &str| Factor::parse(text);
                self.service_tiers = each(name, table, read, wrong_factor)?;
            }
            ("batch" | "service_tier", ..) => return Err(wrong_factor(name)),
            (_, None, _) => return Err(wrong(&self.model, name, "is not a key of a price")),
            (_, Some(item), _) if self.model == ANY_MODEL && !item.is_for_any_model() => {
                let problem = "needs a model: \"*\" has prices of tools and storage only";
                return Err(wrong(&self.model, name, problem));
            }
            (_, Some(item), Field::Text(text)) => {
                let price = NanoDollars::parse(&text).ok_or_else(|| wrong_price(name))?;
                self.prices[item as usize] = Some(price);
            }
            (_, Some(ItemName::Images), Field::Table(table)) => {
                self.images_by_size = each(name, table, NanoDollars::parse, wrong_price)?;
            }
            (_, Some(_), _) => return Err(wrong_price(name)),
        }
        Ok(())
    }

    /// Returns the price of an item for an event; the price of images may depend on the event's size.
    pub(crate) fn price(&self, item: ItemName, event: &UsageEvent) -> Option<NanoDollars> {
        let by_size = || self.images_by_size.get(event.size.as_deref()?).copied();
        let sized = (item == ItemName::Images).then(by_size).flatten();
        sized.or(self.prices[item as usize])
    }

    /// Returns the highest of the prices of `items`, over all image sizes.
    pub(crate) fn dearest(&self, items: &[ItemName]) -> Option<NanoDollars> {
        items.iter().flat_map(|item| self.each(*item)).max()
    }

    /// Returns the prices of an item: one, or for images one for each size.
    pub(crate) fn each(&self, item: ItemName) -> impl Iterator<Item = NanoDollars> {
        let by_size = (item == ItemName::Images).then_some(&self.images_by_size);
        let by_size = by_size.into_iter().flat_map(BTreeMap::values).copied();
        self.prices[item as usize].into_iter().chain(by_size)
    }

    /// Returns every factor that may apply to a request outside of batches.
    pub(crate) fn factors(&self) -> impl Iterator<Item = Factor> {
        self.service_tiers.values().copied().chain([Factor::ONE])
    }

    /// Returns the factor that applies to requests of a batch.
    pub(crate) fn batch(&self) -> Factor {
        self.batch
    }

    /// Returns the factor that applies to an event.
    pub(crate) fn factor(&self, event: &UsageEvent) -> Factor {
        let tier = event.service_tier.as_ref();
        let tier = tier.and_then(|tier| self.service_tiers.get(tier)).copied();
        let batch = if event.batch { self.batch } else { Factor::ONE };
        batch * tier.unwrap_or(Factor::ONE)
    }
}

/// Parses each value of the table `name`.
fn each<T>(
    name: &str,
    table: BTreeMap<String, String>,
    read: impl Fn(&str) -> Option<T>,
    wrong: impl Fn(&str) -> PriceError,
) -> Result<BTreeMap<String, T>, PriceError> {
    table
        .into_iter()
        .map(|(key, text)| {
            let value = read(&text).ok_or_else(|| wrong(&format!("{name}.{key}")))?;
            Ok((key, value))
        })
        .collect()
}

fn wrong(model: &str, key: &str, problem: &'static str) -> PriceError {
    PriceError::Entry {
        model: model.to_owned(),
        key: key.to_owned(),
        problem,
    }
}

/// Returns the first second of a date in UTC.
fn start_of(date: &str) -> Option<UnixTime> {
    let date: Date = date.parse().ok()?;
    let start = date.to_zoned(TimeZone::UTC).ok()?;
    Some(UnixTime(start.timestamp().as_second()))
}

/// Prices by model and date; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct PriceBook {
    /// The entries of each model, newest first.
    models: Arc<HashMap<String, Vec<PriceEntry>>>,
}

impl PriceBook {
    /// Returns the list prices of well-known models, as of the date in the file that ships with the program.
    ///
    /// # Panics
    /// The file is not a price book, which a test excludes.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(include_str!("prices.toml")).expect("the built-in price book is understood")
    }

    /// Parses `[[price]]` tables.
    ///
    /// # Errors
    /// The text is not TOML or has other tables; or a key of an entry is unknown, missing or invalid: the error then
    /// names the model and the key.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Book {
            #[serde(default)]
            price: Vec<BTreeMap<String, Field>>,
        }
        let book: Book = toml::from_str(text)?;
        let entries: Result<_, _> = book.price.into_iter().map(TryFrom::try_from).collect();
        entries.map(Self::from_entries)
    }

    /// Returns a book of entries. Of two entries for the same model and date, the later one applies.
    #[must_use]
    pub fn from_entries(entries: Vec<PriceEntry>) -> Self {
        let mut models: HashMap<String, Vec<PriceEntry>> = HashMap::new();
        for entry in entries {
            let same = models.entry(entry.model.clone()).or_default();
            same.retain(|other| other.effective != entry.effective);
            same.push(entry);
        }
        for same in models.values_mut() {
            same.sort_by_key(|entry| std::cmp::Reverse(entry.effective));
        }
        Self {
            models: Arc::new(models),
        }
    }

    /// Returns this book with entries of `other` in place of those for the same model and date.
    #[must_use]
    pub fn with_overrides(self, other: Self) -> Self {
        let all = [self.models, other.models].into_iter();
        Self::from_entries(
            all.flat_map(|models| models.values().flatten().cloned().collect::<Vec<_>>())
                .collect(),
        )
    }

    /// Returns the models that have prices, in no particular order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models
            .keys()
            .map(String::as_str)
            .filter(|model| *model != ANY_MODEL)
    }

    /// Returns the newest entry for `model` that applies at `time`. A name that ends in a date, such as
    /// `gpt-5-2025-08-07`, falls back to the name without the date.
    pub(crate) fn entry(&self, model: &str, time: UnixTime) -> Option<&PriceEntry> {
        let holding = |name: &str| {
            let mut newest_first = self.models.get(name)?.iter();
            newest_first.find(|entry| entry.effective <= time)
        };
        holding(model).or_else(|| holding(undated(model)?))
    }

    /// Returns the entries for `model` that apply at `time` or later.
    pub(crate) fn entries_from(
        &self,
        model: &str,
        time: UnixTime,
    ) -> impl Iterator<Item = &PriceEntry> {
        let names = [Some(model), undated(model)].into_iter().flatten();
        let all = names.filter_map(|name| self.models.get(name)).flatten();
        let later = all.filter(move |entry| entry.effective > time);
        self.entry(model, time).into_iter().chain(later)
    }
}

/// Returns the name of a model without the date at its end; `None` if there is no date.
pub(crate) fn undated(model: &str) -> Option<&str> {
    let (name, date) = model.split_at_checked(model.len().checked_sub(10)?)?;
    start_of(date)?;
    name.strip_suffix('-')
}
