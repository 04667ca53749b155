//! The built-in price book: prices of the public map become entries, and earlier entries stay.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use toml::{Table, Value};

use super::condition::Condition;
use super::public_map::MapModel;
use super::table::{Cells, PriceTable};
use super::{header, undated};

/// Model name of prices of tools and storage that apply to every model.
const ANY_MODEL: &str = "*";
/// First day of the prices of a model whose name has no date: earlier than any usage.
const FIRST_DAY: &str = "2024-01-01";

/// A price book as a file.
#[derive(Clone, Debug, Default)]
pub struct BookFile {
    header: String,
    /// Entries by model, the newest first.
    models: BTreeMap<String, Vec<PriceTable>>,
}

impl BookFile {
    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self> {
        let mut all: Table = text.parse().context("the price book is not TOML")?;
        let tables = match all.remove("price") {
            Some(Value::Array(tables)) => tables,
            _ => Vec::new(),
        };
        let mut book = Self {
            header: header::hand_written(text),
            ..Self::default()
        };
        for table in tables {
            let Value::Table(fields) = table else {
                bail!("price is not a list of tables");
            };
            book.add(PriceTable::read(fields)?);
        }
        Ok(book)
    }

    /// Enters the prices of models. A price that differs from the known one applies from `date` on; a model that had none
    /// gets its prices from the date in its name on, or from [`FIRST_DAY`].
    pub fn update<'a>(
        &mut self,
        models: impl Iterator<Item = &'a MapModel>,
        date: &str,
    ) -> Result<()> {
        let before = self.clone();
        for model in models {
            let name = &model.name;
            let cells = self.without_common(&model.cells);
            let any = self.newest(ANY_MODEL);
            if self
                .find(name)
                .is_some_and(|known| known.gives(&model.cells, any))
            {
                continue;
            }
            let (effective, known) = match before.find(name) {
                Some(known) if known.effective.as_str() > date => {
                    bail!(
                        "{name} has prices from {} on, after {date}",
                        known.effective
                    );
                }
                Some(known) => (date, Some(known)),
                None => (first_day(name), None),
            };
            let mut table = PriceTable::of_cells(name, effective, &cells);
            if let Some(known) = known {
                table.complete(known, &cells);
            }
            self.add(table);
        }
        Ok(())
    }

    /// Returns the prices without those of tools that every model has.
    fn without_common(&self, cells: &Cells) -> Cells {
        let any = self.newest(ANY_MODEL);
        let none = Condition::default();
        let common = any.and_then(|any| any.rows.get(&none));
        let is_own = |key: &str, price| common.and_then(|common| common.get(key)) != Some(price);
        let own = cells.iter().map(|(condition, prices)| {
            let own = prices.iter().filter(|(key, price)| is_own(key, price));
            let own = own.map(|(key, price)| (key.clone(), price.clone()));
            (condition.clone(), own.collect())
        });
        own.collect()
    }

    /// Returns the newest entry for a model. A name that ends in a date falls back to the name without the date.
    fn find(&self, model: &str) -> Option<&PriceTable> {
        let undated = || self.newest(undated(model)?.0);
        self.newest(model).or_else(undated)
    }

    fn newest(&self, model: &str) -> Option<&PriceTable> {
        self.models.get(model)?.first()
    }

    /// Adds an entry, in place of one for the same model and day.
    fn add(&mut self, table: PriceTable) {
        let same = self.models.entry(table.model.clone()).or_default();
        same.retain(|other| other.effective != table.effective);
        same.push(table);
        same.sort_by(|one, other| other.effective.cmp(&one.effective));
    }

    /// Writes the file, with `source` in the comments at the top.
    pub fn write(&self, source: &str) -> String {
        let mut text = header::with_source(&self.header, source);
        let tables: Vec<String> = self
            .models
            .values()
            .flatten()
            .map(PriceTable::to_toml)
            .collect();
        text.push_str(&tables.join("\n"));
        text
    }
}

/// Returns the first day of the prices of a model that had none.
fn first_day(model: &str) -> &str {
    undated(model).map_or(FIRST_DAY, |(_, date)| date)
}
