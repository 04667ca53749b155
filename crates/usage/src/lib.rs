//! Usage and costs: events, prices, the ledger and its rollups, spend, reports.

mod allowance;
mod capacity;
pub mod charge;
mod correct;
pub mod event;
mod explain;
mod facts;
mod item_name;
mod jobs;
pub mod last_used;
mod ledger;
mod max_cost;
pub mod metrics;
mod model_name;
mod price;
mod quantities;
mod rebuild;
pub mod recorder;
mod refusals;
pub mod report;
pub mod reported;
mod reprice;
mod retention;
mod rollups;
mod series;
mod session;
mod set_aside;
pub mod spend;
mod under_way;
mod unpriced;
mod verify;
mod writer;

pub use allowance::{Allowance, MAX_KEY_COST_PER_DAY, MAX_KEY_EVENTS_PER_DAY};
pub use charge::{Charge, Charges, LineItem};
pub use correct::{Corrected, correct};
pub use event::{
    ApiSource, Dimension, MAX_EVENT_COST, MAX_QUANTITY, MAX_UPLIFT_BILLIONTHS, Metric, Outcome,
    Quantities, UsageEvent, UsageKind,
};
pub use explain::{ExplainedCharge, ExplainedPrice};
pub use facts::{Modality, ModelFact, ModelFacts, PromptCacheRetention};
pub use item_name::ItemName;
pub use jobs::{Appended, by_days};
pub use last_used::LastUsed;
pub use ledger::key::{MAX_BANDS, band_row_id, tool_row_id};
pub use ledger::page::{LedgerPage, LedgerPosition, LedgerQuery};
pub use ledger::read::{LedgerEntry, LedgerReader, outcome_of, rows_of_request};
pub use max_cost::{CostBounds, RequestedTier, ToolCalls};
pub use price::{
    ANY_MODEL, DEFAULT_CONTAINER_MEMORY, DEFAULT_CONTEXT_LEVEL, ListPrices, PriceBook, PriceChange,
    PriceEntry, PriceError,
};
pub use rebuild::rebuild;
pub use recorder::{Durable, QueuePermit, Recorded, Recorder, RecorderTask};
pub use refusals::{ProjectRefusals, RefusalCount, Refusals, refusals, refusals_by_project};
pub use report::{
    Bucket, Buckets, CostDimension, CostQuery, CostResult, GroupSums, ReportPart, ReportStream,
    Reports, UsageQuery, UsageResult, costs, usage,
};
pub use reported::{EventBounds, MAX_REQUEST_DAYS, RefusedEvent, ReportedEvent};
pub use reprice::{Reprice, Repriced, reprice};
pub use retention::periods::{DEFAULT_MAX_EVENT_AGE_DAYS, MIN_LEDGER_DAYS, RetentionPeriods};
pub use retention::{Retention, forget};
pub use rollup::Width;
pub use session::{LedgerNode, NodeSession};
pub use set_aside::{SetAside, set_aside};
pub use spend::{
    DurableReservation, DurableReservations, Month, ReservationKey, Spend, SpendChange,
    SpendRequest, SpendReservation,
};
pub use under_way::record_lost;
pub use unpriced::{Unpriced, UnpricedKey, unpriced};
pub use verify::{Difference, Verified, verify};
