//! What was consumed: events, prices, the ledger and its rollups.

mod allowance;
mod bound;
pub mod charge;
mod correct;
mod cover;
mod dictionary;
pub mod event;
mod facts;
mod jobs;
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
mod set_aside;
pub mod spend;
mod sums;
mod unpriced;
mod varint;
mod verify;
mod writer;

pub use allowance::{Allowance, MAX_KEY_COST_PER_DAY, MAX_KEY_EVENTS_PER_DAY};
pub use charge::{Charge, Charges, ItemName, LineItem};
pub use correct::{Corrected, correct};
pub use cover::{Bucket, Buckets, Width};
pub use event::{Dimension, Kind, MAX_QUANTITY, Metric, Outcome, Quantities, UsageEvent};
pub use facts::{ModelFact, ModelFacts};
pub use jobs::by_days;
pub use last_used::{LastUsed, LastUsedTask};
pub use ledger::read::{Entries, Entry, outcome_of};
pub use price::{ANY_MODEL, PriceBook, PriceChange, PriceEntry, PriceError};
pub use rebuild::rebuild;
pub use recorder::{Appended, Durable, Recorded, Recorder, RecorderTask, Slot};
pub use report::{
    CostDimension, CostQuery, CostResult, Numbers, Part, Report, Reports, UsageQuery, UsageResult,
    costs, usage,
};
pub use reported::{Bounds, MAX_EVENT_COST, MAX_REQUEST_DAYS, Refused, ReportedEvent};
pub use reprice::{Reprice, Repriced, reprice};
pub use retention::{
    DEFAULT_MAX_EVENT_AGE_DAYS, FEWEST_DAYS, Keep, Retention, RetentionTask, forget,
};
pub use set_aside::{SetAside, set_aside};
pub use spend::{Ask, Hold, Month, Moved, Release, Spend, SpendReservation, SpendReservations};
pub use unpriced::{Seen, Unpriced, unpriced};
pub use verify::{Difference, Verified, verify};
