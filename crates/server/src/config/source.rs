//! Contents of the configuration files, to detect changes.

use std::path::Path;

use anyhow::Context;
use toml::{Table, Value};

use super::{ConfigFile, DEFAULT_FILE};
use crate::text_file;

/// Contents of the configuration files at the time of reading.
#[derive(Clone, Default)]
pub struct Source {
    keys: Table,
    price_book: Option<String>,
}

impl Source {
    /// Reads the named configuration file, or the default one if it exists.
    pub(super) fn read(named: Option<&Path>) -> anyhow::Result<(Self, ConfigFile)> {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        if named.is_none() && !path.exists() {
            return Ok(Default::default());
        }
        let text = text_file::read(path)
            .with_context(|| format!("the configuration {} cannot be read", path.display()))?;
        let wrong = || format!("the configuration {}", path.display());
        let file = toml::from_str(&text).with_context(wrong)?;
        let source = Self {
            keys: toml::from_str(&text).with_context(wrong)?,
            price_book: None,
        };
        Ok((source, file))
    }

    /// Reads the price book.
    pub(super) fn price_book(&mut self, path: &Path) -> anyhow::Result<&str> {
        let text = text_file::read(path)
            .with_context(|| format!("the price book {} cannot be read", path.display()))?;
        Ok(self.price_book.insert(text))
    }

    /// Returns the names of the keys that have another value in `new`, in order. Values are not shown: some are secrets.
    #[must_use]
    pub fn changes(&self, new: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        compare("", &self.keys, &new.keys, &mut changes);
        if self.price_book != new.price_book && !changes.iter().any(|name| name == "prices") {
            changes.push("prices (the file)".to_owned());
        }
        changes.sort_unstable();
        changes
    }
}

fn compare(prefix: &str, old: &Table, new: &Table, changes: &mut Vec<String>) {
    let added = new.keys().filter(|key| !old.contains_key(*key));
    for key in old.keys().chain(added) {
        let name = format!("{prefix}{key}");
        match (old.get(key), new.get(key)) {
            (old, new) if old == new => {}
            (Some(Value::Table(old)), Some(Value::Table(new))) => {
                compare(&format!("{name}."), old, new, changes);
            }
            _ => changes.push(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source {
            keys: toml::from_str(text).expect("TOML"),
            price_book: None,
        }
    }

    #[test]
    fn sighup_keys_that_have_changed_are_named_without_their_values() {
        let old =
            source("listen = 'a'\n[smtp]\nurl = 'secret'\nfrom = 'x'\n[[upstream]]\nname = 'u'");
        let new =
            source("[smtp]\nurl = 'other'\nfrom = 'x'\n[tls]\nkey = 'k'\n[[upstream]]\nname = 'v'");
        assert_eq!(old.changes(&new), ["listen", "smtp.url", "tls", "upstream"]);
        assert!(old.changes(&old.clone()).is_empty());
        let other_prices = Source {
            price_book: Some("prices".to_owned()),
            ..old.clone()
        };
        assert_eq!(old.changes(&other_prices), ["prices (the file)"]);
    }
}
