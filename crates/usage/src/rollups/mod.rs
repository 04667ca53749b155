//! The rollups of the ledger in the database; `rollup` has the engine, docs/decisions/0010-blocks.md the reasons.
//!
//! A transaction of the ledger adds one block of [`Rollup::New`](rollup::Rollup::New) with the sums of its rows by the
//! minute. [`Compaction`] moves the rows of such blocks to the other rollups once there are enough of them.

mod columns;
mod compaction;
mod table;

pub(crate) use columns::{
    AMOUNT_ID, QUANTITY_ID, amounts_of, amounts_of_charge, column_name, column_of,
};
pub(crate) use compaction::{Compaction, add_to_all};
pub(crate) use table::{BlockRange, clear, delete_before, select_blocks};

use base::UnixTime;
use base::time::SECONDS_PER_MINUTE;
use rollup::{CorruptBlock, Rows};
use store::Error;

/// Returns no rows; long computations on them yield the core to requests.
pub(crate) fn yielding_rows() -> Rows {
    Rows::with_pause(store::cooperative::yield_now_if_due)
}

/// Returns the start of the minute that a moment lies in.
pub(crate) fn minute_of(time: UnixTime) -> UnixTime {
    time.floor(SECONDS_PER_MINUTE)
}

/// Converts the error of a block that was read from the column `data`.
pub(crate) fn corrupt(error: CorruptBlock) -> Error {
    Error::Column("data".to_owned(), error.to_string())
}
