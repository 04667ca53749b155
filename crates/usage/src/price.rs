//! Prices: a price book by model and by the day from which a price applies.

mod changes;
mod conditions;
mod entry;
mod list;
mod row;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::UnixTime;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::model_name::lookup_names;

pub use changes::PriceChange;
pub(crate) use conditions::{PriceKey, tier_name};
use entry::Field;
pub(crate) use entry::ItemPrice;
pub use entry::PriceEntry;
pub use list::ListPrices;
pub use row::{DEFAULT_CONTAINER_MEMORY, DEFAULT_CONTEXT_LEVEL};

/// The model name of prices of tools and storage that apply to every model.
pub const ANY_MODEL: &str = "*";

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

    /// Returns a text that two price books have in common only if they have the same entries; for comparison within one
    /// version of the program.
    #[must_use]
    pub fn canonical_text(&self) -> String {
        let ordered: BTreeMap<_, _> = self.models.iter().collect();
        format!("{ordered:?}")
    }

    /// Returns the models that have prices, in no particular order.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        self.models
            .keys()
            .map(String::as_str)
            .filter(|model| *model != ANY_MODEL)
    }

    /// Returns the newest entry for `model` that applies at `time`. A name that ends in a date, such as
    /// `gpt-5-2025-08-07`, falls back to the name without the date, and a fine-tuned model `ft:BASE:…` to `ft:BASE`.
    pub(crate) fn entry(&self, model: &str, time: UnixTime) -> Option<&PriceEntry> {
        let holding = |name: &str| {
            let mut newest_first = self.models.get(name)?.iter();
            newest_first.find(|entry| entry.effective <= time)
        };
        lookup_names(model).find_map(holding)
    }

    /// Returns the entries for `model` that apply at `time` or later.
    pub(crate) fn entries_from(
        &self,
        model: &str,
        time: UnixTime,
    ) -> impl Iterator<Item = &PriceEntry> {
        let all = lookup_names(model)
            .filter_map(|name| self.models.get(name))
            .flatten();
        let later = all.filter(move |entry| entry.effective > time);
        self.entry(model, time).into_iter().chain(later)
    }
}
