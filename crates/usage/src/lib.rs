//! What was consumed: events, prices, the ledger and its rollups.

mod bound;
pub mod charge;
mod columns;
pub mod cost;
mod cover;
pub mod event;
pub mod last_used;
mod ledger;
pub mod metrics;
mod price;
mod quantities;
pub mod query;
mod rebuild;
pub mod recorder;
pub mod reported;
mod rollup;
mod series;
pub mod spend;
mod unpriced;
mod writer;

pub use charge::{Charge, Charges, ItemName, LineItem};
pub use cost::{CostDimension, CostQuery, CostResult, costs};
pub use event::{Dimension, Kind, Metric, Outcome, Quantities, UsageEvent};
pub use last_used::{LastUsed, LastUsedTask};
pub use price::{PriceBook, PriceChange, PriceEntry, PriceError};
pub use query::{Bucket, Buckets, UsageQuery, UsageResult, Width, usage};
pub use rebuild::rebuild;
pub use recorder::{Appended, Recorded, Recorder, RecorderTask, Slot};
pub use reported::{Refused, ReportedEvent};
pub use spend::{Ask, Hold, Month, Moved, Spend};
pub use unpriced::{Seen, Unpriced, unpriced};
