//! Sets of tables: what a query has read from, and what a commit has changed.

use std::sync::{Mutex, PoisonError};

/// How many sets of one table there are. Tables beyond these share the last one.
pub(crate) const KINDS: usize = 64;

/// A set of tables of one database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables(u64);

impl Tables {
    /// Every table.
    pub const ALL: Self = Self(u64::MAX);

    /// The tables of both sets.
    #[must_use]
    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The numbers of its tables, each less than [`KINDS`].
    pub(crate) fn numbers(self) -> impl Iterator<Item = usize> {
        let mut left = self.0;
        std::iter::from_fn(move || {
            let number = left.trailing_zeros() as usize;
            left &= left.checked_sub(1)?;
            Some(number)
        })
    }
}

/// The numbers that a database's tables have, in the order in which they were first named.
#[derive(Default)]
pub(crate) struct Catalog(Mutex<Vec<String>>);

impl Catalog {
    /// The set of this one table.
    pub(crate) fn table(&self, name: &str) -> Tables {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            let next = names.len();
            if next < KINDS - 1 {
                names.push(name.to_owned());
            }
            next
        });
        Tables(1 << number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_keeps_its_number_and_those_beyond_the_last_share_one() {
        let catalog = Catalog::default();
        let first = catalog.table("t0");
        for number in 1..KINDS - 1 {
            assert_ne!(catalog.table(&format!("t{number}")), first);
        }
        assert_eq!(catalog.table("t0"), first);
        let beyond = catalog.table("beyond");
        assert_eq!(catalog.table("further"), beyond);
        assert_eq!(beyond.numbers().collect::<Vec<_>>(), [KINDS - 1]);
        assert_eq!(first.with(beyond).numbers().count(), 2);
        assert!(Tables::ALL.numbers().eq(0..KINDS));
        assert_eq!(Tables::default().numbers().count(), 0);
    }
}
