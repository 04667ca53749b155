//! What was consumed: events, prices, the ledger and its rollups.

mod cost;
mod cover;
pub mod event;
mod last_used;
mod price;
mod query;
mod rebuild;
mod recorder;

pub use cost::{CostDimension, CostQuery, CostResult, costs};
pub use event::{Dimension, Kind, Metric, Outcome, Quantities, UsageEvent};
pub use last_used::{LastUsed, LastUsedTask};
pub use price::{Charge, Charges, LineItem, PriceBook, PriceEntry, PriceError};
pub use query::{Bucket, Buckets, UsageQuery, UsageResult, Width, usage};
pub use rebuild::rebuild;
pub use recorder::{Appended, Recorded, Recorder, RecorderTask, Slot};
