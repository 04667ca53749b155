//! What was consumed: events, prices, the ledger and its rollups.

pub mod event;

pub use event::{Dimension, Kind, Metric, Outcome, Quantities, UsageEvent};
