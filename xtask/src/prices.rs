//! `cargo xtask prices`: brings the built-in price book and facts up to date with a public price map.

mod amount;
mod book;
mod condition;
mod facts;
mod header;
mod map_field;
mod public_map;
mod review;
mod table;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::environment::root;
use crate::step::say;
use book::BookFile;
use facts::FactsFile;
use public_map::PublicMap;

const BOOK: &str = "crates/usage/src/prices.toml";
const FACTS: &str = "crates/usage/src/facts.toml";

/// Options of `cargo xtask prices`.
#[derive(Args)]
pub struct PricesOptions {
    /// The map: a JSON object of models, or an object whose member "models" is one.
    map: PathBuf,
    /// The name and the version of the map, for the comments of the files.
    #[arg(long)]
    source: String,
    /// The first day of prices that have changed, such as 2026-11-30.
    #[arg(long)]
    date: String,
}

/// Rewrites both files, and lists what a reviewer should look at.
pub fn run(options: &PricesOptions) -> Result<()> {
    if !is_date(&options.date) {
        bail!("--date must be a date such as 2026-11-30");
    }
    let text = fs::read_to_string(&options.map)
        .with_context(|| format!("cannot read {}", options.map.display()))?;
    let map = PublicMap::parse(&text)?;
    let root = root()?;
    let read = |path: &str| {
        let path = root.join(path);
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let mut book = BookFile::parse(&read(BOOK)?)?;
    book.update(map.models.values(), &options.date)?;
    let mut facts = FactsFile::parse(&read(FACTS)?)?;
    facts.update(map.models.values());
    let source = format!("{}, entered on {}.", options.source, options.date);
    fs::write(root.join(BOOK), book.write(&source))?;
    fs::write(root.join(FACTS), facts.write(&source))?;
    for note in map.notes.iter().chain(&review::odd_prices(&map)) {
        say(note);
    }
    say(&format!(
        "{} models; review the diff of {BOOK} and {FACTS}",
        map.models.len()
    ));
    Ok(())
}

/// Returns the name of a model without the date at its end, and the date; `None` if there is no date.
fn undated(model: &str) -> Option<(&str, &str)> {
    let (name, date) = model.split_at_checked(model.len().checked_sub(10)?)?;
    Some((name.strip_suffix('-')?, is_date(date).then_some(date)?))
}

/// True for a text such as `2026-11-30`.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_number = |part: &str, len, range: std::ops::RangeInclusive<u32>| {
        part.len() == len && part.parse().is_ok_and(|number| range.contains(&number))
    };
    matches!(parts[..], [year, month, day]
        if is_number(year, 4, 2000..=2999) && is_number(month, 2, 1..=12) && is_number(day, 2, 1..=31))
}
