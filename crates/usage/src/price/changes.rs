//! Changes between consecutive entries of a price book.

use std::collections::BTreeMap;

use base::UnixTime;

use super::{PriceBook, PriceEntry};
use crate::ItemName;

/// The changes of a model's prices on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceChange {
    /// The first second in which the new prices apply.
    pub effective: UnixTime,
    /// The model; `*` for tools and storage.
    pub model: String,
    /// True if the model had no prices before.
    pub is_first: bool,
    /// Each key of the price book that changed, with its old and its new value.
    pub keys: Vec<(String, Option<String>, Option<String>)>,
}

impl PriceBook {
    /// Returns the changes that take effect in `from..to`, oldest first.
    #[must_use]
    pub fn changes(&self, from: UnixTime, to: UnixTime) -> Vec<PriceChange> {
        let mut changes: Vec<PriceChange> = Vec::new();
        for (model, newest_first) in self.models.iter() {
            for (index, entry) in newest_first.iter().enumerate() {
                let before = newest_first.get(index + 1);
                let change = PriceChange {
                    effective: entry.effective,
                    model: model.clone(),
                    is_first: before.is_none(),
                    keys: difference(before, entry),
                };
                if (from..to).contains(&entry.effective) && !change.keys.is_empty() {
                    changes.push(change);
                }
            }
        }
        changes.sort_by(|a, b| (a.effective, &a.model).cmp(&(b.effective, &b.model)));
        changes
    }
}

fn difference(
    before: Option<&PriceEntry>,
    after: &PriceEntry,
) -> Vec<(String, Option<String>, Option<String>)> {
    let mut before = before.map(PriceEntry::keys).unwrap_or_default();
    let mut keys: Vec<_> = after
        .keys()
        .into_iter()
        .map(|(key, is)| {
            let was = before.remove(&key);
            (key, was, Some(is))
        })
        .collect();
    keys.extend(before.into_iter().map(|(key, was)| (key, Some(was), None)));
    keys.retain(|(_, was, is)| was != is);
    keys
}

impl PriceEntry {
    /// Returns the value of each key of the entry, by the key's name in a price book.
    fn keys(&self) -> BTreeMap<String, String> {
        let mut keys = BTreeMap::new();
        for row in &self.rows {
            let of_row = match row.conditions.to_string() {
                none if none.is_empty() => none,
                conditions => format!(" ({conditions})"),
            };
            for item in ItemName::ALL {
                if let Some(price) = row.prices[*item as usize] {
                    let key = item.price_key();
                    keys.insert(format!("{key}{of_row}"), price.to_string());
                }
            }
            for (item, variant, price) in &row.variants {
                let key = item.price_key();
                keys.insert(format!("{key}.{variant}{of_row}"), price.to_string());
            }
        }
        for (tier, factor) in &self.service_tiers {
            keys.insert(format!("service_tier.{tier}"), factor.to_string());
        }
        if self.batch != base::money::Factor::ONE {
            keys.insert("batch".to_owned(), self.batch.to_string());
        }
        keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_has_the_old_and_new_value_of_each_key() {
        let book = r#"
            [[price]]
            model = "m"
            effective = "2026-01-01"
            input = "2"
            output = "8"
            batch = "0.5"
            [[price]]
            model = "m"
            effective = "2026-03-01"
            input = "1.5"
            output = "8"
            image = { small = "0.04" }
            service_tier = { flex = "0.25" }
            [[price]]
            model = "m"
            effective = "2026-04-01"
            input = "1.50"
            output = "8"
            image = { small = "0.04" }
            service_tier = { flex = "0.250" }
        "#;
        let book = PriceBook::parse(book).expect("a price book");
        let (january, march) = (UnixTime(1_767_225_600), UnixTime(1_772_323_200));
        let changes = book.changes(january, UnixTime(i64::MAX));
        assert_eq!(changes.len(), 2, "in April nothing changed: {changes:?}");
        assert!(changes[0].is_first && changes[0].effective == january);
        let change = &changes[1];
        assert!(!change.is_first && change.effective == march && change.model == "m");
        let shown: Vec<_> = change
            .keys
            .iter()
            .map(|(key, was, is)| {
                let text = |side: &Option<String>| side.clone().unwrap_or_else(|| "-".to_owned());
                format!("{key} {} {}", text(was), text(is))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "image.small - $0.04",
                "input $2.00 $1.50",
                "service_tier.flex - 0.25",
                "batch 0.5 -"
            ]
        );
        assert!(book.changes(UnixTime(0), january).is_empty());
    }
}
