//! The engine under usage reports, without I/O: the caller reads and writes the blocks.
//!
//! A series is a combination of dimensions, known by its number. A *rollup* holds the sums of all series by bucket of
//! time, at one [`Granularity`] and [`Width`]. Its rows are stored in blocks ([`Rows`], [`read_block`]). New rows are
//! appended to [`Rollup::New`]; compaction ([`Backlog`], [`derive()`], [`merge_candidates`]) moves them to the other
//! rollups and merges small blocks into larger ones. [`segments`] says which rollup answers for which part of a range of
//! time. See docs/decisions/0010-blocks.md.

mod amounts;
mod block;
mod compaction;
mod granularity;
mod interner;
mod rows;
mod segment;
pub mod varint;

pub use amounts::{Amounts, MAX_COLUMNS, Mask, columns};
pub use block::{CorruptBlock, read_block};
pub use compaction::{
    Backlog, DUE_BLOCKS_COUNT, DerivedBlock, MAX_COMPACTED_BLOCKS, OldestRows, Parents, derive,
    merge_candidates,
};
pub use granularity::{Granularity, Rollup, Width};
pub use interner::Interner;
pub use rows::Rows;
pub use segment::{Segment, segments};
