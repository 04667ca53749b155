//! What things cost: the price book.

use crate::UsageEvent;
use base::NanoDollars;
use serde::Deserialize;

/// Prices by model and date.
#[derive(Clone, Debug, Default)]
pub struct PriceBook;

/// The prices of one model from a day on.
#[derive(Clone, Debug, Deserialize)]
pub struct PriceEntry {}

/// Why a price book is not understood.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PriceError(String);

/// What one event costs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Charges {
    /// The lines of the bill.
    pub lines: Vec<Charge>,
    /// Whether something was consumed that has no price; it costs 0.
    pub unpriced: bool,
}

/// A line of the bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// For what.
    pub item: LineItem,
    /// How much of it.
    pub quantity: i64,
    /// What that costs.
    pub amount: NanoDollars,
}

/// For what: `{model}, {name}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineItem;

impl PriceBook {
    /// The prices that ship with the program.
    #[must_use]
    pub fn built_in() -> Self {
        Self
    }

    /// Reads a price book.
    ///
    /// # Errors
    /// It is not understood.
    pub fn parse(text: &str) -> Result<Self, PriceError> {
        let _ = text;
        Ok(Self)
    }

    /// A book of these entries.
    #[must_use]
    pub fn from_entries(entries: Vec<PriceEntry>) -> Self {
        drop(entries);
        Self
    }

    /// This book, with the other's entries in place of those for the same model and date.
    #[must_use]
    pub fn with_overrides(self, other: Self) -> Self {
        let _ = other;
        self
    }

    /// What an event costs.
    #[must_use]
    pub fn charges(&self, event: &UsageEvent) -> Charges {
        let _ = event;
        Charges::default()
    }
}
