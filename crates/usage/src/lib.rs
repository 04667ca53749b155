//! What was consumed: events, prices, the ledger and its rollups.

mod bound;
pub mod charge;
mod cover;
mod dictionary;
pub mod event;
mod facts;
pub mod last_used;
mod ledger;
pub mod metrics;
mod price;
mod quantities;
mod rebuild;
pub mod recorder;
pub mod report;
pub mod reported;
mod reprice;
mod retention;
mod series;
pub mod spend;
mod sums;
mod unpriced;
mod varint;
mod verify;
mod writer;

pub use charge::{Charge, Charges, ItemName, LineItem};
pub use cover::{Bucket, Buckets, Width};
pub use event::{Dimension, Kind, Metric, Outcome, Quantities, UsageEvent};
pub use facts::{ModelFact, ModelFacts};
pub use last_used::{LastUsed, LastUsedTask};
pub use ledger::read::{Entries, Entry, outcome_of};
pub use price::{ANY_MODEL, PriceBook, PriceChange, PriceEntry, PriceError};
pub use rebuild::rebuild;
pub use recorder::{Appended, Recorded, Recorder, RecorderTask, Slot};
pub use report::{
    CostDimension, CostQuery, CostResult, Numbers, Part, Report, Reports, UsageQuery, UsageResult,
    costs, usage,
};
pub use reported::{Refused, ReportedEvent};
pub use reprice::{Reprice, Repriced, reprice};
pub use retention::{FEWEST_DAYS, Keep, RetentionTask, forget};
pub use spend::{Ask, Hold, Month, Moved, Release, Spend, SpendReservation, SpendReservations};
pub use unpriced::{Seen, Unpriced, unpriced};
pub use verify::{Difference, Verified, verify};
